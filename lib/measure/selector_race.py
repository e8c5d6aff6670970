"""Selectors against each other on one split of a table: what they pick, and what a small network makes of the picks.

The comparison of Yasuda et al. 2023, Sequential Attention (arXiv:2209.14881, experiments): Sequential Attention in two
schedules, orthogonal matching pursuit, the feature mask LLY, group lasso, and scikit-learn's recursive elimination
(Guyon et al. 2002, doi:10.1023/A:1012487302797), which the paper leaves out.

Differences: everything is chosen, imputed and scaled on the training rows of a split, where the public code fills a
missing value with the mean of its class over all rows; rows of one mouse stay together. COIL-20 is averaged to 20 x 20.
Concrete autoencoders are left out. Random columns and all columns stand beside.

Conventions: ``seed`` decides the split (a quarter of the rows is tested), the selectors, the random columns and the
network. Picks are column numbers, best first; for a method that ranks once, the first of the ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.feature_selection import RFE
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor

from lib.data.coarse_pixels import coarse_pixels
from lib.data.tables import Table, table
from lib.measure.column_sets import set_accuracies
from lib.select import LLY, OMP, GroupLasso, SequentialAttention
from lib.select.response import standardised

__all__ = [
    "ALL", "EARLY", "FOLDS", "METHODS", "RANDOM", "Split", "eliminated", "race", "race_rows", "set_sizes", "split",
]  # fmt: skip

METHODS = ("corrected", "reference", "OMP", "LLY", "group lasso", "RFE")
RANDOM, ALL = "random", "all"
FOLDS = 4  # one of them is tested
EARLY = (5, 10)  # small sets, where a wasted pick shows most
COIL_SIDE = 20


@dataclass(frozen=True)
class Split:
    """Training and test rows, missing values filled by the training rows' medians.

    Attributes
    ----------
    X, X_test : ndarray, float64 (n, d) and (m, d)
    y, y_test : ndarray, int64 (n,) and (m,)
    """

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


@cache
def _read(dataset: str) -> Table:
    found = table(dataset, missing="keep")
    if dataset.removesuffix("-twin") != "coil20":
        return found
    small = coarse_pixels(found.X, side=COIL_SIDE)
    names = tuple(f"area_{place:03d}" for place in range(small.shape[1]))
    return Table(small, found.y, names, found.classes, found.source, found.groups)


def split(dataset: str, *, seed: int) -> Split:
    """Three quarters of a table and the rest, classes in proportion, rows of one individual on one side.

    Raises
    ------
    DataError
        As `lib.data.table`.

    Examples
    --------
    >>> found = split("digits-table", seed=0)
    >>> found.X.shape, found.X_test.shape
    ((1347, 64), (450, 64))
    """
    found = _read(dataset)
    if found.groups is None:
        cutter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(found.X, found.y)
    else:
        cutter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(found.X, found.y, found.groups)
    train, test = next(iter(cutter))
    middle = np.nanmedian(found.X[train], axis=0)
    X, X_test = (np.where(np.isnan(found.X[rows]), middle, found.X[rows]) for rows in (train, test))
    return Split(X, found.y[train], X_test, found.y[test])


def set_sizes(columns: int, n_kept: int) -> tuple[int, ...]:
    """How many columns are kept: two small numbers and ``n_kept``, or a quarter of a table of fewer than 2 n_kept.

    Raises
    ------
    ValueError
        If a quarter is not more than the small numbers.

    Examples
    --------
    >>> set_sizes(617, 50), set_sizes(64, 50)
    ((5, 10, 50), (5, 10, 16))
    """
    largest = n_kept if columns > 2 * n_kept else columns // 4
    if largest <= EARLY[-1]:
        raise ValueError(f"a table must leave more than {EARLY[-1]} columns to keep, got {largest} of {columns}")
    return (*EARLY, largest)


def eliminated(X: np.ndarray, y: np.ndarray, sizes: Sequence[int], *, step: float = 0.02) -> np.ndarray:
    """Recursive elimination by the coefficients of a ridge classifier, to several sizes on one path.

    Parameters
    ----------
    X : ndarray of shape (n, d), finite
    y : ndarray of shape (n,)
        Classes.
    sizes : sequence of int, rising
        Numbers of columns to come down to.
    step : float in (0, 1)
        Share of all columns dropped at once until the largest size is reached; from there one by one.

    Returns
    -------
    ndarray of shape (sizes[-1],), int64
        The first ``k`` of them are what is left at size ``k``; between two sizes in the table's order.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> eliminated(X, y, (1, 3)).tolist()
    [12, 6, 9]
    """
    columns = standardised(X)[0]
    kept, dropped = np.arange(X.shape[1]), list[np.ndarray]()
    for place, size in enumerate(sorted(sizes, reverse=True)):
        path = RFE(RidgeClassifier(), n_features_to_select=size, step=1 if place else step).fit(columns[:, kept], y)
        if place:
            dropped.insert(0, kept[~path.support_])
        kept = kept[path.support_]
    return np.concatenate([kept, *dropped])


def _picks(
    part: Split, sizes: tuple[int, ...], *, seed: int, pick_epochs: int, warmup_epochs: int, mask_epochs: int,
    lasso_steps: int, lasso_penalty: float, device: str,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Columns of every method of `METHODS`, best first, as many as the largest size."""
    most, found = sizes[-1], {}
    common: dict[str, Any] = {"random_state": seed, "device": device}
    for name in METHODS[:2]:
        fitted = SequentialAttention(most, schedule=name, epochs=pick_epochs, warmup_epochs=warmup_epochs, **common)
        found[name] = fitted.fit(part.X, part.y).selection_order_
    found["OMP"] = OMP(most).fit(part.X, part.y).selection_order_
    rankers: dict[str, Any] = {"LLY": LLY(most, epochs=mask_epochs, **common)}
    rankers |= {"group lasso": GroupLasso(most, penalty=lasso_penalty, max_steps=lasso_steps, **common)}
    for name, ranker in rankers.items():
        found[name] = np.argsort(ranker.fit(part.X, part.y).ranking_)[:most]
    return found | {"RFE": eliminated(part.X, part.y, sizes)}


