"""Labelled images as float32 tensors in [0, 1], with boxes where the set has them.

Fashion-MNIST (Xiao et al. 2017) from its IDX files, Tiny ImageNet and CIFAR-10 from concatenated JPEGs of which only
the images asked for are decoded, scikit-learn's digits resized from 8x8 to 28x28 (bilinear), and synthetic twins.

Conventions: NCHW; a box is (x0, y0, x1, y1) in pixels, half open, so its width is x1 - x0; "test" is the held-out split
(of Tiny ImageNet the upstream validation set; of digits every fifth image of each class).
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.data.fetch import file_path
from lib.data.registry import DataError, Entry, expect

if TYPE_CHECKING:
    import torch

SPLITS = ("train", "test")
DIGIT_SIDE = 28  # px, as Fashion-MNIST, so that one model fits both
_JPEG_FILES = {
    "tiny-imagenet-50": {"train": "train_jpeg.npz", "test": "val_jpeg.npz"},
    "cifar10-jpeg": {"train": "cifar10_train_jpeg.npz", "test": "cifar10_test_jpeg.npz"},
}


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes
    ----------
    x : Tensor, float32, (n, channels, height, width)
        Intensities in [0, 1].
    y : Tensor, int64, (n,)
        Class codes, an index into ``classes``.
    classes : tuple of str
        Class names.
    boxes : Tensor or None, float32, (n, 4)
        Box of the labelled object: x0, y0, x1, y1 in pixels, half open.
    source : str
        What a report says the images are.
    """

    x: torch.Tensor
    y: torch.Tensor
    classes: tuple[str, ...]
    boxes: torch.Tensor | None
    source: str


def images(id: str, *, split: str = "train", n: int | None = None, seed: int = 0) -> Images:
    """Load images of one split.

    Parameters
    ----------
    id : str
        "fashion-mnist", "tiny-imagenet-50", "cifar10-jpeg", "digits", or one of these with ``-twin``.
    split : {"train", "test"}
        Which part.
    n : int, optional
        How many images: the first ``n`` of a shuffle in which every prefix has the classes in their proportions, so a
        smaller ``n`` is a part of a larger one. None: all, in the order of the file. A twin makes as many as asked
        (None: 1,000 and 200).
    seed : int
        Seed of that shuffle (of a twin: of the images drawn).

    Returns
    -------
    Images

    Raises
    ------
    DataError
        If the set is unknown, of another kind or not to be had.
    ValueError
        If ``split`` or ``n`` is out of range.
    """
    found = expect(id, "images", "lib.data.images")
    if split not in SPLITS:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    total = found.rows[SPLITS.index(split)]
    if n is not None and (n < 1 or (n > total and not found.is_twin)):
        raise ValueError(f"n must be in 1..{total:,} for the {split} split of {id!r}, got {n}; None loads all")
    if found.is_twin:
        from lib.data.twins import twin_images

        x, y, boxes = twin_images(found, n=n or (1000 if split == "train" else 200), seed=[seed, SPLITS.index(split)])
    elif found.bundled:
        x, y, boxes = _digits(split, n, seed)
    elif found.id in _JPEG_FILES:
        x, y, boxes = _jpegs(file_path(id, _JPEG_FILES[found.id][split]), n, seed)
    else:
        x, y, boxes = _idx_pair(found, split, n, seed)
    return _as_images(found, x, y, boxes)


def stratified_order(y: np.ndarray, *, seed: int) -> np.ndarray:
    """Return a shuffle of the rows in which every prefix has the classes in their proportions.

    Parameters
    ----------
    y : ndarray, int, (n,)
        Class codes.
    seed : int
        Another seed gives another shuffle.

    Returns
    -------
    ndarray, int64, (n,)
        Row numbers; among the first k, each class has its share of k give or take two.

    Examples
    --------
    >>> y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> np.bincount(y[stratified_order(y, seed=0)[:4]]).tolist()
    [2, 2]
    """
    rng = np.random.default_rng(seed)
    place = np.empty(len(y))
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        place[rows] = (np.arange(len(rows)) + rng.uniform()) / len(rows)
    return np.argsort(place, kind="stable")


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes.

    Raises
    ------
    DataError
        If the header is not that of unsigned bytes, or the length does not fit it.
    """
    with gzip.open(path, "rb") as stream:
        raw = stream.read()
    n_axes = raw[3] if len(raw) >= 4 and raw[:3] == b"\0\0\x08" else 0
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", count=n_axes, offset=4)) if n_axes else ()
    body = np.frombuffer(raw, np.uint8, offset=min(len(raw), 4 + 4 * n_axes))
    if not shape or body.size != int(np.prod(shape)):
        raise DataError(f"{path.name} must be an IDX file of unsigned bytes, got header {raw[:4]!r}; fetch it again")
    return body.reshape(shape)


def _rows(y: np.ndarray, n: int | None, seed: int) -> np.ndarray:
    return np.arange(len(y)) if n is None else stratified_order(y, seed=seed)[:n]


def _idx_pair(found: Entry, split: str, n: int | None, seed: int) -> tuple[np.ndarray, np.ndarray, None]:
    part = "train" if split == "train" else "t10k"
    y = read_idx(file_path(found.id, f"{part}-labels-idx1-ubyte.gz"))
    x = read_idx(file_path(found.id, f"{part}-images-idx3-ubyte.gz"))
    rows = _rows(y, n, seed)
    return x[rows, None], y[rows], None


def _jpegs(path: Path, n: int | None, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    from PIL import Image

    with np.load(path, allow_pickle=False) as arrays:
        data, offset, y = arrays["jpeg"], arrays["offset"], arrays["label"]
        boxes = arrays["box"] if "box" in arrays.files else None
    rows = _rows(y, n, seed)
    x = [np.asarray(Image.open(io.BytesIO(data[offset[i] : offset[i + 1]].tobytes())).convert("RGB")) for i in rows]
    half_open = None if boxes is None else boxes[rows] + np.array([0, 0, 1, 1])
    return np.stack(x).transpose(0, 3, 1, 2), y[rows], half_open  # (n, 3, h, w)


def _digits(split: str, n: int | None, seed: int) -> tuple[np.ndarray, np.ndarray, None]:
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rank = np.zeros(len(bunch.target), dtype=int)  # how many of the same class came before
    for label in range(10):
        rows = np.flatnonzero(bunch.target == label)
        rank[rows] = np.arange(len(rows))
    kept = np.flatnonzero((rank % 5 == 4) == (split == "test"))
    kept = kept[_rows(bunch.target[kept], n, seed)]
    small = torch.from_numpy(bunch.images[kept, None] / 16.0)  # (n, 1, 8, 8)
    side = (DIGIT_SIDE, DIGIT_SIDE)
    large = torch.nn.functional.interpolate(small, size=side, mode="bilinear", align_corners=False)
    return large.clamp(0, 1).numpy(), bunch.target[kept], None


def _as_images(found: Entry, x: np.ndarray, y: np.ndarray, boxes: np.ndarray | None) -> Images:
    import torch

    scale = 255.0 if x.dtype == np.uint8 else 1.0
    return Images(
        x=torch.from_numpy(np.ascontiguousarray(x)).to(torch.float32) / scale,
        y=torch.from_numpy(y.astype(np.int64)),
        classes=found.classes,
        boxes=None if boxes is None else torch.from_numpy(boxes.astype(np.float32)),
        source=found.source,
    )
