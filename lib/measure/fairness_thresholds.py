"""Errors at a stated threshold: how it was chosen, and the true and false positive rates of every group under it.

Papers: Seyyed-Kalantari et al. 2021, Nature Medicine (one threshold of best F1 for all, false positives of "No
Finding" by group); Glocker et al. 2023, arXiv:2110.14755 (one threshold at a false positive rate of 20 %). Difference:
a rate without enough rows is NaN, never 0, and its counts stand beside it. fairlearn 0.15 says 0 for a rate without
rows and lets it enter the gap; other audits say 1.

Conventions: a row is called positive when its score is at least the threshold. Choose the threshold on validation
patients and apply it to others. tpr + fnr = 1; fpr = share of negatives called positive. If "positive" means "No
Finding", fpr is the share of the sick who are called healthy, the under-diagnosis rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lib.measure.fairness import MINIMUM, too_few

Floats = NDArray[np.float64]
SLACK = 1e-12  # rounding of sums of weights, so that a rate that meets its target exactly counts as meeting it


def max_f1(score: ArrayLike, positive: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Threshold with the largest F1; of several, the highest, which calls the fewest rows positive.

    Parameters
    ----------
    score : array_like of float, shape (n,)
        Higher = more likely positive.
    positive : array_like of bool or 0/1, shape (n,)
        The truth.
    weights : array_like of float >= 0, shape (n,), optional
        How many rows each row stands for; left out, each stands for itself.

    Returns
    -------
    float
        One of the scores; NaN without a positive.

    Raises
    ------
    ValueError
        If the shapes differ, a score or weight is not finite, or a label is neither 0 nor 1.

    Examples
    --------
    >>> max_f1([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
    0.4
    """
    scores, labels, counts = checked(score, positive, weights)
    values, hits, false = _called(scores, labels, counts)
    total = float(counts @ labels)
    if total == 0:
        return math.nan
    f1 = 2 * hits / (hits + false + total)  # called + positives = 2 TP + FP + FN
    return float(values[int(np.argmax(f1 >= f1.max() - SLACK))])


def at_fpr(score: ArrayLike, positive: ArrayLike, *, fpr: float, weights: ArrayLike | None = None) -> float:
    """Lowest score at which no larger share of negatives than ``fpr`` is called positive.

    Parameters
    ----------
    score, positive, weights
        As in :func:`max_f1`.
    fpr : float in [0, 1]
        Largest false positive rate allowed, a share.

    Returns
    -------
    float
        One of the scores; infinity when every score calls too many, NaN without a negative.

    Raises
    ------
    ValueError
        As :func:`max_f1`; if ``fpr`` is outside [0, 1].

    Examples
    --------
    >>> at_fpr([0.1, 0.4, 0.6, 0.9], [0, 0, 1, 0], fpr=0.4)
    0.6
    """
    if not 0 <= fpr <= 1:
        raise ValueError(f"fpr must be a share in [0, 1], got {fpr}; write 20 % as 0.2")
    scores, labels, counts = checked(score, positive, weights)
    values, _, false = _called(scores, labels, counts)
    total = float(counts @ (1 - labels))
    if total == 0:
        return math.nan
    allowed = values[false <= fpr * total + SLACK * total]
    return float(allowed[-1]) if allowed.size else math.inf


def per_group(
    choose: Callable[[Floats, NDArray[np.int64]], float],
    score: ArrayLike,
    positive: ArrayLike,
    groups: ArrayLike,
    *,
    minimum: int = MINIMUM,
) -> dict[Hashable, float]:
    """A threshold of its own for every group.

    Parameters
    ----------
    choose : callable
        Takes the scores and labels of one group, returns its threshold: ``max_f1``, or a ``partial`` of ``at_fpr``.
    score, positive
        As in :func:`max_f1`.
    groups : array_like, shape (n,)
        The group of each row; missing (None, NaN) is left out.
    minimum : int
        With fewer positives or fewer negatives the threshold is NaN, and so are the rates made with it.

    Returns
    -------
    dict of group to float
        Groups in sorted order.
    """
    scores, labels, _ = checked(score, positive)
    codes, names = _groups(groups, scores)
    found: dict[Hashable, float] = {}
    for code, name in enumerate(names):
        inside = codes == code
        lacking = too_few(labels[inside], minimum=minimum)
        found[name] = math.nan if lacking else float(choose(scores[inside], labels[inside]))
    return found


