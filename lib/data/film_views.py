"""Random views of radiographs: small turns, shifts and zooms, for methods that learn from two views of one film.

Chen et al. 2020, SimCLR (arXiv:2002.05709), learn from crops, flips and colour; on radiographs a small crop may lose
the finding and a flip changes the patient's side, so only small movements are made here. A factor that the movements
imitate, such as the size of the chest, is partly taught away: views decide what a code may forget.

Conventions: films float (n, c, h, w); what comes from outside repeats the border; all chance comes from a generator on
the CPU.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["film_views"]


def film_views(
    films: Tensor,
    *,
    views: int,
    generator: torch.Generator,
    degrees: float = 10.0,
    shift: float = 0.05,
    zoom: float = 0.1,
) -> Tensor:
    """Several moved copies of every film.

    Parameters
    ----------
    films : Tensor (n, c, h, w)
    views : int
        Copies of each film, each with its own draw.
    generator : torch.Generator
    degrees, shift, zoom : float, >= 0
        Largest turn; largest shift in either direction, as a share of the side; largest relative change of scale,
        below 1. All are drawn evenly from both sides of nothing; 0 = not at all.

    Returns
    -------
    Tensor (n, views, c, h, w)

    Raises
    ------
    ValueError
        If films are no pictures, there is no view, or a size is out of range.

    Examples
    --------
    >>> films = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> film_views(films, views=3, generator=torch.Generator().manual_seed(1)).shape
    torch.Size([2, 3, 1, 8, 8])
    """
    if films.ndim != 4 or len(films) == 0 or views < 1:
        raise ValueError(f"films must be (n, c, h, w) and views >= 1, got {tuple(films.shape)} and {views}; pass films")
    if min(degrees, shift, zoom) < 0 or zoom >= 1:
        raise ValueError(f"degrees, shift must be >= 0 and zoom in [0, 1), got {degrees}, {shift}, {zoom}")
    copies = films.repeat_interleave(views, dim=0)
    drawn = 2 * torch.rand(4, len(copies), generator=generator).to(films) - 1
    angle, scale = drawn[0] * math.radians(degrees), 1 + drawn[1] * zoom
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    move = 2 * shift * drawn[2:]  # the side is 2 long in the units of the grid
    rows = torch.stack([cosine, -sine, move[0]], 1), torch.stack([sine, cosine, move[1]], 1)
    grid = functional.affine_grid(torch.stack(rows, 1), list(copies.shape), align_corners=False)
    moved = functional.grid_sample(copies, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.view(len(films), views, *films.shape[1:])
