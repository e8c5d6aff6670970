"""Distance correlation by its definition, slow and plain, and how far the fast forms are from it.

Székely, Rizzo and Bakirov, Annals of Statistics 2007: both n x n distance matrices are centred by rows, columns and
mean, and their products summed. A column beside a set is whitened together with the set, and all matrices are made
again for every candidate, as the definition says (Das, Kasieczka and Shih 2022, arXiv 2212.00046).

Differences from `lib.select.distance_correlation`: nothing is shared or sorted, and whitening goes through the Cholesky
factor of the covariance, so that a mistake there is not repeated here. The comparisons draw pairs that are hard in
different ways: plain numbers, many ties, heavy tails, classes.

Conventions: squared values, biased form, y is never whitened. Seconds are processor time of one call, columns in
``_s``, so that a later run is not compared with them; memory 8 n^2 bytes a matrix, five at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from lib.select.distance_correlation import marginal_scores, target_columns
from lib.select.joint_distance_correlation import joint_scores

__all__ = [
    "KINDS", "centred_distance_correlation", "fast_against_naive", "recomputed_scores", "updated_against_recomputed",
]  # fmt: skip

KINDS = ("numbers", "ties", "heavy tails", "three classes")


def _centred(x: np.ndarray) -> np.ndarray:
    """Distances between rows, less the means of rows and columns, plus the grand mean."""
    distances = cdist(x, x)
    means = distances.mean(axis=1)
    distances -= means[:, None]
    distances -= means[None, :]
    return distances + means.mean()


def centred_distance_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Squared distance correlation from two double-centred matrices.

    Parameters
    ----------
    x, y : ndarray of shape (n,) or (n, columns), float
        Paired samples.

    Returns
    -------
    float, in [0, 1]
        0 = no dependence in this sample, or a constant; 1 = equal up to rotation, shift and one scale.

    Raises
    ------
    ValueError
        If the numbers of rows differ.

    Source
    ------
    Székely, Rizzo and Bakirov 2007, definitions 4 and 5.

    Examples
    --------
    >>> round(centred_distance_correlation(np.arange(4.0), 3 - 2 * np.arange(4.0)), 12)
    1.0
    """
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same number of rows, got {len(x)} and {len(y)}; pass paired samples")
    a, b = (_centred(np.asarray(one, dtype=np.float64).reshape(len(one), -1)) for one in (x, y))
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def recomputed_scores(selected: np.ndarray, candidates: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distance correlation of (selected, candidate) with y, everything made again for each candidate.

    Parameters
    ----------
    selected : ndarray of shape (n, k), float
        Columns of the set; k may be 0.
    candidates : ndarray of shape (n, m), float
        No linear functions of the set.
    y : ndarray of shape (n,) or (n, q), float

    Returns
    -------
    ndarray of shape (m,), float64, in [0, 1]
        What `lib.select.joint_distance_correlation.joint_scores` finds by updating.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a candidate is a linear function of the set.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 3))
    >>> np.allclose(recomputed_scores(x[:, :2], x[:, 2:], x[:, 0]), joint_scores(x[:, :2], x[:, 2:], x[:, 0]))
    True
    """
    found = []
    for candidate in candidates.T:
        joined = np.column_stack([selected, candidate])  # (n, k + 1)
        centred = joined - joined.mean(axis=0)
        factor = np.linalg.cholesky(centred.T @ centred / len(centred))
        found.append(centred_distance_correlation(np.linalg.solve(factor, centred.T).T, y))
    return np.array(found)


def _timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    started = time.process_time()
    found = function()
    return found, time.process_time() - started


def _pair(kind: str, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    """A column that says something about y, y, and what y is."""
    x = generator.standard_t(2, size=n) if kind == "heavy tails" else generator.standard_normal(n)
    y = x**2 + generator.standard_normal(n)
    if kind == "ties":
        return np.round(x), np.round(y), "numbers"
    if kind == "three classes":
        return x, np.digitize(y, [0.0, 1.5]), "classes"
    return x, y, "numbers"


def fast_against_naive(n: int, *, generator: np.random.Generator) -> pd.DataFrame:
    """One column against one target: sorting against two centred matrices.

    Parameters
    ----------
    n : int, >= 4
        Rows; 40 n^2 bytes at the peak.
    generator : numpy.random.Generator
        Draws the pairs.

    Returns
    -------
    DataFrame
        One row per kind of pair: ``kind, rows, difference`` (absolute, of the squared correlations), ``fast_s,
        naive_s``.

    Raises
    ------
    ValueError
        If ``n`` is below 4.

    Examples
    --------
    >>> found = fast_against_naive(50, generator=np.random.default_rng(0))
    >>> bool(found["difference"].max() < 1e-10)
    True
    """
    if n < 4:
        raise ValueError(f"n must be an int >= 4, got {n}; a few hundred rows already show the difference in time")
    rows = []
    for kind in KINDS:
        x, y, target = _pair(kind, n, generator)
        wanted = target_columns(y, target=target)
        fast, fast_s = _timed(lambda x=x, y=y, target=target: marginal_scores(x[:, None], y, target=target))  # type: ignore[misc]
        naive, naive_s = _timed(lambda x=x, wanted=wanted: np.array([centred_distance_correlation(x, wanted)]))  # type: ignore[misc]
        apart = float(np.abs(fast - naive).max())
        rows.append({"kind": kind, "rows": n, "difference": apart, "fast_s": fast_s, "naive_s": naive_s})
    return pd.DataFrame(rows)


def updated_against_recomputed(
    n: int, *, selected: int, n_candidates: int = 5, generator: np.random.Generator
) -> pd.DataFrame:
    """Candidates beside a set: one matrix updated against all matrices made again.

    Parameters
    ----------
    n : int, > selected + 1
        Rows; 40 n^2 bytes at the peak.
    selected : int, >= 0
        Columns of the set, correlated with one another and with the candidates.
    n_candidates : int, >= 1
    generator : numpy.random.Generator

    Returns
    -------
    DataFrame
        One row: ``selected, rows, difference`` (largest over candidates), ``updated_s, recomputed_s`` (a candidate).

    Raises
    ------
    ValueError
        If ``n`` is too small, or a count out of range.

    Examples
    --------
    >>> found = updated_against_recomputed(60, selected=2, generator=np.random.default_rng(0))
    >>> bool(found["difference"].max() < 1e-10)
    True
    """
    if selected < 0 or n_candidates < 1 or n <= selected + 1:
        raise ValueError(
            f"selected >= 0, n_candidates >= 1 and n > selected + 1 are needed, got {selected}, {n_candidates} and "
            f"{n}; more rows than columns can be whitened"
        )
    X = generator.standard_normal((n, selected + n_candidates))
    X += 0.5 * generator.standard_normal((n, 1))  # correlated columns: whitening has something to do
    y = (X[:, 0] * X[:, -1] > 0).astype(np.float64)
    picked, offered = X[:, :selected], X[:, selected:]
    updated, updated_s = _timed(lambda: joint_scores(picked, offered, y))
    again, recomputed_s = _timed(lambda: recomputed_scores(picked, offered, y))
    row = {"selected": selected, "rows": n, "difference": float(np.abs(updated - again).max())}
    seconds = {"updated_s": updated_s / n_candidates, "recomputed_s": recomputed_s / n_candidates}
    return pd.DataFrame([row | seconds])
