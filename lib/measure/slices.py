"""Find slices of a test set on which a model fails, without being told what sets them apart: an error-aware mixture.

Eyuboglu et al. 2022, Domino (arXiv:2203.14960): a mixture whose components explain a patient's features, the label and
the model's prediction together, so that a slice is alike in looks and in error. Olesen et al. 2024 (arXiv:2406.12142)
fit a Gaussian mixture to features of the penultimate layer, to sick and healthy apart, and rank its clusters by their
Brier score; `rank_slices` does that within any rows. Differences: the covariance is diagonal, label and prediction are
Bernoulli with the prediction as a soft count, and the slices hold the rows on which they were fitted.

Conventions: features float (n, d) of about unit variance; labels 0 or 1; predictions in [0, 1]; a membership is a
probability over slices and sums to 1 in every row. What is maximised is the mean over rows of
``log sum_k share_k N(features) [Bernoulli(label) Bernoulli(prediction)] ** weight``; no step can lower it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

__all__ = ["Mixture", "fit_slices", "membership", "rank_slices"]

Floats = NDArray[np.float64]
SMALLEST_VARIANCE = 1e-3  # of a feature within a slice
SMALLEST_CHANCE = 1e-3  # of a label or a prediction within a slice, and of its opposite


@dataclass(frozen=True)
class Mixture:
    """Slices of a data set.

    Attributes
    ----------
    share : ndarray (slices,)
        Of the rows; sums to 1.
    mean, variance : ndarray (slices, d)
        Of the features.
    label, prediction : ndarray (slices,)
        Share of positives, and mean prediction, in [0, 1].
    weight : float
        What one label and one prediction count, beside one feature vector; 0 = errors do not matter.
    objective : ndarray (steps,)
        After every step, in nats per row; never falls.
    """

    share: Floats
    mean: Floats
    variance: Floats
    label: Floats
    prediction: Floats
    weight: float
    objective: Floats


def fit_slices(
    features: ArrayLike,
    label: ArrayLike,
    prediction: ArrayLike,
    *,
    slices: int,
    generator: np.random.Generator,
    weight: float = 10.0,
    restarts: int = 3,
    steps: int = 100,
    tolerance: float = 1e-5,
) -> Mixture:
    """Fit the mixture by expectation and maximisation, from several starts, and keep the best.

    Parameters
    ----------
    features : array_like of float (n, d)
    label : array_like of 0/1 (n,)
    prediction : array_like of float in [0, 1] (n,)
    slices : int
        Components, 1 to n.
    generator : numpy.random.Generator
        Draws the rows around which a start groups all others.
    weight : float >= 0
    restarts, steps : int >= 1
        Starts, and steps of each.
    tolerance : float
        A start ends when a step gains less, nats per row.

    Returns
    -------
    Mixture

    Raises
    ------
    ValueError
        If shapes or values are out of range.

    Source
    ------
    Domino, section on the error-aware mixture; the variance and the chances are bounded from below, which bounds the
    maximum that a step may reach and so keeps the objective rising.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = np.repeat([[0.0], [5.0]], 20, axis=0) + rng.normal(size=(40, 1))
    >>> found = fit_slices(z, np.arange(40) % 2, np.full(40, 0.5), slices=2, generator=rng)
    >>> sorted(found.share.round(2).tolist())
    [0.5, 0.5]
    """
    z, y, p = _checked(features, label, prediction)
    if not 1 <= slices <= len(z):
        raise ValueError(f"slices must be in 1..{len(z)} for {len(z)} rows, got {slices}; pass e.g. 8")
    if min(restarts, steps) < 1 or weight < 0:
        raise ValueError(f"restarts and steps must be at least 1 and weight at least 0, got {restarts, steps, weight}")
    best = None
    for _ in range(restarts):
        centres = z[generator.choice(len(z), slices, replace=False)]
        nearest = ((z[:, None] - centres) ** 2).sum(-1).argmin(1)  # (n,)
        found = _climb(z, y, p, np.eye(slices)[nearest], weight=weight, steps=steps, tolerance=tolerance)
        if best is None or found.objective[-1] > best.objective[-1]:
            best = found
    assert best is not None
    return best


def membership(mixture: Mixture, features: ArrayLike, label: ArrayLike, prediction: ArrayLike) -> Floats:
    """Probability of every slice for every row, float (n, slices); the rows may be new.

    Raises
    ------
    ValueError
        As :func:`fit_slices`; if the features have another number of columns than those of the fit.
    """
    z, y, p = _checked(features, label, prediction)
    if z.shape[1] != mixture.mean.shape[1]:
        raise ValueError(f"features must have {mixture.mean.shape[1]} columns as in the fit, got {z.shape[1]}")
    joint = _joint(z, y, p, mixture)
    return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))


def rank_slices(
    membership: ArrayLike, error: ArrayLike, *, rows: ArrayLike | None = None, minimum: int = 20
) -> pd.DataFrame:
    """Slices by the mean error of the rows that belong to them most, the worst first.

    Parameters
    ----------
    membership : array_like (n, slices)
    error : array_like of float (n,)
        One per row, for instance the squared error of a probability, whose mean is the Brier score.
    rows : array_like of bool (n,), optional
        The only rows that count, for instance the sick; default all.
    minimum : int
        Slices with fewer such rows are left out.

    Returns
    -------
    DataFrame
        slice (column of the membership), n, error; no row if all slices are too small.

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> rank_slices(np.eye(2)[[0, 0, 1, 1]], [0.1, 0.2, 0.6, 0.8], minimum=2)["slice"].tolist()
    [1, 0]
    """
    weights, errors = np.asarray(membership, dtype=float), np.asarray(error, dtype=float)
    kept = np.ones(errors.shape, bool) if rows is None else np.asarray(rows, dtype=bool)
    if weights.ndim != 2 or errors.shape != (len(weights),) or kept.shape != errors.shape:
        shapes = (weights.shape, errors.shape, kept.shape)
        raise ValueError(f"membership, error and rows must have one row per patient, got {shapes}; align them")
    owner = pd.Series(weights.argmax(1)[kept], name="slice")
    found = pd.Series(errors[kept]).groupby(owner).agg(n="size", error="mean").reset_index()
    return found[found["n"] >= minimum].sort_values("error", ascending=False, kind="stable").reset_index(drop=True)


def _climb(z: Floats, y: Floats, p: Floats, start: Floats, *, weight: float, steps: int, tolerance: float) -> Mixture:
    """One run of expectation and maximisation from memberships (n, slices)."""
    mixture, reached = _maximise(z, y, p, start, weight), []
    for _ in range(steps):
        joint = _joint(z, y, p, mixture)  # (n, slices)
        total = logsumexp(joint, axis=1, keepdims=True)
        reached.append(float(total.mean()))
        if len(reached) > 1 and reached[-1] - reached[-2] < tolerance:
            break
        if len(reached) < steps:
            mixture = _maximise(z, y, p, np.exp(joint - total), weight)
    parts = (mixture.share, mixture.mean, mixture.variance, mixture.label, mixture.prediction)
    return Mixture(*parts, weight, np.array(reached))


def _maximise(z: Floats, y: Floats, p: Floats, belongs: Floats, weight: float) -> Mixture:
    """The best parameters, given memberships (n, slices)."""
    mass = belongs.sum(0)
    inner = belongs / np.maximum(mass, 1e-12)  # columns sum to 1, or to 0 where a slice is empty
    mean = inner.T @ z
    variance = np.maximum(inner.T @ z**2 - mean**2, SMALLEST_VARIANCE)
    chances = [np.clip(inner.T @ part, SMALLEST_CHANCE, 1 - SMALLEST_CHANCE) for part in (y, p)]
    return Mixture(mass / len(z), mean, variance, chances[0], chances[1], weight, np.array([]))


def _joint(z: Floats, y: Floats, p: Floats, m: Mixture) -> Floats:
    """Logarithm of what is summed over the slices, (n, slices)."""
    precision = 1 / m.variance
    squares = z**2 @ precision.T - 2 * z @ (m.mean * precision).T + (m.mean**2 * precision).sum(1)
    normal = -0.5 * (squares + np.log(m.variance).sum(1) + z.shape[1] * math.log(2 * math.pi))
    coins = sum(
        np.outer(part, np.log(chance)) + np.outer(1 - part, np.log1p(-chance))
        for part, chance in ((y, m.label), (p, m.prediction))
    )
    with np.errstate(divide="ignore"):
        return np.log(m.share) + normal + m.weight * coins


def _checked(features: ArrayLike, label: ArrayLike, prediction: ArrayLike) -> tuple[Floats, Floats, Floats]:
    z, y, p = (np.asarray(part, dtype=np.float64) for part in (features, label, prediction))
    if z.ndim != 2 or not len(z) or y.shape != (len(z),) or p.shape != y.shape:
        shapes = (z.shape, y.shape, p.shape)
        raise ValueError(f"features must be (n, d), label and prediction (n,), got {shapes}; give one row per patient")
    if not np.isin(y, (0, 1)).all() or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("label must be 0 or 1 and prediction in [0, 1]; pass probabilities, not logits")
    if not np.isfinite(z).all():
        raise ValueError("features must be finite, got NaN or infinite values; drop or fill those rows")
    return z, y, p
