"""Scores of category columns against noise of the same cardinality: four estimates of one mutual information.

Škrlj and Mramor, OutRank, RecSys 2023 (arXiv 2309.01552) subtract what the same value counts say about shifted labels;
Vinh, Epps and Bailey, JMLR 11 (2010) subtract the exact expectation over all permutations, and divide.

- "plain": mutual information of the counts.
- "background": OutRank's, from `lib.select.outrank`: plain less that of one shift, singletons cancel.
- "exact": plain less its expectation under permutation; the same unit as "background", no second source of noise.
- "adjusted": "exact" over (mean of both entropies - expectation): scikit-learn's adjusted mutual information.

Differences: scikit-learn's adjusted score is computed here from one table of counts together with "exact"; the test
holds it against `sklearn.metrics.adjusted_mutual_info_score`.

Conventions: codes without gaps, nats ("adjusted": 1 = the classes themselves), larger is better. Signals are binary and
agree with the class in a share of the rows; their strength is counted in standard errors, 2 sqrt(n) (share - 1/2).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata
from sklearn.metrics.cluster import expected_mutual_information

from lib.data.planted import identifiers
from lib.select.discretised import category_codes
from lib.select.outrank import cardinality_information

__all__ = [
    "ESTIMATES",
    "agreement_of",
    "area_under_curve",
    "beside_copies",
    "draw_scores",
    "information_scores",
    "rows_in_runs",
]

ESTIMATES = ("plain", "background", "exact", "adjusted")


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def information_scores(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Four estimates of what one column of codes says about another.

    Parameters
    ----------
    x, y : ndarray of shape (n,), int, >= 0
        Codes without gaps (`lib.select.discretised.category_codes`); x has at least two values.

    Returns
    -------
    dict of str to float
        By `ESTIMATES`; about 0 = nothing beyond chance, but for "plain", which is never negative.

    Raises
    ------
    ValueError
        If the codes do not fit, as `lib.select.outrank.cardinality_information`.

    Examples
    --------
    >>> y = np.random.default_rng(0).integers(2, size=500)
    >>> {name: abs(round(value, 2)) for name, value in information_scores(np.arange(500), y).items()}
    {'plain': 0.69, 'background': 0.0, 'exact': 0.0, 'adjusted': 0.0}
    """
    plain = cardinality_information(x, y, correction="none")
    background = cardinality_information(x, y)
    values, classes = int(x.max()) + 1, int(y.max()) + 1
    counts = np.bincount(x.astype(np.int64) * classes + y, minlength=values * classes).reshape(values, classes)
    expected = float(expected_mutual_information(sparse.csr_matrix(counts), x.size))
    middle = (_entropy(counts.sum(axis=0)) + _entropy(counts.sum(axis=1))) / 2
    exact = plain - expected
    return {"plain": plain, "background": background, "exact": exact, "adjusted": exact / (middle - expected)}


