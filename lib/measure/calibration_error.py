"""Whether a probability means what it says: expected calibration error, overall, per group, and by chance alone.

Guo et al. 2017 (arXiv:1706.04599), equation 3. Differences: the probability of a finding is binned, not the confidence
of the most likely class; next to the error stands the one that a perfectly calibrated model would show on as many
rows, since the error of few rows is never zero.

Conventions: bins of equal width over [0, 1], the last one closed; 0 = calibrated, 1 = always sure and always wrong.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lib.measure.fairness import MINIMUM, too_few

__all__ = ["BINS", "calibration_error", "calibration_floor", "error_by_group"]

BINS = 10
Floats = NDArray[np.float64]


def calibration_error(probability: ArrayLike, positive: ArrayLike, *, bins: int = BINS) -> float:
    """Mean over rows of the distance between a bin's mean probability and its share of positives.

    Parameters
    ----------
    probability : array_like of float in [0, 1], shape (n,)
    positive : array_like of 0/1, shape (n,)
        The truth.
    bins : int
        1 compares the two means only.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        For other shapes, values out of range, no rows or no bins.

    Examples
    --------
    >>> calibration_error([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 1])
    0.25
    """
    p, truth = _checked(probability, positive, bins)
    return float(_error(p, truth[:, None], bins)[0])


def calibration_floor(
    probability: ArrayLike, *, generator: np.random.Generator, draws: int = 100, bins: int = BINS
) -> float:
    """Mean error of these probabilities if they were true, from labels drawn with exactly these probabilities.

    Parameters
    ----------
    probability, bins
        As in `calibration_error`.
    generator : numpy.random.Generator
    draws : int
        Sets of labels.

    Returns
    -------
    float
        In [0, 1]; about proportional to 1 / sqrt(n).
    """
    p, _ = _checked(probability, np.zeros(np.shape(probability)), bins)
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}; a hundred give a steady mean")
    return float(_error(p, (generator.random((p.size, draws)) < p[:, None]).astype(float), bins).mean())


def error_by_group(
    probability: ArrayLike, positive: ArrayLike, groups: ArrayLike, *, bins: int = BINS, minimum: int = MINIMUM
) -> pd.DataFrame:
    """Calibration error within each group.

    Parameters
    ----------
    probability, positive, bins
        As in `calibration_error`.
    groups : array_like, shape (n,)
        The group of each row.
    minimum : int
        With fewer positives or fewer negatives the error is NaN.

    Returns
    -------
    DataFrame
        One row per group, sorted: group, n, positives, error in [0, 1] or NaN.
    """
    p, truth = _checked(probability, positive, bins)
    names = np.asarray(groups)
    rows = []
    for name in sorted(set(names.tolist())):
        inside = names == name
        enough = not too_few(truth[inside], minimum=minimum)
        error = calibration_error(p[inside], truth[inside], bins=bins) if enough else math.nan
        rows.append((name, int(inside.sum()), int(truth[inside].sum()), error))
    return pd.DataFrame(rows, columns=["group", "n", "positives", "error"])


def _error(p: Floats, truth: Floats, bins: int) -> Floats:
    """Error of each column of ``truth`` (n, draws): sum over bins of |sum of p - positives| / n."""
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    member = (place == np.arange(bins)[:, None]).astype(float)  # (bins, n)
    return np.abs(member @ (truth - p[:, None])).sum(axis=0) / p.size


def _checked(probability: ArrayLike, positive: ArrayLike, bins: int) -> tuple[Floats, Floats]:
    p, truth = np.asarray(probability, dtype=np.float64), np.asarray(positive, dtype=np.float64)
    if p.ndim != 1 or p.shape != truth.shape or p.size == 0:
        raise ValueError(
            f"probability and positive must be (n,) with n > 0, got {p.shape} and {truth.shape}; pass one finding"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probability must lie in [0, 1], got values outside or NaN; apply a sigmoid to logits first")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("positive must hold 0 and 1 only; measure against the truth, not against uncertain labels")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}; ten are usual")
    return p, truth
