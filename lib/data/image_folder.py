"""Pack a folder of images, one subfolder per class, into the array that `lib.data.stream` reads.

Two layouts of the user's own downloads (nothing is fetched here; both sets have terms that their user accepts):

- ImageNet-1k: ``<folder>/train/<class>/*.JPEG`` and ``<folder>/val/<class>/*.JPEG``. The validation archive has no
  class folders; ImageNet's usual preparation sorts it into them first.
- Tiny ImageNet-200, as it unpacks: ``<folder>/train/<class>/images/*.JPEG`` and ``<folder>/val/images`` with
  ``<folder>/val/val_annotations.txt``.

``python -m lib.data.image_folder FOLDER OUT 64`` packs the training split on all cores; what was decoded before
an interruption is not decoded again. ImageNet-1k at 224 px needs 193 GB, at 64 px 16 GB; Tiny ImageNet needs 1.2 GB.

Conventions: classes are the names of the training folders in alphabetic order, for both splits. (The registered
`tiny-imagenet-50` has its classes in the order of ``wnids.txt`` instead.) An image of another size is scaled so that
its shorter side is ``size`` px (bicubic, antialiased) and cut to the square in its middle; one that is ``size`` px
square is kept pixel by pixel. Grey, palette and CMYK files become RGB. Rows are stored in one fixed shuffle in which
every stretch has the classes in their proportions, so that what is read together is not of one class.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from lib.data import packed
from lib.data.images import stratified_order
from lib.data.registry import DataError

SPLITS = ("train", "val")
SUFFIXES = (".jpeg", ".jpg", ".png")
ANNOTATIONS = "val_annotations.txt"
DONE = "done.txt"  # in the unfinished folder: first row and sum of each chunk that is on the disk
CHUNK = 256  # images that a process decodes and writes at a time
MODES = {1: "L", 3: "RGB"}
PROGRESS_AFTER_S = 3.0


@dataclass(frozen=True)
class Listing:
    """The images of one split.

    Attributes
    ----------
    root : Path
    files : tuple of str
        Paths below ``root``, in the order of the packed rows.
    sizes : ndarray, int64, (n,)
        Bytes of each file.
    labels : ndarray, int64, (n,)
    classes : tuple of str
    """

    root: Path
    files: tuple[str, ...]
    sizes: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def sha256(self, first: int = 0, last: int | None = None) -> str:
        """Over path, size and label of the files from ``first`` to before ``last``: 64 hex digits."""
        digest, part = hashlib.sha256(), slice(first, last)
        for name, size, label in zip(self.files[part], self.sizes[part], self.labels[part], strict=True):
            digest.update(f"{name}\t{size}\t{label}\n".encode())
        return digest.hexdigest()


def listing(folder: str | os.PathLike[str], *, split: str = "train") -> Listing:
    """Find the images of a split and their classes.

    Parameters
    ----------
    folder : path
        In one of the two layouts above.
    split : {"train", "val"}

    Returns
    -------
    Listing

    Raises
    ------
    DataError
        If the folder has another layout, or a class has no images or is not one of the training split.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be 'train' or 'val', got {split!r}; ImageNet's test split has no labels")
    root = Path(folder)
    base = root / split
    if not base.is_dir():
        raise DataError(f"folder must hold {split}/ with the images, got none in {root}; give the folder above it")
    annotated = (base / ANNOTATIONS).is_file()
    trained = root / "train"
    classes = _subfolders(trained if annotated or trained.is_dir() else base)
    pairs = _annotated(base, classes) if annotated else _class_folders(base, classes)
    order = stratified_order(np.array([label for _, label in pairs]), seed=0)
    pairs = [pairs[row] for row in order]
    files = [path.relative_to(root).as_posix() for path, _ in pairs]
    sizes = np.array([path.stat().st_size for path, _ in pairs], np.int64)
    labels = np.array([label for _, label in pairs], np.int64)
    return Listing(root, tuple(files), sizes, labels, classes)


def pack(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: int,
    split: str = "train",
    channels: int = 3,
    jobs: int | None = None,
) -> packed.Packed:
    """Decode a folder of images into a packed set.

    Parameters
    ----------
    folder : path
        In one of the two layouts above.
    out : path
        Must not exist. Until the set is whole it is ``.<name>.part`` beside it; another call for as many images of the
        same classes continues there and decodes only files that are new or of another size.
    size : int
        Side of the stored squares in px.
    split : {"train", "val"}
    channels : {3, 1}
        Colour, or grey.
    jobs : int, optional
        Processes that decode, all cores by default; 1 = this one.

    Returns
    -------
    Packed

    Raises
    ------
    DataError
        If the layout is another one, ``out`` exists or is being packed by somebody else, or a file cannot be decoded;
        the message names it.
    """
    if size < 1 or channels not in MODES or (jobs is not None and jobs < 1):
        raise ValueError(f"size and jobs must be positive and channels 1 or 3, got {size}, {jobs} and {channels}")
    place = Path(out)
    packed.vacant(place)
    found = listing(folder, split=split)
    shape = (len(found.files), channels, size, size)
    named = hashlib.sha256(f"{found.sha256()} {shape}".encode()).hexdigest()
    source = f"{Path(folder).resolve().name} {split}, {shape[0]:,} images of {size} px"
    facts = packed.header(shape, found.labels, found.classes, source, named)
    with _alone(place):
        part = packed.part_of(place)
        if not _continues(part, facts):
            shutil.rmtree(part, ignore_errors=True)
            packed.blank(part, facts, found.labels)
        _decode_all(found, part, size, channels, jobs or os.cpu_count() or 1)
        (part / DONE).unlink(missing_ok=True)
        os.rename(part, place)
    return packed.open_packed(place)


