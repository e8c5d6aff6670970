"""Images of a few classes, of which it is known where the object is: a task small enough to be learned in seconds.

Of Tiny ImageNet a few classes are taken that differ at a glance; of every other set, the first ones. Where a set has no
boxes its objects are bright on black and the object is what is not black (`lib.data.objects`).

Differences: Tiny ImageNet (Le & Yang 2015) has 200 classes, of which the data here hold 50 and a task five at most.

Conventions: as `lib.data.images`; labels are numbered anew from 0 in the order of `CLASSES`.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import torch

from lib.data import Images, file_path
from lib.data import images as load_images

TINY = "tiny-imagenet-50"
CLASSES = {TINY: (13, 15, 22, 41, 26)}  # monarch, school bus, goldfish, king penguin, computer keyboard
FILES = {"train": "train_jpeg.npz", "test": "val_jpeg.npz"}


@lru_cache(maxsize=2)
def boxed_images(dataset: str, *, split: str, n_classes: int) -> Images:
    """All images of a few classes of one split.

    Parameters
    ----------
    dataset : str
        Identifier understood by `lib.data.images`.
    split : {"train", "test"}
    n_classes : int
        At least 2; at most five of Tiny ImageNet, at most all of another set.

    Returns
    -------
    Images
        In the order of the file. Loaded once for several networks: do not write into its tensors.

    Raises
    ------
    ValueError
        If there are not so many classes, or the split is unknown.
    """
    some = load_images(dataset, split=split, n=1)  # names, and the checks of the data set and the split
    chosen = CLASSES.get(dataset, tuple(range(len(some.classes))))
    if not 2 <= n_classes <= len(chosen):
        raise ValueError(f"n_classes must be in 2..{len(chosen)} for {dataset}, got {n_classes}")
    number = torch.full((len(some.classes),), -1)
    number[torch.tensor(chosen[:n_classes])] = torch.arange(n_classes)
    found = _decoded(split, chosen[:n_classes], some) if dataset == TINY else load_images(dataset, split=split)
    kept = number[found.y] >= 0
    boxes = None if found.boxes is None else found.boxes[kept]
    names = tuple(some.classes[code].split(",")[0] for code in chosen[:n_classes])
    return Images(found.x[kept], number[found.y[kept]], names, boxes, found.source)


def _decoded(split: str, chosen: tuple[int, ...], like: Images) -> Images:
    """The images of Tiny ImageNet of a few classes; the others are not decoded."""
    from PIL import Image

    with np.load(file_path(TINY, FILES[split]), allow_pickle=False) as arrays:
        data, offset, label, box = (arrays[name] for name in ("jpeg", "offset", "label", "box"))
    rows = np.flatnonzero(np.isin(label, chosen))
    x = torch.empty(len(rows), *like.x.shape[1:])
    for place, row in enumerate(rows):
        picture = Image.open(io.BytesIO(data[offset[row] : offset[row + 1]].tobytes())).convert("RGB")
        x[place] = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    corners = torch.from_numpy((box[rows] + np.array([0, 0, 1, 1])).astype(np.float32))  # half open
    return Images(x, torch.from_numpy(label[rows].astype(np.int64)), like.classes, corners, like.source)
