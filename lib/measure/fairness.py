"""Who is served how well: AUC per group, gaps between groups, prevalence, with intervals over patients.

Papers: Sourget et al. 2025, arXiv:2507.21291 (AUC by sex, race and age band); Glocker et al. 2023, arXiv:2110.14755
(prevalence differs between groups and moves every threshold metric). Differences: patients are resampled instead of
films, because films of one patient are not independent, and a group with fewer than 20 positives or 20 negatives has
no AUC (NaN) instead of an unstable one.

Conventions: AUC counts a tie as half; .5 = guessing, 1 = perfect. A gap is signed, first group minus second; 0 = the
groups are equal. Row numbers may repeat, so every statistic here can be handed to :func:`lib.stats.clustered`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

from lib import stats
from lib.stats import Estimate

MINIMUM = 20  # positives, and negatives, that a group needs before its AUC is worth a number
Rows = NDArray[np.int64]


def auc_of_rows(score: ArrayLike, positive: ArrayLike) -> Callable[[Rows], float]:
    """Prepare the AUC of any selection of rows, ranking the scores only once.

    Parameters
    ----------
    score : array_like of float, shape (n,)
        Higher = more likely positive; only the order counts.
    positive : array_like of bool or 0/1, shape (n,)
        The truth.

    Returns
    -------
    callable
        Takes int64 row numbers (repeats allowed), returns the AUC in [0, 1]; NaN without positives or negatives.

    Raises
    ------
    ValueError
        If the shapes differ, a score is not finite, or a label is neither 0 nor 1.

    Source
    ------
    The Mann-Whitney statistic: the share of (positive, negative) pairs in the right order, a tie counting half.
    """
    scores, labels = _checked(score, positive)
    values, ranks = np.unique(scores, return_inverse=True)
    cell = 2 * ranks + labels  # one cell per (distinct score, label)

    def auc(rows: Rows) -> float:
        counts = np.bincount(cell[rows], minlength=2 * values.size).reshape(-1, 2).astype(np.float64)
        negatives, positives = counts.sum(axis=0)
        if negatives == 0 or positives == 0:
            return math.nan
        below = np.cumsum(counts[:, 0]) - counts[:, 0] / 2
        return float(below @ counts[:, 1] / (negatives * positives))

    return auc


def auc(score: ArrayLike, positive: ArrayLike) -> float:
    """AUC of all rows; see :func:`auc_of_rows`.

    Examples
    --------
    >>> auc([0.1, 0.4, 0.4, 0.9], [0, 0, 1, 1])
    0.875
    """
    prepared = auc_of_rows(score, positive)
    return prepared(np.arange(np.asarray(score).size))


def auc_interval(
    score: ArrayLike,
    positive: ArrayLike,
    patients: ArrayLike,
    *,
    generator: np.random.Generator,
    reference: float = 0.5,
    n_boot: int = 1000,
) -> Estimate:
    """AUC minus a reference, with a 95 % interval over resampled patients.

    Parameters
    ----------
    score, positive
        As in :func:`auc_of_rows`.
    patients : array_like, shape (n,)
        The patient of each row.
    generator : numpy.random.Generator
    reference : float in [0, 1]
        What the AUC is held against: .5 = guessing, or the AUC of a floor.
    n_boot : int
        Resamples.

    Returns
    -------
    Estimate
        In AUC; 0 = no better than the reference. Untested with too few positives or negatives.
    """
    prepared = auc_of_rows(score, positive)
    lacking = too_few(positive)
    if lacking:
        return _untested(patients, lacking)
    return stats.clustered(
        lambda rows: prepared(rows) - reference, patients, generator=generator, n_boot=n_boot, unit="patients"
    )


def auc_gap_interval(
    score: ArrayLike,
    positive: ArrayLike,
    groups: ArrayLike,
    patients: ArrayLike,
    *,
    first: str,
    second: str,
    generator: np.random.Generator,
    n_boot: int = 1000,
) -> Estimate:
    """AUC within the first group minus AUC within the second, with a 95 % interval over resampled patients.

    Parameters
    ----------
    score, positive, patients
        As in :func:`auc_interval`.
    groups : array_like, shape (n,)
        The group of each row; rows of other groups are left out.
    first, second : str
        Names of the two groups.
    generator : numpy.random.Generator
    n_boot : int
        Resamples.

    Returns
    -------
    Estimate
        In AUC; 0 = the groups are equal. Untested if either group has too few positives or negatives.

    Raises
    ------
    ValueError
        If a group has no rows.
    """
    prepared, names, labels = auc_of_rows(score, positive), np.asarray(groups), np.asarray(positive)
    members = []
    for name in (first, second):
        members.append(names == name)
        if not members[-1].any():
            raise ValueError(f"group {name!r} has no rows; groups are {sorted(map(str, set(names.tolist())))}")
        lacking = too_few(labels[members[-1]])
        if lacking:
            return _untested(patients, f"{name}: {lacking}")
    kept = np.flatnonzero(members[0] | members[1])
    one, two = members[0][kept], members[1][kept]

    def gap(rows: Rows) -> float:
        return prepared(kept[rows[one[rows]]]) - prepared(kept[rows[two[rows]]])

    return stats.clustered(gap, np.asarray(patients)[kept], generator=generator, n_boot=n_boot, unit="patients")


def by_group(score: ArrayLike, positive: ArrayLike, groups: ArrayLike, *, minimum: int = MINIMUM) -> pd.DataFrame:
    """AUC, counts and prevalence within each group.

    Parameters
    ----------
    score, positive
        As in :func:`auc_of_rows`.
    groups : array_like, shape (n,)
        The group of each row; missing (None, NaN) is left out.
    minimum : int
        With fewer positives or fewer negatives the AUC is NaN.

    Returns
    -------
    DataFrame
        One row per group, sorted: group, n, positives, negatives, prevalence in [0, 1], auc in [0, 1] or NaN.
    """
    scores, labels = _checked(score, positive)
    codes, names = pd.factorize(np.asarray(groups), sort=True)
    prepared = auc_of_rows(scores, labels)
    found = []
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        positives = int(labels[rows].sum())
        enough = not too_few(labels[rows], minimum=minimum)
        found.append((name, rows.size, positives, rows.size - positives, positives / rows.size,
                      prepared(rows) if enough else math.nan))  # fmt: skip
    return pd.DataFrame(found, columns=["group", "n", "positives", "negatives", "prevalence", "auc"])


def auc_gap(score: ArrayLike, positive: ArrayLike, groups: ArrayLike, *, minimum: int = MINIMUM) -> float:
    """Largest minus smallest AUC over the groups that have enough rows; 0 = equal, NaN = fewer than two such groups.

    It is never negative, so it lies above 0 by chance alone: test :func:`auc_gap_interval` of two named groups instead.
    """
    known = by_group(score, positive, groups, minimum=minimum)["auc"].dropna()
    return float(known.max() - known.min()) if len(known) > 1 else math.nan


def prevalence(positive: ArrayLike, groups: ArrayLike, patients: ArrayLike) -> pd.DataFrame:
    """Share of positive rows per group, with a 95 % interval that counts patients, not rows.

    Parameters
    ----------
    positive : array_like of bool or 0/1, shape (n,)
    groups, patients : array_like, shape (n,)
        Missing groups are left out.

    Returns
    -------
    DataFrame
        One row per group, sorted: group, n, patients, prevalence, low, high (all shares in [0, 1]); the interval is NaN
        with fewer than two patients.

    Source
    ------
    Linearised variance of a ratio over clusters, with t quantiles; with one row per patient it is the usual variance of
    a share times ``n / (n - 1)``.
    """
    _, labels = _checked(np.zeros(np.asarray(positive).shape), positive)
    codes, names = pd.factorize(np.asarray(groups), sort=True)
    found = []
    for code, name in enumerate(names):
        inside = codes == code
        share = float(labels[inside].mean())
        residuals = pd.Series(labels[inside] - share).groupby(np.asarray(patients)[inside]).sum().to_numpy()
        m = residuals.size
        error = math.sqrt(m / (m - 1) * float(residuals @ residuals)) / inside.sum() if m > 1 else math.nan
        reach = error * float(distributions.t.ppf((1 + stats.LEVEL) / 2, m - 1)) if m > 1 else math.nan
        found.append((name, int(inside.sum()), m, share, max(share - reach, 0.0), min(share + reach, 1.0)))
    return pd.DataFrame(found, columns=["group", "n", "patients", "prevalence", "low", "high"])


def too_few(positive: ArrayLike, *, minimum: int = MINIMUM) -> str:
    """The reason why these labels cannot carry an AUC; empty when they can.

    Examples
    --------
    >>> too_few([1] * 3 + [0] * 50)
    '3 positives and 50 negatives, at least 20 of each are needed'
    """
    labels = np.asarray(positive)
    positives = int(labels.sum())
    negatives = labels.size - positives
    if min(positives, negatives) >= minimum:
        return ""
    return f"{positives} positives and {negatives} negatives, at least {minimum} of each are needed"


def _checked(score: ArrayLike, positive: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores, labels = np.asarray(score, dtype=np.float64), np.asarray(positive)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(
            f"score and positive must be one-dimensional and equally long, got {scores.shape}, {labels.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            f"score must be finite, got {int((~np.isfinite(scores)).sum())} values that are not; drop them"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("positive must hold 0 and 1 only; drop rows without a label before measuring")
    return scores, labels.astype(np.int64)


def _untested(patients: ArrayLike, reason: str) -> Estimate:
    n = int(np.unique(np.asarray(patients)).size)
    return Estimate(math.nan, math.nan, math.nan, n, "patients", "clustered", math.nan, reason)
