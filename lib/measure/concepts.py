"""How good a dictionary of concepts is, and how good their order of importance.

Fel et al. 2023 (arXiv:2306.07304) judge dictionaries by reconstruction, sparsity and stability, and an order of
concepts by what happens to the score as concepts are taken out (C-deletion) or put in (C-insertion). Hoyer 2004,
Non-negative Matrix Factorization with Sparseness Constraints, for sparsity; Kuhn 1955 for the matching.

Differences: sparsity is Hoyer's, which needs no threshold for what counts as zero. C-deletion and C-insertion are
protocols of `lib.measure.perturbation` on tables of coefficients, one concept per step.

Conventions: activations (n, d), coefficients (n, k), atoms (k, d), maps of importance (n, 1, k).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lib.measure.perturbation import Protocol
from lib.measure.sanity import correlation

TINY = torch.finfo(torch.float64).tiny


def protocol(direction: Literal["deletion", "insertion"], *, score: Literal["probability", "logit"]) -> Protocol:
    """C-deletion or C-insertion for `lib.measure.perturbation.measure` on tables (n, 1, 1, k).

    Concepts go to 0, or come back from it, one by one, the most important first.

    Examples
    --------
    >>> protocol("deletion", score="logit").step_units
    1
    """
    return Protocol(direction, score=score, baseline="black", step_units=1)


def explained(activations: Tensor, rebuilt: Tensor) -> Tensor:
    """Share of the variance that a reconstruction keeps, one value per row; their mean is the R² of all.

    Parameters
    ----------
    activations, rebuilt : Tensor, float (n, d)

    Returns
    -------
    Tensor, float64 (n,), at most 1
        1 = exact, 0 = no better on average than the mean of the rows, negative = worse.

    Raises
    ------
    ValueError
        If the shapes differ or all rows are the same.

    Examples
    --------
    >>> explained(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [2.0]]))
    tensor([0., 1.], dtype=torch.float64)
    """
    if activations.shape != rebuilt.shape or activations.ndim != 2:
        raise ValueError(
            f"activations and rebuilt must be equally shaped (n, d), got {tuple(activations.shape)} and "
            f"{tuple(rebuilt.shape)}; decode the coefficients of the same rows"
        )
    rows = activations.double()
    spread = (rows - rows.mean(0)).square().sum(1).mean()
    if spread == 0:
        raise ValueError(f"activations must vary, got {len(rows)} equal rows; give other images")
    return 1 - (rows - rebuilt.double()).square().sum(1) / spread


def hoyer(coefficients: Tensor) -> Tensor:
    """Hoyer's sparsity of every row, whatever the sign and scale of its coefficients.

    Returns
    -------
    Tensor, float64 (n,), [0, 1]
        1 = one coefficient alone is not 0, 0 = all are equally large or all are 0.

    Raises
    ------
    ValueError
        If there are fewer than two coefficients.

    Examples
    --------
    >>> hoyer(torch.tensor([[5.0, 0.0, 0.0], [2.0, -2.0, 2.0]]))
    tensor([1., 0.], dtype=torch.float64)
    """
    if coefficients.ndim != 2 or coefficients.shape[1] < 2:
        raise ValueError(f"coefficients must be (n, k >= 2), got {tuple(coefficients.shape)}; one row per image")
    size = coefficients.double().abs()
    root = coefficients.shape[1] ** 0.5
    ratio = size.sum(1) / size.norm(dim=1).clamp_min(TINY)
    return torch.where(size.sum(1) > 0, (root - ratio) / (root - 1), 0.0).clamp(0, 1)


def matching(first: Tensor, second: Tensor, *, directed: bool = True) -> Tensor:
    """Cosine of every concept with its partner, in the pairing of two dictionaries that makes their sum largest.

    Parameters
    ----------
    first, second : Tensor, float (k, d)
        Atoms of two fits, in any order.
    directed : bool
        Whether an atom and its negative are different concepts; False for principal components, whose sign is free.

    Returns
    -------
    Tensor, float64 (k,), [-1, 1]
        In the order of ``first``. 1 = found again, 0 = unrelated; atoms without negative entries are never below 0, so
        compare with what unrelated ones give.

    Raises
    ------
    ValueError
        If the shapes differ.

    Source
    ------
    Kuhn 1955, scipy.optimize.linear_sum_assignment.

    Examples
    --------
    >>> matching(torch.eye(2), torch.tensor([[0.0, 3.0], [1.0, 0.0]]))
    tensor([1., 1.], dtype=torch.float64)
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"first and second must be equally shaped (k, d), got {tuple(first.shape)} and {tuple(second.shape)}; "
            "fit both with the same number of concepts"
        )
    one, two = (atoms.double() / atoms.double().norm(dim=1, keepdim=True).clamp_min(TINY) for atoms in (first, second))
    alike = one @ two.T
    alike = alike if directed else alike.abs()
    rows, columns = linear_sum_assignment(alike.cpu().numpy(), maximize=True)
    return alike[torch.from_numpy(rows), torch.from_numpy(columns)].clamp(-1, 1)


def largest_gap(maps: Sequence[Tensor]) -> Tensor:
    """Largest difference between any two of several maps of one image, as a share of their largest magnitude.

    Parameters
    ----------
    maps : sequence of Tensor, float (n, 1, k)
        What each method says of the same images.

    Returns
    -------
    Tensor, float64 (n,), [0, 2]
        0 = the same values (or all of them 0).

    Examples
    --------
    >>> largest_gap([torch.tensor([[[1.0, 4.0]]]), torch.tensor([[[1.0, 3.0]]])])
    tensor([0.2500], dtype=torch.float64)
    """
    each = _stacked(maps)
    gap = (each.amax(0) - each.amin(0)).amax(1)
    return gap / each.abs().amax((0, 2)).clamp_min(TINY)


def rank_gap(maps: Sequence[Tensor], *, tolerance: float = 1e-5) -> Tensor:
    """One minus the mean rank correlation of all pairs of maps, per image.

    Parameters
    ----------
    maps : sequence of Tensor, float (n, 1, k)
    tolerance : float
        Values are rounded to multiples of this share of the largest magnitude, so that rounding errors are ties.

    Returns
    -------
    Tensor, float64 (n,), [0, 2]
        0 = the same order everywhere, 1 = unrelated orders (or a map that orders nothing).

    Examples
    --------
    >>> rank_gap([torch.tensor([[[1.0, 4.0, 2.0]]]), torch.tensor([[[1.0, 3.0, 2.0]]])])
    tensor([0.], dtype=torch.float64)
    """
    each = _stacked(maps)
    steps = (each / (tolerance * each.abs().amax((0, 2)).clamp_min(TINY))[:, None]).round()[:, :, None]
    pairs = [correlation(one, two).double() for one, two in combinations(steps, 2)]
    return 1 - torch.stack(pairs).mean(0)


def _stacked(maps: Sequence[Tensor]) -> Tensor:
    """All maps as float64 (maps, n, k)."""
    if len(maps) < 2 or any(each.shape != maps[0].shape for each in maps):
        raise ValueError(
            f"maps must be two or more of one shape, got {[tuple(each.shape) for each in maps]}; "
            "explain the same images with each method"
        )
    return torch.stack([each.double().flatten(1) for each in maps])
