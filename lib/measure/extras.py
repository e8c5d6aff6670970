"""What selectors make of a table with extra columns: originals kept, and what a network reaches with the kept ones.

Cherepanova et al. 2023, A Performance-Driven Benchmark for Feature Selection in Tabular Deep Learning
(arXiv:2311.05877): a table gets as many extra columns as it has, a selector keeps as many as there were, and a network
trained on the kept ones is scored. Differences: nothing is tuned, each selector has one setting; beside the score
stands the share of the originals that were kept.

Conventions: selectors and networks see training rows only; y is classes (int) or numbers (float with fractions), as in
`lib.select.response`. `CLASSICAL` are rivals of Deep Lasso. Recall is in [0, 1];
scores are accuracy in [0, 1] for classes and R2, at most 1, for numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_selection import f_regression
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from lib.data.planted import Planted
from lib.measure.selection_scores import planted_recall
from lib.select import (
    AttributionElimination,
    DeepLasso,
    FeatureGradients,
    FTest,
    GroupLasso,
    MutualInformation,
    RandomSelector,
    rank_columns,
)
from lib.select.response import response
from lib.select.table_network import TableNetwork

__all__ = [
    "ALL", "CLASSICAL", "FIRST_MOMENT", "METHODS", "ORIGINALS", "RANDOM", "compare", "network_score", "rankings",
    "recalls", "split_rows",
]  # fmt: skip

CLASSICAL = ("F test", "random forest", "elimination")
METHODS = (
    "F test", "mutual information", "random forest", "elimination", "group lasso", "Feature Gradients",
    "Feature Gradients, degree 2", "Deep Lasso, no penalty", "Deep Lasso",
)  # fmt: skip
FIRST_MOMENT = "Feature Gradients, order 1"  # may be asked for beside ``METHODS``
RANDOM, ALL, ORIGINALS = "random", "all", "originals"
N_BINS = 5  # of a numeric y, where a selector needs classes


def split_rows(y: np.ndarray, *, n_train: int, n_test: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to train and to test on, by class where y holds classes with two rows or more each.

    Raises
    ------
    ValueError
        If there are fewer rows than asked for.

    Examples
    --------
    >>> [part.size for part in split_rows(np.arange(20) % 2, n_train=8, n_test=4, seed=0)]
    [8, 4]
    """
    if n_train + n_test > len(y):
        raise ValueError(f"n_train + n_test must be at most {len(y)}, the rows there are, got {n_train} + {n_test}")
    answer = response(y)
    classes = answer.codes if answer.n_classes and np.bincount(answer.codes).min() > 1 else None
    rows = np.arange(len(y))
    train, test = train_test_split(rows, train_size=n_train, test_size=n_test, random_state=seed, stratify=classes)
    return train, test


def _selector(name: str, size: int, *, epochs: int, seed: int) -> Any:
    """A method that needs no more than the contract of `lib.select`."""
    chance: dict[str, Any] = {"random_state": seed}
    if name == "elimination":
        return AttributionElimination(size, estimator=_network(epochs, None), **chance)
    if name == "group lasso":
        return GroupLasso(size, max_steps=2 * epochs, **chance)
    if name.startswith("Feature Gradients"):
        order, degree = 1 if name == FIRST_MOMENT else 3, 2 if name.endswith("degree 2") else 1
        return FeatureGradients(size, order=order, degree=degree, **chance)
    return DeepLasso(size, penalty=0.1 if name == "Deep Lasso" else 0.0, epochs=epochs, **chance)


def _network(epochs: int, seed: int | None) -> TableNetwork:
    return TableNetwork(width=64, depth=2, lr=5e-3, epochs=epochs, random_state=seed)


