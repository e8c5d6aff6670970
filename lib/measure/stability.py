"""How much of a choice of columns survives other rows: Nogueira's stability, with its interval.

Nogueira, Sechidis and Brown 2018, "On the Stability of Feature Selection Algorithms", JMLR 18(174), Definition 4 and
Theorem 7. With Z the (M, d) matrix of choices, p_f the share of the M choices that hold column f and k the mean size,
stability = 1 - mean_f(M / (M - 1) p_f (1 - p_f)) / (k/d (1 - k/d)).

1 = always the same columns, 0 = no more overlap than random columns of the same number, negative = less than that.
For choices of equal size it equals the mean Kuncheva index of all pairs (``kuncheva``), and works where sizes differ.

Differences: none in the estimate. Half-samples overlap, so the M choices are not independent; the interval is about the
M choices drawn, not about other patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata
from sklearn.base import clone

__all__ = ["Stability", "agreement", "half_samples", "kuncheva", "nogueira", "resampled_supports"]


@dataclass(frozen=True)
class Stability:
    """Stability of M choices among d columns.

    Attributes
    ----------
    estimate : float, at most 1
        1 = always the same columns, 0 = as random columns would do.
    low, high : float
        95 % interval, normal approximation.
    n_choices : int
        M.
    mean_size : float
        Mean number of chosen columns.
    """

    estimate: float
    low: float
    high: float
    n_choices: int
    mean_size: float


def _checked(choices: np.ndarray) -> np.ndarray:
    choices = np.asarray(choices)
    if choices.ndim != 2 or choices.shape[0] < 2:
        raise ValueError(f"choices must have shape (at least 2 choices, columns), got {choices.shape}")
    if not np.isin(choices, (0, 1)).all():
        raise ValueError("choices must hold only 0 and 1, got other values; pass support masks, not rankings")
    chosen = choices.astype(np.float64)
    if chosen.sum() in (0, chosen.size):
        raise ValueError("stability is undefined where no column or every column is chosen every time; select some")
    return chosen


def nogueira(choices: np.ndarray, *, level: float = 0.95) -> Stability:
    """Stability of Nogueira et al. with its asymptotic interval.

    Parameters
    ----------
    choices : ndarray of shape (M, d), bool or 0/1
        One row per resample, one column per feature.
    level : float in (0, 1)
        Coverage of the interval.

    Returns
    -------
    Stability
        See there for the meaning of 0 and 1.

    Raises
    ------
    ValueError
        If there are fewer than two choices, values other than 0 and 1, or nothing to choose between.

    Source
    ------
    Nogueira, Sechidis and Brown 2018, JMLR 18(174).

    Examples
    --------
    >>> nogueira(np.array([[1, 1, 0, 0], [1, 1, 0, 0]])).estimate
    1.0
    """
    chosen = _checked(choices)  # (M, d)
    n_choices, n_columns = chosen.shape
    sizes = chosen.sum(axis=1)
    share = chosen.mean(axis=0)
    fill = sizes.mean() / n_columns
    spread = fill * (1 - fill)
    estimate = 1 - (n_choices / (n_choices - 1)) * float(np.mean(share * (1 - share))) / spread
    each = (
        chosen @ share / n_columns
        - sizes * fill / n_columns
        + estimate / 2 * (sizes / n_columns + fill - 2 * sizes * fill / n_columns - 1)
    ) / spread  # (M,)
    error = float(np.sqrt(4 / n_choices**2 * np.sum((each - each.mean()) ** 2)))
    reach = float(norm.ppf((1 + level) / 2)) * error
    return Stability(
        estimate=float(estimate),
        low=float(estimate) - reach,
        high=min(1.0, float(estimate) + reach),
        n_choices=n_choices,
        mean_size=float(sizes.mean()),
    )


def kuncheva(choices: np.ndarray) -> float:
    """Mean over all pairs of choices of (common - k^2/d) / (k - k^2/d), for choices of one size k.

    Parameters
    ----------
    choices : ndarray of shape (M, d), bool or 0/1
        Every row holds the same number of columns.

    Returns
    -------
    float
        1 = always the same columns, 0 = as random columns would do.

    Raises
    ------
    ValueError
        If the sizes differ, or as in :func:`nogueira`.

    Source
    ------
    Kuncheva 2007, "A stability index for feature selection".
    """
    chosen = _checked(choices)
    sizes = chosen.sum(axis=1)
    if np.ptp(sizes) > 0:
        raise ValueError(f"choices must be of one size, got {sizes.min():.0f} to {sizes.max():.0f}; use nogueira")
    expected = sizes[0] ** 2 / chosen.shape[1]
    common = chosen @ chosen.T
    pairs = common[np.triu_indices(chosen.shape[0], k=1)]
    return float(np.mean((pairs - expected) / (sizes[0] - expected)))


def agreement(first: np.ndarray, second: np.ndarray, *, top: int) -> dict[str, float]:
    """Whether two scores of the same columns say the same.

    Parameters
    ----------
    first, second : ndarray of shape (d,), finite
        Larger is better. Values closer than 1e-9 of the largest count as ties, so that rounding decides nothing.
    top : int in 1..d
        Size of the two sets that are compared; ties by column number.

    Returns
    -------
    dict
        ``spearman`` in [-1, 1] (NaN if a score is constant) and ``overlap``, the share of the first's top columns that
        are also in the second's, in [0, 1].

    Raises
    ------
    ValueError
        If the shapes differ or ``top`` is out of range.

    Examples
    --------
    >>> agreement(np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0]), top=2)
    {'spearman': -1.0, 'overlap': 0.5}
    """
    if first.shape != second.shape or not 1 <= top <= first.size:
        raise ValueError(f"top must be in 1..{first.size} and shapes equal, got {top}, {first.shape}, {second.shape}")
    rounded = [np.round(scores / (np.abs(scores).max() or 1.0), 9) for scores in (first, second)]
    ranks = [rankdata(scores) - (first.size + 1) / 2 for scores in rounded]
    length = float(np.linalg.norm(ranks[0]) * np.linalg.norm(ranks[1]))
    best = [np.argsort(-scores, kind="stable")[:top] for scores in rounded]
    return {
        "spearman": round(float(ranks[0] @ ranks[1]) / length, 12) if length else float("nan"),
        "overlap": np.intersect1d(best[0], best[1]).size / top,
    }


def half_samples(
    y: np.ndarray, *, n_resamples: int, fraction: float = 0.5, generator: np.random.Generator
) -> list[np.ndarray]:
    """Row numbers of stratified subsamples without replacement.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Classes; each keeps its share, and at least two of its rows.
    n_resamples : int
        How many.
    fraction : float in (0, 1)
        Share of each class that is drawn.
    generator : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    list of ndarray of int64
        Sorted row numbers.

    Raises
    ------
    ValueError
        If ``fraction`` is out of range.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be in (0, 1), got {fraction}; 0.5 draws half of every class")
    y = np.asarray(y)
    groups = [np.flatnonzero(y == label) for label in np.unique(y)]
    counts = [min(rows.size, max(2, round(fraction * rows.size))) for rows in groups]
    samples = []
    for _ in range(n_resamples):
        drawn = [generator.permutation(rows)[:count] for rows, count in zip(groups, counts, strict=True)]
        samples.append(np.sort(np.concatenate(drawn)))
    return samples


