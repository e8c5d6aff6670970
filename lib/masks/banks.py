"""Banks of noise patterns, and masks cropped from them: per image, or as the public code of ColorMAE does.

Paper: Hinojosa et al. 2024, ColorMAE (arXiv:2407.13036), section 3; the public bank holds 3,072 patterns per colour.

Differences: `from_bank` draws pattern, crop and flips per image. The public sampler, `from_bank_shared`, gives a batch
of n images the first n patterns, one crop and one pair of flips, so a bank longer than the batch is never seen whole.
Its division by the maximum of each crop is left out, because it does not change the order of the values.

Conventions: see `lib.masks.contract`; the highest values stay visible. Where a mask was cut is written as a row of five
integers: pattern, top, left, flipped up-down (0 or 1), flipped left-right (0 or 1).
"""

import torch
from torch import Tensor

from lib.masks.contract import Grid, check_call, grid_size, hide_highest
from lib.masks.noise import Colour, fields


def bank(length: int, size: Grid, *, colour: Colour, generator: torch.Generator, chunk: int = 256) -> Tensor:
    """Draw a bank of patterns to crop masks from.

    Parameters
    ----------
    length : int
        Patterns, at least one; the public bank has 3,072.
    size : int or (int, int)
        Height and width of a pattern in patches.
    colour : Colour
        Filter.
    generator : torch.Generator
        Source of randomness.
    chunk : int
        Patterns filtered at once; bounds the memory of the transform.

    Returns
    -------
    float32 Tensor (length, height, width)

    Raises
    ------
    ValueError
        If ``length`` is below 1.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}; the public bank has 3072 patterns")
    parts = [min(chunk, length - start) for start in range(0, length, chunk)]
    return torch.cat([fields(part, size, colour=colour, generator=generator) for part in parts])


def places(n: int, grid: Grid, *, patterns: Tensor, generator: torch.Generator) -> Tensor:
    """Choose where to cut n masks: pattern, crop and flips drawn for every image.

    Parameters
    ----------
    n : int
        Images.
    grid : int or (int, int)
        Patch grid.
    patterns : float Tensor (length, height, width)
        Bank.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    int64 Tensor (n, 5)
        Pattern, top, left, flipped up-down, flipped left-right.

    Raises
    ------
    ValueError
        If the patterns are smaller than the grid.
    """
    choices = (len(patterns), *_room(patterns, grid), 2, 2)
    drawn = [torch.randint(high, (n,), generator=generator, device=generator.device) for high in choices]
    return torch.stack(drawn, 1)


def shared_places(n: int, grid: Grid, *, patterns: Tensor, generator: torch.Generator) -> Tensor:
    """Choose where to cut n masks as the public code does: patterns 0 .. n - 1, one crop and one pair of flips.

    Parameters
    ----------
    n, grid, patterns, generator
        As in `places`; n is at most the length of the bank.

    Returns
    -------
    int64 Tensor (n, 5)
        As in `places`; the last four columns are constant.

    Raises
    ------
    ValueError
        If the bank is shorter than the batch, or its patterns are smaller than the grid.

    Source: public code of ColorMAE.
    """
    if n > len(patterns):
        raise ValueError(f"n must be at most the bank's {len(patterns)} patterns, got {n}; use `places` or `from_bank`")
    chosen = places(1, grid, patterns=patterns, generator=generator).repeat(n, 1)
    chosen[:, 0] = torch.arange(n, device=chosen.device)
    return chosen


def cut(chosen: Tensor, grid: Grid, *, patterns: Tensor, ratio: float) -> Tensor:
    """Cut masks from a bank at given places.

    Parameters
    ----------
    chosen : int64 Tensor (n, 5)
        What `places` or `shared_places` returned.
    grid : int or (int, int)
        Patch grid.
    patterns : float Tensor (length, height, width)
        Bank, on the same device.
    ratio : float in (0, 1)
        Share of tokens to hide.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.
    """
    height, width = grid_size(grid)
    which, top, left, up, back = chosen[:, :, None, None].unbind(1)  # each (n, 1, 1)
    rows = torch.arange(height, device=chosen.device)[:, None]  # (height, 1)
    columns = torch.arange(width, device=chosen.device)
    rows = top + torch.where(up == 1, height - 1 - rows, rows)  # (n, height, 1)
    columns = left + torch.where(back == 1, width - 1 - columns, columns)  # (n, 1, width)
    return hide_highest(-patterns[which, rows, columns].flatten(1), ratio=ratio)


def from_bank(n: int, grid: Grid, *, patterns: Tensor, ratio: float, generator: torch.Generator) -> Tensor:
    """Cut masks from a bank at `places`; every image draws its own pattern, crop and flips: bool (n, tokens)."""
    check_call(n, grid, ratio=ratio, generator=generator)
    return cut(places(n, grid, patterns=patterns, generator=generator), grid, patterns=patterns, ratio=ratio)


def from_bank_shared(n: int, grid: Grid, *, patterns: Tensor, ratio: float, generator: torch.Generator) -> Tensor:
    """Cut masks from a bank at `shared_places`, as the public code of ColorMAE does: bool (n, tokens)."""
    check_call(n, grid, ratio=ratio, generator=generator)
    return cut(shared_places(n, grid, patterns=patterns, generator=generator), grid, patterns=patterns, ratio=ratio)


def _room(patterns: Tensor, grid: Grid) -> tuple[int, int]:
    """Number of rows and columns at which a window of the grid's size can start."""
    height, width = grid_size(grid)
    down, across = patterns.shape[1] - height + 1, patterns.shape[2] - width + 1
    if down < 1 or across < 1:
        raise ValueError(
            f"patterns must be at least as large as the grid {height} x {width}, got {tuple(patterns.shape[1:])}; "
            "draw a bank with a larger size"
        )
    return down, across
