"""What counts as one feature: a pixel, a patch, a superpixel or a column of a table.

A method that works on features takes ``features``, int64 (h, w) or (n, h, w), which numbers the feature of every pixel
from 0; a method without them treats every pixel or cell of a grid as one. A table is a picture of one row: its rows as
images (n, 1, 1, columns) and ``pixels((1, columns))`` make every column a feature.

Source: the idea of a mask of features is that of captum's perturbation methods (arXiv:2009.07896).

Conventions: a gate is float (m, g) in [0, 1], 1 = the feature is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pixels(size: tuple[int, int]) -> Tensor:
    """Every pixel is a feature, int64 (h, w)."""
    return torch.arange(size[0] * size[1]).view(size)


def cells(size: tuple[int, int], grid: int) -> Tensor:
    """Cells of a grid are features; they differ by at most a pixel in height and in width.

    Parameters
    ----------
    size : (int, int)
        Height and width, px.
    grid : int
        Cells per edge.

    Returns
    -------
    Tensor, int64 (h, w)
        From 0 to grid² - 1, row by row.

    Raises
    ------
    ValueError
        More cells than pixels along an edge.

    Examples
    --------
    >>> cells((3, 4), 2).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]]
    """
    if not 1 <= grid <= min(size):
        raise ValueError(f"grid must be between 1 and {min(size)} cells per edge of {size} px, got {grid}")
    row, column = (torch.arange(edge) * grid // edge for edge in size)
    return row[:, None] * grid + column


def each(features: Tensor, images: Tensor) -> Tensor:
    """Features of every image, int64 (n, h, w), on the images' device.

    Raises
    ------
    ValueError
        Wrong type or shape, or numbers that are missing or negative.
    """
    wanted = (*images.shape[:1], *images.shape[2:])
    if features.dtype != torch.int64 or features.shape not in (wanted, wanted[1:]):
        raise ValueError(
            f"features must be int64 {wanted} or {wanted[1:]}, got {features.dtype} {tuple(features.shape)}; "
            "number the feature of every pixel, for example with cells or pixels"
        )
    found = features.to(images.device).expand(wanted)
    for one in found if features.ndim == 3 else found[:1]:
        numbers = one.unique()
        if int(numbers[0]) != 0 or int(numbers[-1]) != len(numbers) - 1:
            raise ValueError(
                f"features must be numbered from 0 without a gap, got {len(numbers)} numbers from {int(numbers[0])} to "
                f"{int(numbers[-1])}; use features.unique(return_inverse=True)[1]"
            )
    return found


def gated(gates: Tensor, features: Tensor) -> Tensor:
    """Masks (m, h, w) of the features (h, w) that gates (m, g) keep."""
    return gates.index_select(1, features.flatten()).view(-1, *features.shape)


def spread(values: Tensor, features: Tensor) -> Tensor:
    """A map (…, h, w) that gives every pixel the value (…, g) of its feature in features (h, w)."""
    return values[..., features]
