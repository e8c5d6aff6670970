"""A gap in AUC between two groups, split into what lies within strata and what comes from the mix of strata.

Kitagawa 1955 (Components of a difference between two rates), for AUCs. With negatives that all share, an AUC is a mean
over positives of the share of negatives below each (the placement), so the AUC of a group is the mean over strata
of the AUC in the stratum, weighted by the group's shares; the split follows without a remainder. Olesen et al. 2024
(arXiv:2406.12142) explain a gap between the sexes by the share of chest drains; the strata here are drain or no drain.

Conventions: a gap is first group minus second, 0 = equal; strata are weighted by the mean of the two groups' shares,
which treats the groups alike. Only positives have a row; the negatives are the same for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lib.measure.fairness import MINIMUM

__all__ = ["GapParts", "gap_parts", "placements"]


@dataclass(frozen=True)
class GapParts:
    """A gap and its two parts, all in AUC.

    Attributes
    ----------
    raw : float
        Mean of the first group minus mean of the second; ``within + mix``.
    within : float
        The gap that is left when both groups have the same shares of the strata.
    mix : float
        The gap that is there because the groups' shares differ; 0 = the same shares, or strata that do not matter.
    """

    raw: float
    within: float
    mix: float


def placements(positives: ArrayLike, negatives: ArrayLike) -> NDArray[np.float64]:
    """Share of the negatives below each positive, ties counted half; the mean is the AUC.

    Parameters
    ----------
    positives, negatives : array_like of float (n,), (m,)
        Scores; only their order counts.

    Returns
    -------
    ndarray of float64 (n,)
        In [0, 1].

    Raises
    ------
    ValueError
        Without negatives.

    Examples
    --------
    >>> placements([0.4, 0.9], [0.1, 0.4]).tolist()
    [0.75, 1.0]
    """
    ordered = np.sort(np.asarray(negatives, dtype=float))
    if not ordered.size:
        raise ValueError("negatives must hold at least one score, got none; add patients without the finding")
    scores = np.asarray(positives, dtype=float)
    both = np.searchsorted(ordered, scores, side="left") + np.searchsorted(ordered, scores, side="right")
    return both / (2 * ordered.size)


def gap_parts(
    value: ArrayLike, group: ArrayLike, stratum: ArrayLike, *, first: str, second: str, minimum: int = MINIMUM
) -> GapParts:
    """Split the gap between two groups by strata.

    Parameters
    ----------
    value : array_like of float (n,)
        One per positive, from :func:`placements`.
    group, stratum : array_like (n,)
        Rows of other groups are left out.
    first, second : str
        Names of the two groups.
    minimum : int
        If a group has fewer rows in a stratum that the other group has, ``within`` and ``mix`` are NaN; ``raw`` as
        well, if a group has fewer altogether.

    Returns
    -------
    GapParts

    Raises
    ------
    ValueError
        If the lengths differ or a group has no row.

    Source
    ------
    Kitagawa 1955, with the mean of both groups' shares as weights of the strata.

    Examples
    --------
    >>> value, group = [1.0, 1.0, 0.5, 1.0, 0.5, 0.5], ["M", "M", "M", "F", "F", "F"]
    >>> parts = gap_parts(value, group, [1, 1, 0, 1, 0, 0], first="M", second="F", minimum=1)
    >>> round(parts.within, 3), round(parts.mix, 3)
    (0.0, 0.167)
    """
    values, groups, strata = np.asarray(value, dtype=float), np.asarray(group), np.asarray(stratum)
    if values.ndim != 1 or groups.shape != values.shape or strata.shape != values.shape:
        raise ValueError(
            f"value, group and stratum must have one entry per positive, "
            f"got {values.shape, groups.shape, strata.shape}; align them"
        )
    members = [groups == name for name in (first, second)]
    for name, each in zip((first, second), members, strict=True):
        if not each.any():
            raise ValueError(f"group {name!r} has no rows; groups are {sorted(map(str, set(groups.tolist())))}")
    if min(int(each.sum()) for each in members) < minimum:
        return GapParts(math.nan, math.nan, math.nan)
    raw = float(values[members[0]].mean() - values[members[1]].mean())
    within = 0.0
    for name in np.unique(strata[members[0] | members[1]]):
        inside = [each & (strata == name) for each in members]
        if min(int(each.sum()) for each in inside) < max(minimum, 1):
            return GapParts(raw, math.nan, math.nan)
        share = np.mean([rows.sum() / each.sum() for rows, each in zip(inside, members, strict=True)])
        within += float(share * (values[inside[0]].mean() - values[inside[1]].mean()))
    return GapParts(raw, within, raw - within)
