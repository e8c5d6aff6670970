"""The mechanics of :mod:`lib.stats`: resamples of rows and clusters, and one-sided tails of each distribution.

Source: Davison & Hinkley 1997, section 3.8, for the two-stage bootstrap; Hesterberg 2015, arXiv:1411.5279, for the
expanded percentile tail. Difference from them: clusters that all seeds share (the same test patients) are resampled
once for all seeds, so that their error is not averaged away over seeds.

Conventions: a tail is ``tail(..., threshold, side) -> p``, where ``side`` is ``"greater"`` or ``"less"`` and a small p
says that the effect lies on that side of the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

Floats = NDArray[np.float64]
CELLS = 4_000_000  # picks of clusters held in memory at once


def resample_rows(clusters: NDArray, *, n_boot: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Row numbers of ``n_boot`` resamples of whole clusters.

    Parameters
    ----------
    clusters : ndarray, shape (rows,)
        The cluster of each row.
    n_boot : int
        Resamples.
    generator : numpy.random.Generator
        Source of the resamples.

    Yields
    ------
    ndarray of int64
        As many clusters as there are, drawn with replacement; each with all its rows.
    """
    _, codes = np.unique(clusters, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    for _ in range(n_boot):
        picks = generator.integers(0, sizes.size, sizes.size)
        lengths = sizes[picks]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        yield order[np.repeat(starts[picks], lengths) + within]


def cluster_sums(values: Sequence[Floats], clusters: Sequence[ArrayLike] | None) -> tuple[list[Floats], bool]:
    """Sum and count of the values per cluster and seed.

    Parameters
    ----------
    values : sequence of ndarray, each of shape (units,)
        Per seed, one effect per unit.
    clusters : sequence of array_like, each of shape (units,), or None
        Per seed, the cluster of each unit; None = every unit is its own.

    Returns
    -------
    tables : list of ndarray, each of shape (clusters, 2)
        Per seed, sum and count per cluster, clusters in sorted order.
    crossed : bool
        Whether all seeds hold the same clusters (never for ``clusters=None``).

    Raises
    ------
    ValueError
        If clusters and values differ in length.
    """
    if clusters is None:
        return [np.stack([each, np.ones_like(each)], axis=1) for each in values], False
    labels = [np.asarray(each) for each in clusters]
    if [each.shape for each in labels] != [each.shape for each in values]:
        raise ValueError(
            f"clusters must hold one id per value, got shapes {[each.shape for each in labels]} for "
            f"{[each.shape for each in values]}; pass one array of ids per seed"
        )
    tables, known = [], []
    for each, ids in zip(values, labels, strict=True):
        names, codes = np.unique(ids, return_inverse=True)
        tables.append(np.stack([np.bincount(codes, weights=each), np.bincount(codes).astype(np.float64)], axis=1))
        known.append(names)
    return tables, all(np.array_equal(names, known[0]) for names in known)


def two_stage_error(tables: Sequence[Floats], *, crossed: bool, n_boot: int, generator: np.random.Generator) -> float:
    """Bootstrap standard error of the mean of the seeds' means, resampling seeds and then clusters.

    Parameters
    ----------
    tables : sequence of ndarray, each of shape (clusters, 2)
        Per seed, sum and count per cluster.
    crossed : bool
        One draw of clusters for all seeds of a resample, instead of one per drawn seed.
    n_boot : int
        Resamples.
    generator : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    float
        In the unit of the values; 0 when nothing varies.
    """
    n = len(tables)
    seeds = generator.integers(0, n, (n_boot, n))
    means = np.empty((n_boot, n))
    for seed, table in enumerate(tables if not crossed else []):
        where = seeds == seed
        means[where] = _means_of_picks(table[:, None, :], int(where.sum()), generator)[:, 0]
    if crossed:
        drawn = _means_of_picks(np.stack(list(tables), axis=1), n_boot, generator)  # (n_boot, seeds)
        means = np.take_along_axis(drawn, seeds, axis=1)
    return float(means.mean(axis=1).std(ddof=1))


def _means_of_picks(table: Floats, draws: int, generator: np.random.Generator) -> Floats:
    """Means, shape (draws, columns), of clusters drawn with replacement from ``table`` (clusters, columns, 2)."""
    size = table.shape[0]
    flat = table.reshape(size, -1)
    totals = np.empty((draws, flat.shape[1]))
    step = max(1, CELLS // (size * flat.shape[1]))
    for start in range(0, draws, step):
        picks = generator.integers(0, size, (min(step, draws - start), size))
        totals[start : start + len(picks)] = flat[picks].sum(axis=1)
    sums = totals.reshape(draws, table.shape[1], 2)
    return sums[..., 0] / sums[..., 1]


def unknown_tail(threshold: float, side: str) -> float:
    """The tail of an estimate that cannot be tested: always NaN."""
    return math.nan


def t_tail(point: float, error: float, df: int, threshold: float, side: str) -> float:
    """Student's t tail; without any error the answer is certain (0 or 1)."""
    distance = point - threshold if side == "greater" else threshold - point
    if error > 0:
        return float(distributions.t.sf(distance / error, df))
    return 0.0 if distance > 0 else 1.0


def percentile_tail(draws: Floats, stretch: float, df: int, threshold: float, side: str) -> float:
    """Share of resamples beyond the threshold, passed through the expansion that the percentile interval uses.

    Parameters
    ----------
    draws : ndarray, shape (n_boot,)
        Finite resampled statistics.
    stretch : float
        ``sqrt(n / (n - 1))`` for n clusters.
    df : int
        ``n - 1``.
    threshold : float
    side : {"greater", "less"}
    """
    against = int((draws <= threshold).sum() if side == "greater" else (draws >= threshold).sum())
    share = (1 + against) / (draws.size + 1)
    return float(distributions.t.sf(distributions.norm.isf(share) / stretch, df)) if share < 1 else 1.0


def page_tail(
    rho_tail: Callable[[float, str], float], p_up: float, p_down: float, threshold: float, side: str
) -> float:
    """Page's p joined to the t tail of the correlations wherever the threshold claims at least "no trend"."""
    claims_up, claims_down = side == "greater" and threshold >= 0, side == "less" and threshold <= 0
    own = p_up if claims_up else p_down if claims_down else 0.0
    return max(own, rho_tail(threshold, side))


def binomial_tail(successes: int, trials: int, chance: float, threshold: float, side: str) -> float:
    """Exact binomial p of the share against ``chance + threshold``, held inside [0, 1]."""
    share = min(max(chance + threshold, 0.0), 1.0)
    return float(distributions.binomtest(successes, trials, share, alternative=side).pvalue)
