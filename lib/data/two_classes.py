"""Tables as questions of two classes, with independent rows, and no more of them than asked for.

No paper: importances of models for one class of two are simpler to compare, and an individual that was measured many
times must not stand on both sides of a split.

Conventions: the later half of a table's classes (in the order of ``classes``) becomes class 1, so that ten digits
become 0 to 4 against 5 to 9; with an odd number the middle class counts as early.
"""

from __future__ import annotations

import numpy as np

from lib.data.tables import Table

__all__ = ["two_classes"]


def two_classes(
    table: Table, *, max_rows: int | None = None, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and two classes of a table, in random order.

    Parameters
    ----------
    table : Table
        Of two classes or more, without missing values.
    max_rows : int, >= 4, optional
        Rows are drawn at random; all without it. Where ``groups`` is given, an individual's rows become one row of
        their means first.
    generator : numpy.random.Generator

    Returns
    -------
    X : ndarray, float64 (rows, d)
    y : ndarray, int64 (rows,), 0 or 1

    Raises
    ------
    ValueError
        If ``max_rows`` is below 4, there is a single class, or the rows of an individual differ in class.

    Examples
    --------
    >>> made = Table(np.eye(6), np.array([0, 0, 1, 1, 2, 2]), tuple("abcdef"), ("x", "y", "z"), "none")
    >>> X, y = two_classes(made, generator=np.random.default_rng(0))
    >>> sorted(y.tolist())
    [0, 0, 0, 0, 1, 1]
    """
    if (max_rows is not None and max_rows < 4) or len(table.classes) < 2:
        raise ValueError(
            f"max_rows must be at least 4 and classes at least 2, got {max_rows} and {len(table.classes)}; "
            "leave max_rows out to keep all rows"
        )
    X, y = table.X, (2 * table.y >= len(table.classes)).astype(np.int64)
    if len(table.classes) % 2:
        y = (2 * table.y > len(table.classes)).astype(np.int64)
    if table.groups is not None:
        X, y = _individuals(X, y, table.groups)
    order = generator.permutation(len(y))[:max_rows]
    return np.ascontiguousarray(X[order]), y[order]


def _individuals(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of every individual's rows, and its class."""
    found, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    share = np.bincount(inverse, y) / counts
    if not np.isin(share, (0, 1)).all():
        raise ValueError(f"rows of one individual must share their class, got {found[~np.isin(share, (0, 1))][:5]}")
    means = np.stack([np.bincount(inverse, column) / counts for column in X.T], axis=1)
    return means, share.astype(np.int64)
