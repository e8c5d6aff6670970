"""The contract of every column selector: scores, a total order, a support of known size.

A selector is a scikit-learn transformer. ``fit`` leaves ``scores_`` (larger is better), ``ranking_`` (1 is best, a
permutation of 1..d, ties by column number, NaN last) and ``support_`` (the mask of kept columns).

Conventions: ``SelectorMixin`` comes first in the bases, otherwise scikit-learn finds no transformer tags; ``__init__``
only stores. A subclass writes ``_column_scores`` and, where its paper has a rule of its own, ``_auto_size``.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["RankingSelector", "rank_columns", "support_size"]


def rank_columns(scores: np.ndarray) -> np.ndarray:
    """Turn scores into places, 1 = best.

    Parameters
    ----------
    scores : ndarray of shape (d,), float
        Larger is better. NaN (a column that could not be scored) goes last; equal scores keep the column order.

    Returns
    -------
    ndarray of shape (d,), int64
        A permutation of 1..d.

    Raises
    ------
    ValueError
        If ``scores`` is not one-dimensional.

    Examples
    --------
    >>> rank_columns(np.array([0.5, 2.0, 0.5])).tolist()
    [2, 1, 3]
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1:
        raise ValueError(f"scores must have one dimension, one value per column, got shape {scores.shape}")
    order = np.lexsort((-scores, np.isnan(scores)))  # stable
    places = np.empty(scores.size, dtype=np.int64)
    places[order] = np.arange(1, scores.size + 1)
    return places


def support_size(n_features_to_select: int | float, n_features: int) -> int:
    """Number of columns to keep.

    Parameters
    ----------
    n_features_to_select : int in 1..n_features, or float in (0, 1]
        A count, or a share of the columns (rounded, at least one).
    n_features : int
        Columns there are.

    Returns
    -------
    int
        Between 1 and ``n_features``.

    Raises
    ------
    ValueError
        If the count or share is out of range.

    Examples
    --------
    >>> support_size(0.25, 30)
    8
    """
    wanted: Any = n_features_to_select
    whole = isinstance(wanted, Integral) and not isinstance(wanted, bool)
    share = isinstance(wanted, Real) and not isinstance(wanted, Integral)
    if whole and 1 <= wanted <= n_features:
        return int(wanted)
    if share and 0 < wanted <= 1:
        return max(1, round(float(wanted) * n_features))
    raise ValueError(
        f"n_features_to_select must be an int in 1..{n_features}, a float in (0, 1] or 'auto', got {wanted!r}; "
        "lower the count or give a share"
    )


class RankingSelector(SelectorMixin, BaseEstimator, metaclass=ABCMeta):
    """Base of selectors that score every column once and keep the best.

    Parameters
    ----------
    n_features_to_select : int, float or "auto"
        Count, share in (0, 1], or the selector's own rule (half of the columns unless the class says otherwise).

    Attributes
    ----------
    scores_ : ndarray of shape (d,), float64
        Larger is better.
    ranking_ : ndarray of shape (d,), int64
        1 is best; a permutation of 1..d.
    support_ : ndarray of shape (d,), bool
        Kept columns.
    n_features_in_ : int
        Columns seen in ``fit``.
    """

    _needs_y = False
    _min_rows = 2

    def __init__(self, n_features_to_select: int | float | str = "auto") -> None:
        self.n_features_to_select = n_features_to_select

    @abstractmethod
    def _column_scores(self, X: np.ndarray, y: np.ndarray | None) -> np.ndarray:
        """One score per column, larger is better."""

    def _auto_size(self, scores: np.ndarray) -> int:
        """Columns kept for ``n_features_to_select="auto"``."""
        return max(1, scores.size // 2)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Score and rank the columns.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows are cases; finite numbers.
        y : array-like of shape (n,), optional
            Classes; ignored by selectors that need none.

        Returns
        -------
        Self
            The fitted selector.

        Raises
        ------
        ValueError
            If X is not finite and two-dimensional, or ``n_features_to_select`` is out of range.
        """
        options: dict[str, Any] = {"dtype": np.float64, "ensure_min_samples": self._min_rows}
        if self._needs_y:
            X, y = validate_data(self, X, y, **options)
        else:
            X = validate_data(self, X, **options)
        scores = np.asarray(self._column_scores(X, y), dtype=np.float64)
        wanted = self.n_features_to_select
        auto = isinstance(wanted, str) and wanted == "auto"
        size = self._auto_size(scores) if auto else support_size(wanted, scores.size)  # type: ignore[arg-type]
        self.scores_ = scores
        self.ranking_ = rank_columns(scores)
        self.support_ = self.ranking_ <= size
        return self

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self, "support_")
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self._needs_y
        return tags
