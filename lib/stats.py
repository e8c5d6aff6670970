"""How sure: estimates of an effect with a 95 % interval and the evidence against any threshold.

Every estimator returns an :class:`Estimate`, which knows its point, its 95 % interval, its independent units and the
one-sided p value against *any* threshold, so that :mod:`lib.claims` can test against a smallest effect of interest.

Papers: Student's t on paired differences; Davison & Hinkley 1997 (two-stage bootstrap); Hesterberg 2015,
arXiv:1411.5279, section 4 (expanded percentile interval); Page 1963 (ordered alternatives); Schuirmann 1987 (two
one-sided tests); Nadeau & Bengio 2003 (corrected resampled t test); Clopper & Pearson 1934; Holm 1979.
Difference from them: tails and interval always belong to the same distribution, so a 95 % interval excludes a
threshold exactly when the one-sided p against it is below .025 (Page's test adds its own p for threshold zero).

Conventions: effects are signed and 0 means "no difference"; too few units or values that are not finite never raise,
they give an estimate with a ``reason`` (untested); malformed arguments raise ``ValueError``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

from lib import resampling

Floats = NDArray[np.float64]
LEVEL = 0.95  # coverage of every interval in the project


@dataclass(frozen=True)
class Estimate:
    """An effect, how sure we are of it, and what the certainty rests on.

    Attributes
    ----------
    estimate : float
        The effect, in the unit of the claim; 0 = no difference.
    low, high : float
        Ends of the 95 % interval; NaN when it cannot be tested.
    n : int
        Independent units (seeds, patients, splits, draws).
    unit : str
        What the ``n`` units are.
    method : str
        Name of the function that made it, the ``rule`` of a claim.
    p : float
        Two-sided p against no effect (:func:`page_trend`: one-sided, of a rise; :func:`equivalence`: of both tests).
    reason : str
        Why the effect counts as untested; empty when it can be tested.
    margin : float
        The equivalence margin it was tested with; NaN for all other rules.
    """

    estimate: float
    low: float
    high: float
    n: int
    unit: str
    method: str
    p: float
    reason: str = ""
    margin: float = math.nan
    tail: Callable[[float, str], float] = field(default=resampling.unknown_tail, repr=False, compare=False)

    def p_greater(self, threshold: float) -> float:
        """One-sided p of "the effect is at most ``threshold``"; small = the effect is greater."""
        return self.tail(threshold, "greater")

    def p_less(self, threshold: float) -> float:
        """One-sided p of "the effect is at least ``threshold``"; small = the effect is smaller."""
        return self.tail(threshold, "less")


def paired(differences: ArrayLike, *, unit: str = "seeds", min_n: int = 5) -> Estimate:
    """Mean of paired differences with a t interval; a single point if they do not vary.

    Parameters
    ----------
    differences : array_like of float, shape (n,)
        One difference per independent unit, in the unit of the claim.
    unit, min_n
        What the units are; fewer than ``min_n`` are untested.

    Raises
    ------
    ValueError
        If ``differences`` is not one-dimensional.

    Examples
    --------
    >>> paired([1, 2, 3, 4, 5]).estimate
    3.0
    """
    values = _vector(differences, "differences")
    reason = _too_few(values, unit=unit, min_n=min_n)
    error = float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
    return _t_estimate(_mean(values), error, values.size, unit=unit, method="paired", reason=reason)


def equivalence(differences: ArrayLike, *, margin: float, unit: str = "seeds", min_n: int = 5) -> Estimate:
    """Mean of paired differences; ``p`` is the larger of two one-sided t tests against ``-margin`` and ``margin``.

    Parameters
    ----------
    differences, unit, min_n
        As in :func:`paired`.
    margin : float
        Largest difference that does not matter, > 0; it must equal the claim's ``smallest_effect``.

    Raises
    ------
    ValueError
        If ``margin`` is not positive or ``differences`` is not one-dimensional.

    Source
    ------
    Schuirmann 1987; the interval is the 95 % one, the test agrees with the 90 % one.
    """
    if not margin > 0:
        raise ValueError(f"margin must be > 0, got {margin}; give the largest difference that does not matter")
    base = paired(differences, unit=unit, min_n=min_n)
    p = max(base.p_greater(-margin), base.p_less(margin))
    return Estimate(
        base.estimate, base.low, base.high, base.n, unit, "equivalence", p, base.reason, float(margin), base.tail
    )


def corrected_resampled(
    differences: ArrayLike, *, test_fraction: float, unit: str = "splits", min_n: int = 5
) -> Estimate:
    """Mean difference over random splits of one data set, with the corrected variance of Nadeau and Bengio.

    Parameters
    ----------
    differences, unit, min_n
        As in :func:`paired`; the unit is the random train/test split.
    test_fraction : float
        Number of test rows over number of training rows, > 0 (.25 for an 80/20 split).

    Raises
    ------
    ValueError
        If ``test_fraction`` is not positive or ``differences`` is not one-dimensional.

    Source
    ------
    Nadeau & Bengio 2003: the variance of the mean is ``(1 / n + n_test / n_train) * s ** 2``.
    """
    if not test_fraction > 0:
        raise ValueError(f"test_fraction must be n_test / n_train > 0, got {test_fraction}; an 80/20 split has 0.25")
    values = _vector(differences, "differences")
    reason = _too_few(values, unit=unit, min_n=min_n)
    spread = float(values.std(ddof=1)) if values.size > 1 else math.nan
    error = spread * math.sqrt(1 / max(values.size, 1) + test_fraction)
    return _t_estimate(_mean(values), error, values.size, unit=unit, method="corrected_resampled", reason=reason)


def hierarchical(
    values: Sequence[ArrayLike],
    *,
    generator: np.random.Generator,
    clusters: Sequence[ArrayLike] | None = None,
    unit: str = "seeds",
    min_n: int = 5,
    n_boot: int = 2000,
) -> Estimate:
    """Mean over seeds of the mean effect per unit, with a two-stage bootstrap standard error and a t interval.

    Parameters
    ----------
    values : sequence of array_like of float, each of shape (units,)
        Per seed, one effect per unit (patient, image). Every seed weighs the same.
    generator : numpy.random.Generator
    clusters : sequence of array_like, each of shape (units,), optional
        Per seed, the cluster (patient) of each unit; left out, each unit is its own cluster. If all seeds hold the same
        clusters, a resample of clusters is shared by its seeds (crossed); otherwise it is drawn in each seed (nested).
    unit, min_n
        As in :func:`paired`; the unit is the seed.
    n_boot : int

    Raises
    ------
    ValueError
        If a seed is empty, or clusters and values differ in length.

    Source
    ------
    Davison & Hinkley 1997, section 3.8; the standard error is multiplied by ``sqrt(n / (n - 1))`` and referred to t
    with ``n - 1`` degrees of freedom, so few seeds do not look surer than they are.
    """
    seeds = [_vector(each, f"values[{i}]") for i, each in enumerate(values)]
    if any(each.size == 0 for each in seeds):
        raise ValueError(
            f"values must hold units for every seed, got sizes {[s.size for s in seeds]}; drop empty seeds"
        )
    means = np.array([_mean(each) for each in seeds])
    reason = _too_few(means, unit=unit, min_n=min_n)
    error = math.nan
    if not reason:
        tables, crossed = resampling.cluster_sums(seeds, clusters)
        error = resampling.two_stage_error(tables, crossed=crossed, n_boot=n_boot, generator=generator)
        error *= math.sqrt(len(seeds) / (len(seeds) - 1))
    return _t_estimate(_mean(means), error, len(seeds), unit=unit, method="hierarchical", reason=reason)


def clustered(
    statistic: Callable[[NDArray[np.int64]], float],
    clusters: ArrayLike,
    *,
    generator: np.random.Generator,
    unit: str = "patients",
    n_boot: int = 1000,
    min_n: int = 20,
) -> Estimate:
    """Any statistic of rows with an expanded percentile interval over resampled clusters.

    Parameters
    ----------
    statistic : callable
        Takes an int64 array of row numbers (with repeats), returns the effect as a float; NaN = undefined there.
    clusters : array_like, shape (rows,)
        The cluster (patient) of each row.
    generator : numpy.random.Generator
    unit, min_n
        What the clusters are; fewer than ``min_n`` are untested.
    n_boot : int
        Resamples. A one-sided p is never below ``1 / (n_boot + 1)``.

    Returns
    -------
    Estimate
        Untested if the statistic is undefined on all rows or on more than one resample in ten.

    Source
    ------
    Hesterberg 2015, arXiv:1411.5279: percentiles widened so that few clusters keep their t coverage.
    """
    labels = np.asarray(clusters)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            f"clusters must have shape (rows,) and hold rows, got shape {labels.shape}; pass one id per row"
        )
    n = int(np.unique(labels).size)
    point = float(statistic(np.arange(labels.size, dtype=np.int64)))
    reason = f"{n} {unit}, fewer than {min_n}" if n < min_n else ""
    if not math.isfinite(point):
        reason = "the statistic is undefined on these rows"
    if reason:
        return _untestable(point, n, unit=unit, method="clustered", reason=reason)
    draws = np.array([statistic(rows) for rows in resampling.resample_rows(labels, n_boot=n_boot, generator=generator)])
    kept = np.sort(draws[np.isfinite(draws)])
    if kept.size < 0.9 * n_boot:
        reason = f"the statistic is undefined on {n_boot - kept.size} of {n_boot} resamples"
        return _untestable(point, n, unit=unit, method="clustered", reason=reason)
    stretch = math.sqrt(n / (n - 1))
    reach = distributions.norm.cdf(stretch * distributions.t.ppf((1 + LEVEL) / 2, n - 1))
    low, high = np.quantile(kept, [1 - reach, reach])
    tail = partial(resampling.percentile_tail, kept, stretch, n - 1)
    return Estimate(point, float(low), float(high), n, unit, "clustered", _two_sided(tail), "", math.nan, tail)


def page_trend(table: ArrayLike, *, unit: str = "seeds", min_n: int = 5) -> Estimate:
    """Trend over ordered conditions: mean Spearman correlation within blocks, tested by Page's L.

    Parameters
    ----------
    table : array_like of float, shape (n, k)
        One row per block (seed), one column per condition in the order in which the trend is claimed, k >= 3.
    unit, min_n
        As in :func:`paired`.

    Returns
    -------
    Estimate
        1 = every block rises without exception, 0 = no trend, -1 = every block falls. ``p`` is Page's one-sided p of an
        increase. Against a threshold beyond zero both Page's test and a t test of the correlations must agree.

    Raises
    ------
    ValueError
        If the table is not two-dimensional or has fewer than three columns.
    """
    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 3:
        raise ValueError(f"table must have shape (blocks, conditions >= 3), got {values.shape}; put seeds in rows")
    reason = _too_few(values.mean(axis=1), unit=unit, min_n=min_n)
    n, k = values.shape
    if reason:
        return _untestable(math.nan, n, unit=unit, method="page_trend", reason=reason)
    ranks = distributions.rankdata(values, axis=1)
    order = np.arange(1, k + 1) - (k + 1) / 2
    length = np.linalg.norm(ranks - (k + 1) / 2, axis=1) * np.linalg.norm(order)
    rho = np.divide((ranks - (k + 1) / 2) @ order, length, out=np.zeros(n), where=length > 0)
    p_up = float(distributions.page_trend_test(ranks, ranked=True).pvalue)
    p_down = float(distributions.page_trend_test(ranks[:, ::-1], ranked=True).pvalue)
    base = paired(rho, unit=unit, min_n=min_n)
    tail = partial(resampling.page_tail, base.tail, p_up, p_down)
    low, high = max(base.low, -1.0), min(base.high, 1.0)
    return Estimate(base.estimate, low, high, n, unit, "page_trend", p_up, "", math.nan, tail)


def exact_binomial(successes: int, trials: int, *, chance: float, unit: str = "draws", min_n: int = 20) -> Estimate:
    """Share of successes above chance, with Clopper and Pearson's exact interval.

    Parameters
    ----------
    successes, trials : int
        Counts, ``0 <= successes <= trials``.
    chance : float
        Share expected without an effect, in [0, 1]; it is subtracted from the estimate and its interval.
    unit, min_n
        As in :func:`paired`; the unit is the draw.

    Raises
    ------
    ValueError
        If the counts or ``chance`` are out of range.

    Source
    ------
    Clopper & Pearson 1934; scipy.stats.binomtest.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must be in 0..trials, got {successes} of {trials}; pass counts, not shares")
    if not 0 <= chance <= 1:
        raise ValueError(f"chance must be in [0, 1], got {chance}; it is a share, not percent")
    if trials < max(min_n, 1):
        share = successes / trials - chance if trials else math.nan
        reason = f"{trials} {unit}, fewer than {min_n}"
        return _untestable(share, trials, unit=unit, method="exact_binomial", reason=reason)
    test = distributions.binomtest(int(successes), int(trials), chance)
    interval = test.proportion_ci(LEVEL, method="exact")
    tail = partial(resampling.binomial_tail, int(successes), int(trials), float(chance))
    return Estimate(
        successes / trials - chance, interval.low - chance, interval.high - chance, int(trials), unit, "exact_binomial",
        float(test.pvalue), "", math.nan, tail,
    )  # fmt: skip


