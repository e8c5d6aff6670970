"""One number from many groups: gaps, the worst group, intersections, levelling down, precision and calibration.

Papers: Sourget et al. 2025, arXiv:2507.21291 (adjusted area under the precision-recall curve); Zhang et al. 2022,
arXiv:2203.12609 (a gap that closes because everyone is served worse); Glocker et al. 2023, arXiv:2110.14755 (error
rates that differ in opposite directions point to a shift of the threshold). Differences: a group whose value is NaN
takes part in nothing, and fewer than two known groups have no gap (NaN), where a gap of 0 would look perfectly fair.

Conventions: a gap is largest minus smallest over groups, so it is never negative and lies above 0 by chance alone; a
signed gap is first minus second, 0 = equal. Adjusted AUPRC: 0 = guessing, 1 = perfect. ECE: 0 = calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score

from lib.measure.fairness import MINIMUM, too_few
from lib.measure.fairness_thresholds import checked
from lib.stats import Estimate

Values = Mapping[Hashable, float] | pd.Series


@dataclass(frozen=True)
class Levelling:
    """What a mitigation did to the best and to the worst served group.

    Attributes
    ----------
    gap_before, gap_after : float
        Best minus worst group, in the unit of the values, at least 0.
    best_change, worst_change : float
        Change of the best and of the worst value over groups, whoever holds it; positive = better.
    down : bool
        The gap shrank, the best lost, and the worst did not gain: equal because worse.
    """

    gap_before: float
    gap_after: float
    best_change: float
    worst_change: float
    down: bool


def gap(values: Values) -> float:
    """Largest minus smallest over the groups that have a value; NaN with fewer than two.

    Examples
    --------
    >>> gap({"A": 0.9, "B": 0.7, "C": float("nan")})
    0.2
    """
    known = pd.Series(values, dtype=float).dropna()
    return round(float(known.max() - known.min()), 15) if len(known) > 1 else math.nan


def worst_group(values: Values, *, higher_is_better: bool = True) -> tuple[Hashable, float]:
    """Name and value of the worst served group; the first of equals, and (None, NaN) when no group has a value.

    Examples
    --------
    >>> worst_group({"A": 0.9, "B": 0.7})
    ('B', 0.7)
    """
    known = pd.Series(values, dtype=float).dropna()
    if known.empty:
        return None, math.nan
    name = known.idxmin() if higher_is_better else known.idxmax()
    return name, float(known.min() if higher_is_better else known.max())


def intersections(*attributes: ArrayLike) -> NDArray[np.object_]:
    """Names of the intersections of several groupings, "F & B"; None where any attribute is missing.

    Parameters
    ----------
    attributes : array_like, each of shape (n,)
        One grouping each, of the same rows.

    Raises
    ------
    ValueError
        If there is none, or their lengths differ.

    Examples
    --------
    >>> intersections(["F", "M"], ["A", None]).tolist()
    ['F & A', None]
    """
    columns = [np.asarray(each, dtype=object) for each in attributes]
    if not columns or len({each.shape for each in columns}) != 1:
        raise ValueError(
            f"attributes must be equally long, got shapes {[each.shape for each in columns]}; pass 1 or more"
        )
    rows = zip(*columns, strict=True)
    return np.array([None if pd.isna(list(row)).any() else " & ".join(map(str, row)) for row in rows], dtype=object)


def levelling_down(before: Values, after: Values, *, higher_is_better: bool = True) -> Levelling:
    """Say whether a gap closed because the better served lost.

    Parameters
    ----------
    before, after : mapping of group to float
        The same measure without and with a mitigation; only groups known in both count.
    higher_is_better : bool
        False for error rates.

    Returns
    -------
    Levelling
        NaN and not down with fewer than two known groups.
    """
    both = pd.DataFrame({"before": pd.Series(before), "after": pd.Series(after)}, dtype=float).dropna()
    if len(both) < 2:
        return Levelling(math.nan, math.nan, math.nan, math.nan, False)
    both = both if higher_is_better else -both
    best, worst = both.max(), both.min()
    spread, top, bottom = best - worst, best.diff().iloc[-1], worst.diff().iloc[-1]
    down = bool(spread["after"] < spread["before"] and top < 0 and bottom <= 0)
    return Levelling(float(spread["before"]), float(spread["after"]), float(top), float(bottom), down)


def adjusted_auprc(score: ArrayLike, positive: ArrayLike, *, minimum: int = MINIMUM) -> float:
    """Average precision on a scale that does not hang on prevalence: ``1 - ln(AP) / ln(prevalence)``.

    Parameters
    ----------
    score : array_like of float, shape (n,)
        Higher = more likely positive.
    positive : array_like of bool or 0/1, shape (n,)
    minimum : int
        With fewer positives or fewer negatives the value is NaN.

    Returns
    -------
    float
        0 = as good as guessing (AP = prevalence), 1 = perfect, negative = worse than guessing.

    Examples
    --------
    >>> adjusted_auprc([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], minimum=2)
    1.0
    """
    scores, labels, _ = checked(score, positive)
    if too_few(labels, minimum=max(minimum, 1)):
        return math.nan
    return 1.0 - math.log(average_precision_score(labels, scores)) / math.log(labels.mean())


def ece(probability: ArrayLike, positive: ArrayLike, *, bins: int = 10, minimum: int = MINIMUM) -> float:
    """Expected calibration error over bins of equal count.

    Parameters
    ----------
    probability : array_like of float in [0, 1], shape (n,)
        Predicted probability of being positive.
    positive : array_like of bool or 0/1, shape (n,)
    bins : int
        Rows are ranked and cut into this many bins of equal count; equal probabilities share the bin of their mean
        rank, so the order of rows does not matter and a bin may then hold more or fewer.
    minimum : int
        With fewer rows than this in all the value is NaN.

    Returns
    -------
    float
        Mean over rows of their bin's |mean probability - share of positives|, in [0, 1]; 0 = calibrated.

    Raises
    ------
    ValueError
        If a probability is outside [0, 1] or bins is below 1.

    Examples
    --------
    >>> ece([0.25] * 4, [0, 0, 0, 1], minimum=4)
    0.0
    """
    p, labels, _ = checked(probability, positive)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}; 10 is usual")
    if p.size and (p.min() < 0 or p.max() > 1):
        raise ValueError(f"probability must be in [0, 1], got {p.min():g} to {p.max():g}; apply a sigmoid to logits")
    if p.size < max(minimum, 1):
        return math.nan
    _, codes, counts = np.unique(p, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2  # mean rank from 0 of each distinct probability
    bin_of = np.minimum((middle + 0.5) * bins / p.size, bins - 1).astype(int)[codes]
    return float(np.abs(np.bincount(bin_of, weights=p - labels)).sum() / p.size)


def rate_gap_rows(
    event: ArrayLike, groups: ArrayLike, *, first: Hashable, second: Hashable, minimum: int = MINIMUM
) -> NDArray[np.float64]:
    """One value per row whose mean is the gap of two rates, first group minus second, and whose spread is its error.

    Parameters
    ----------
    event : array_like of bool or 0/1, shape (n,)
        What the rate counts, among the rows that are at risk of it: a false positive, among negatives only.
    groups : array_like, shape (n,)
        The group of each row; rows of other groups are left out.
    first, second : hashable
        Names of the two groups.
    minimum : int
        If a group has fewer rows, all values are NaN.

    Returns
    -------
    ndarray of float64, shape (rows of both groups,)
        In order of the rows, ready for :func:`lib.stats.hierarchical`.

    Source
    ------
    Linearisation of a difference of ratios: the gap plus each row's influence on it.
    """
    events, names = np.asarray(event, dtype=np.float64), np.asarray(groups)
    members = [names == first, names == second]
    kept = members[0] | members[1]
    if min(int(each.sum()) for each in members) < max(minimum, 1):
        return np.full(int(kept.sum()), math.nan)
    shares = [float(events[each].mean()) for each in members]
    influence = np.zeros(events.shape)
    for sign, each, share in zip((1, -1), members, shares, strict=True):
        influence[each] = sign * kept.sum() / each.sum() * (events[each] - share)
    return shares[0] - shares[1] + influence[kept]


def mirror(fpr_gap: Estimate, fnr_gap: Estimate) -> str:
    """Name the pattern of two error gaps between the same groups at one threshold.

    Parameters
    ----------
    fpr_gap, fnr_gap : Estimate
        Signed gaps of the false positive and false negative rate, same groups in the same order.

    Returns
    -------
    str
        "mirror" if both 95 % intervals leave out 0 on opposite sides (one group is called positive more often, right
        or wrong), "same group pays twice" if on the same side, "one error only", "no gap seen", or "untested".
    """
    if any(not math.isfinite(each.low) or each.reason for each in (fpr_gap, fnr_gap)):
        return "untested"
    signs = [int(each.low > 0) - int(each.high < 0) for each in (fpr_gap, fnr_gap)]
    if 0 in signs:
        return "one error only" if any(signs) else "no gap seen"
    return "mirror" if signs[0] != signs[1] else "same group pays twice"