def decode(path: str | os.PathLike[str], *, size: int, channels: int = 3) -> np.ndarray:
    """Read one image as uint8 (channels, size, size).

    Raises
    ------
    DataError
        If it cannot be decoded; the message names the file.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            image = opened.convert(MODES[channels])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} must be a whole image, got {type(error).__name__}: {error}; replace the file or remove it"
        ) from error
    if image.size != (size, size):
        scale = size / min(image.size)
        width, height = (max(size, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - size) // 2, (height - size) // 2
        image = image.crop((left, top, left + size, top + size))
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))


def _subfolders(base: Path) -> tuple[str, ...]:
    names = sorted(path.name for path in base.iterdir() if path.is_dir()) if base.is_dir() else []
    if not names or names == ["images"]:
        raise DataError(
            f"{base} must hold one folder per class, got {'no folder' if not names else 'images/ only'}; "
            "sort the images by class first (for Tiny ImageNet, unpack train/ too)"
        )
    return tuple(names)


def _class_folders(base: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    strange = sorted(set(_subfolders(base)) - set(classes))
    if strange:
        raise DataError(f"classes of {base} must be those of train/, got {strange[0]!r}; is it another version?")
    pairs = []
    for label, name in enumerate(classes):
        inner = base / name / "images"
        where = inner if inner.is_dir() else base / name
        paths = sorted(_images(where)) if where.is_dir() else []
        if not paths:
            raise DataError(f"each class must have images, got none in {where}; unpack it again or remove the class")
        pairs += [(path, label) for path in paths]
    return pairs


def _annotated(base: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """Tiny ImageNet's validation images with the class that the table gives them."""
    codes = {name: label for label, name in enumerate(classes)}
    lines = (base / ANNOTATIONS).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    strange = next((row for row in rows if len(row) < 2 or row[1] not in codes), None)
    if strange is not None:
        raise DataError(f"{base / ANNOTATIONS} must give each image a class of train/, got {strange}; unpack it again")
    present = {path.name: path for path in _images(base / "images")}
    lacking = sorted({row[0] for row in rows} - set(present))
    if lacking or not rows:
        raise DataError(
            f"{base / 'images'} must hold every image of {ANNOTATIONS}, got no "
            f"{lacking[0] if lacking else 'line'}; unpack it again"
        )
    return sorted((present[name], codes[label]) for name, label, *_ in rows)


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def _continues(part: Path, facts: dict[str, Any]) -> bool:
    """Whether an unfinished folder has the wanted images; files that changed since are told by their chunk's sum."""
    try:
        packed.open_packed(part)
        before = json.loads((part / packed.HEADER).read_text(encoding="utf-8"))
    except DataError:
        return False
    if {**before, "sha256": facts["sha256"]} != facts:
        return False
    packed.write_header(part, facts)
    return True


def _decode_all(found: Listing, part: Path, size: int, channels: int, jobs: int) -> None:
    """Decode the chunks that are not yet on the disk; the first file that fails ends it."""
    from tqdm import tqdm

    journal, n = part / DONE, len(found.files)
    text = journal.read_text(encoding="utf-8") if journal.is_file() else ""
    done = {line for line in text.splitlines(keepends=True) if line.endswith("\n")}  # a torn line does not count
    lines = {first: f"{first} {found.sha256(first, first + CHUNK)}\n" for first in range(0, n, CHUNK)}
    chunks = {
        first: [found.root / name for name in found.files[first : first + CHUNK]]
        for first, line in lines.items()
        if line not in done
    }
    quiet = {"desc": "packing", "unit": "chunk", "delay": PROGRESS_AFTER_S, "leave": False}
    with (
        tqdm(total=len(lines), initial=len(lines) - len(chunks), **quiet) as bar,
        journal.open("a", encoding="utf-8") as stream,
    ):
        if text and not text.endswith("\n"):
            stream.write("\n")
        write = partial(_decode_chunk, path=part / packed.IMAGES, size=size, channels=channels)
        for first in _finished(chunks, min(jobs, len(chunks)), write):
            stream.write(lines[first])
            stream.flush()
            bar.update()


def _finished(chunks: dict[int, list[Path]], jobs: int, write: Callable[[int, list[Path]], int]) -> Iterator[int]:
    """Decode all chunks and yield the first row of each as it reaches the disk."""
    if jobs <= 1:
        yield from (write(first, files) for first, files in chunks.items())
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_ignore_interrupts)
    try:
        waiting = [pool.submit(write, first, files) for first, files in chunks.items()]
        yield from (future.result() for future in as_completed(waiting))
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_chunk(first: int, files: list[Path], *, path: Path, size: int, channels: int) -> int:
    packed.write_rows(path, first, np.stack([decode(file, size=size, channels=channels) for file in files]))
    return first


def _ignore_interrupts() -> None:
    """Ctrl-C is the first process's business: it cancels what has not begun."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second packer of the same set out; the lock goes with its process."""
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.with_name(f".{out.name}.lock")
    with path.open("a") as stream:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = os.path.samestat(os.fstat(stream.fileno()), path.stat())  # not one that its holder removed
            except OSError:
                mine = False
            if not mine:
                raise DataError(f"out must be packed by one process, another packs {out}; wait for it")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def main(folder: Path, out: Path, size: int, split: str = "train", channels: int = 3, jobs: int | None = None) -> None:
    """Pack FOLDER/SPLIT into the new folder OUT, images of SIZE px."""
    try:
        made = pack(folder, out, size=size, split=split, channels=channels, jobs=jobs)
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{made.folder}: {made.source}, {len(made.classes):,} classes, {len(made) * made.row_bytes / 1e9:,.2f} GB")


if __name__ == "__main__":
    import typer

    typer.run(main)
