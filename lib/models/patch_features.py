"""Local features that no label has touched: whitened patches and line maps, mixed by a fixed random layer.

After Coates, Ng & Lee 2011, An Analysis of Single-Layer Networks in Unsupervised Feature Learning (AISTATS): patches
are projected on whitened principal components and passed through one layer of units. Here the units are random ReLUs
(Rahimi & Recht 2008) instead of learnt centroids. Every cell also knows its coarse neighbourhood, the lines
(`lib.models.filters`) and round spots in it (the lesser curvature at several scales) and its place, as the tokens of a
vision transformer would; that is what a frozen backbone stands for in small.

Conventions: images float32 (n, 1, h, w); features float32 (n, grid * grid, d), cells row by row, each feature with
mean 0 and deviation 1 over all cells of the films it was fitted on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lib.models.filters import line_maps

CHUNK = 128
NEAR, FAR, LINES = 32, 8, 12  # components kept: pixels of and around the cell, cells around the cell, lines in it
SCALES = (1.0, 1.6, 2.5)  # of round spots, pixels
REACH = 3  # cells to every side that belong to the coarse neighbourhood
SOFTEN = 0.001  # of a mean eigenvalue, added before dividing, so that noise is not blown up to the size of anatomy


class PatchFeatures:
    """Fit components on films without labels, then describe any film cell by cell.

    Parameters
    ----------
    films : Tensor
        float32 (n, 1, h, w), at least two; sides are a multiple of ``grid``.
    grid : int
        Cells along a side.
    units : int
        Random ReLU units; a cell's features are its components, its place and these.
    generator : torch.Generator
        Draws the units.

    Raises
    ------
    ValueError
        If the films have another shape, or a size is below 1.

    Examples
    --------
    >>> films = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> PatchFeatures(films, grid=8, units=5, generator=torch.Generator().manual_seed(0))(films).shape
    torch.Size([4, 64, 65])
    """

    def __init__(self, films: Tensor, *, grid: int, units: int, generator: torch.Generator) -> None:
        if grid < 1 or units < 1:
            raise ValueError(f"grid and units must be at least 1, got {grid} and {units}; raise them")
        if films.ndim != 4 or films.shape[1] != 1 or len(films) < 2 or any(side % grid for side in films.shape[2:]):
            want = f"(n >= 2, 1, h, w) with sides a multiple of {grid}"
            raise ValueError(f"films must be {want}, got {tuple(films.shape)}; resize them or change grid")
        self.grid = grid
        seen = [_neighbourhoods(part, grid) for part in films.split(CHUNK)]
        views = [torch.cat([part[v] for part in seen]).flatten(0, 1) for v in range(4)]
        self.components = [
            _whitened(rows, most) for rows, most in zip(views, (NEAR, FAR, LINES, 2 * len(SCALES)), strict=True)
        ]
        width = sum(basis.shape[1] for _, basis in self.components) + 2
        self.mix = torch.randn(width, units, generator=generator) / width**0.5
        self.bias = 0.5 * torch.randn(units, generator=generator)
        self.mean, self.deviation = torch.zeros(()), torch.ones(())
        raw = self(films).flatten(0, 1)
        self.mean, self.deviation = raw.mean(0), raw.std(0).clamp_min(1e-6)

    def __call__(self, films: Tensor) -> Tensor:
        """Describe films of the size it was fitted on: float32 (n, 1, h, w) -> (n, grid * grid, d)."""
        return torch.cat([self._described(part) for part in films.split(CHUNK)])

    def _described(self, films: Tensor) -> Tensor:
        views = _neighbourhoods(films, self.grid)
        known = [(view - mean) @ basis for view, (mean, basis) in zip(views, self.components, strict=True)]
        place = torch.linspace(-1.7, 1.7, self.grid)  # about deviation 1
        places = torch.cartesian_prod(place, place).expand(len(films), -1, -1)  # (n, cells, 2)
        seen = torch.cat([*known, places], 2)  # (n, cells, width)
        features = torch.cat([seen, functional.relu(seen @ self.mix + self.bias)], 2)
        return (features - self.mean) / self.deviation


def _neighbourhoods(films: Tensor, grid: int) -> list[Tensor]:
    """Pixels of a cell and its rim, mean grey of the wider surroundings, lines, spots: each (n, cells, values)."""
    step = films.shape[2] // grid, films.shape[3] // grid
    rim = step[0] // 4, step[1] // 4
    padded = functional.pad(films, (rim[1], rim[1], rim[0], rim[0]), mode="replicate")
    near = functional.unfold(padded, (step[0] + 2 * rim[0], step[1] + 2 * rim[1]), stride=step)  # (n, values, cells)
    cells = functional.pad(functional.avg_pool2d(films, step), [REACH] * 4, mode="replicate")
    far = functional.unfold(cells, 2 * REACH + 1)
    lines, blobs = line_maps(films, grid=grid).flatten(2), _blobs(films, grid).flatten(2)
    return [view.transpose(1, 2) for view in (near, far, lines, blobs)]


def _blobs(films: Tensor, grid: int) -> Tensor:
    """Brightest and darkest round spot in a cell, by the lesser of two curvatures: (n, 2 * scales, grid, grid)."""
    out = []
    for scale in SCALES:
        reach = math.ceil(3 * scale)
        at = torch.arange(-reach, reach + 1).float()
        bell = torch.exp(-(at**2) / (2 * scale**2))
        bell = bell / bell.sum()
        slope, bend = -at / scale**2 * bell, (at**2 / scale**2 - 1) / scale**2 * bell
        bend = bend - bend.mean()
        padded = functional.pad(films, [reach] * 4, mode="replicate")
        yy, xx, xy = (
            functional.conv2d(functional.conv2d(padded, down[None, None, :, None]), across[None, None, None])
            for down, across in ((bend, bell), (bell, bend), (slope, slope))
        )
        spread = ((xx - yy) ** 2 / 4 + xy**2).sqrt()
        light, dark = -(xx + yy) / 2 - spread, (xx + yy) / 2 - spread
        out += [functional.adaptive_max_pool2d(scale**2 * each, grid) for each in (light, dark)]
    return torch.cat(out, 1)


def _whitened(rows: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Mean and basis (values, components) that gives each component about deviation 1."""
    mean = rows.mean(0)
    centred = (rows - mean).double()
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(rows))  # ascending
    keep = min(most, len(variance))
    axes, variance = axes[:, -keep:].flip(1), variance[-keep:].flip(0).clamp_min(0)
    signs = torch.where(axes.gather(0, axes.abs().argmax(0, keepdim=True)) < 0, -1.0, 1.0)  # eigh leaves them open
    return mean, (signs * axes / (variance + SOFTEN * variance.mean() + 1e-12).sqrt()).float()
