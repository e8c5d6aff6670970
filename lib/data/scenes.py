"""Several objects at random places of one picture, with their boxes: what a detector is trained on.

Labelled images are shrunk and put on a larger black canvas where they do not touch, so that class, place and extent of
every object are known. A picture may be asked to hold twins, two different objects of one class: what is said of the
class then says nothing about which of the two is meant.

Conventions: as `lib.data.images`; a box is that of an object's own pixels brighter than `lib.data.objects.BLACK`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.clutter import tight_boxes
from lib.data.images import images
from lib.data.objects import BLACK
from lib.data.registry import entry

ROUNDS = 10_000  # draws of places before a canvas counts as too full


@dataclass(frozen=True)
class Scenes:
    """Pictures of several objects.

    Attributes
    ----------
    x : Tensor, float32 (n, channels, side, side), [0, 1]
    y : Tensor, int64 (n, objects)
        Class of each object.
    boxes : Tensor, float32 (n, objects, 4), pixels
        x0, y0, x1, y1, half open.
    classes : tuple of str
    source : str
        What a report says the pictures are.
    """

    x: Tensor
    y: Tensor
    boxes: Tensor
    classes: tuple[str, ...]
    source: str


def scenes(
    id: str,
    *,
    split: str = "train",
    n: int,
    seed: int = 0,
    side: int = 56,
    object_px: int = 20,
    n_objects: int = 3,
    twins: bool = False,
) -> Scenes:
    """Put objects on canvases at random places.

    Parameters
    ----------
    id : str
        Understood by `lib.data.images`; bright objects on black.
    split : {"train", "test"}
    n : int
        Pictures. Objects come back in other pictures where the split has fewer than ``n * n_objects``.
    seed : int
        Choice of objects and places.
    side, object_px : int, pixels
        Edge of the canvas and of a shrunk image; the squares of two objects do not overlap.
    n_objects : int
        Objects per picture.
    twins : bool
        Whether objects 0 and 1 are different objects of one class and all others of other classes; otherwise classes
        fall as they come.

    Returns
    -------
    Scenes

    Raises
    ------
    DataError, ValueError
        As `lib.data.images`; if a number is out of range, the objects do not fit, or twins find no partner.

    Examples
    --------
    >>> scenes("digits-twin", n=3).boxes.shape
    torch.Size([3, 3, 4])
    """
    if n < 1 or n_objects < 1 + twins or not 1 <= object_px <= side:
        raise ValueError(
            f"n must be at least 1, n_objects at least {1 + twins} and object_px in 1..side, got {n}, {n_objects}, "
            f"{object_px} and {side}; use e.g. 100, 3, 20 and 56"
        )
    known = entry(id)
    count = max(n * n_objects, 4 * len(known.classes))
    if not known.is_twin:
        count = min(count, known.rows[0 if split == "train" else 1])
    found = images(id, split=split, n=count, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    rows = _rows(found.y, n, n_objects, generator)
    if twins:
        rows = _twinned(rows, found.y, generator)
    places = _places(n, n_objects, side - object_px + 1, object_px, generator)
    edge = (object_px, object_px)
    small = F.interpolate(found.x, size=edge, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    canvas = torch.zeros(n, small.shape[1], side, side)
    step = torch.arange(object_px)
    for k in range(n_objects):
        row, column = (start[:, None, None] for start in places[:, k].unbind(1))
        where = torch.arange(n)[:, None, None], slice(None), row + step[None, :, None], column + step[None, None, :]
        canvas[where] = small[rows[:, k]].permute(0, 2, 3, 1)  # (n, edge, edge, channels)
    boxes = tight_boxes(small.mean(1) > BLACK)[rows] + places.flip(2).repeat(1, 1, 2)
    return Scenes(canvas, found.y[rows], boxes.float(), found.classes, f"scenes of {found.source}")


def _rows(y: Tensor, n: int, n_objects: int, generator: torch.Generator) -> Tensor:
    """Which images a picture holds, int64 (n, objects), every image about equally often."""
    rounds = [torch.randperm(len(y), generator=generator) for _ in range(-(-n * n_objects // len(y)))]
    return torch.cat(rounds)[: n * n_objects].view(n, n_objects)


def _twinned(rows: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Object 1 becomes another image of object 0's class, the others become images of other classes."""
    counts = torch.bincount(y)
    if len(y.unique()) < 2 or int(counts[counts > 0].min()) < 2:
        raise ValueError(
            f"twins need two classes and two images of each class, got {counts.tolist()} images of the classes; "
            "take a larger n"
        )
    rows, n = rows.clone(), len(rows)
    order = y.argsort(stable=True)  # images by class
    first = counts.cumsum(0) - counts
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(y))) - first[y]  # within the class
    own, label = rows[:, 0], y[rows[:, 0]]
    size = counts[label]
    ahead = 1 + (torch.rand(n, generator=generator) * (size - 1)).long()  # 1 .. size - 1
    rows[:, 1] = order[first[label] + (rank[own] + ahead) % size]
    while bool((same := y[rows[:, 2:]] == label[:, None]).any()):
        rows[:, 2:][same] = torch.randint(len(y), (int(same.sum()),), generator=generator)
    return rows


def _places(n: int, n_objects: int, room: int, edge: int, generator: torch.Generator) -> Tensor:
    """Upper left corners (row, column) of squares that do not overlap, int64 (n, objects, 2); drawn until they fit."""
    places = torch.randint(room, (n, n_objects, 2), generator=generator)
    open_rows = torch.arange(n)
    for _ in range(ROUNDS):
        apart = (places[open_rows, :, None] - places[open_rows, None]).abs().amax(3) >= edge  # (open, objects, objects)
        clash = ~(apart | torch.eye(n_objects, dtype=torch.bool)).flatten(1).all(1)
        open_rows = open_rows[clash]
        if not len(open_rows):
            return places
        places[open_rows] = torch.randint(room, (len(open_rows), n_objects, 2), generator=generator)
    raise ValueError(
        f"{n_objects} objects of {edge} pixels do not fit a canvas of {room + edge - 1} without touching; "
        "use a larger side or fewer objects"
    )