def holm(p_values: ArrayLike) -> Floats:
    """Holm-corrected p values, in the order given.

    Parameters
    ----------
    p_values : array_like of float in [0, 1], shape (m,)
        NaN counts as a member of the family without evidence (p = 1) and stays NaN.

    Examples
    --------
    >>> holm([0.01, 0.04]).tolist()
    [0.02, 0.04]
    """
    p = _vector(p_values, "p_values")
    known = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(known, kind="stable")
    steps = np.maximum.accumulate(known[order] * np.arange(p.size, 0, -1))
    corrected = np.empty_like(known)
    corrected[order] = np.minimum(steps, 1.0)
    return np.where(np.isnan(p), np.nan, corrected)


def _vector(values: ArrayLike, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}; average or flatten it first")
    return array


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan


def _too_few(values: Floats, *, unit: str, min_n: int) -> str:
    missing = int((~np.isfinite(values)).sum())
    if missing:
        return f"{missing} of {values.size} {unit} have no finite value"
    return f"{values.size} {unit}, fewer than {min_n}" if values.size < max(min_n, 2) else ""


def _untestable(point: float, n: int, *, unit: str, method: str, reason: str) -> Estimate:
    return Estimate(point, math.nan, math.nan, n, unit, method, math.nan, reason)


def _t_estimate(point: float, error: float, n: int, *, unit: str, method: str, reason: str) -> Estimate:
    if reason:
        return _untestable(point, n, unit=unit, method=method, reason=reason)
    reach = error * float(distributions.t.ppf((1 + LEVEL) / 2, n - 1))
    tail = partial(resampling.t_tail, point, error, n - 1)
    return Estimate(point, point - reach, point + reach, n, unit, method, _two_sided(tail), "", math.nan, tail)


def _two_sided(tail: Callable[[float, str], float]) -> float:
    return min(1.0, 2 * min(tail(0.0, "greater"), tail(0.0, "less")))
