"""Images that need not fit into memory: one folder with a memory-mapped uint8 array, labels and a header.

A packed set is a folder of three files: ``images.npy``, uint8 (n, channels, height, width), which any program can map;
``labels.npy``, int64 (n,); and ``header.json``: shape, class names, what the images are, and a sha256 that names the
content. `lib.data.image_folder` makes one from a folder of JPEGs, `lib.data.stream` trains on it. What is made of
numbers instead of files is written with `create` and `write_rows`.

Conventions: a folder appears under its name only when it is whole; until then it is ``.<name>.part`` beside it. Rows
that nobody has written are zero and take no space where the file system knows holes. Pixels are handed out as float32
in [0, 1], labels as int64.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lib.data.registry import DataError

if TYPE_CHECKING:
    import torch

FORMAT = "blindspot packed images 1"
IMAGES, LABELS, HEADER = "images.npy", "labels.npy", "header.json"
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Packed:
    """A packed set; only its labels are in memory.

    Attributes
    ----------
    folder : Path
    shape : (int, int, int, int)
        Images, channels, height and width in px.
    labels : ndarray, int64, (n,)
        Class codes, an index into ``classes``.
    classes : tuple of str
    source : str
        What a report says the images are.
    sha256 : str
        64 hex digits that name the content, as the one who packed it says.
    offset : int
        Bytes before the first image in ``images.npy``; the rest is row after row.
    """

    folder: Path
    shape: Shape
    labels: np.ndarray
    classes: tuple[str, ...]
    source: str
    sha256: str
    offset: int

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of one image."""
        return int(np.prod(self.shape[1:]))

    @property
    def path(self) -> Path:
        """The file of the images."""
        return self.folder / IMAGES

    def mapped(self) -> np.ndarray:
        """All images, uint8 (n, c, h, w), mapped for reading: what is touched comes from the disk."""
        return np.memmap(self.path, np.uint8, "r", self.offset, self.shape)

    def rows(self, index: Sequence[int] | np.ndarray | torch.Tensor) -> torch.Tensor:
        """Read some images: float32 (len(index), c, h, w) in [0, 1], in the order of ``index``."""
        import torch

        return torch.from_numpy(self.mapped()[np.asarray(index, np.int64)]).to(torch.float32) / 255.0


def open_packed(folder: str | os.PathLike[str]) -> Packed:
    """Open a packed set after checking that header, labels and the size of the images agree.

    Parameters
    ----------
    folder : path
        As `lib.data.image_folder.pack` or `create` wrote it.

    Returns
    -------
    Packed

    Raises
    ------
    DataError
        If a file is missing, of another format, cut short, or does not fit the others. Pixels are not read.
    """
    place = Path(folder)
    try:
        header = json.loads((place / HEADER).read_text(encoding="utf-8"))
        shape, classes = tuple(int(size) for size in header["shape"]), tuple(header["classes"])
        known, source, named = header["format"], str(header["source"]), str(header["sha256"])
        labels = np.load(place / LABELS, allow_pickle=False)
        with (place / IMAGES).open("rb") as stream:
            stored, fortran, dtype = _npy_header(stream)
            offset = stream.tell()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(_refused(place, f"be a packed set, got {type(error).__name__}: {error}")) from error
    if known != FORMAT:
        raise DataError(_refused(place, f"be of the format {FORMAT!r}, got {known!r}"))
    if len(shape) != 4 or stored != shape or fortran or dtype != np.uint8:
        raise DataError(_refused(place, f"hold uint8 images {shape} as its header says, got {dtype} {stored}"))
    expected, got = offset + int(np.prod(shape)), (place / IMAGES).stat().st_size
    if got != expected:
        raise DataError(_refused(place, f"have {expected:,} bytes in {IMAGES}, got {got:,}"))
    if labels.dtype != np.int64 or labels.shape != shape[:1] or _digest(labels) != header.get("labels_sha256"):
        raise DataError(_refused(place, f"have the {shape[0]:,} int64 labels that were packed, got others in {LABELS}"))
    return Packed(place, shape, labels, classes, source, named, offset)


