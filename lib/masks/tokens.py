"""Token masks drawn on the patch grid: random, blocks, lattices and cells.

Papers: He et al. 2022 (MAE, arXiv:2111.06377) for random, block and grid; Bao et al. 2021 (BEiT, arXiv:2106.08254,
algorithm 1) for the growth of blocks; Xie et al. 2022 (SimMIM, arXiv:2111.09886) for cells.

Differences: every sampler hides exactly ``round(ratio * tokens)`` tokens in every row. BEiT's and SimMIM's generators
hide a count that varies or is rounded up to whole cells; here the last block or cell is trimmed.

Conventions: see `lib.masks.contract`.
"""

import math

import numpy as np
import torch
from torch import Tensor

from lib.masks import blocks
from lib.masks.contract import Grid, check_call, hidden_count, hide_highest


def random(n: int, grid: Grid, *, ratio: float, generator: torch.Generator) -> Tensor:
    """Hide tokens uniformly at random, without structure.

    Parameters
    ----------
    n : int
        Images.
    grid : int or (int, int)
        Patch grid.
    ratio : float in (0, 1)
        Share of tokens to hide.
    generator : torch.Generator
        Source of randomness; its device is the mask's device.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Source: MAE, section 3 "Masking".

    Examples
    --------
    >>> random(2, 14, ratio=0.75, generator=torch.Generator().manual_seed(0)).sum(1).tolist()
    [147, 147]
    """
    height, width = check_call(n, grid, ratio=ratio, generator=generator)
    scores = torch.rand(n, height * width, generator=generator, device=generator.device)
    return hide_highest(scores, ratio=ratio)


def block(
    n: int,
    grid: Grid,
    *,
    ratio: float,
    generator: torch.Generator,
    smallest: float = 16 / 196,
    aspect: float = 0.3,
    rounds: int = 100,
) -> Tensor:
    """Hide rectangles until the count is reached; the last one is cut along a random direction.

    Parameters
    ----------
    n, grid, ratio, generator
        As in `random`.
    smallest : float in (0, 1)
        Smallest rectangle, as a share of the grid; BEiT uses 16 of 196 patches.
    aspect : float in (0, 1]
        Smallest height-to-width ratio; the largest is its inverse (log-uniform between).
    rounds : int
        Rectangles tried per image; what is then still missing is hidden at random.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    ValueError
        If ``smallest`` or ``aspect`` is out of range.

    Source: BEiT, algorithm 1 (16 patches, aspect 0.3); MAE, figure 6 "block".
    """
    height, width = check_call(n, grid, ratio=ratio, generator=generator)
    if not 0 < smallest < 1:
        raise ValueError(f"smallest must be a share of the grid in (0, 1), got {smallest:g}; BEiT uses 16 / 196")
    if not 0 < aspect <= 1:
        raise ValueError(f"aspect must be in (0, 1], got {aspect:g}; its inverse is the largest ratio, BEiT uses 0.3")
    token, least = np.arange(height * width, dtype=np.float32), max(1.0, smallest * height * width)
    hidden, last, unfinished = blocks.grown(
        n, (height, width), generator, count=hidden_count(len(token), ratio=ratio), least=least, aspect=aspect,
        rounds=rounds,
    )  # fmt: skip
    angle = 2 * math.pi * blocks.chances(generator, n, 1)
    scores = token // width * np.sin(angle) + token % width * np.cos(angle)  # (n, tokens)
    scores[~last] = -np.inf
    scores[unfinished] = blocks.chances(generator, len(unfinished), len(token))
    scores[hidden] = np.inf
    return hide_highest(torch.from_numpy(scores), ratio=ratio).to(generator.device)


def grid(n: int, grid: Grid, *, ratio: float, generator: torch.Generator) -> Tensor:
    """Hide the same positions in every 2 x 2 cell, so the visible tokens form a regular lattice.

    Each image draws its own phase. At ratio 0.75 on an even grid only four masks exist; at other ratios, or on an odd
    grid, the tokens that break the lattice are drawn at random so that the count stays exact.

    Parameters
    ----------
    n, grid, ratio, generator
        As in `random`.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Source: MAE, figure 6 "grid" (keeps one of every four patches).
    """
    height, width = check_call(n, grid, ratio=ratio, generator=generator)
    order = torch.rand(n, 1, 1, 4, generator=generator, device=generator.device).argsort(-1).argsort(-1)
    return _lattice(order.expand(n, -(-height // 2), -(-width // 2), 4), (height, width), ratio, generator)


def jittered_grid(n: int, grid: Grid, *, ratio: float, generator: torch.Generator) -> Tensor:
    """Hide randomly chosen positions in every 2 x 2 cell, equally many in each.

    Parameters
    ----------
    n, grid, ratio, generator
        As in `random`.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Source: the "grid" of the public code of HPM (Wang et al. 2023, arXiv:2304.05919).
    """
    height, width = check_call(n, grid, ratio=ratio, generator=generator)
    shape = (n, -(-height // 2), -(-width // 2), 4)
    order = torch.rand(shape, generator=generator, device=generator.device).argsort(-1).argsort(-1)
    return _lattice(order, (height, width), ratio, generator)


def cells(n: int, grid: Grid, *, ratio: float, generator: torch.Generator, cell: int = 2) -> Tensor:
    """Hide whole square cells of several patches at random; one cell may be hidden in part.

    Parameters
    ----------
    n, grid, ratio, generator
        As in `random`.
    cell : int
        Side of a cell in patches; 1 gives the law of `random`.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    ValueError
        If the cell does not fit into the grid.

    Source: SimMIM, section 3.2 (a 32-pixel mask patch over 16-pixel model patches is ``cell=2``).
    """
    height, width = check_call(n, grid, ratio=ratio, generator=generator)
    if not 1 <= cell <= min(height, width):
        raise ValueError(f"cell must be in [1, {min(height, width)}] patches, got {cell}; SimMIM's 32/16 is cell=2")
    down, across = -(-height // cell), -(-width // cell)
    rank = torch.rand(n, down * across, generator=generator, device=generator.device).argsort(1)
    scores = rank.view(n, down, across).repeat_interleave(cell, 1).repeat_interleave(cell, 2)
    scores = scores[:, :height, :width].reshape(n, -1)  # (n, tokens)
    return hide_highest(scores + torch.rand(scores.shape, generator=generator, device=scores.device), ratio=ratio)


def _lattice(order: Tensor, size: tuple[int, int], ratio: float, generator: torch.Generator) -> Tensor:
    """Hide the tokens whose position has the highest order (n, down, across, 4) in its 2 x 2 cell."""
    n, down, across, _ = order.shape
    scores = order.reshape(n, down, across, 2, 2).permute(0, 1, 3, 2, 4)  # (n, down, 2, across, 2)
    scores = scores.reshape(n, 2 * down, 2 * across)[:, : size[0], : size[1]].reshape(n, -1)
    return hide_highest(scores + torch.rand(scores.shape, generator=generator, device=scores.device), ratio=ratio)
