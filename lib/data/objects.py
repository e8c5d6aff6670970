"""Whose pixel is it: labels for segmentation out of what labelled images come with.

A set with boxes says roughly where its object is; in a set of bright objects on black, as digits and garments are, the
object is what is not black. Either way the object's pixels carry the class of their image and all others are
background, so that segmenting takes knowing both where an object is and what it is.

Conventions: as in `lib.data.images`; background is 0, class c is 1 + c.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lib.data.images import Images

BLACK = 0.1  # mean over channels; interpolated edges of digits are brighter than this one pixel inside


def object_labels(found: Images, *, black: float = BLACK) -> Tensor:
    """Give every pixel its class.

    Parameters
    ----------
    found : Images
        With boxes, or of bright objects on black.
    black : float in [0, 1)
        Without boxes, a pixel brighter than this belongs to the object.

    Returns
    -------
    int64 Tensor (n, h, w)
        0 = background, 1 + c = object of an image of class c.

    Raises
    ------
    ValueError
        ``black`` is out of range.

    Examples
    --------
    >>> x = torch.tensor([[[[0.0, 0.9], [0.0, 0.5]]]])
    >>> found = Images(x, torch.tensor([4]), classes=(), boxes=None, source="")
    >>> object_labels(found).tolist()
    [[[0, 5], [0, 5]]]
    """
    if not 0 <= black < 1:
        raise ValueError(f"black must be in [0, 1), got {black}; pixels brighter than this are the object's")
    inside = found.x.mean(dim=1) > black if found.boxes is None else _inside(found.boxes, found.x.shape[2:])
    return inside.long() * (1 + found.y.view(-1, 1, 1))


def _inside(boxes: Tensor, size: torch.Size) -> Tensor:
    """Pixels whose centre lies in the box of their image, bool (n, h, w)."""
    left, top, right, bottom = (side.view(-1, 1, 1) for side in boxes.unbind(1))
    row, column = (torch.arange(side, device=boxes.device) + 0.5 for side in size)
    row, column = row.view(1, -1, 1), column.view(1, 1, -1)
    return (row >= top) & (row < bottom) & (column >= left) & (column < right)
