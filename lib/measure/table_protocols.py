"""What a protocol lets the test rows say: filling, scaling and splitting around a selector that is itself honest.

Kaufman et al. 2012 (doi:10.1145/2382577.2382579): every step that touches the data before the split may leak. Here the
selector is always refitted on the training rows of a fold; what varies is what happened to the table before
(`lib.data.filling`, minimum and maximum over all rows or over the training rows) and who is kept apart (rows, or all
rows of an individual).

Conventions: folds are `lib.measure.selection.Fold`, shared by all arms, so that rows pair by ``repeat`` and ``fold``.
Classifiers see columns scaled to [0, 1] and do not scale them again: a linear support vector machine, extremely
randomised trees (Geurts et al. 2006, doi:10.1007/s10994-006-6226-1) and one hidden layer of 67 units, the network of
Sequential Attention (arXiv:2209.14881). Shares are in [0, 1].
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from lib.data.filling import filled
from lib.measure.selection import Fold, evaluate_columns
from lib.measure.stability import reseeded
from lib.select.univariate import RandomSelector

__all__ = ["SCALINGS", "beyond_chance", "classifier", "evaluate_protocol", "group_folds", "scaled", "shuffle_groups"]

SCALINGS = ("all rows", "training rows")
RANDOM, ALL = "random", "all"


def group_folds(
    y: np.ndarray, groups: np.ndarray, *, n_splits: int = 5, n_repeats: int = 1, generator: np.random.Generator
) -> list[Fold]:
    """Repeated cross-validation that keeps all rows of a group on one side, classes as even as groups allow.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Classes.
    groups : ndarray of shape (n,)
        Individual of each row.
    n_splits, n_repeats : int
        Folds of a repeat, and shuffles.
    generator : numpy.random.Generator

    Returns
    -------
    list of Fold

    Raises
    ------
    ValueError
        If there are fewer groups than folds.

    Examples
    --------
    >>> y, groups = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2, 3, 3])
    >>> made = group_folds(y, groups, n_splits=2, generator=np.random.default_rng(0))
    >>> [len(set(groups[fold.train]) & set(groups[fold.test])) for fold in made]
    [0, 0]
    """
    y, groups = np.asarray(y), np.asarray(groups)
    count = np.unique(groups).size
    if not 2 <= n_splits <= count:
        raise ValueError(f"n_splits must be in 2..{count}, the number of groups, got {n_splits}; use fewer folds")
    made = []
    for repeat in range(n_repeats):
        cutter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=int(generator.integers(2**31)))
        pairs = cutter.split(np.zeros((y.size, 1)), y, groups)
        made += [Fold(repeat, fold, train, test) for fold, (train, test) in enumerate(pairs)]
    return made


def shuffle_groups(y: np.ndarray, groups: np.ndarray, *, generator: np.random.Generator) -> np.ndarray:
    """Give every group the class of another one: classes say nothing of the columns, but a group keeps one class.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Constant within a group.
    groups : ndarray of shape (n,)
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n,)
        As many groups of each class as before.

    Raises
    ------
    ValueError
        If a group has rows of two classes.

    Examples
    --------
    >>> shuffle_groups(np.array([0, 0, 1]), np.array([5, 5, 7]), generator=np.random.default_rng(3)).tolist()
    [1, 1, 0]
    """
    y, groups = np.asarray(y), np.asarray(groups)
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    if (y[first][place] != y).any():
        raise ValueError("y must be constant within each group, got a group with two classes; permute rows instead")
    return y[generator.permutation(first)][place]


def scaled(X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Bring every column to [0, 1] on some rows; other rows may lie outside, constant columns become 0.

    Examples
    --------
    >>> scaled(np.array([[1.0], [3.0], [4.0]]), np.array([0, 1]))[:, 0].tolist()
    [0.0, 1.0, 1.5]
    """
    low, high = X[rows].min(axis=0), X[rows].max(axis=0)
    return (X - low) / np.where(high > low, high - low, 1.0)


