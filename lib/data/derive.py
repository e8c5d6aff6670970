"""Build a set's packed files from the upstream archive that a person has put into the cache.

Sets without a direct download of the packed form name an ``archive`` in data/registry.toml. Once it lies in the set's
cache folder, it is unpacked, its JPEGs are concatenated unchanged into one .npz per split (NIH's films: stacked, with
their rows of the metadata), and the unpacked folder is removed. The registry's ``content`` sums then decide whether the
result is what everyone else has.

Conventions: arrays ``jpeg`` uint8 (bytes), ``offset`` int64 (n + 1,), ``label`` int16 (n,), ``box`` int16 (n, 4),
inclusive.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lib.data.fetch import file_path
from lib.data.registry import DataError, Entry
from lib.data.unpack import extract

Split = dict[str, np.ndarray]


def build(found: Entry, archive: Path, folder: Path) -> None:
    """Write the missing files of a set into ``folder`` from ``archive``.

    Raises
    ------
    DataError
        If no builder knows the set, or the archive lacks what the builder reads.
    """
    if all((folder / file.name).is_file() for file in found.files):
        return
    builders: dict[str, Callable[[Entry, Path], dict[str, Split | bytes]]] = {
        "tiny-imagenet-200.zip": _tiny_imagenet,
        "CIFAR-10-images.zip": _class_folders,
        "kcr2019d1.zip": _nih_films,
    }
    if archive.name not in builders:
        raise DataError(f"archive of {found.id!r} must be one of {', '.join(builders)}, got {archive.name}")
    folder.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
    try:
        unpacked = extract(archive, beside / "unpacked", keep=lambda path: "/test/images/" not in path)
        roots = [path for path in unpacked.iterdir() if path.is_dir()]
        if len(roots) != 1:
            raise DataError(f"{archive.name} must hold one folder, got {len(roots)}; download it again")
        try:
            parts = builders[archive.name](found, roots[0])
        except (OSError, IndexError, ValueError) as error:
            raise DataError(f"{archive.name} does not have the expected layout ({error}); download it again") from error
        for name, content in parts.items():
            if isinstance(content, bytes):
                (beside / name).write_bytes(content)
            else:
                np.savez(beside / name, **content)  # type: ignore[arg-type]
            os.replace(beside / name, folder / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def pack(paths: Sequence[Path], labels: Sequence[int]) -> Split:
    """Concatenate the bytes of files.

    Parameters
    ----------
    paths : sequence of Path, n
        Files in their order.
    labels : sequence of int, n
        Class code of each.

    Returns
    -------
    dict
        ``jpeg`` uint8, ``offset`` int64 (n + 1,): file i is ``jpeg[offset[i]:offset[i + 1]]``, ``label`` int16 (n,).
    """
    contents = [path.read_bytes() for path in paths]
    offset = np.concatenate([[0], np.cumsum([len(content) for content in contents])]).astype(np.int64)
    jpeg = np.frombuffer(b"".join(contents), np.uint8)
    return {"jpeg": jpeg, "offset": offset, "label": np.array(labels, np.int16)}


def _tiny_imagenet(found: Entry, root: Path) -> dict[str, Split | bytes]:
    wnids = (root / "wnids.txt").read_text().split()[: len(found.classes)]
    paths, labels, boxes = [], [], []
    for label, wnid in enumerate(wnids):
        rows = _lines(root / "train" / wnid / f"{wnid}_boxes.txt")
        for name, *box in sorted(rows, key=lambda row: _number(row[0])):
            paths.append(root / "train" / wnid / "images" / name)
            labels.append(label)
            boxes.append([int(edge) for edge in box])
    train = pack(paths, labels) | {"box": np.array(boxes, np.int16)}
    kept = [row for row in _lines(root / "val" / "val_annotations.txt") if row[1] in wnids]
    kept.sort(key=lambda row: _number(row[0]))
    held_out = pack([root / "val" / "images" / row[0] for row in kept], [wnids.index(row[1]) for row in kept])
    held_out["box"] = np.array([[int(edge) for edge in row[2:]] for row in kept], np.int16)
    return {"train_jpeg.npz": train, "val_jpeg.npz": held_out}


def _class_folders(found: Entry, root: Path) -> dict[str, Split | bytes]:
    parts: dict[str, Split | bytes] = {}
    for split in ("train", "test"):
        files = [(path, label) for label, name in enumerate(found.classes) for path in _jpegs(root / split / name)]
        parts[f"cifar10_{split}_jpeg.npz"] = pack([path for path, _ in files], [label for _, label in files])
    return parts


def _nih_films(found: Entry, root: Path) -> dict[str, Split | bytes]:
    import pandas as pd
    from PIL import Image

    paths = sorted((root / "NIH1000").glob("*/*/*.png"))
    if len(paths) != found.rows[0]:
        raise ValueError(f"{len(paths)} films instead of {found.rows[0]}")
    films = np.stack([np.asarray(Image.open(path).convert("RGB"))[:, :, 0] for path in paths])  # gray, stored as RGB(A)
    rows = pd.DataFrame(
        {
            "Image Index": [path.name for path in paths],
            "row": range(len(paths)),
            "split": [path.parents[1].name for path in paths],
            "abnormal": [int(path.parent.name[0]) for path in paths],
        }
    )
    labels = pd.read_csv(file_path("nih-metadata", "Data_Entry_2017_v2020.csv.gz"), dtype=str)
    joined = rows.merge(labels, on="Image Index", how="left")
    first = ["row", "Image Index", "split", "abnormal"]
    table = joined[first + [name for name in labels.columns if name != "Image Index"]]
    return {"images64.npz": {"image": films}, "metadata.csv": table.to_csv(index=False, lineterminator="\n").encode()}


def _jpegs(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.jpg"))
    if not found:
        raise ValueError(f"no .jpg in {folder.parent.name}/{folder.name}")
    return found


def _lines(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return [row for row in csv.reader(stream, delimiter="\t") if row]


def _number(name: str) -> int:
    return int(Path(name).stem.rsplit("_", 1)[-1])
