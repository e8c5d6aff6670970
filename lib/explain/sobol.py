"""Sobol' indices: the share of a score's variance that a feature causes, alone or together with others.

Paper: Fel et al. 2021, Look at the Variance! (arXiv:2111.04138): every feature is blended into a replacement by its
own random amount; the total index of a feature is the expected share of variance left when all others are fixed.
Estimators: Jansen 1999; Homma & Saltelli 1996; Janon et al. 2014; Glen & Isaacs 2012; Sobol' et al. 2007.

Differences: every pixel takes the index of its feature, without the cubic enlargement of the public code; features may
be any groups of pixels or the columns of a table; first-order indices come from the same queries; masks are rendered
in pieces, so that memory is bounded by ``max_batch``. The public estimator named after Saltelli repeats Homma's; that
of Sobol' et al. 2007 stands in its place.

Conventions: see `lib.explain`. A, B are float (n, d) in [0, 1], C_i is A with column i from B, n (d + 2) queries in
all; 0 = the feature does not matter, 1 = nothing else does. Estimates are not clipped: noise may leave [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lib.explain import Score, check_inputs, need_generator
from lib.explain.features import cells, each, gated, spread
from lib.explain.queries import fill_values, masked_scores
from lib.explain.sampling import Points, draw_seed, unit_points

Estimator = Literal["jansen", "homma", "janon", "glen", "sobol2007"]
Order = Literal["total", "first"]
FLAT = 1e-6  # relative spread below which a float32 score counts as constant


@dataclass(frozen=True)
class PickFreeze:
    """Two independent sets of points, and all queries that exchange one column between them.

    Parameters
    ----------
    a, b : Tensor, float32 (n, d), [0, 1]

    Source
    ------
    Saltelli et al. 2010, the radial design with C_i = A and column i of B.
    """

    a: Tensor
    b: Tensor

    def __len__(self) -> int:
        return len(self.a) * (self.a.shape[1] + 2)

    def gates(self, start: int, stop: int) -> Tensor:
        """Queries number ``start`` to ``stop`` in the order A, B, C_1, ..., C_d, float32 (stop - start, d)."""
        number = torch.arange(start, min(stop, len(self)))
        block, row = number // len(self.a), number % len(self.a)
        found = torch.where((block == 1)[:, None], self.b[row], self.a[row])  # (m, d)
        mixed = (block >= 2).nonzero()[:, 0]
        column = block[mixed] - 2
        found[mixed, column] = self.b[row[mixed], column]
        return found


def pick_freeze(n: int, d: int, *, points: Points = "sobol", seed: int) -> PickFreeze:
    """Draw A and B as the two halves of points in 2 d dimensions.

    Parameters
    ----------
    n : int
        Rows of each, a power of two for points="sobol".
    d : int
        Features.
    points, seed
        As `lib.explain.sampling.unit_points`.

    Examples
    --------
    >>> len(pick_freeze(4, 3, seed=0))
    20
    """
    both = torch.from_numpy(unit_points(n, 2 * d, points=points, seed=seed)).float()
    return PickFreeze(both[:, :d].contiguous(), both[:, d:].contiguous())


def answers(
    score: Score,
    image: Tensor,
    target: int,
    design: PickFreeze,
    *,
    features: Tensor,
    fill: Tensor | float = 0.0,
    max_batch: int = 128,
) -> Tensor:
    """Scores of all queries of a design about one image.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to (m, classes).
    image : Tensor, float32 (c, h, w)
    target : int
        The class.
    design : PickFreeze
        One column per feature.
    features : Tensor, int64 (h, w)
        The feature of every pixel, see `lib.explain.features`.
    fill : Tensor (c,) or (c, h, w), or float
        What a pixel fades into as its gate goes to 0.
    max_batch : int, images

    Returns
    -------
    Tensor, float64 (d + 2, n)
        Rows f(A), f(B), f(C_1), ..., f(C_d), on the CPU.

    Raises
    ------
    ValueError
        If the design has another number of features.
    """
    check_inputs(image[None], torch.tensor([target], device=image.device), max_batch)
    groups = each(features, image[None])[0]
    found, wanted = design.a.shape[1], int(groups.max()) + 1
    if found != wanted:
        raise ValueError(f"design must have {wanted} columns, one per feature, got {found}; draw it with d={wanted}")
    values = fill_values(fill, image[None])
    pieces = []
    for start in range(0, len(design), max_batch):
        masks = gated(design.gates(start, start + max_batch).to(image), groups)  # (m, h, w)
        pieces.append(masked_scores(score, image, target, masks, values, max_batch).cpu())
    return torch.cat(pieces).double().view(wanted + 2, len(design.a))


def _jansen(one: Tensor, other: Tensor) -> Tensor:
    return 1 - (one - other).square().mean(1) / (2 * one.var())


def _homma(one: Tensor, other: Tensor) -> Tensor:
    return ((one * other).mean(1) - one.mean().square()) / one.var()


def _janon(one: Tensor, other: Tensor) -> Tensor:
    squared = ((one.mean() + other.mean(1)) / 2).square()
    return ((one * other).mean(1) - squared) / ((one.square().mean() + other.square().mean(1)) / 2 - squared)


def _glen(one: Tensor, other: Tensor) -> Tensor:
    one, other = one - one.mean(), other - other.mean(1, keepdim=True)
    product = one.square().sum() * other.square().sum(1)
    return (one * other).sum(1) / product.sqrt().clamp_min(torch.finfo(product.dtype).tiny)


SHARED: dict[Estimator, Callable[[Tensor, Tensor], Tensor]] = {
    "jansen": _jansen, "homma": _homma, "janon": _janon, "glen": _glen,
}  # fmt: skip
"""Variance share of what two samples (n,) and (d, n) have in common: all but one feature (A, C) or one (B, C)."""
ESTIMATORS: tuple[Estimator, ...] = (*SHARED, "sobol2007")


def estimate(scores: Tensor, *, order: Order = "total", estimator: Estimator = "jansen") -> Tensor:
    """Sobol' indices from the scores of a design.

    Parameters
    ----------
    scores : Tensor, float64 (d + 2, n)
        From `answers`, n >= 2.
    order : {"total", "first"}
        With all interactions of the feature, or its effect alone.
    estimator : {"jansen", "homma", "janon", "glen", "sobol2007"}
        The last, also named after Mauntz, is mean f(A) (f(A) - f(C_i)) over the variance for total indices and
        mean f(B) (f(C_i) - f(A)) for first-order ones. Saltelli et al. 2010 recommend this first-order form, but for
        total indices Jansen's.

    Returns
    -------
    Tensor, float64 (d,)
        All zeros where the score is constant to float32 precision.

    Raises
    ------
    ValueError
        If the shape does not fit or a name is unknown.

    Source
    ------
    Saltelli et al. 2010, doi:10.1016/j.cpc.2009.09.018, table 2, and the papers of each; "sobol2007" is Sobol' et al.
    2007, Reliability Engineering & System Safety 92(7), as the function of this name in R's package sensitivity.

    Examples
    --------
    >>> estimate(torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)).tolist()
    [1.0]
    """
    if scores.ndim != 2 or scores.shape[0] < 3 or scores.shape[1] < 2:
        raise ValueError(f"scores must be (d + 2, n >= 2), got {tuple(scores.shape)}; take them from answers")
    if estimator not in ESTIMATORS or order not in ("total", "first"):
        raise ValueError(
            f"estimator must be one of {ESTIMATORS} and order 'total' or 'first', got {estimator!r} and {order!r}; "
            "the defaults are 'jansen' and 'total'"
        )
    a, b, mixed = scores[0], scores[1], scores[2:]
    if scores.std() <= FLAT * scores.abs().max() or min(a.var(), b.var()) == 0:
        return torch.zeros_like(mixed[:, 0])
    if estimator == "sobol2007":
        if order == "total":
            return (a * (a - mixed)).mean(1) / a.var()
        return (b * (mixed - a)).mean(1) / b.var()
    shared = SHARED[estimator]
    return 1 - shared(a, mixed) if order == "total" else shared(b, mixed)


def sobol(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_design: int = 32,
    features: Tensor | None = None,
    grid: int = 8,
    order: Order = "total",
    estimator: Estimator = "jansen",
    points: Points = "sobol",
    fill: Tensor | float = 0.0,
) -> Tensor:
    """Sobol' index of the feature under every pixel.

    Parameters
    ----------
    score, images, target, generator, max_batch
        As everywhere in `lib.explain`; the generator gives one seed, so each image gets the design it would get alone.
    n_design : int
        Rows of A; an image costs ``n_design * (d + 2)`` queries.
    features : Tensor, int64 (h, w) or (n, h, w), optional
        The feature of every pixel; by default the cells of ``grid`` x ``grid``.
    order, estimator
        As `estimate`.
    points : {"sobol", "halton", "lhs", "mc"}
        As `lib.explain.sampling.unit_points`.
    fill : Tensor (c,) or (c, h, w), or float
        As `answers`.

    Returns
    -------
    Tensor, float32 (n, h, w)
        0 = the feature does not matter; unsigned, evidence for and against the class look alike.

    Source
    ------
    Fel et al. 2021, arXiv:2111.04138.
    """
    check_inputs(images, target, max_batch)
    seed = draw_seed(need_generator(generator, "sobol"))
    size = (int(images.shape[2]), int(images.shape[3]))
    groups = each(cells(size, grid) if features is None else features, images)
    designs: dict[int, PickFreeze] = {}
    maps = []
    for image, label, group in zip(images, target.tolist(), groups, strict=True):
        d = int(group.max()) + 1
        if d not in designs:
            designs[d] = pick_freeze(n_design, d, points=points, seed=seed)
        scores = answers(score, image, label, designs[d], features=group, fill=fill, max_batch=max_batch)
        found = estimate(scores, order=order, estimator=estimator).float()
        maps.append(spread(found.to(images.device), group))
    return torch.stack(maps)
