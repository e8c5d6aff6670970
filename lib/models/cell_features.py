"""A fixed bank of cheap features: mean grey and the strength of rising and falling edges, cell by cell.

A histogram of oriented gradients in its plainest form (Dalal & Triggs 2005): two directions, each with its sign, and no
normalisation. Sourget et al. (arXiv:2412.04030) keep a pretrained network frozen but for its last layers; here nothing
below the linear head has seen any film. Differences: no film is centred or scaled by its own grey values, because such
a scale would carry what is hidden into what is shown.

Conventions: images float32 (n, 1, h, w); features float32 (n, grid**2 + grid**2), the means first. A grey value that is
the same in the whole film changes the means only.
"""

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 256
EDGES = 4  # rising and falling, across and down


def cell_features(x: Tensor, *, grid: int = 16) -> Tensor:
    """Describe films by what a grid of cells holds.

    Parameters
    ----------
    x : Tensor
        float32 (n, 1, h, w), any range; h and w are at least ``grid``.
    grid : int
        Cells along a side for the mean grey, an even number >= 2; the edges have half as many, with four values each.

    Returns
    -------
    Tensor
        float32 (n, 2 * grid**2): grid**2 mean greys, then for each of (grid / 2)**2 cells the mean rise and the mean
        fall from pixel to pixel, downwards and to the right; 0 = no edge.

    Raises
    ------
    ValueError
        If x is not (n, 1, h, w) with sides of at least ``grid``, or ``grid`` is odd or below 2.

    Source
    ------
    Dalal & Triggs 2005, reduced to two directions without normalisation.

    Examples
    --------
    >>> cell_features(torch.zeros(3, 1, 64, 64)).shape
    torch.Size([3, 512])
    """
    if grid < 2 or grid % 2:
        raise ValueError(f"grid must be an even number >= 2, got {grid}; pass e.g. 16")
    if x.ndim != 4 or x.shape[1] != 1 or min(x.shape[2:]) < grid:
        raise ValueError(f"x must be (n, 1, h, w) with sides of at least {grid}, got {tuple(x.shape)}; resize it")
    if not len(x):
        return x.new_zeros(0, 2 * grid**2)
    return torch.cat([_described(part, grid) for part in x.split(CHUNK)])


def _described(x: Tensor, grid: int) -> Tensor:
    down = functional.pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 0, 1))
    right = functional.pad(x[:, :, :, 1:] - x[:, :, :, :-1], (0, 1, 0, 0))
    edges = torch.cat([down.clamp_min(0), (-down).clamp_min(0), right.clamp_min(0), (-right).clamp_min(0)], 1)
    grey = functional.adaptive_avg_pool2d(x, grid).flatten(1)  # (n, grid**2)
    return torch.cat([grey, functional.adaptive_avg_pool2d(edges, grid // 2).flatten(1)], 1)  # (n, 2 * grid**2)
