"""What the worst slice has in common: the share of an attribute in it, beside three references.

Olesen et al. 2024 (arXiv:2406.12142) compare comorbidities and drains in the slice with the largest Brier score with
those in the slice with the smallest. Two references are added, because a worst slice is chosen by its errors and an
attribute that goes with errors is frequent in it whatever the slices are: *random* slices of the same sizes, of which
the worst is taken as well, and the same number of rows with the largest *errors*, which need no slices at all.

Conventions: a row belongs to its most probable slice; shares in [0, 1]; NaN where no slice is large enough.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from lib.measure.fairness import auc, too_few
from lib.measure.slices import rank_slices

__all__ = ["SHARES", "attribute_shares"]

SHARES = ("worst slice", "random slices", "largest errors", "best slice", "all")


def attribute_shares(
    membership: ArrayLike,
    error: ArrayLike,
    attribute: ArrayLike,
    *,
    rows: ArrayLike,
    generator: np.random.Generator,
    draws: int = 200,
    minimum: int = 20,
) -> dict[str, float]:
    """Share of an attribute in the worst slice and in its references.

    Parameters
    ----------
    membership : array_like (n, slices)
        From `lib.measure.slices.membership`; the attribute must not have been used for it.
    error : array_like of float (n,)
        One per row.
    attribute : array_like of bool (n,)
    rows : array_like of bool (n,)
        The only rows that count, for instance the sick.
    generator : numpy.random.Generator
        Deals rows to random slices.
    draws : int
        Random divisions, whose shares are averaged.
    minimum : int
        Smallest slice that is ranked.

    Returns
    -------
    dict of str to float
        A share for each of SHARES; "auc", of the membership in the worst slice for the attribute, .5 = the slice knows
        nothing of it, NaN with fewer than 20 rows with or without it; "n", rows in the worst slice.

    Raises
    ------
    ValueError
        As `lib.measure.slices.rank_slices`; if no row counts.

    Examples
    --------
    >>> belongs, error = np.eye(2)[[0, 0, 1, 1]], [0.1, 0.2, 0.7, 0.9]
    >>> options = {"rows": [True] * 4, "generator": np.random.default_rng(0), "minimum": 2}
    >>> attribute_shares(belongs, error, [False, False, True, True], **options)["worst slice"]
    1.0
    """
    kept = np.asarray(rows, dtype=bool)
    if not kept.any():
        raise ValueError("rows must keep at least one row, got none; pass for instance the sick patients")
    ranked = rank_slices(membership, error, rows=kept, minimum=minimum)["slice"].tolist()
    has, errors = np.asarray(attribute, dtype=bool)[kept], np.asarray(error, dtype=float)[kept]
    found = dict.fromkeys((*SHARES, "auc", "n"), math.nan) | {"all": float(has.mean())}
    if not ranked:
        return found
    weights = np.asarray(membership, dtype=float)[kept]
    owner, worst, best = weights.argmax(1), ranked[0], ranked[-1]
    n = int((owner == worst).sum())
    largest = np.argsort(-errors, kind="stable")[:n]
    return found | {
        "worst slice": float(has[owner == worst].mean()),
        "best slice": float(has[owner == best].mean()),
        "largest errors": float(has[largest].mean()),
        "random slices": _random(owner, errors, has, ranked, generator, draws),
        "auc": math.nan if too_few(has) else auc(weights[:, worst], has),
        "n": float(n),
    }


def _random(
    owner: np.ndarray, error: np.ndarray, has: np.ndarray, large: list[int], generator: np.random.Generator, draws: int
) -> float:
    """Mean share of the attribute in the worst of slices that keep their sizes and are dealt at random."""
    counts = np.bincount(owner)[large]
    shares = []
    for _ in range(draws):
        dealt = generator.permutation(owner)
        worst = large[int(np.argmax(np.bincount(dealt, error)[large] / counts))]
        shares.append(has[dealt == worst].mean())
    return float(np.mean(shares))
