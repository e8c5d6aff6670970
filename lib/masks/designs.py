"""Perturbation designs: which parts of an image a black-box explanation keeps in each of its queries.

Paper: Petsiuk et al. 2018, RISE (arXiv:1806.07421), section on mask generation: small binary grids, enlarged
bilinearly and shifted at random, so that the masks are smooth and the blocks do not always sit in one place.

Differences: the public code enlarges with mirrored borders and crops afterwards; here border values are repeated and
only the crop is ever computed, as two small interpolation matrices around the binary grid. A design therefore stores
grids and offsets, a few bytes per mask, and renders any range of masks on demand.

Conventions: a rendered design is float32 (masks, h, w) in [0, 1] with 1 = kept; rows and columns count from the top
left; randomness is a CPU ``torch.Generator``; what is rendered does not depend on how the range is cut.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RiseDesign:
    """Binary grids with their random shifts, rendered to smooth masks on demand.

    Parameters
    ----------
    cells : Tensor, float32 (masks, grid, grid), 0 or 1
        What each coarse cell keeps.
    offsets : Tensor, int64 (masks, 2), pixels
        Shift of the crop down and to the right, in [0, cell edge).
    size : (int, int), pixels
        Height and width of the rendered masks.

    Source
    ------
    Petsiuk et al. 2018, arXiv:1806.07421, mask generation.

    Examples
    --------
    >>> design = RiseDesign(torch.ones(3, 2, 2), torch.zeros(3, 2, dtype=torch.int64), (4, 6))
    >>> design.render(0, 2).shape
    torch.Size([2, 4, 6])
    """

    cells: Tensor
    offsets: Tensor
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.cells)

    def render(self, start: int, stop: int, *, device: torch.device | str = "cpu") -> Tensor:
        """Masks number ``start`` to ``stop``.

        Returns
        -------
        Tensor, float32 (stop - start, h, w), [0, 1]
            1 = kept. Values strictly between occur on the flanks of the enlarged cells.

        Raises
        ------
        ValueError
            If the range does not lie inside the design.
        """
        if not 0 <= start <= stop <= len(self):
            raise ValueError(
                f"start and stop must satisfy 0 <= start <= stop <= {len(self)}, got {start} and {stop}; "
                "draw a larger design for more masks"
            )
        grid = self.cells.shape[-1]
        cells = self.cells[start:stop].to(device)
        down, right = self.offsets[start:stop].to(device).unbind(1)
        rows = _interpolation(self.size[0], grid).to(device)[down]  # (m, h, grid)
        columns = _interpolation(self.size[1], grid).to(device)[right]  # (m, w, grid)
        return (rows @ cells @ columns.transpose(1, 2)).clamp_(0.0, 1.0)  # (m, h, w)


def _interpolation(edge: int, grid: int) -> Tensor:
    """Weights of the coarse cells for every pixel and every shift, float32 (cell edge, edge, grid)."""
    cell = math.ceil(edge / grid)
    # A grid of `grid` cells becomes (grid + 1) * cell pixels; pixel centres sit half a pixel in.
    positions = (torch.arange((grid + 1) * cell) + 0.5) * grid / ((grid + 1) * cell) - 0.5
    positions = positions.clamp(0, grid - 1)
    weights = (1 - (positions[:, None] - torch.arange(grid)).abs()).clamp_min(0)  # hat functions
    return torch.stack([weights[shift : shift + edge] for shift in range(cell)])


def rise_design(
    n: int, size: tuple[int, int], *, generator: torch.Generator, grid: int = 7, keep: float = 0.5
) -> RiseDesign:
    """Draw a RISE design: Bernoulli cells and uniform shifts.

    Parameters
    ----------
    n : int
        Number of masks, at least 1.
    size : (int, int), pixels
        Height and width of the images that will be masked.
    generator : torch.Generator
        On the CPU.
    grid : int
        Cells per edge; the public code uses 7.
    keep : float, (0, 1)
        Probability that a cell is kept.

    Raises
    ------
    ValueError
        If a count is not positive, ``keep`` is no probability, or a cell would be smaller than one pixel.

    Source
    ------
    Petsiuk et al. 2018, arXiv:1806.07421.

    Examples
    --------
    >>> len(rise_design(5, (28, 28), generator=torch.Generator().manual_seed(0)))
    5
    """
    if n < 1 or grid < 1:
        raise ValueError(f"n and grid must be at least 1, got n={n}, grid={grid}; use e.g. n=2000, grid=7")
    if not 0 < keep < 1:
        raise ValueError(f"keep must be in (0, 1), got {keep}; a percentage of 50 is keep=0.5")
    if grid > min(size):
        raise ValueError(f"grid must be at most the image edge {min(size)}, got {grid}; use a coarser grid")
    cells = (torch.rand(n, grid, grid, generator=generator) < keep).float()
    shifts = [torch.randint(math.ceil(edge / grid), (n,), generator=generator) for edge in size]
    return RiseDesign(cells, torch.stack(shifts, 1), (int(size[0]), int(size[1])))


def rise(n: int, size: tuple[int, int], *, generator: torch.Generator, grid: int = 7, keep: float = 0.5) -> Tensor:
    """All masks of a freshly drawn RISE design at once, float32 (n, h, w) in [0, 1], 1 = kept.

    Convenient for figures; `rise_design` renders piece by piece where n * h * w values would not fit.

    Examples
    --------
    >>> rise(5, (8, 8), generator=torch.Generator().manual_seed(0), grid=4).shape
    torch.Size([5, 8, 8])
    """
    return rise_design(n, size, generator=generator, grid=grid, keep=keep).render(0, n)


def all_grids(size: tuple[int, int], *, grid: int) -> RiseDesign:
    """Every binary grid with every shift exactly once: the design whose mean is RISE's expectation at keep = 0.5.

    Raises
    ------
    ValueError
        If there would be more than a million masks (grid of 4 or more on common sizes).

    Examples
    --------
    >>> len(all_grids((2, 2), grid=2))
    16
    """
    edges = [math.ceil(edge / grid) for edge in size]
    total = 2 ** (grid * grid) * edges[0] * edges[1]
    if total > 1_000_000:
        raise ValueError(f"grid must leave at most 1000000 masks, got {grid} with {total}; use grid=2 or 3")
    binary = torch.tensor(list(itertools.product((0.0, 1.0), repeat=grid * grid))).reshape(-1, grid, grid)
    shifts = torch.tensor(list(itertools.product(range(edges[0]), range(edges[1]))))
    cells = binary.repeat_interleave(len(shifts), 0)
    return RiseDesign(cells, shifts.repeat(len(binary), 1), (int(size[0]), int(size[1])))


def sliding(size: tuple[int, int], *, window: int, stride: int) -> Tensor:
    """Sliding-window occlusion: each mask hides one square, all positions on a regular lattice, borders included.

    Parameters
    ----------
    size : (int, int), pixels
        Height and width.
    window, stride : int, pixels
        Edge of the hidden square and distance between neighbours; stride <= window hides every pixel at least once.

    Returns
    -------
    Tensor, float32 (masks, h, w), 0 or 1
        1 = kept. The last window of each row and column is moved inwards to end at the border.

    Raises
    ------
    ValueError
        If the window does not fit the image or the stride would leave gaps.

    Source
    ------
    Zeiler & Fergus 2014, arXiv:1311.2901.

    Examples
    --------
    >>> sliding((4, 4), window=2, stride=2).shape
    torch.Size([4, 4, 4])
    """
    places = corners(size, window=window, stride=stride)
    return squares(places, size, window=window)


def corners(size: tuple[int, int], *, window: int, stride: int) -> Tensor:
    """Where the windows of `sliding` begin, row by row: int64 (masks, 2), pixels from the top and from the left."""
    if not 1 <= window <= min(size):
        raise ValueError(f"window must be in 1..{min(size)} pixels, got {window}; use a window inside the image")
    if not 1 <= stride <= window:
        raise ValueError(f"stride must be in 1..window={window} pixels, got {stride}; a larger one leaves gaps")
    starts = [sorted({*range(0, edge - window, stride), edge - window}) for edge in size]
    return torch.cartesian_prod(*(torch.tensor(each) for each in starts)).view(-1, 2)


def squares(places: Tensor, size: tuple[int, int], *, window: int) -> Tensor:
    """Masks float32 (n, h, w), 1 = kept, that each hide one square with its corner at places int64 (n, 2)."""
    down, right = (torch.arange(edge, device=places.device) - places[:, axis, None] for axis, edge in enumerate(size))
    inside = [(away >= 0) & (away < window) for away in (down, right)]
    return (~(inside[0][:, :, None] & inside[1][:, None])).float()
