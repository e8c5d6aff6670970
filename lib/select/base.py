"""The contract of every column selector: scores, a total order, a support of known size.

A selector is a scikit-learn transformer. ``fit`` leaves ``scores_`` (larger is better), ``ranking_`` (1 is best, a
permutation of 1..d, ties by column number, NaN last) and ``support_`` (the mask of kept columns). Columns that must be
kept come first in the ranking, in the order given. `ColumnSelector` validates and sizes; a selector that scores every
column once is a `RankingSelector`, one that picks column after column a `lib.select.sequential.SequentialSelector`.

Conventions: ``SelectorMixin`` comes first in the bases, otherwise scikit-learn finds no transformer tags; ``__init__``
only stores. A ranking selector writes ``_column_scores``; each may have a rule of its own in ``_auto_size`` and says in
``_needs_y``, ``_accepts_sparse`` and ``_allows_nan`` what it takes.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["ColumnSelector", "RankingSelector", "rank_columns", "support_size"]


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


def _fixed_first(ranking: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """The ranking with some columns moved to its top, in their order."""
    order = np.argsort(ranking)
    order = np.concatenate([fixed, order[~np.isin(order, fixed)]])
    moved = np.empty_like(ranking)
    moved[order] = np.arange(1, ranking.size + 1)
    return moved


class ColumnSelector(SelectorMixin, BaseEstimator, metaclass=ABCMeta):
    """What all selectors share: input checks, the size of the support, columns that must be kept.

    Parameters
    ----------
    n_features_to_select : int, float or "auto"
        Count, share in (0, 1], or the selector's own rule (half of the columns unless the class says otherwise).
    fixed_features : sequence of int or str, optional
        Columns that are kept whatever their score, by number or, where X has names, by name; they count as selected.

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
    _accepts_sparse = False
    _allows_nan = False
    _min_rows = 2

    def __init__(
        self,
        n_features_to_select: int | float | str = "auto",
        *,
        fixed_features: Sequence[int] | Sequence[str] | None = None,
    ) -> None:
        self.n_features_to_select = n_features_to_select
        self.fixed_features = fixed_features

    def _auto_size(self, scores: np.ndarray) -> int:
        """Columns kept for ``n_features_to_select="auto"``."""
        return max(1, scores.size // 2)

    @abstractmethod
    def fit(self, X: Any, y: Any = None) -> Self:
        """Leave ``scores_``, ``ranking_`` and ``support_``."""

    def _validated(self, X: Any, y: Any) -> tuple[Any, Any]:
        """X float64 (n, d), dense unless sparse is accepted, and y as it came, or None where it is not needed."""
        options: dict[str, Any] = {"dtype": np.float64, "ensure_min_samples": self._min_rows}
        options |= {"accept_sparse": "csr" if self._accepts_sparse else False}
        options |= {"ensure_all_finite": "allow-nan" if self._allows_nan else True}
        if self._needs_y:
            return validate_data(self, X, y, **options)
        return validate_data(self, X, **options), y

    def _fixed(self) -> np.ndarray:
        """Numbers of the columns that must be kept, in the order given."""
        asked = [] if self.fixed_features is None else list(self.fixed_features)
        names = list(getattr(self, "feature_names_in_", []))
        found = [names.index(one) if isinstance(one, str) and one in names else one for one in asked]
        right = all(isinstance(one, int | np.integer) and 0 <= one < self.n_features_in_ for one in found)
        if not right or len(set(found)) != len(found):
            raise ValueError(
                f"fixed_features must name different columns of X by number in 0..{self.n_features_in_ - 1} or by "
                f"name, got {asked}; names work where X is a table with column names"
            )
        return np.array(found, dtype=np.int64)

    def _size(self, scores: np.ndarray, fixed: np.ndarray) -> int:
        """Columns to keep, the fixed ones among them."""
        wanted = self.n_features_to_select
        if isinstance(wanted, str) and wanted == "auto":
            return max(self._auto_size(scores), fixed.size, 1)
        size = support_size(wanted, scores.size)  # type: ignore[arg-type]
        if size < fixed.size:
            raise ValueError(
                f"fixed_features must fit into the selection, got {fixed.size} columns for n_features_to_select="
                f"{wanted!r}; raise the latter"
            )
        return size

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self, "support_")
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self._needs_y
        tags.input_tags.sparse = self._accepts_sparse
        tags.input_tags.allow_nan = self._allows_nan
        return tags


class RankingSelector(ColumnSelector):
    """Base of selectors that score every column once and keep the best.

    Parameters
    ----------
    n_features_to_select, fixed_features
        As :class:`ColumnSelector`.

    Attributes
    ----------
    scores_, ranking_, support_, n_features_in_
        As :class:`ColumnSelector`.
    """

    @abstractmethod
    def _column_scores(self, X: np.ndarray, y: np.ndarray | None) -> np.ndarray:
        """One score per column, larger is better."""

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
            If X is not finite and two-dimensional, ``n_features_to_select`` is out of range, or ``fixed_features``
            names a column that is not there, one twice, or more than are kept.
        """
        X, y = self._validated(X, y)
        fixed = self._fixed()
        scores = np.asarray(self._column_scores(X, y), dtype=np.float64)
        size = self._size(scores, fixed)
        self.scores_ = scores
        self.ranking_ = _fixed_first(rank_columns(scores), fixed)
        self.support_ = self.ranking_ <= size
        return self