def area_under_curve(signal: np.ndarray, noise: np.ndarray) -> float:
    """Chance that a signal's score is above one of noise, equal scores counted half.

    Parameters
    ----------
    signal, noise : ndarray of shape (m,) and (k,), float

    Returns
    -------
    float, in [0, 1]
        1 = every signal above all noise, 0.5 = no difference, 0 = every signal below.

    Raises
    ------
    ValueError
        If one of them is empty or not finite.

    Examples
    --------
    >>> area_under_curve(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    0.625
    """
    signal, noise = np.asarray(signal, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    if not signal.size or not noise.size or not (np.isfinite(signal).all() and np.isfinite(noise).all()):
        raise ValueError(
            f"signal and noise must hold finite scores, got {signal.size} and {noise.size} values; drop constant ones"
        )
    ranks = rankdata(np.concatenate([signal, noise]))[: signal.size]
    return float((ranks.sum() - signal.size * (signal.size + 1) / 2) / (signal.size * noise.size))


def agreement_of(strength: float, n: int) -> float:
    """Share of rows in which a binary column agrees with the class, for a strength in standard errors.

    Raises
    ------
    ValueError
        If n is too small for that strength.

    Examples
    --------
    >>> agreement_of(5.0, 10_000)
    0.525
    """
    share = 0.5 + strength / (2 * np.sqrt(n))
    if not 0.5 < share <= 1:
        raise ValueError(f"strength must be in (0, sqrt(n)] = (0, {np.sqrt(n):.1f}], got {strength}; take more rows")
    return float(share)


def draw_scores(
    n: int,
    *,
    strength: float = 5.0,
    spread: int = 100,
    cardinalities: tuple[int, ...] = (10, 100, 1000),
    n_draws: int = 20,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Scores of signals, noise and an identifier in independent tables of equal law.

    Parameters
    ----------
    n : int
        Rows.
    strength : float
        Of the signal, standard errors.
    spread : int, even
        Values over which a second signal is spread: the first one's bit, and chance for the rest.
    cardinalities : tuple of int
        Of the noise columns, each uniform over its values.
    n_draws : int, >= 1
        Tables.
    generator : numpy.random.Generator

    Returns
    -------
    DataFrame
        One row per table and column: ``draw``, ``column`` ("signal", "spread signal", "noise of 10", "identifier"),
        and the four `ESTIMATES`.

    Raises
    ------
    ValueError
        If ``spread`` is odd or below 4, or as `agreement_of` and `lib.data.planted.identifiers`.

    Examples
    --------
    >>> found = draw_scores(200, cardinalities=(4,), n_draws=2, generator=np.random.default_rng(0))
    >>> found["column"].tolist()[:4]
    ['signal', 'spread signal', 'identifier', 'noise of 4']
    """
    if spread < 4 or spread % 2:
        raise ValueError(f"spread must be an even number >= 4, got {spread}; half of the values stand for each bit")
    share = agreement_of(strength, n)
    rows: list[dict[str, float | str]] = []
    for draw in range(n_draws):
        table = identifiers(
            n, n_relevant=1, agreement=share, n_identifiers=1, cardinalities=cardinalities, generator=generator
        )
        columns = dict(zip((name.rpartition(" ")[0] for name in table.names), table.X.T, strict=True))
        bit = columns.pop("relevant")
        columns = {"signal": bit, "spread signal": bit + 2 * generator.integers(spread // 2, size=n)} | dict(
            sorted(columns.items())
        )
        for name, values in columns.items():
            found = information_scores(category_codes(values)[0], table.y)
            rows.append({"draw": draw, "column": name, **found})
    return pd.DataFrame(rows)


def beside_copies(X: np.ndarray, y: np.ndarray, *, generator: np.random.Generator) -> pd.DataFrame:
    """Scores of a table's columns and of their shuffled copies, every distinct value a category.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Raw values, not cut into bins; constant columns are left out.
    y : ndarray of shape (n,)
        Classes.
    generator : numpy.random.Generator
        Orders the rows first (the background needs unrelated neighbours), then the copies.

    Returns
    -------
    DataFrame
        One row per column and copy: ``kind`` ("column", "copy"), ``number`` of the column, ``values`` (distinct), and
        the four `ESTIMATES`.

    Raises
    ------
    ValueError
        If X and y have different numbers of rows.

    Examples
    --------
    >>> y = np.arange(60) % 2
    >>> found = beside_copies(np.c_[y, np.ones(60)], y, generator=np.random.default_rng(0))
    >>> found[["kind", "number", "values"]].values.tolist()
    [['column', 0, 2], ['copy', 0, 2]]
    """
    if len(X) != len(y):
        raise ValueError(f"X and y must have the same number of rows, got {len(X)} and {len(y)}; pass one class a row")
    order = generator.permutation(len(y))
    classes = category_codes(np.asarray(y)[order])[0]
    rows: list[dict[str, float | str]] = []
    for number, column in enumerate(np.asarray(X)[order].T):
        codes, values = category_codes(column)
        if values > 1:
            for kind, one in (("column", codes), ("copy", generator.permutation(codes))):
                rows.append({"kind": kind, "number": number, "values": values, **information_scores(one, classes)})
    return pd.DataFrame(rows)


def rows_in_runs(y: np.ndarray, length: int, generator: np.random.Generator) -> np.ndarray:
    """An order of the rows in which equal classes tend to follow one another, as in a log or a sorted file.

    Parameters
    ----------
    y : ndarray of shape (n,), int
        Classes.
    length : int in 1..n
        Width of the window over which white noise is averaged before rows are handed out by its size: 1 = any order,
        larger = longer runs, n = sorted by class.
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n,), int64
        A permutation of the rows.

    Raises
    ------
    ValueError
        If ``length`` is out of range.

    Examples
    --------
    >>> y = np.array([1, 0, 1, 0])
    >>> y[rows_in_runs(y, 4, np.random.default_rng(0))].tolist()
    [0, 0, 1, 1]
    """
    n = len(y)
    if not 1 <= length <= n:
        raise ValueError(f"length must be in 1..{n}, the number of rows, got {length}")
    if length == n:
        return np.argsort(y, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(generator.standard_normal(n + length - 1))])
    places = np.argsort(total[length:] - total[:-length], kind="stable")  # (n,) times, lowest first
    order = np.empty(n, dtype=np.int64)
    order[places] = np.argsort(np.asarray(y) + generator.random(n) / 2, kind="stable")  # chance within a class
    return order