def race(
    *,
    dataset: str,
    seed: int,
    n_kept: int,
    n_random: int,
    pick_epochs: int,
    warmup_epochs: int,
    mask_epochs: int,
    lasso_steps: int,
    retrain_epochs: int,
    lasso_penalty: float = 0.05,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Select with every method on one split, and train the judge on what each has selected.

    Parameters
    ----------
    dataset : str
        A table of `lib.data.table`.
    seed : int
    n_kept : int
        See `set_sizes`.
    n_random : int
        Draws of random columns.
    pick_epochs, warmup_epochs : int
        Of both schedules of `lib.select.SequentialAttention`.
    mask_epochs : int
        Of `lib.select.LLY`.
    lasso_steps, lasso_penalty
        Of `lib.select.GroupLasso`.
    retrain_epochs : int
        Of the judge, `lib.measure.column_sets.set_accuracies`.
    device : str

    Returns
    -------
    dict of Tensor
        ``sizes`` int64 (s,); for each method, ``picks/<name>`` int64 (k,) and ``accuracy/<name>`` float64 (1, s), for
        random columns (n_random, s), for all columns (1, 1).
    """
    part = split(dataset, seed=seed)
    d, rng = part.X.shape[1], np.random.default_rng([seed, 1])
    sizes = set_sizes(d, n_kept)
    picks = _picks(
        part, sizes, seed=seed, pick_epochs=pick_epochs, warmup_epochs=warmup_epochs, mask_epochs=mask_epochs,
        lasso_steps=lasso_steps, lasso_penalty=lasso_penalty, device=device,
    )  # fmt: skip
    lines = [*picks.values(), *(rng.permutation(d) for _ in range(n_random))]
    sets = [line[:size] for line in lines for size in sizes]
    judge = partial(
        set_accuracies, (part.X, part.y), (part.X_test, part.y_test), epochs=retrain_epochs, seed=seed, device=device
    )
    scores, whole = judge(sets).reshape(-1, len(sizes)), judge([range(d)])[:, None]
    found = {f"accuracy/{name}": torch.tensor(score[None]) for name, score in zip(picks, scores, strict=False)}
    found |= {f"accuracy/{RANDOM}": torch.tensor(scores[len(picks) :]), f"accuracy/{ALL}": torch.tensor(whole)}
    found |= {f"picks/{name}": torch.tensor(line) for name, line in picks.items()}
    return found | {"sizes": torch.tensor(sizes)}


def race_rows(found: dict[str, Tensor]) -> pd.DataFrame:
    """Accuracies of a race as a table.

    Parameters
    ----------
    found : dict of Tensor
        From `race`.

    Returns
    -------
    DataFrame
        ``method, draw, kept, size, points``: one row per method, draw and size; ``kept`` is "5", "10" or "most", for
        the method "all" it is "all"; points are percent of the test rows.

    Examples
    --------
    >>> found = {"sizes": torch.tensor([5, 10, 16]), "accuracy/OMP": torch.tensor([[0.5, 0.75, 1.0]])}
    >>> race_rows(found)[["kept", "points"]].to_numpy().tolist()
    [['5', 50.0], ['10', 75.0], ['most', 100.0]]
    """
    sizes, rows = found["sizes"].tolist(), []
    labels = [*(str(size) for size in EARLY), "most"]
    for name, scores in found.items():
        kind, _, method = name.partition("/")
        for draw, line in enumerate(scores.tolist() if kind == "accuracy" else []):
            for label, size, score in zip(labels, sizes, line, strict=False):
                row = {"method": method, "draw": draw, "kept": label, "size": size, "points": 100 * score}
                rows.append(row | ({"kept": ALL, "size": -1} if method == ALL else {}))
    return pd.DataFrame(rows)
