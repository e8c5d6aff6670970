"""Growth of block masks for a whole batch at once, on grids packed into 64-bit words.

Paper: Bao et al. 2021 (BEiT, arXiv:2106.08254), algorithm 1.

Differences: BEiT refuses a rectangle that hides too much and may stop short of the count; here the rectangle that
reaches it is kept, for `lib.masks.tokens.block` to cut. All images take their rectangles in step, so loops over images
and patches become a few operations on words.

Conventions: a packed grid is uint64 (down, across, images). A word holds as many whole rows as fit; on a grid wider
than 64 a row takes several words.
"""

import math
from functools import lru_cache

import numpy as np
import torch

AT_ONCE = 16  # rectangles tried for every image before the finished ones are put aside
EVERYWHERE = ~np.uint64(0)
SIGNS = np.array([[1], [-1]], np.float32)  # the height is stretched, the width shrunk

Edges = tuple[np.ndarray, np.ndarray]


def chances(generator: torch.Generator, *shape: int) -> np.ndarray:
    """Draw float32 numbers in [0, 1) on the generator's device and bring them to the CPU."""
    return torch.rand(shape, generator=generator, device=generator.device).cpu().numpy()


def grown(
    n: int, size: tuple[int, int], generator: torch.Generator, *, count: int, least: float, aspect: float, rounds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add rectangles to n empty grids until ``count`` tokens are hidden in each.

    Parameters
    ----------
    n : int
        Images.
    size : (int, int)
        Height and width of the grid, patches.
    generator : torch.Generator
        Source of randomness.
    count : int
        Tokens to hide.
    least, aspect : float
        Smallest area in patches, at least 1, and smallest height-to-width ratio in (0, 1], see `tried`.
    rounds : int
        Rectangles tried per image.

    Returns
    -------
    hidden, last : bool (n, tokens)
        Hidden before the rectangle that reaches the count; what that rectangle adds, often more than is missing.
    unfinished : int (images,)
        Where no rectangle reached it; ``last`` is empty there.
    """
    down, across = (len(edges) for edges in packed_edges(*size))
    before, after = np.zeros((2, n, down, across), np.uint64)  # what is free on either side of the last rectangle
    live, free, missing = np.arange(n), np.full((down, across, n), EVERYWHERE), np.full(n, count, np.float32)
    for done in range(0, rounds, AT_ONCE):
        chance = chances(generator, min(AT_ONCE, rounds - done), 4, len(live))
        frees, lacks = tried(free, missing, chance, size, least=least, aspect=aspect)
        going = lacks[-1] > 0
        ended, step = np.flatnonzero(~going), (lacks[1:, ~going] <= 0).argmax(0)
        before[live[ended]], after[live[ended]] = frees[step, :, :, ended], frees[step + 1, :, :, ended]
        live, free, missing = live[going], frees[-1][..., going], lacks[-1, going]
        if not len(live):
            break
    before[live] = after[live] = free.transpose(2, 0, 1)
    return unpacked(~before, size), unpacked(before & ~after, size), live


def tried(
    free: np.ndarray, missing: np.ndarray, chance: np.ndarray, size: tuple[int, int], *, least: float, aspect: float
) -> tuple[np.ndarray, np.ndarray]:
    """Hide several rectangles in each image, one after the other.

    Parameters
    ----------
    free : uint64 (down, across, images)
        Tokens still visible.
    missing : float32 (images,)
        Tokens still to be hidden. The area of a rectangle is uniform between ``least`` and this, or is ``least``.
    chance : float32 (steps, 4, images)
        In [0, 1), for each rectangle: its ratio of height to width, log-uniform between ``aspect`` and its inverse;
        its area; its top; its left.
    size : (int, int)
        Height and width of the grid, patches.

    Returns
    -------
    uint64 (steps + 1, down, across, images)
        What is free before the first rectangle and after each.
    float32 (steps + 1, images)
        What is missing then; below 0 where too much is hidden.
    """
    steps, edges, sides = len(chance), packed_edges(*size), np.array(size, np.float32)[:, None]
    stretch = np.exp(np.float32(-math.log(aspect)) * (chance[:, :1] - np.float32(0.5)) * SIGNS)  # (steps, 2, images)
    frees, lacks = np.empty((steps + 1, *free.shape), np.uint64), np.empty((steps + 1, *missing.shape), np.float32)
    frees[0], lacks[0] = free, missing
    for step in range(steps):
        area = least + np.maximum(lacks[step] - least, 0) * chance[step, 1]
        fresh = rectangles(np.sqrt(area) * stretch[step], chance[step, 2:], sides, edges)
        fresh &= frees[step]
        np.bitwise_xor(frees[step], fresh, out=frees[step + 1])
        np.subtract(lacks[step], np.bitwise_count(fresh).sum((0, 1), dtype=np.float32), out=lacks[step + 1])
    return frees, lacks


def rectangles(lengths: np.ndarray, place: np.ndarray, sides: np.ndarray, edges: Edges) -> np.ndarray:
    """Put one rectangle inside the grid of each image.

    Parameters
    ----------
    lengths, place : float32 (2, images)
        Height and width in patches, rounded here; top and left, in [0, 1) of the room there is.
    sides : float32 (2, 1)
        Height and width of the grid. A rectangle is shorter by one at least, unless the side is 1.
    edges
        `packed_edges` of the grid.

    Returns
    -------
    uint64 (down, across, images)
    """
    lengths = np.minimum(np.maximum(np.rint(lengths), 1), np.maximum(sides - 1, 1))
    start = np.floor(place * (sides + 1 - lengths))
    low, high = start.astype(np.intp), (start + lengths).astype(np.intp)
    rows = edges[0].take(high[0], axis=1) ^ edges[0].take(low[0], axis=1)  # (down, images)
    columns = edges[1].take(high[1], axis=1) ^ edges[1].take(low[1], axis=1)  # (across, images)
    return rows[:, None] * columns


@lru_cache(maxsize=8)
def packed_edges(height: int, width: int) -> Edges:
    """Everything above each row and left of each column of a grid, packed into words.

    Returns
    -------
    uint64 (down, height + 1)
        For k the first bits of rows 0 to k - 1. First bits of rows times a span of columns are a rectangle.
    uint64 (across, width + 1)
        For k the columns 0 to k - 1 of one row.
    """
    per = _rows_in_word(width)
    row, word = np.arange(height), np.arange(-(-height // per))[:, None]
    first = np.where(row // per == word, np.uint64(1) << (row % per * width).astype(np.uint64), np.uint64(0))
    above = np.pad(first.cumsum(axis=1, dtype=np.uint64), ((0, 0), (1, 0)))
    words = range(0, width, 64)
    left = [[((1 << k) - 1) >> start & int(EVERYWHERE) for k in range(width + 1)] for start in words]
    return above, np.array(left, np.uint64)


def unpacked(words: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Tokens of packed grids: uint64 (n, down, across), images first here, to bool (n, tokens)."""
    height, width = size
    bits = np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), axis=-1, bitorder="little")
    bits = bits[..., : _rows_in_word(width) * width]  # (n, down, bits in use)
    return bits.reshape(len(words), -1)[:, : height * width].view(bool)


def _rows_in_word(width: int) -> int:
    return max(1, 64 // width)
