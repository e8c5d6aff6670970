"""Three importances of one model, for single columns and for aspects: Shapley, natural and permutation.

Bloch and Friedrich 2022 (SN Computer Science 3, doi:10.1007/s42979-022-01371-y) hold the Shapley values of forests and
boosted trees against the importance that trees keep of themselves and against permutation, after joining correlated
columns to aspects (`lib.select.aspects`).

Differences: scikit-learn's gradient boosting stands in for XGBoost, and the support vector machine is left out, since
it has no natural importance with a curved kernel; Shapley values are sampled for columns and aspects alike
(`lib.measure.aspect_values`), so that neither is the surer one; permutation measures the rise of the squared error of
the probability, which sees more than the rise of wrong classes.

Conventions: two classes, 0 and 1; Shapley values are of the probability of class 1, and their importance is the mean
size over rows. An aspect's natural importance is the sum over its columns, its permutation moves them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import train_test_split

from lib.measure.aspect_values import group_permutation, sampled_shapley, sum_by_group

__all__ = ["MEASURES", "agreements", "best_by_group", "fit_and_explain", "importances", "over_halves", "tree_models"]

MEASURES = ("shapley", "natural", "permutation")
MAX_BATCH = 16_384  # rows asked at once


def tree_models(*, n_trees: int, seed: int) -> dict[str, Any]:
    """The two black boxes, not fitted: a random forest, and gradient boosting with trees of depth 3."""
    return {
        "forest": RandomForestClassifier(n_trees, min_samples_leaf=3, random_state=seed),
        "boosting": GradientBoostingClassifier(n_estimators=n_trees, subsample=0.7, random_state=seed),
    }


def best_by_group(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Largest value among the columns of each group, float64 (g,): what a reader of a ranking of columns sees of it.

    Examples
    --------
    >>> best_by_group(np.array([0.1, 0.4, 0.3]), np.array([0, 1, 0])).tolist()
    [0.3, 0.4]
    """
    return np.array([values[groups == group].max() for group in range(int(groups.max()) + 1)])


