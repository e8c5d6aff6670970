"""HSIC attribution: how strongly a score depends on whether a feature is shown, over random binary masks.

Paper: Novello, Fel & Vigouroux 2022, Making Sense of Dependence (arXiv:2206.06219), with the kernels of its public
code: 1 + 1/2 - (m - m')² for a feature's gate, and a Gaussian of the score whose width is the median of the scores
themselves (not of their distances). Gretton et al. 2005 for the criterion.

Differences: with gates of 0 and 1 the centred kernel of a feature is the product 2 (m - mean)(m' - mean)', so that all
features need one matrix product with the kernel of the scores, which is made in strips: O(d n²) time and O(n) memory.
The sum is divided by n² (the public code: n), so that the value does not grow with the number of masks. Pixels take
the value of their feature, without the cubic enlargement.

Conventions: see `lib.explain`. Gates are float32 (n, d), 0 or 1, 1 = kept; values >= 0, 0 = independent. Unsigned:
evidence for and against the class look alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lib.explain import Score, check_inputs, need_generator
from lib.explain.features import cells, each, gated, spread
from lib.explain.queries import fill_values, masked_scores
from lib.explain.sampling import Points, draw_seed, unit_points

STRIP = 512  # rows of the kernel of the scores held at a time
PAIRS = 1024  # pairs of features judged at a time


def binary_gates(n: int, d: int, *, points: Points = "lhs", seed: int) -> Tensor:
    """Masks of features from thresholded points, float32 (n, d), 0 or 1.

    Parameters
    ----------
    n, d : int
        Masks and features.
    points : {"lhs", "sobol", "halton", "mc"}
        "lhs" and "sobol" keep every feature in exactly half of an even number of masks. A thresholded Sobol' sequence
        uses one binary digit per feature: where n is small beside 4 d, two features may share it in every mask.
    seed : int

    Raises
    ------
    ValueError
        If two features are always kept and hidden together, or always apart: no method can tell them apart.

    Examples
    --------
    >>> binary_gates(8, 3, seed=0).mean(0)
    tensor([0.5000, 0.5000, 0.5000])
    """
    gates = (torch.from_numpy(unit_points(n, d, points=points, seed=seed)) >= 0.5).float()
    codes = (gates - gates[0]).abs()  # the same for a column and its complement
    if len(codes.T.unique(dim=0)) < d:
        raise ValueError(
            f"n masks must tell {d} features apart, got n={n} with two features that are always kept together or "
            "always apart; use more masks or points='lhs'"
        )
    return gates


def kernel_width(values: Tensor) -> float:
    """Width of the Gaussian kernel: the median of the scores (n,), their spread where that is 0, 1 for constant ones.

    Examples
    --------
    >>> kernel_width(torch.tensor([0.25, 0.5, 4.0]))
    0.5
    """
    median = abs(float(values.double().quantile(0.5)))
    return median or float(values.double().std()) or 1.0


def dependence(gates: Tensor, values: Tensor, *, width: float | None = None) -> Tensor:
    """HSIC of every feature with the score.

    Parameters
    ----------
    gates : Tensor, float32 (n, d), 0 or 1
    values : Tensor, float32 (n,)
        Score under each mask.
    width : float, > 0, optional
        Of the Gaussian kernel of the score, in its unit; see `kernel_width`.

    Returns
    -------
    Tensor, float64 (d,), >= 0

    Raises
    ------
    ValueError
        If shapes do not fit, gates are not binary, or the width is not positive.

    Source
    ------
    Gretton et al. 2005, the biased estimate, tr(K H L H) / n².

    Examples
    --------
    >>> dependence(torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0.0, 0.0, 1.0, 1.0]))
    tensor([0.2162, 0.0000], dtype=torch.float64)
    """
    _check(gates, values, width)
    return 2 * _quadratic(gates, values, width)


def pair_dependence(gates: Tensor, values: Tensor, *, width: float | None = None) -> Tensor:
    """HSIC of what only a pair of features explains, float64 (d, d), symmetric; the diagonal holds `dependence`.

    The pair's kernel is the product of the two features' kernels without their constant 1; by the ANOVA property of
    the paper it holds what neither feature explains alone.

    Parameters
    ----------
    gates, values, width
        As `dependence`.

    Examples
    --------
    >>> gates = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> pair_dependence(gates, torch.tensor([0.0, 1.0, 1.0, 0.0])).diagonal()
    tensor([0., 0.], dtype=torch.float64)
    """
    _check(gates, values, width)
    d = gates.shape[1]
    table = torch.diag(dependence(gates, values, width=width))
    signs = 2 * gates - 1
    for first, second in zip(*(part.split(PAIRS) for part in torch.triu_indices(d, d, 1)), strict=True):
        found = _quadratic(signs[:, first] * signs[:, second], values, width) / 4
        table[first, second] = table[second, first] = found
    return table


def _check(gates: Tensor, values: Tensor, width: float | None) -> None:
    if gates.ndim != 2 or values.shape != gates.shape[:1] or len(gates) < 2:
        raise ValueError(
            f"gates must be (n >= 2, d) and values (n,), got {tuple(gates.shape)} and {tuple(values.shape)}; "
            "give one score per mask"
        )
    if not ((gates == 0) | (gates == 1)).all():
        raise ValueError("gates must be 0 or 1, got values between; use binary_gates")
    if width is not None and not width > 0:
        raise ValueError(f"width must be > 0 in the unit of the score, got {width}; None takes the scores' median")


def _quadratic(columns: Tensor, values: Tensor, width: float | None) -> Tensor:
    """c' H L H c / n² for every column c, in strips of L; L - 1 in its place, which H cannot see, keeps digits."""
    centred = columns - columns.mean(0)
    scaled = values / (kernel_width(values) if width is None else width)
    total = torch.zeros(columns.shape[1], dtype=torch.float64, device=columns.device)
    for start in range(0, len(values), STRIP):
        rows, rest = slice(start, start + STRIP), slice(start, None)  # L is symmetric: what lies right counts twice
        strip = (scaled[rows, None] - scaled[rest]).square_().mul_(-0.5).expm1_()  # (strip, n - start)
        strip[:, STRIP:] *= 2
        total += (strip @ centred[rest] * centred[rows]).sum(0, dtype=torch.float64)
    return (total / len(values) ** 2).clamp_min(0)