@contextmanager
def create(
    out: str | os.PathLike[str],
    *,
    shape: Shape,
    labels: np.ndarray,
    classes: Sequence[str],
    source: str,
    sha256: str = "",
) -> Iterator[Path]:
    """Make a packed set of zeros to be filled within the block; it appears as ``out`` when the block ends well.

    Parameters
    ----------
    out : path
        Must not exist.
    shape : (n, channels, height, width)
    labels : ndarray, int, (n,)
        Codes below ``len(classes)``.
    classes, source, sha256 :
        As in `Packed`; without a ``sha256``, one of everything but the pixels.

    Yields
    ------
    Path
        The array's file, for `write_rows`. It is removed when the block raises.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     facts = {"labels": np.array([0, 1]), "classes": ["dark", "bright"], "source": "two squares"}
    ...     with create(f"{folder}/squares", shape=(2, 1, 4, 4), **facts) as path:
    ...         write_rows(path, 1, np.full((1, 1, 4, 4), 255, np.uint8))
    ...     open_packed(f"{folder}/squares").rows([1, 0]).mean((1, 2, 3)).tolist()
    [1.0, 0.0]
    """
    place = Path(out)
    vacant(place)
    part = part_of(place)
    shutil.rmtree(part, ignore_errors=True)
    try:
        blank(part, header(shape, labels, classes, source, sha256), labels)
        yield part / IMAGES
        os.rename(part, place)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_rows(path: Path, first: int, images: np.ndarray) -> None:
    """Write uint8 images (k, c, h, w) over the rows from ``first`` on of an array's file.

    Raises
    ------
    ValueError
        If they are of another type or shape, or reach beyond the last row.
    """
    with path.open("r+b") as stream:
        shape, _, _ = _npy_header(stream)
        if images.dtype != np.uint8 or images.shape[1:] != shape[1:]:
            raise ValueError(f"images must be uint8 (k, {shape[1:]}), got {images.dtype} {images.shape}; convert them")
        if first < 0 or first + len(images) > shape[0]:
            raise ValueError(f"first must leave room in {shape[0]:,} rows for {len(images)} images, got {first}")
        stream.seek(first * int(np.prod(shape[1:])), os.SEEK_CUR)
        stream.write(np.ascontiguousarray(images).data)
        stream.flush()
        os.fsync(stream.fileno())


def header(shape: Shape, labels: np.ndarray, classes: Sequence[str], source: str, sha256: str = "") -> dict[str, Any]:
    """The header of a set, checked.

    Raises
    ------
    ValueError
        If ``shape`` is not four positive numbers, or the labels are not one code below ``len(classes)`` per image.
    """
    if len(shape) != 4 or min(shape) < 1:
        raise ValueError(f"shape must be (n, channels, height, width), all positive, got {shape}")
    codes = np.asarray(labels)
    if codes.shape != shape[:1] or codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= len(classes):
        raise ValueError(
            f"labels must be {shape[0]:,} codes in 0..{len(classes) - 1}, got {codes.dtype} {codes.shape}; "
            "number the classes from 0"
        )
    facts: dict[str, Any] = {"format": FORMAT, "shape": list(shape), "classes": list(classes), "source": source}
    facts["labels_sha256"] = _digest(codes)
    return facts | {"sha256": sha256 or hashlib.sha256(json.dumps(facts).encode()).hexdigest()}


def blank(folder: Path, facts: dict[str, Any], labels: np.ndarray) -> None:
    """Write header, labels and an array of zeros, which takes no space where the file system knows holes."""
    folder.mkdir(parents=True)
    np.save(folder / LABELS, np.asarray(labels, np.int64))
    with (folder / IMAGES).open("wb") as stream:
        shape = tuple(facts["shape"])
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        stream.truncate(stream.tell() + int(np.prod(shape)))
    write_header(folder, facts)


def write_header(folder: Path, facts: dict[str, Any]) -> None:
    """Write the header beside its place and rename it."""
    beside = folder / f"{HEADER}.part"
    beside.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, folder / HEADER)


def part_of(out: Path) -> Path:
    """Where a set lies until it is whole."""
    return out.with_name(f".{out.name}.part")


def vacant(out: Path) -> None:
    """Raise a `DataError` if there is something at ``out``."""
    if out.exists():
        raise DataError(f"out must not exist, got {out}; open it with open_packed, or remove it to pack again")


def _npy_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{IMAGES} must be an array of version 1.0")
    return np.lib.format.read_array_header_1_0(stream)


def _digest(labels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels, "<i8").tobytes()).hexdigest()


def _refused(folder: Path, must: str) -> str:
    return f"{folder} must {must}; pack the images again with lib.data.image_folder"