def classifier(kind: str, *, n_trees: int = 25, epochs: int = 30) -> Any:
    """A classifier for columns in [0, 1].

    Parameters
    ----------
    kind : {"linear SVM", "extra trees", "network"}
    n_trees, epochs : int
        Of the second, and of the third at most.

    Returns
    -------
    scikit-learn classifier
        Not fitted, its seed fixed.

    Raises
    ------
    ValueError
        If ``kind`` is unknown.
    """
    made = {
        "linear SVM": LinearSVC(C=10.0, dual=False, tol=1e-3, max_iter=2000, random_state=0),
        "extra trees": ExtraTreesClassifier(n_trees, random_state=0),
        "network": MLPClassifier(67, learning_rate_init=0.01, batch_size=128, max_iter=epochs, random_state=0),
    }
    if kind not in made:
        raise ValueError(f"classifier must be one of {tuple(made)}, got {kind!r}")
    return made[kind]


def evaluate_protocol(
    X: np.ndarray, y: np.ndarray, splits: Sequence[Fold], *, filling: str, scaling: str = "training rows",
    selectors: Mapping[str, Any], sizes: Sequence[int], classifiers: Mapping[str, Any], n_random: int = 0,
    generator: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """Accuracy of the kept columns under one protocol.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
        Holes are NaN.
    y : ndarray of shape (n,)
        Classes.
    splits : sequence of Fold
    filling : str
        As `lib.data.filling.filled`.
    scaling : {"all rows", "training rows"}
        Rows whose minimum and maximum become 0 and 1.
    selectors : mapping of str to estimator
        Each refitted on the filled and scaled training rows of every split.
    sizes : sequence of int
    classifiers : mapping of str to scikit-learn classifier
        Cloned for every fit; see :func:`classifier`.
    n_random : int
        Draws of random columns for every split, the control "random", with "all" columns beside them; 0 = neither.
    generator : numpy.random.Generator

    Returns
    -------
    DataFrame
        One row per split, selector, draw, size and classifier: ``repeat, fold, selector, draw, size, classifier,
        accuracy, balanced_accuracy, holes`` (share of the kept columns' values that were missing), ``n_train, n_test``.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {SCALINGS}, got {scaling!r}")
    missing, everyone, found = np.isnan(X).mean(axis=0), np.arange(len(X)), []
    draws = [(RANDOM, draw, RandomSelector(random_state=0)) for draw in range(n_random)]
    arms = [(name, 0, one) for name, one in selectors.items()] + draws + [(ALL, 0, None)] * (n_random > 0)
    for split in splits:
        table = filled(X, y, split.train, filling=filling)
        table = scaled(table, everyone if scaling == "all rows" else split.train)
        for name, draw, selector in arms:
            ranking = np.zeros(X.shape[1])
            if selector is not None:
                ranking = reseeded(selector, generator).fit(table[split.train], y[split.train]).ranking_
            for size in sizes if selector is not None else (X.shape[1],):
                kept = ranking <= size
                place = {"repeat": split.repeat, "fold": split.fold, "selector": name, "draw": draw, "size": size}
                place |= {"holes": float(missing[kept].mean()), "n_train": split.train.size, "n_test": split.test.size}
                for kind, model in classifiers.items():
                    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
                        score = evaluate_columns(table, y, kept, split, classifier=model)
                    found.append(place | {"classifier": kind} | score)
    return pd.DataFrame(found)


def beyond_chance(found: pd.DataFrame, keys: Sequence[str], *, n_classes: int) -> pd.DataFrame:
    """Mean balanced accuracy less chance, in percentage points.

    Parameters
    ----------
    found : DataFrame
        From :func:`evaluate_protocol`, with columns for the keys.
    keys : sequence of str
        What is not averaged over.
    n_classes : int
        Chance is ``1 / n_classes``.

    Returns
    -------
    DataFrame
        The keys in order of appearance and ``beyond``; 0 = chance.

    Examples
    --------
    >>> beyond_chance(pd.DataFrame({"arm": ["a", "a"], "balanced_accuracy": [0.5, 0.75]}), ["arm"], n_classes=2)
      arm  beyond
    0   a    12.5
    """
    points = found.assign(beyond=100 * (found["balanced_accuracy"] - 1 / n_classes))
    return points.groupby(list(keys), sort=False)["beyond"].mean().reset_index()