def rates(
    score: ArrayLike,
    positive: ArrayLike,
    groups: ArrayLike,
    *,
    threshold: float | Mapping[Hashable, float],
    minimum: int = MINIMUM,
    weights: ArrayLike | None = None,
) -> pd.DataFrame:
    """True and false positive rates of every group at a threshold, with the counts they rest on.

    Parameters
    ----------
    score, positive, weights
        As in :func:`max_f1`.
    groups : array_like, shape (n,)
        The group of each row; missing (None, NaN) is left out.
    threshold : float, or mapping of group to float
        One for all, or one for each group (:func:`per_group`).
    minimum : int
        With fewer positives tpr and fnr are NaN, with fewer negatives fpr is.

    Returns
    -------
    DataFrame
        One row per group, sorted: group, n, positives, negatives (rows, not weights), threshold, tpr, fnr, fpr.

    Raises
    ------
    ValueError
        As :func:`max_f1`; if a group has no threshold in the mapping.

    Examples
    --------
    >>> found = rates([0.2, 0.7, 0.4, 0.9], [0, 0, 1, 1], list("aaaa"), threshold=0.5, minimum=2)
    >>> found[["fpr", "fnr"]].values.tolist()
    [[0.5, 0.5]]
    """
    scores, labels, counts = checked(score, positive, weights)
    codes, names = _groups(groups, scores)
    found = []
    for code, name in enumerate(names):
        inside, cut = codes == code, _cut(threshold, name)
        called = np.full(int(inside.sum()), math.nan) if math.isnan(cut) else (scores[inside] >= cut).astype(float)
        truth, each = labels[inside], counts[inside]
        tpr = _share(called, each * truth, rows=int(truth.sum()), minimum=minimum)
        fpr = _share(called, each * (1 - truth), rows=int((1 - truth).sum()), minimum=minimum)
        found.append((name, truth.size, int(truth.sum()), int((1 - truth).sum()), cut, tpr, 1 - tpr, fpr))
    return pd.DataFrame(found, columns=["group", "n", "positives", "negatives", "threshold", "tpr", "fnr", "fpr"])


def checked(
    score: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Scores, labels and weights as arrays, or a readable error.

    Raises
    ------
    ValueError
        If they are not one-dimensional and equally long, a score is not finite, a label is neither 0 nor 1, or a weight
        is negative or not finite.
    """
    scores, labels = np.asarray(score, dtype=np.float64), np.asarray(positive)
    counts = np.ones(scores.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if scores.ndim != 1 or not scores.shape == labels.shape == counts.shape:
        shapes = f"{scores.shape}, {labels.shape}, {counts.shape}"
        raise ValueError(f"score, positive and weights must be one-dimensional and equally long, got {shapes}")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise ValueError(f"score must be finite, got {bad} values that are not; drop these rows")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("positive must hold 0 and 1 only; drop rows without a label before measuring")
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError("weights must be finite and at least 0; 0 leaves a row out")
    return scores, labels.astype(np.int64), counts


def _called(scores: Floats, labels: NDArray[np.int64], counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores from high to low, and the weights of positives and negatives at or above each."""
    values, codes = np.unique(scores, return_inverse=True)
    hits = np.bincount(codes, weights=counts * labels, minlength=values.size)[::-1].cumsum()
    false = np.bincount(codes, weights=counts * (1 - labels), minlength=values.size)[::-1].cumsum()
    return values[::-1], hits, false


def _groups(groups: ArrayLike, scores: Floats) -> tuple[NDArray, list[Hashable]]:
    """Codes (-1 = missing) and sorted names."""
    labels = np.asarray(groups)
    if labels.shape != scores.shape:
        raise ValueError(f"groups must name one group per row, got shape {labels.shape} for {scores.shape}")
    codes, names = pd.factorize(labels, sort=True)
    return codes, list(names)


def _cut(threshold: float | Mapping[Hashable, float], name: Hashable) -> float:
    if not isinstance(threshold, Mapping):
        return float(threshold)
    if name not in threshold:
        raise ValueError(f"threshold must name every group, got none for {name}; see per_group, or pass one float")
    return float(threshold[name])


def _share(called: Floats, weights: Floats, *, rows: int, minimum: int) -> float:
    """Weighted share called positive; NaN with too few rows, or when no row weighs anything."""
    total = float(weights.sum())
    return float(called @ weights / total) if rows >= max(minimum, 1) and total > 0 else math.nan