def _asked(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int,
    n_masks: int,
    features: Tensor | None,
    grid: int,
    points: Points,
    fill: Tensor | float,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For every image its features (h, w), the gates (n_masks, d) and the scores (n_masks,) under them."""
    check_inputs(images, target, max_batch)
    seed = draw_seed(need_generator(generator, "hsic"))
    groups = each(cells((int(images.shape[2]), int(images.shape[3])), grid) if features is None else features, images)
    values = fill_values(fill, images)
    designs: dict[int, Tensor] = {}
    for image, label, group in zip(images, target.tolist(), groups, strict=True):
        d = int(group.max()) + 1
        if d not in designs:
            designs[d] = binary_gates(n_masks, d, points=points, seed=seed).to(image.device)
        pieces = []
        for part in designs[d].split(max_batch):
            pieces.append(masked_scores(score, image, label, gated(part.to(image), group), values, max_batch))
        yield group, designs[d], torch.cat(pieces)


def hsic(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_masks: int = 512,
    features: Tensor | None = None,
    grid: int = 8,
    points: Points = "lhs",
    width: float | None = None,
    fill: Tensor | float = 0.0,
) -> Tensor:
    """HSIC between the score and the feature under every pixel.

    Parameters
    ----------
    score, images, target, generator, max_batch, features, grid, fill
        As `lib.explain.sobol.sobol`.
    n_masks : int
        Queries per image.
    points, width
        As `binary_gates` and `dependence`.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0

    Source
    ------
    Novello, Fel & Vigouroux 2022, arXiv:2206.06219.
    """
    asked = _asked(
        score, images, target, generator=generator, max_batch=max_batch, n_masks=n_masks, features=features, grid=grid,
        points=points, fill=fill,
    )  # fmt: skip
    return torch.stack(
        [spread(dependence(gates, values, width=width).float(), group) for group, gates, values in asked]
    )


def interactions(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_masks: int = 512,
    features: Tensor | None = None,
    grid: int = 8,
    points: Points = "lhs",
    width: float | None = None,
    fill: Tensor | float = 0.0,
) -> Tensor:
    """HSIC of every pair of features beyond that of the two alone, from the queries that `hsic` makes.

    Parameters
    ----------
    score, images, target, generator, max_batch, n_masks, features, grid, points, width, fill
        As `hsic`; all images need the same number of features.

    Returns
    -------
    Tensor, float32 (n, d, d), >= 0
        Symmetric; the diagonal holds the features alone.

    Raises
    ------
    ValueError
        If the images differ in their number of features.
    """
    asked = _asked(
        score, images, target, generator=generator, max_batch=max_batch, n_masks=n_masks, features=features, grid=grid,
        points=points, fill=fill,
    )  # fmt: skip
    tables = [pair_dependence(gates, values, width=width).float() for _, gates, values in asked]
    if len({len(table) for table in tables}) > 1:
        raise ValueError(
            f"features must be equally many in all images, got {[len(table) for table in tables]}; call once per image"
        )
    return torch.stack(tables)
