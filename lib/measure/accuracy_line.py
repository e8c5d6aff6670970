"""Accuracy of one group against accuracy of another over many models: a line, or a curve?

Miller et al. 2021 (arXiv:2107.04649) draw one accuracy against another on probit axes and find a line; Liang et al.
2023 (arXiv:2305.02995) find a bent band, a "moon", between the groups of a spurious correlation. Here the bend is the
coefficient of a parabola, and its worth against the line a difference of Akaike's criterion (Akaike 1974). Differences:
accuracies at 0 and 1 are moved by half a film before the probit; least squares, all models with the same weight.

Conventions: x is the majority's and y the minority's probit, float (models,). Models that share their training and test
films are not independent. Criterion and bootstrap treat them as if they were, so both describe one draw of the data;
evidence comes from many draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
ENDS = (0.05, 0.95)  # quantiles of x that count as the ends of a curve
SPREAD = 1e-9  # a smaller range of x is one point


@dataclass(frozen=True)
class Curve:
    """A polynomial through the models.

    Attributes
    ----------
    coefficients : tuple of float
        Intercept, slope and so on, by rising power; NaN where x has too few different values.
    aic : float
        Akaike's criterion with Gaussian residuals, the coefficients counted, the variance not; smaller = better.
    n : int
        Models.
    """

    coefficients: tuple[float, ...]
    aic: float
    n: int

    def at(self, x: ArrayLike) -> Floats:
        """Height of the curve over x."""
        return np.asarray(
            np.polynomial.polynomial.polyval(np.asarray(x, dtype=np.float64), self.coefficients), np.float64
        )

    def slope(self, x: float) -> float:
        """Rise of y for a small rise of x; 1 = both groups gain alike, below 0 = the minority pays."""
        return float(np.polynomial.polynomial.polyval(x, np.polynomial.polynomial.polyder(self.coefficients)))


def probit(accuracy: ArrayLike, n: int) -> Floats:
    """Normal quantile of an accuracy over n films; 0 = half of them right.

    Parameters
    ----------
    accuracy : array_like of float in [0, 1]
    n : int
        Films behind each accuracy. Values are kept within 1 / (2 n) and 1 - 1 / (2 n), so that none or all right
        stays finite.

    Returns
    -------
    float64 ndarray, shape of ``accuracy``

    Raises
    ------
    ValueError
        If n is below 1 or an accuracy is not in [0, 1].

    Examples
    --------
    >>> probit([0.5, 1.0], 100).round(3).tolist()
    [0.0, 2.576]
    """
    values = np.asarray(accuracy, dtype=np.float64)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}; pass the number of films behind an accuracy")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"accuracy must be in [0, 1], got {values.min()} to {values.max()}; write percent as fractions"
        )
    return ndtri(np.clip(values, 0.5 / n, 1 - 0.5 / n))


def fit(x: ArrayLike, y: ArrayLike, *, degree: int) -> Curve:
    """Least squares polynomial through the models.

    Parameters
    ----------
    x, y : array_like of float, shape (models,)
    degree : int
        1 = a line, 2 = a parabola.

    Returns
    -------
    Curve
        With NaN everywhere if x has no more than ``degree`` different values. A perfect fit has criterion -inf.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or the degree is below 1.

    Source
    ------
    Akaike 1974: n (log(2 pi RSS / n) + 1) + 2 (degree + 1).

    Examples
    --------
    >>> [round(c, 6) for c in fit([0, 1, 2, 3], [1, 3, 7, 13], degree=2).coefficients]
    [1.0, 1.0, 1.0]
    """
    x, y = _pair(x, y)
    if degree < 1:
        raise ValueError(f"degree must be at least 1, got {degree}; 1 is a line and 2 a parabola")
    if _distinct(x) <= degree:
        return Curve((math.nan,) * (degree + 1), math.nan, x.size)
    centre = x.mean()
    design = np.vander(x - centre, degree + 1, increasing=True)
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    rest = float(((y - design @ weights) ** 2).sum())
    shifted = np.polynomial.Polynomial(weights)(np.polynomial.Polynomial([-centre, 1.0]))
    coefficients = np.zeros(degree + 1)
    coefficients[: shifted.coef.size] = shifted.coef
    level = math.log(2 * math.pi * rest / x.size) if rest > 0 else -math.inf
    return Curve(tuple(map(float, coefficients)), x.size * (level + 1) + 2 * (degree + 1), x.size)


def bend(x: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """How far the models are from a line.

    Parameters
    ----------
    x, y : array_like of float, shape (models,)

    Returns
    -------
    dict of str to float
        "curvature", the quadratic coefficient: above 0 = a moon open to the top, 0 = a line; "delta_aic", criterion of
        the line minus that of the parabola: above 0 = the parabola is worth its coefficient; "slope", of the line;
        "first_slope" and "last_slope", of the parabola at the 5 % and 95 % quantile of x; "sag", how far the parabola
        hangs below its chord between these, halfway, in probits; "range", their distance. NaN if x has too few values.

    Raises
    ------
    ValueError
        As `fit`.

    Examples
    --------
    >>> round(bend([0, 1, 2, 3], [0, 1, 4, 9])["curvature"], 6)
    1.0
    """
    x, y = _pair(x, y)
    line, parabola = fit(x, y, degree=1), fit(x, y, degree=2)
    low, high = (float(end) for end in np.quantile(x, ENDS))
    curvature = parabola.coefficients[2]
    return {
        "curvature": curvature,
        "delta_aic": line.aic - parabola.aic,
        "slope": line.coefficients[1],
        "first_slope": parabola.slope(low),
        "last_slope": parabola.slope(high),
        "sag": curvature * ((high - low) / 2) ** 2,
        "range": high - low,
    }


def bend_interval(
    x: ArrayLike, y: ArrayLike, *, generator: np.random.Generator, n_boot: int = 1000
) -> tuple[float, float]:
    """95 % percentile interval of the curvature over resampled models.

    It answers "what if other models of this kind had been trained on the same films", not "what if other patients had
    come"; models that share films are resampled as if they were independent.

    Parameters
    ----------
    x, y : array_like of float, shape (models,)
    generator : numpy.random.Generator
    n_boot : int
        Resamples; those with fewer than three different x are left out.

    Returns
    -------
    (float, float)
        NaN if more than one resample in ten is left out.

    Raises
    ------
    ValueError
        As `fit`, and if ``n_boot`` is below 1.
    """
    x, y = _pair(x, y)
    if n_boot < 1:
        raise ValueError(f"n_boot must be at least 1, got {n_boot}; 1000 is usual")
    picks = generator.integers(0, x.size, (n_boot, x.size))
    found = _curvatures(x[picks], y[picks])
    kept = found[np.isfinite(found)]
    if kept.size < 0.9 * n_boot:
        return math.nan, math.nan
    low, high = np.quantile(kept, [0.025, 0.975])
    return float(low), float(high)


def _curvatures(x: Floats, y: Floats) -> Floats:
    """Coefficient of the square in every row of (rows, models): of y on what a line leaves of the square."""
    x = x - x.mean(1, keepdims=True)
    square = x**2 - (x**2).mean(1, keepdims=True)
    across = (x**2).sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = square - x * ((x * square).sum(1, keepdims=True) / across)
        known = (rest**2).sum(1) > 1e-9 * (x**4).sum(1)
        return np.where(known, (rest * y).sum(1) / (rest**2).sum(1), math.nan)


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    first, second = (np.asarray(values, dtype=np.float64) for values in (x, y))
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise ValueError(f"x and y must be (models,) alike, got {first.shape} and {second.shape}; one value per model")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("x and y must be finite, got NaN or infinity; clip accuracies with probit, leave out NaN")
    return first, second


def _distinct(x: Floats) -> int:
    """Different values, closer ones counted once."""
    return 1 + int((np.diff(np.sort(x)) > SPREAD).sum())
