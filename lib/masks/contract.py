"""What every mask sampler shares: the patch grid, the exact count and the checks of a call.

Contract: a sampler is a callable ``(n, grid, *, ratio, generator, ...) -> bool (n, tokens)`` with ``True`` = hidden
and exactly ``round(ratio * tokens)`` hidden in every row. Tokens run row by row over ``grid`` (height, width). The
mask lies on the generator's device.

Difference from published samplers: several of them (BEiT's blocks, SimMIM's cells) hide a count that varies or is
rounded up; an encoder that drops hidden tokens needs the same count in every row.
"""

import numpy as np
import torch
from torch import Tensor

Grid = int | tuple[int, int]
PARTITIONED = (torch.float32, torch.float64)  # of which numpy finds the threshold faster than torch sorts indices


def grid_size(grid: Grid) -> tuple[int, int]:
    """Height and width of a patch grid.

    Parameters
    ----------
    grid : int or (int, int)
        Side of a square grid, or (height, width), in patches.

    Returns
    -------
    (int, int)
        Height and width in patches.

    Raises
    ------
    ValueError
        If a side is not a positive integer.

    Examples
    --------
    >>> grid_size(14)
    (14, 14)
    """
    sides = (grid, grid) if isinstance(grid, int) else tuple(grid)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f"grid must be a positive int or a pair (height, width) of them, got {grid!r}; "
            "a 224-pixel image with 16-pixel patches has grid=14"
        )
    return sides[0], sides[1]


def hidden_count(tokens: int, *, ratio: float) -> int:
    """Number of tokens to hide, ``round(ratio * tokens)``.

    Parameters
    ----------
    tokens : int
        Tokens in one image.
    ratio : float in (0, 1)
        Share to hide.

    Returns
    -------
    int in [1, tokens - 1]

    Raises
    ------
    ValueError
        If the ratio lies outside (0, 1), or would hide nothing or everything.

    Examples
    --------
    >>> hidden_count(196, ratio=0.75)
    147
    """
    if not 0 < ratio < 1:
        percent = f"the paper writes percent, use {ratio / 100:g}"
        hint = percent if 1 < ratio < 100 else "0.75 hides three of four tokens"
        raise ValueError(f"ratio must be in (0, 1), got {ratio:g}; {hint}")
    count = round(ratio * tokens)
    if not 0 < count < tokens:
        raise ValueError(
            f"ratio must hide some tokens and leave some visible, got {ratio:g}, which hides {count} of {tokens}; "
            f"use a ratio between {1 / tokens:.3g} and {1 - 1 / tokens:.3g}, or a finer grid"
        )
    return count


def hide_highest(scores: Tensor, *, ratio: float) -> Tensor:
    """Hide the tokens with the highest scores, exactly ``round(ratio * tokens)`` in each row.

    Parameters
    ----------
    scores : float Tensor (n, tokens)
        One score per token; ties are broken arbitrarily, never by changing the count. NaN counts as the highest.
    ratio : float in (0, 1)
        Share of tokens to hide.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    ValueError
        If ``scores`` is not a matrix, or the ratio is out of range.
    """
    if scores.ndim != 2:
        raise ValueError(f"scores must have shape (n, tokens), got {tuple(scores.shape)}; flatten the grid first")
    count = hidden_count(scores.shape[1], ratio=ratio)
    if scores.device.type == "cpu" and scores.dtype in PARTITIONED:
        values, first = scores.numpy(force=True), scores.shape[1] - count
        below = np.less(values, np.partition(values, first, axis=1)[:, first, None], order="C")  # False for NaN
        if (np.count_nonzero(below, axis=1) == first).all():  # no tie at a threshold: one answer only
            return torch.from_numpy(~below)
    chosen = scores.topk(count, dim=1, sorted=False).indices  # (n, hidden)
    mask = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    return mask.scatter_(1, chosen, True)


def check_call(n: int, grid: Grid, *, ratio: float, generator: torch.Generator) -> tuple[int, int]:
    """Check the arguments every sampler shares and return the grid's height and width.

    Parameters
    ----------
    n : int
        Masks to draw, at least one.
    grid : int or (int, int)
        Patch grid.
    ratio : float in (0, 1)
        Share of tokens to hide.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    (int, int)
        Height and width in patches.

    Raises
    ------
    TypeError
        If the generator is not a ``torch.Generator``.
    ValueError
        If a number is out of range.
    """
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator, got {type(generator).__name__}; "
            "use torch.Generator(device).manual_seed(0)"
        )
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}; it is the number of images in the batch")
    height, width = grid_size(grid)
    hidden_count(height * width, ratio=ratio)
    return height, width
