"""Films as a few dozen numbers, without a label: principal components of their pixels and of their line maps.

The two views complement each other: pixels show areas (a large heart, fluid), `lib.models.filters.line_maps` edges and
vessels. Components are those of the training films alone; other films are projected.

Conventions: films float32 (n, 1, h, w); each is centred and scaled by its own mean and deviation first, so that a
window or an exposure matters little.
"""

import torch
from torch import Tensor
from torch.nn import functional

from lib.models.filters import line_maps

__all__ = ["film_components", "principal"]

PIXELS, CELLS = 32, 8  # sides of the reduced film and of the grid of line maps


def film_components(films: Tensor, others: Tensor, *, components: int) -> tuple[Tensor, Tensor]:
    """Features of training films and of other films.

    Parameters
    ----------
    films, others : Tensor (n, 1, h, w), (m, 1, h, w)
        Sides of at least 32 pixels.
    components : int
        Of each of the two views; at most n - 1.

    Returns
    -------
    two of Tensor, float64 (n, 2 * components), (m, 2 * components)
        Pixels first. Every component has variance 1 over the training films.

    Raises
    ------
    ValueError
        As `principal` and `lib.models.filters.line_maps`.

    Examples
    --------
    >>> films = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> film_components(films[:4], films[4:], components=2)[1].shape
    torch.Size([2, 4])
    """
    views = [principal(view(films), view(others), components=components) for view in (_pixels, _lines)]
    return torch.cat([seen for seen, _ in views], dim=1), torch.cat([other for _, other in views], dim=1)


def principal(rows: Tensor, others: Tensor, *, components: int) -> tuple[Tensor, Tensor]:
    """Leading principal components of ``rows``, scaled to variance 1, and the same projection of ``others``.

    Parameters
    ----------
    rows, others : Tensor (n, d), (m, d)
    components : int

    Returns
    -------
    two of Tensor, float64 (n, components), (m, components)

    Raises
    ------
    ValueError
        If the rows do not vary in so many directions.
    """
    if not 1 <= components < len(rows):
        raise ValueError(f"components must be in 1..{len(rows) - 1} for {len(rows)} films, got {components}")
    mean = rows.double().mean(dim=0)
    centred = rows.double() - mean
    values, left = torch.linalg.eigh(centred @ centred.T)  # ascending; (n,), (n, n)
    values, left = values.flip(0)[:components], left.flip(1)[:, :components]
    if float(values[-1]) <= 1e-10 * float(values[0]):
        raise ValueError(f"rows must vary in {components} directions, they vary in fewer; ask for fewer components")
    axes = centred.T @ left / values * len(rows) ** 0.5  # (d, components)
    return centred @ axes, (others.double() - mean) @ axes


def _pixels(films: Tensor) -> Tensor:
    small = functional.adaptive_avg_pool2d(films, PIXELS).flatten(1)  # (n, PIXELS ** 2)
    return (small - small.mean(1, keepdim=True)) / small.std(1, keepdim=True).clamp_min(1e-6)


def _lines(films: Tensor) -> Tensor:
    return line_maps(films, grid=CELLS).flatten(1)
