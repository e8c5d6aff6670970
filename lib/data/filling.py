"""Ways to fill the holes of a table, honest ones and one that knows the classes, and a way to make more holes.

Rubin 1976 (doi:10.1093/biomet/63.3.581) for what holes may depend on; Kaufman et al. 2012 (doi:10.1145/2382577.2382579)
for leakage. `by_class` fills with the mean of a row's own class over all rows, as the loader of the Mice Protein table
in the public experiments of Concrete Autoencoders, LassoNet (arXiv:1907.12207) and Sequential Attention
(arXiv:2209.14881) sets out to do. `by_class_with_sentinel` is what that loader does: a hole is first the number
-100,000, and the mean is taken over the class with this number still in it, row after row. `by_column` knows training
rows only.

Conventions: a hole is NaN; the table that comes in is not changed; classes are 0..k-1 in no particular order.
"""

from __future__ import annotations

import warnings

import numpy as np

__all__ = ["FILLINGS", "SENTINEL", "by_class", "by_class_with_sentinel", "by_column", "filled", "hide"]

SENTINEL = -100_000.0
FILLINGS = ("public loader", "class mean", "training mean", "training median")  # the first two see every label


def hide(X: np.ndarray, share: float, *, generator: np.random.Generator) -> np.ndarray:
    """Make more holes, at random among the values that are there.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
    share : float in [0, 1)
        Of the values that are there.
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n, d), float64
        A copy with ``round(share * present)`` more NaN; the same generator state hides a superset for a larger share.

    Raises
    ------
    ValueError
        If ``share`` is out of range.

    Examples
    --------
    >>> int(np.isnan(hide(np.ones((4, 5)), 0.25, generator=np.random.default_rng(0))).sum())
    5
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be in [0, 1), got {share}; write 0.2 for 20 percent")
    made = np.array(X, dtype=np.float64)
    present = generator.permutation(np.flatnonzero(~np.isnan(made)))
    made.flat[present[: round(share * present.size)]] = np.nan
    return made


def by_column(X: np.ndarray, rows: np.ndarray, *, statistic: str = "mean") -> np.ndarray:
    """Fill each hole with its column's mean or median over some rows, the training rows.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
    rows : ndarray of int64
        Rows that the statistic may see.
    statistic : {"mean", "median"}

    Returns
    -------
    ndarray of shape (n, d), float64
        A column without any value in ``rows`` is filled with 0.

    Raises
    ------
    ValueError
        If ``statistic`` is neither word.

    Examples
    --------
    >>> by_column(np.array([[1.0], [3.0], [np.nan], [80.0]]), np.array([0, 1]))[:, 0].tolist()
    [1.0, 3.0, 2.0, 80.0]
    """
    if statistic not in ("mean", "median"):
        raise ValueError(f"statistic must be 'mean' or 'median', got {statistic!r}")
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # empty columns are dealt with below
        values = (np.nanmean if statistic == "mean" else np.nanmedian)(X[rows], axis=0)
    return np.where(np.isnan(X), np.nan_to_num(values), X)


def by_class(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fill each hole with the mean of its column over all rows of its own class: needs the label of every row.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
    y : ndarray of shape (n,)
        Classes, of test rows too.

    Returns
    -------
    ndarray of shape (n, d), float64
        Where a class has no value in a column, the column's mean over all rows.

    Raises
    ------
    ValueError
        If there is not one class per row.

    Examples
    --------
    >>> by_class(np.array([[1.0], [3.0], [np.nan], [80.0]]), np.array([0, 0, 0, 1]))[:, 0].tolist()
    [1.0, 3.0, 2.0, 80.0]
    """
    made, y = by_column(X, np.arange(len(X))), _classes(X, y)
    for one in np.unique(y):
        own = np.flatnonzero(y == one)
        part = X[own]
        known = ~np.isnan(part).all(axis=0)
        made[np.ix_(own, known)] = by_column(part[:, known], np.arange(own.size))
    return made


def by_class_with_sentinel(X: np.ndarray, y: np.ndarray, *, sentinel: float = SENTINEL) -> np.ndarray:
    """Fill as the public loader does: class means in which holes that are not yet filled count as a large number.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
        The order of the rows matters.
    y : ndarray of shape (n,)
        Classes, of test rows too.
    sentinel : float
        What stands in a hole at first.

    Returns
    -------
    ndarray of shape (n, d), float64

    Raises
    ------
    ValueError
        If there is not one class per row.

    Examples
    --------
    >>> by_class_with_sentinel(np.array([[1.0], [3.0], [np.nan], [80.0]]), np.array([0, 0, 0, 1]))[2].tolist()
    [-33332.0]
    """
    made, y = np.where(np.isnan(X), sentinel, X), _classes(X, y)
    for row, column in zip(*np.nonzero(np.isnan(X)), strict=True):  # row after row
        made[row, column] = made[y == y[row], column].mean()
    return made


def filled(X: np.ndarray, y: np.ndarray, rows: np.ndarray, *, filling: str) -> np.ndarray:
    """Fill by name.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
    y : ndarray of shape (n,)
        Seen by the first two fillings only.
    rows : ndarray of int64
        Training rows, seen by the last two only.
    filling : {"public loader", "class mean", "training mean", "training median"}

    Returns
    -------
    ndarray of shape (n, d), float64

    Raises
    ------
    ValueError
        If the filling is unknown.

    Examples
    --------
    >>> X = np.array([[0.0], [6.0], [8.0], [np.nan]])
    >>> [filled(X, np.array([0, 0, 1, 1]), np.array([0, 1, 2]), filling=one)[3, 0].round(1) for one in FILLINGS[1:]]
    [np.float64(8.0), np.float64(4.7), np.float64(6.0)]
    """
    if filling not in FILLINGS:
        raise ValueError(f"filling must be one of {FILLINGS}, got {filling!r}")
    if filling == "public loader":
        return by_class_with_sentinel(X, y)
    if filling == "class mean":
        return by_class(X, y)
    return by_column(X, rows, statistic=filling.removeprefix("training "))


def _classes(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    y = np.asarray(y)
    if y.shape != (len(X),):
        raise ValueError(f"y must be one class per row, shape ({len(X)},), got {y.shape}")
    return y
