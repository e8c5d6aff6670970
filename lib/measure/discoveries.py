"""Which columns act on y: rules that decide by themselves, and what is true of their decisions.

Quinzan et al. 2023, DRCFS (arXiv:2306.07024) against four rules that anybody has at hand: the F test of each column
alone and the t test of each coefficient of one regression, both with the correction of Benjamini & Yekutieli 2001
(doi:10.1214/aos/1013699998); the support of a cross-validated lasso (Tibshirani 1996); and permutation importance on
held rows (Breiman 2001, doi:10.1023/A:1010933404324), kept where it lies two standard deviations above zero.

Differences: DRCFS comes with three nuisance models, since its guarantee is about the limit of a good one. Lasso and
forest promise no rate; that is the point of the comparison.

Conventions: a rule takes (X, y, *, alpha, n_splits, seed), of which it uses what it has a use for, and returns bool
(d,), True = said to act on y; it may select nothing. A false discovery is a selected column that is no parent of y,
children of y included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy import linalg, stats
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import f_regression
from sklearn.linear_model import LassoCV, LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
from statsmodels.stats.multitest import multipletests

from lib.data.planted import Planted
from lib.select.drcfs import DRCFS

__all__ = ["RULES", "AdditiveRidge", "Rule", "column_curves", "compare", "judge", "regression_pvalues"]

Rule = Callable[..., np.ndarray]
CENTRES, SPREAD, LIMIT = (-2.0, -1.0, 0.0, 1.0, 2.0), 0.8, 3.0


def column_curves(Z: np.ndarray) -> np.ndarray:
    """Each standardised column beside five bumps along it, so that a linear model can bend.

    Parameters
    ----------
    Z : ndarray of shape (n, d), float64
        Standardised columns; beyond three deviations the bumps stay what they are there.

    Returns
    -------
    ndarray of shape (n, 6 d), float64
        The columns, then bumps at -2, -1, 0, 1 and 2 of each.

    Examples
    --------
    >>> column_curves(np.array([[0.0], [1.0]])).round(2)[:, 2:5].tolist()
    [[0.46, 1.0, 0.46], [0.04, 0.46, 1.0]]
    """
    held = np.clip(Z, -LIMIT, LIMIT)
    return np.hstack([Z] + [np.exp(-(((held - centre) / SPREAD) ** 2) / 2) for centre in CENTRES])


class AdditiveRidge(RegressorMixin, BaseEstimator):
    """Ridge regression on one smooth curve for each column, no interactions.

    Parameters
    ----------
    penalty : float, > 0
        On the squared coefficients of standardised columns and their bumps.

    Notes
    -----
    Plain NumPy, since DRCFS fits it hundreds of times: one fit costs about 36 n d^2 multiplications.

    Examples
    --------
    >>> X = np.linspace(-2, 2, 200)[:, None]
    >>> round(AdditiveRidge(penalty=0.01).fit(X, np.sin(2 * X[:, 0])).score(X, np.sin(2 * X[:, 0])), 2)
    1.0
    """

    def __init__(self, *, penalty: float = 1.0) -> None:
        self.penalty = penalty

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit to X (n, d) and numbers y (n,), both finite."""
        self.mean_, spread = X.mean(axis=0), X.std(axis=0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        design = column_curves((X - self.mean_) / self.scale_)
        self.centre_, self.level_ = design.mean(axis=0), float(y.mean())
        design -= self.centre_
        gram = design.T @ design
        gram.flat[:: len(gram) + 1] += self.penalty
        self.coef_ = linalg.solve(gram, design.T @ (y - self.level_), assume_a="pos")
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Number for each row, shape (n,)."""
        design = column_curves((X - self.mean_) / self.scale_)
        return np.asarray((design - self.centre_) @ self.coef_ + self.level_)


def regression_pvalues(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two-sided p of each coefficient of one least-squares regression with intercept.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
        Of full rank, with n > d + 1.
    y : ndarray of shape (n,), float64

    Returns
    -------
    ndarray of shape (d,), float64, in [0, 1]

    Raises
    ------
    ValueError
        If there are too few rows.
    """
    n, d = X.shape
    if n <= d + 1:
        raise ValueError(f"X must have more rows than columns + 1 = {d + 1}, got {n}; a t test needs rows to spare")
    design = np.column_stack([np.ones(n), X])
    beta = np.linalg.lstsq(design, y, rcond=None)[0]
    variance = ((y - design @ beta) ** 2).sum() / (n - d - 1)
    error = np.sqrt(variance * np.diag(np.linalg.pinv(design.T @ design)))
    return 2 * stats.t.sf(np.abs(beta / error), n - d - 1)[1:]


def _by(pvalues: np.ndarray, alpha: float) -> np.ndarray:
    return np.asarray(multipletests(np.nan_to_num(pvalues, nan=1.0), alpha=alpha, method="fdr_by")[0], dtype=bool)


def _drcfs(X: np.ndarray, y: np.ndarray, *, alpha: float, n_splits: int, seed: int, regressor: Any) -> np.ndarray:
    model = None if regressor is None else regressor()
    fitted = DRCFS(regressor=model, alpha=alpha, n_splits=n_splits, random_state=seed).fit(X, y)
    return np.asarray(fitted.rejected_)


def _f_test(X: np.ndarray, y: np.ndarray, *, alpha: float, n_splits: int, seed: int) -> np.ndarray:
    return _by(f_regression(X, y)[1], alpha)


def _t_test(X: np.ndarray, y: np.ndarray, *, alpha: float, n_splits: int, seed: int) -> np.ndarray:
    return _by(regression_pvalues(X, y), alpha)


def _lasso(X: np.ndarray, y: np.ndarray, *, alpha: float, n_splits: int, seed: int) -> np.ndarray:
    return np.asarray(
        LassoCV(cv=n_splits, alphas=50, tol=1e-3, max_iter=10_000, random_state=seed).fit(scale(X), y).coef_ != 0
    )


def _forest(X: np.ndarray, y: np.ndarray, *, alpha: float, n_splits: int, seed: int, n_repeats: int = 10) -> np.ndarray:
    rng, each = np.random.default_rng(seed), np.arange(X.shape[1])
    train, held = train_test_split(np.arange(len(y)), test_size=0.25, random_state=seed)
    model = RandomForestRegressor(30, min_samples_leaf=5, max_features=1 / 3, random_state=seed).fit(X[train], y[train])
    orders = np.stack([rng.permutation(held) for _ in range(n_repeats)])  # (repeats, held)
    together, rises = max(1, 10_000_000 // (held.size * each.size**2)), []  # repeats per call: calls are dear
    for first in range(0, n_repeats, together):
        part = orders[first : first + together]
        mixed = np.tile(X[held], (len(part), each.size, 1, 1))  # (repeats, d, held, d)
        mixed[:, each, :, each] = X[part].transpose(2, 0, 1)
        answers = model.predict(mixed.reshape(-1, each.size)).reshape(mixed.shape[:3])
        rises.append(np.square(answers - y[held]).mean(axis=2))
    rise = np.concatenate(rises) - np.square(model.predict(X[held]) - y[held]).mean()
    return np.asarray(rise.mean(axis=0) > 2 * rise.std(axis=0, ddof=1))


RULES: dict[str, Rule] = {
    "DRCFS, curves": partial(_drcfs, regressor=AdditiveRidge),
    "DRCFS, lines": partial(_drcfs, regressor=LinearRegression),
    "DRCFS, kernel": partial(_drcfs, regressor=None),
    "t test": _t_test,
    "F test": _f_test,
    "lasso": _lasso,
    "forest": _forest,
}


def judge(selected: np.ndarray, planted: Planted) -> dict[str, float]:
    """What is true of a selection, when the parents of y are known.

    Parameters
    ----------
    selected : ndarray of shape (d,), bool
    planted : Planted
        ``relevant`` are the parents; ``children`` are taken from its graph.

    Returns
    -------
    dict of str to float
        ``selected``, how many columns; ``false``, the share of them that are no parents, 0 if nothing is selected;
        ``recall``, the share of the parents that are selected; ``f1``, the harmonic mean of 1 - ``false`` and
        ``recall``, 0 if no parent is selected; ``children``, the share of the children selected, NaN without a child.

    Raises
    ------
    ValueError
        If the selection is no mask of the columns.

    Examples
    --------
    >>> from lib.data.planted import second_order
    >>> table = second_order(9, n_pairs=1, n_squares=0, n_noise=2, generator=np.random.default_rng(0))
    >>> found = judge(np.ones(4, dtype=bool), table)
    >>> found["false"], found["recall"]
    (0.5, 1.0)
    """
    if selected.dtype != bool or selected.shape != (planted.X.shape[1],):
        raise ValueError(
            f"selected must be a bool mask of {planted.X.shape[1]} columns, got {selected.dtype} {selected.shape}; "
            "pass get_support() or rejected_"
        )
    count, hits = int(selected.sum()), int(selected[planted.relevant].sum())
    parents, children = planted.relevant.size, planted.children
    return {
        "selected": count,
        "false": (count - hits) / max(count, 1),
        "recall": hits / parents,
        "f1": 2 * hits / (count + parents),
        "children": float(selected[children].mean()) if children.size else float("nan"),
    }


def compare(
    planted: Planted, rules: Iterable[str], *, alpha: float, n_splits: int, seed: int, n_rows: int | None = None
) -> pd.DataFrame:
    """Ask several rules about the same rows.

    Parameters
    ----------
    planted : Planted
    rules : iterable of str
        Names in `RULES`.
    alpha : float in (0, 1)
        False discovery rate of the rules that hold one.
    n_splits : int, >= 2
        Folds, where there are any.
    seed : int
    n_rows : int, optional
        The first rows only; all by default.

    Returns
    -------
    DataFrame
        One row per rule: ``rule``, ``rows``, and what `judge` says.

    Raises
    ------
    ValueError
        If a rule is unknown.
    """
    rules = list(rules)
    if unknown := set(rules) - set(RULES):
        raise ValueError(f"rules must be among {', '.join(RULES)}, got {sorted(unknown)}; see lib.measure.discoveries")
    part = replace(planted, X=planted.X[:n_rows], y=planted.y[:n_rows])
    rows = []
    for name in rules:
        selected = RULES[name](part.X, part.y, alpha=alpha, n_splits=n_splits, seed=seed)
        rows.append({"rule": name, "rows": len(part.y), **judge(selected, part)})
    return pd.DataFrame(rows)
