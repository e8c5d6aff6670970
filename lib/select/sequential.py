"""Selectors that pick one column after another, and remember in which order and what for.

Conventions: as `lib.select.base`; picked columns rank before all others, in the order of the picks, fixed ones before
them. ``scores_`` is larger for better columns throughout: of d columns the first pick has d, the next one less, and
those that were not picked have values in (0, 1) in the order of their last scores.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from lib.select.base import ColumnSelector, rank_columns

__all__ = ["Picks", "SequentialSelector"]


@dataclass(frozen=True)
class Picks:
    """What a sequential selection did.

    Attributes
    ----------
    order : ndarray of shape (k,), int64
        Columns in the order in which they were picked, fixed ones first.
    path : ndarray of shape (k,), float64
        Value of the criterion after each pick, NaN where there is none.
    rest : ndarray of shape (d,), float64
        Last score of every column, larger is better; only those not picked are looked at.
    """

    order: np.ndarray
    path: np.ndarray
    rest: np.ndarray


class SequentialSelector(ColumnSelector):
    """Base of selectors that pick columns one by one.

    Parameters
    ----------
    n_features_to_select : int, float or "auto"
        Columns picked, the fixed ones among them; "auto" is half of the columns unless the class says otherwise.
    fixed_features : sequence of int or str, optional
        Columns the selection starts from.

    Attributes
    ----------
    selection_order_ : ndarray of shape (k,), int64
        Columns in the order of the picks.
    path_ : ndarray of shape (k,), float64
        Value of the criterion after each pick.
    scores_, ranking_, support_, n_features_in_
        As `lib.select.base.ColumnSelector`.
    """

    @abstractmethod
    def _picks(self, X: np.ndarray, y: np.ndarray | None, *, size: int, fixed: np.ndarray) -> Picks:
        """Pick ``size`` columns, starting from the fixed ones."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Pick columns; parameters and errors as in `lib.select.base.RankingSelector.fit`."""
        X, y = self._validated(X, y)
        fixed, columns = self._fixed(), self.n_features_in_
        picked = self._picks(X, y, size=self._size(np.zeros(columns), fixed), fixed=fixed)
        left = np.setdiff1d(np.arange(columns), picked.order)
        places = rank_columns(picked.rest[left])  # 1 = best of those left
        scores = np.empty(columns)
        scores[picked.order] = columns - np.arange(picked.order.size)
        scores[left] = 1 - places / (left.size + 1)
        self.selection_order_ = np.asarray(picked.order, dtype=np.int64)
        self.path_ = np.asarray(picked.path, dtype=np.float64)
        self.scores_ = scores
        self.ranking_ = rank_columns(scores)
        self.support_ = self.ranking_ <= picked.order.size
        return self
