"""How far a hidden pixel lies from the nearest visible one, and what copying that one would paint.

Xie et al. 2022, SimMIM (arXiv:2111.09886), section 4.1.1, call the mean distance over hidden pixels AvgDist and
describe masks of any patch size and ratio by it. Difference: given per mask, so that its spread is seen.
`lib.masks.describe.visible_distance` is the same between the centres of patches: it does not know a patch's size.

Conventions: masks are bool (n, tokens), ``True`` = hidden, with at least one visible token in every row; distances are
Euclidean between the centres of pixels. The transform is scipy's, on the CPU.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from lib.masks.contract import Grid, grid_size
from lib.masks.saliency import to_pixels


def pixel_distance(mask: Tensor, grid: Grid, *, patch: int) -> Tensor:
    """Mean distance from a hidden pixel to the nearest visible one (AvgDist).

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = hidden; at least one hidden and one visible per row.
    grid : int or (int, int)
        Patch grid.
    patch : int
        Side of a patch in px.

    Returns
    -------
    float64 Tensor (n,)
        Pixels, at least 1; grows with the side of what is hidden in one piece.

    Raises
    ------
    ValueError
        A row without a hidden or without a visible token.

    Source
    ------
    arXiv:2111.09886, section 4.1.1.

    Examples
    --------
    >>> pixel_distance(torch.tensor([[True, False, False, True]]), (1, 4), patch=1).tolist()
    [1.0]
    """
    pixels = _pixels(mask, grid, patch)
    if not mask.any(dim=1).all():
        raise ValueError("mask must hide at least one token in every row, got a row without; drop that row")
    return torch.tensor([ndimage.distance_transform_edt(row)[row].mean() for row in pixels], dtype=torch.float64)


def copied(images: Tensor, mask: Tensor, *, patch: int) -> Tensor:
    """Paint every hidden pixel with the nearest visible one: what can be had without learning.

    Parameters
    ----------
    images : Tensor (n, c, h, w)
    mask : bool Tensor (n, tokens)
        True = hidden; at least one visible per row.
    patch : int
        Side of a patch in px.

    Returns
    -------
    Tensor (n, c, h, w)
        Visible pixels as they were; of several nearest pixels one is taken.

    Raises
    ------
    ValueError
        A row without a visible token, or a mask of another grid.
    """
    n, channels, height, width = images.shape
    pixels = _pixels(mask, (height // patch, width // patch), patch)
    places = [ndimage.distance_transform_edt(row, return_distances=False, return_indices=True) for row in pixels]
    flat = torch.from_numpy(np.stack([row * width + column for row, column in places])).to(images.device).long()
    index = flat.view(n, 1, -1).expand(-1, channels, -1)  # (n, c, h * w)
    return images.flatten(2).gather(2, index).view_as(images)


def _pixels(mask: Tensor, grid: Grid, patch: int) -> np.ndarray:
    """Bool (n, h, w), True = hidden, after checking that every row shows something."""
    height, width = grid_size(grid)
    if mask.all(dim=1).any():
        raise ValueError("mask must leave at least one token visible in every row, got a row without; lower the ratio")
    return to_pixels(mask, grid, (height * patch, width * patch)).cpu().numpy()