def importances(
    model: Any,
    X: np.ndarray,
    y: np.ndarray,
    *,
    background: np.ndarray,
    groups: np.ndarray,
    n_explained: int,
    n_orders: int,
    n_repeats: int = 5,
    generator: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Importances of a fitted model by columns, and by groups of columns.

    Parameters
    ----------
    model : fitted classifier of two classes
        With ``predict_proba`` and ``feature_importances_``.
    X : ndarray of shape (n, d)
        Rows that the model has not seen, in random order.
    y : ndarray of shape (n,), 0 or 1
    background : ndarray of shape (b, d)
        Where hidden columns come from: training rows.
    groups : ndarray of shape (d,), int64
    n_explained : int, >= 1
        The first rows of X get Shapley values; permutation uses all.
    n_orders : int, >= 1
        Pairs of orders, see `lib.measure.aspect_values.sampled_shapley`.
    n_repeats : int, >= 1
        Orders of rows of the permutation.
    generator : numpy.random.Generator

    Returns
    -------
    columns : DataFrame, d rows
        ``item, shapley, natural, permutation``.
    aspects : DataFrame, g rows
        The same of groups, and ``added``: the values of a group's columns added row by row, as a cheaper way to the
        same end.

    Raises
    ------
    ValueError
        If ``n_explained`` is below 1, or as `lib.measure.aspect_values`.
    """
    if n_explained < 1:
        raise ValueError(f"n_explained must be at least 1, got {n_explained}; 20 rows already rank well")
    single, explained = np.arange(X.shape[1]), X[:n_explained]

    def answer(rows: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_proba(rows)[:, 1])

    def error(rows: np.ndarray) -> np.ndarray:
        return (y - answer(rows)) ** 2

    natural, frames, values = np.asarray(model.feature_importances_, dtype=np.float64), [], []
    for parts in (single, groups):
        values.append(
            sampled_shapley(
                answer, explained, background=background, groups=parts, n_orders=n_orders, max_batch=MAX_BATCH,
                generator=generator,
            )
        )  # fmt: skip
        moved = group_permutation(error, X, groups=parts, n_repeats=n_repeats, generator=generator)
        own = sum_by_group(natural[None], parts)[0]
        mean_size = np.abs(values[-1]).mean(axis=0)
        item = np.arange(own.size)
        frames.append(
            pd.DataFrame({"item": item, "shapley": mean_size, "natural": own, "permutation": moved.mean(axis=0)})
        )
    columns, aspects = frames
    return columns, aspects.assign(added=np.abs(sum_by_group(values[0], groups)).mean(axis=0))


def fit_and_explain(
    model: Any,
    X: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray,
    n_explained: int,
    n_orders: int,
    n_repeats: int = 3,
    generator: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit a classifier to the first half of the rows and explain it on the second.

    Parameters
    ----------
    model : classifier
        Fitted here, as :func:`importances` needs it.
    X, y, groups, n_explained, n_orders, n_repeats, generator
        As :func:`importances`; the rows are in random order already.

    Returns
    -------
    columns, aspects : DataFrame
        As :func:`importances`.
    """
    half = len(y) // 2
    model.fit(X[:half], y[:half])
    return importances(
        model, X[half:], y[half:], background=X[:half], groups=groups, n_explained=n_explained, n_orders=n_orders,
        n_repeats=n_repeats, generator=generator,
    )  # fmt: skip


def over_halves(
    X: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray,
    models: Callable[[int], Mapping[str, Any]],
    n_splits: int,
    n_explained: int,
    n_orders: int,
    n_repeats: int = 3,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Importances of models that were fitted on one half of the rows and explained on the other, both ways.

    Parameters
    ----------
    X, y, groups, n_explained, n_orders, n_repeats, generator
        As :func:`importances`.
    models : callable
        A seed to unfitted classifiers by name, such as :func:`tree_models` with its number of trees.
    n_splits : int, >= 1
        Random divisions into two halves, stratified by class.

    Returns
    -------
    DataFrame
        ``split, half, model, level, item`` and the three importances; ``level`` is "columns" or "aspects".
    """
    rows = []
    for split in range(n_splits):
        seed = int(generator.integers(2**31))
        pair = train_test_split(np.arange(len(y)), test_size=0.5, stratify=y, random_state=seed)
        even = len(y) // 2 * 2  # of an odd number of rows one stands out
        for half, order in enumerate((np.concatenate(pair)[:even], np.concatenate(pair[::-1])[-even:])):
            for name, model in models(seed).items():
                found = fit_and_explain(
                    model, X[order], y[order], groups=groups, n_explained=n_explained, n_orders=n_orders,
                    n_repeats=n_repeats, generator=generator,
                )  # fmt: skip
                for level, frame in zip(("columns", "aspects"), found, strict=True):
                    kept = frame[["item", *MEASURES]]
                    rows.append(kept.assign(split=split, half=half, model=name, level=level))
    return pd.concat(rows, ignore_index=True)


def agreements(found: pd.DataFrame) -> pd.DataFrame:
    """Rank correlations within :func:`over_halves`: of Shapley with the others, and of one half's with the other's.

    Parameters
    ----------
    found : DataFrame
        From :func:`over_halves`.

    Returns
    -------
    DataFrame
        ``split, model, level, pair, spearman``: ``pair`` is "natural", "permutation" (with Shapley, of one model, mean
        over the two halves) or "other half" (Shapley with Shapley). 1 = the same order, 0 = unrelated; NaN where an
        importance is the same for all items.

    Examples
    --------
    >>> half = pd.DataFrame({"item": [0, 1, 2], "shapley": [3.0, 2.0, 1.0], "natural": [1.0, 2.0, 3.0]})
    >>> half = half.assign(permutation=[0.3, 0.2, 0.1], split=0, model="forest", level="columns")
    >>> agreements(pd.concat([half.assign(half=0), half.assign(half=1)]))["spearman"].tolist()
    [-1.0, 1.0, 1.0]
    """
    rows = []
    for (split, model, level), group in found.groupby(["split", "model", "level"], sort=False):
        halves = [half.sort_values("item") for _, half in group.groupby("half")]
        place = {"split": split, "model": model, "level": level}
        for other in MEASURES[1:]:
            within = [_spearman(half["shapley"], half[other]) for half in halves]
            rows.append({**place, "pair": other, "spearman": float(np.mean(within))})
        rows.append({**place, "pair": "other half", "spearman": _spearman(*(half["shapley"] for half in halves))})
    return pd.DataFrame(rows)


def _spearman(first: pd.Series, second: pd.Series) -> float:
    if first.nunique() < 2 or second.nunique() < 2:
        return float("nan")
    return round(float(spearmanr(first.to_numpy(), second.to_numpy()).statistic), 12)
