"""One object among fragments of others: pictures whose label has a known place.

A labelled image is shrunk, placed at random on a larger canvas and surrounded by small pieces of other images, so that
a network must find the object before it can name it, and a map of importance has something wrong to point at. Cluttered
digits were introduced by Mnih et al. 2014 (arXiv:1406.6247); sizes and placement here are ours.

Conventions: as `lib.data.images`; overlapping parts show the brighter value; the box is that of the object's own
pixels brighter than `lib.data.objects.BLACK`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.images import Images, images
from lib.data.objects import BLACK


def cluttered(
    id: str,
    *,
    split: str = "train",
    n: int,
    seed: int = 0,
    side: int = 40,
    object_px: int = 20,
    n_pieces: int = 8,
    piece_px: int = 6,
) -> Images:
    """Place each image on a canvas among pieces of the others.

    Parameters
    ----------
    id : str
        Understood by `lib.data.images`; bright objects on black.
    split : {"train", "test"}
    n : int
        Pictures.
    seed : int
        Choice of images, places and pieces.
    side, object_px, piece_px : int, pixels
        Edge of the canvas, of the shrunk image and of a piece.
    n_pieces : int
        Pieces per picture, each cut from a random place of a random other image after shrinking.

    Returns
    -------
    Images
        With boxes (n, 4) of the objects.

    Raises
    ------
    DataError, ValueError
        As `lib.data.images`; if a piece does not fit an object or an object the canvas.

    Examples
    --------
    >>> cluttered("digits-twin", n=3).x.shape
    torch.Size([3, 1, 40, 40])
    """
    if not 1 <= piece_px <= object_px <= side or n_pieces < 0:
        raise ValueError(
            f"sizes must satisfy 1 <= piece_px <= object_px <= side and n_pieces >= 0, got {piece_px}, {object_px}, "
            f"{side} and {n_pieces}; use e.g. 6, 20, 40 and 8"
        )
    found = images(id, split=split, n=n, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    edge = (object_px, object_px)
    small = F.interpolate(found.x, size=edge, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    places = torch.randint(side - object_px + 1, (n, 2), generator=generator)  # row, column
    canvas = _pasted(torch.zeros(n, small.shape[1], side, side), small, places)
    for _ in range(n_pieces):
        other = (torch.arange(n) + torch.randint(1, max(2, n), (n,), generator=generator)) % n
        cut = torch.randint(object_px - piece_px + 1, (n, 2), generator=generator)
        pieces = small[_window(other, cut, piece_px)].permute(0, 3, 1, 2)
        canvas = _pasted(canvas, pieces, torch.randint(side - piece_px + 1, (n, 2), generator=generator))
    boxes = tight_boxes(small.mean(1) > BLACK) + places.flip(1).repeat(1, 2)
    return Images(canvas, found.y, found.classes, boxes.float(), f"{found.source}, cluttered")


def _window(picture: Tensor, places: Tensor, edge: int) -> tuple[Tensor, slice, Tensor, Tensor]:
    """Index of one square per picture, whose upper left corner (row, column) is given; it yields (n, edge, edge, c)."""
    row, column = (place[:, None, None] for place in places.unbind(1))
    step = torch.arange(edge)
    return picture[:, None, None], slice(None), row + step[None, :, None], column + step[None, None, :]


def _pasted(canvas: Tensor, patches: Tensor, places: Tensor) -> Tensor:
    """The brighter of canvas and patch at each picture's place; changes the canvas."""
    window = _window(torch.arange(len(canvas)), places, patches.shape[-1])
    canvas[window] = torch.maximum(canvas[window], patches.permute(0, 2, 3, 1))
    return canvas


def tight_boxes(inside: Tensor) -> Tensor:
    """Tight half-open boxes x0, y0, x1, y1 of bool (n, h, w), int64; the whole image where nothing is inside."""
    inside = inside | ~inside.flatten(1).any(1)[:, None, None]
    sides = []
    for axis in (1, 2):  # columns, then rows, that hold something
        held = inside.any(axis).int()
        sides.append((held.argmax(1), held.shape[1] - held.flip(1).argmax(1)))
    (x0, x1), (y0, y1) = sides
    return torch.stack([x0, y0, x1, y1], 1)