def resampled_supports(
    selector: Any, X: np.ndarray, y: np.ndarray, samples: list[np.ndarray], *, generator: np.random.Generator
) -> np.ndarray:
    """Refit a selector on each subsample.

    Parameters
    ----------
    selector : estimator with ``fit`` and ``get_support``
        Cloned for each subsample; a ``random_state`` parameter gets a fresh seed each time.
    X : ndarray of shape (n, d), float64
    y : ndarray of shape (n,)
    samples : list of ndarray of int64
        Row numbers, see :func:`half_samples`. The same list for two selectors makes them comparable.
    generator : numpy.random.Generator
        Source of the seeds.

    Returns
    -------
    ndarray of shape (M, d), bool
        One support per subsample, ready for :func:`nogueira`.
    """
    supports = np.zeros((len(samples), X.shape[1]), dtype=bool)
    for row, rows in enumerate(samples):
        supports[row] = reseeded(selector, generator).fit(X[rows], y[rows]).get_support()
    return supports


def reseeded(selector: Any, generator: np.random.Generator) -> Any:
    """A clone; if it has a ``random_state`` parameter, with a fresh seed."""
    copy = clone(selector)
    if "random_state" in copy.get_params(deep=False):
        copy.set_params(random_state=int(generator.integers(2**31)))
    return copy
