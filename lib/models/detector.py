"""A small one-stage detector: every cell of a grid says whether it holds an object, which one, and how far it reaches.

Redmon et al. 2016, YOLO (arXiv:1506.02640): the cell that holds the centre of an object is the one to report it; Tian
et al. 2019, FCOS (arXiv:1904.01355): no anchors, a box is given by the distances of its four sides from the centre of
the cell, and the loss is divided by the number of objects.

Differences: one scale with cells of 8 pixels; class probabilities are a softmax beside an objectness, so that the two
factors of D-RISE's similarity exist; the blocks are those of `lib.models.cnn`, whose output for one image does not
depend on its batch. Suppression of overlapping boxes is written in torch, for all images at once.

Conventions: images are float32 NCHW in [0, 1]; a box is (left, top, right, bottom) in pixels, right and bottom
excluded; cells are numbered in reading order; a missing object has label -1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, silu

from lib.models.cnn import Block

STRIDE = 8  # pixels per cell
REACH = 3.0  # a side is at most exp(3) cells away, so that an untrained network stays finite


class Cells(NamedTuple):
    """What the cells of a grid say.

    Attributes
    ----------
    boxes : Tensor, float (n, cells, 4), px
    scores : Tensor, float (n, cells, classes), [0, 1]
        Class probabilities; they sum to 1.
    objectness : Tensor, float (n, cells), [0, 1]
    """

    boxes: Tensor
    scores: Tensor
    objectness: Tensor


class GridDetector(nn.Module):
    """Stem, three residual stages and one convolution to the values of each cell.

    Parameters
    ----------
    channels, classes : int
        Channels of the images and number of classes.
    width : int
        Channels of the stem; the stages have 2, 4 and 4 times as many.
    """

    def __init__(self, channels: int, classes: int, *, width: int = 8) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("classes", classes), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}; pass a positive whole number")
        self.stem = nn.Conv2d(channels, width, 5, 2, 2)
        self.stages = nn.Sequential(
            Block(width, 2 * width, stride=2),
            Block(2 * width, 4 * width, stride=2),
            Block(4 * width, 4 * width, stride=1),
        )
        self.head = nn.Conv2d(4 * width, 5 + classes, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, c, h, w) -> (n, 5 + classes, ceil(h / 8), ceil(w / 8)): objectness, four sides, classes; raw."""
        return self.head(self.stages(silu(self.stem(x - 0.5))))


def box_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4) pair by pair, broadcast; 0 = disjoint or empty, 1 = equal.

    Examples
    --------
    >>> round(float(box_overlap(torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, 3.0, 2.0]))), 4)
    0.3333
    """
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    area_1, area_2 = ((boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1) for boxes in (first, second))
    return shared / (area_1 + area_2 - shared).clamp_min(1e-9)


def decode(raw: Tensor) -> Cells:
    """Turn the raw output of a `GridDetector` (n, 5 + classes, rows, columns) into boxes and probabilities.

    Examples
    --------
    >>> decode(torch.zeros(1, 7, 1, 2)).boxes[0].tolist()
    [[-4.0, -4.0, 12.0, 12.0], [4.0, -4.0, 20.0, 12.0]]
    """
    rows, columns = raw.shape[2:]
    row = (torch.arange(rows, device=raw.device) + 0.5).repeat_interleave(columns)
    column = (torch.arange(columns, device=raw.device) + 0.5).repeat(rows)
    centre = STRIDE * torch.stack([column, row, column, row], 1)  # (cells, 4)
    flat = raw.flatten(2).mT  # (n, cells, 5 + classes)
    reach = STRIDE * flat[..., 1:5].clamp(-REACH, REACH).exp()
    away = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=raw.device)
    return Cells(centre + away * reach, flat[..., 5:].softmax(2), flat[..., 0].sigmoid())


def responsible(boxes: Tensor, *, rows: int, columns: int) -> Tensor:
    """Number of the cell that holds the centre of each box, int64 (...); boxes (..., 4) have their centre inside."""
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2 / STRIDE
    column, row = middle.long().unbind(-1)
    return row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)


def detection_loss(raw: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropies of objectness and class, and one minus the overlap of the boxes, per object.

    Parameters
    ----------
    raw : Tensor, float (n, 5 + classes, rows, columns)
        From `GridDetector`.
    boxes : Tensor, float (n, objects, 4), px
    labels : Tensor, int64 (n, objects)
        Class, or -1 where there is no object.

    Returns
    -------
    Tensor, scalar
        Objectness is summed over all cells, the rest over the responsible ones; all divided by the number of objects
        (by 1 if there are none). 0 = all right and sure.

    Raises
    ------
    ValueError
        If shapes do not fit together.

    Source
    ------
    Redmon et al. 2016, arXiv:1506.02640 (responsible cells); Tian et al. 2019, arXiv:1904.01355, equation 2.
    """
    if boxes.shape != (*labels.shape, 4) or len(labels) != len(raw):
        raise ValueError(
            f"boxes must be (n, objects, 4) and labels (n, objects) with n = {len(raw)}, got {tuple(boxes.shape)} and "
            f"{tuple(labels.shape)}; fill pictures of fewer objects up with label -1"
        )
    image, which = (labels >= 0).nonzero(as_tuple=True)
    cell = responsible(boxes[image, which], rows=raw.shape[2], columns=raw.shape[3])
    flat = raw.flatten(2).mT
    present = torch.zeros_like(flat[..., 0]).index_put((image, cell), torch.ones((), device=raw.device))
    objectness = binary_cross_entropy_with_logits(flat[..., 0], present, reduction="sum")
    classes = cross_entropy(flat[image, cell, 5:], labels[image, which], reduction="sum")
    extent = (1 - box_overlap(decode(raw).boxes[image, cell], boxes[image, which])).sum()
    return (objectness + classes + extent) / max(1, len(image))


def survivors(boxes: Tensor, scores: Tensor, labels: Tensor, *, overlap: float = 0.5) -> Tensor:
    """Greedy suppression within each class: a box goes if a better one that stays overlaps it too much.

    Parameters
    ----------
    boxes : Tensor, float (n, k, 4), px
    scores : Tensor, float (n, k)
        The better of two equal ones is the first.
    labels : Tensor, int64 (n, k)
        Boxes of different labels do not compete.
    overlap : float, (0, 1]
        Largest intersection over union that two boxes of one label may keep.

    Returns
    -------
    Tensor, bool (n, k)
        True = stays.

    Examples
    --------
    >>> boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 1.0, 4.0, 4.0], [5.0, 5.0, 9.0, 9.0]]])
    >>> survivors(boxes, torch.tensor([[0.5, 0.9, 0.1]]), torch.zeros(1, 3, dtype=torch.int64)).tolist()
    [[False, True, True]]
    """
    if not 0 < overlap <= 1:
        raise ValueError(f"overlap must be in (0, 1], got {overlap}; 0.5 is usual")
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranked = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    named = labels.gather(1, order)
    rivals = box_overlap(ranked[:, :, None], ranked[:, None]) > overlap  # (n, k, k)
    rivals &= named[:, :, None] == named[:, None]
    stays = torch.ones_like(order, dtype=torch.bool)
    for rank in range(1, order.shape[1]):
        stays[:, rank] = ~(stays[:, :rank] & rivals[:, :rank, rank]).any(1)
    return torch.zeros_like(stays).scatter_(1, order, stays)