def rankings(
    X: np.ndarray, y: np.ndarray, *, size: int, methods: Sequence[str] = METHODS, epochs: int = 20, n_trees: int = 100,
    seed: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Order the columns by every method.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
        Training rows.
    y : ndarray of shape (n,)
        Classes or numbers. For numbers the F test is that of the linear regression on one column, and mutual
        information is with fifths of y.
    size : int
        Columns that will be kept; the elimination goes no further down.
    methods : sequence of str
        Of ``METHODS`` and ``FIRST_MOMENT``.
    epochs, n_trees : int
        Of every network; of the forest.
    seed : int

    Returns
    -------
    dict of str to ndarray of shape (d,), int64
        1 = best.

    Raises
    ------
    ValueError
        If a method is unknown.
    """
    unknown = set(methods) - {*METHODS, FIRST_MOMENT}
    if unknown:
        raise ValueError(f"methods must be among {(*METHODS, FIRST_MOMENT)}, got {sorted(unknown)}")
    answer, found = response(y), {}
    for name in methods:
        if name == "random forest":
            kind: Any = RandomForestClassifier if answer.n_classes else RandomForestRegressor
            found[name] = rank_columns(kind(n_trees, random_state=seed).fit(X, y).feature_importances_)
        elif name == "F test":
            found[name] = FTest().fit(X, y).ranking_ if answer.n_classes else rank_columns(f_regression(X, y)[0])
        elif name == "mutual information":
            fifths = np.searchsorted(np.quantile(y, np.arange(1, N_BINS) / N_BINS), y)
            found[name] = MutualInformation().fit(X, y if answer.n_classes else fifths).ranking_
        else:
            found[name] = _selector(name, size, epochs=epochs, seed=seed).fit(X, y).ranking_
    return found


def network_score(
    X: np.ndarray, y: np.ndarray, columns: np.ndarray, train: np.ndarray, test: np.ndarray, *, epochs: int, seed: int
) -> float:
    """Test accuracy, or R2 for numbers, of a network that sees the given columns only.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    columns : ndarray of shape (d,), bool
    train, test : ndarray of int64
    epochs, seed : int

    Returns
    -------
    float

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> kept = np.array([True, False])
    >>> network_score(X, X[:, 0] + 0.5, kept, np.arange(200), np.arange(200, 300), epochs=30, seed=0) > 0.9
    True
    """
    model = _network(epochs, seed)
    guess = model.fit(X[np.ix_(train, columns)], y[train]).predict(X[np.ix_(test, columns)])
    return float(r2_score(y[test], guess)) if model.classes_ is None else float(np.mean(guess == y[test]))


def _arms(
    table: Planted, train: np.ndarray, *, methods: Sequence[str], epochs: int, n_trees: int, n_random: int, seed: int
) -> list[tuple[str, int, np.ndarray]]:
    """Name, draw and ranking of every method and of random columns."""
    size, X = table.relevant.size, table.X[train]
    found = rankings(X, table.y[train], size=size, methods=methods, epochs=epochs, n_trees=n_trees, seed=seed)
    draws = [RandomSelector(random_state=1000 * seed + draw).fit(X).ranking_ for draw in range(n_random)]
    return [(name, 0, order) for name, order in found.items()] + [(RANDOM, draw, one) for draw, one in enumerate(draws)]


def recalls(
    table: Planted, *, n_train: int, n_test: int, methods: Sequence[str] = METHODS, epochs: int = 20,
    n_trees: int = 100, n_random: int = 3, seed: int,
) -> pd.DataFrame:  # fmt: skip
    """Keep as many columns as matter, by every method and at random, and count those that do.

    Parameters
    ----------
    table : Planted
        ``relevant`` are the columns to be found.
    n_train, n_test : int
        Rows; the selectors see the first kind, the second is only set apart, as in :func:`compare`.
    methods, epochs, n_trees
        As :func:`rankings`.
    n_random : int
        Draws of random columns.
    seed : int
        Of split, selectors and draws.

    Returns
    -------
    DataFrame
        ``method, draw, recall``; the control is "random".

    Raises
    ------
    ValueError
        If there are too few rows or a method is unknown.
    """
    train, _ = split_rows(table.y, n_train=n_train, n_test=n_test, seed=seed)
    options: dict[str, Any] = {"methods": methods, "epochs": epochs, "n_trees": n_trees, "n_random": n_random}
    rows = [
        {"method": name, "draw": draw, "recall": _recall(order, table)}
        for name, draw, order in _arms(table, train, **options, seed=seed)
    ]
    return pd.DataFrame(rows)


def _recall(order: np.ndarray, table: Planted) -> float:
    return float(planted_recall(order, table.relevant, [table.relevant.size])[0])


def compare(
    table: Planted, *, n_train: int, n_test: int, methods: Sequence[str] = METHODS, epochs: int = 20,
    n_trees: int = 100, n_random: int = 3, seed: int,
) -> pd.DataFrame:  # fmt: skip
    """As :func:`recalls`, and score a network on the kept columns.

    Parameters
    ----------
    table, n_train, n_test, methods, epochs, n_trees, n_random, seed
        As :func:`recalls`; the scored networks of one call have the same epochs and seed and see the training rows.

    Returns
    -------
    DataFrame
        ``method, draw, recall, score``; the controls are "random", "all" and "originals", the relevant columns
        themselves.

    Raises
    ------
    ValueError
        If there are too few rows or a method is unknown.
    """
    train, test = split_rows(table.y, n_train=n_train, n_test=n_test, seed=seed)
    options: dict[str, Any] = {"methods": methods, "epochs": epochs, "n_trees": n_trees, "n_random": n_random}
    truth = rank_columns(np.isin(np.arange(table.X.shape[1]), table.relevant).astype(float))
    rows = []
    for name, draw, order in [*_arms(table, train, **options, seed=seed), (ORIGINALS, 0, truth), (ALL, 0, truth)]:
        kept = order <= (order.size if name == ALL else table.relevant.size)
        score = network_score(table.X, table.y, kept, train, test, epochs=epochs, seed=seed)
        rows.append({"method": name, "draw": draw, "recall": _recall(order, table), "score": score})
    return pd.DataFrame(rows)
