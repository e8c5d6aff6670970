"""Infinite Feature Selection with its mixing weight tuned on the training rows, as its authors did.

Roffo, Melzi and Cristani, *Infinite Feature Selection*, ICCV 2015: the weight alpha between spread and dissimilarity
is cross-validated. Here it is the one with the highest accuracy of a linear support vector machine,
averaged over inner folds of the rows given to ``fit`` and over several numbers of columns.

Differences: the grid of alphas and the number of inner folds are parameters (not the paper's); the
classifier is that of `lib.measure.selection`. Equal accuracies go to the weight nearest to one half, then to the
smaller one. The score knows the labels through alpha alone.

Cost: one similarity matrix per inner fold and one for all rows, one linear solve per alpha on each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets

from lib.measure.selection import evaluate_columns, folds
from lib.select.base import RankingSelector, rank_columns
from lib.select.inf_fs import column_graph, histogram_size, infinite_sum

__all__ = ["TunedInfFS", "inner_accuracies", "preferred"]


def inner_accuracies(
    X: np.ndarray,
    y: np.ndarray,
    *,
    alphas: Sequence[float],
    sizes: Sequence[int],
    n_splits: int = 3,
    form: str = "2015",
    generator: np.random.Generator,
) -> np.ndarray:
    """Accuracy of the best columns under each mixing weight, on inner folds.

    Parameters
    ----------
    X : ndarray of shape (n, d), finite
        Training rows.
    y : ndarray of shape (n,)
        Classes.
    alphas : sequence of float in [0, 1]
        Mixing weights.
    sizes : sequence of int, >= 1
        Numbers of columns; those above d count as d.
    n_splits : int, >= 2
        Inner folds.
    form : {"2015", "2020-U"}
        See `lib.select.inf_fs`.
    generator : numpy.random.Generator
        Source of the folds.

    Returns
    -------
    ndarray of shape (len(alphas), n_splits), float64, in [0, 1]
        Mean over sizes.

    Raises
    ------
    ValueError
        If an alpha or the form is not allowed, or there are fewer rows in the largest class than folds.
    """
    sizes = sorted({min(size, X.shape[1]) for size in sizes})
    found = np.empty((len(alphas), n_splits))
    for place, split in enumerate(folds(y, n_splits=n_splits, generator=generator)):
        graph = column_graph(X[split.train])
        for row, alpha in enumerate(alphas):
            ranking = rank_columns(infinite_sum(graph, alpha=alpha, form=form))
            hits = [evaluate_columns(X, y, ranking <= size, split)["accuracy"] for size in sizes]
            found[row, place] = np.mean(hits)
    return found


def preferred(alphas: Sequence[float], accuracies: np.ndarray) -> float:
    """The mixing weight with the highest mean accuracy; ties to the one nearest 0.5, then to the smaller.

    Examples
    --------
    >>> preferred([0.0, 0.5, 1.0], np.array([[0.8], [0.7], [0.8]]))
    0.0
    >>> preferred([0.0, 0.5, 1.0], np.array([[0.7], [0.7], [0.7]]))
    0.5
    """
    means = np.round(np.asarray(accuracies).mean(axis=1), 12)
    order = sorted(range(len(alphas)), key=lambda row: (-means[row], abs(alphas[row] - 0.5), alphas[row]))
    return float(alphas[order[0]])


class TunedInfFS(RankingSelector):
    """Infinite Feature Selection whose mixing weight is chosen by inner cross-validation.

    Parameters
    ----------
    n_features_to_select : int, float or "auto"
        As `lib.select.InfFS`.
    alphas : sequence of float in [0, 1]
        Mixing weights on offer; 1 = spread only, 0 = dissimilarity only.
    sizes : sequence of int
        Numbers of columns over which accuracy is averaged.
    n_splits : int, >= 2
        Inner folds.
    form : {"2015", "2020-U"}
        See `lib.select.inf_fs`.
    random_state : int, RandomState or None
        Seed of the inner folds.

    Attributes
    ----------
    alpha_ : float
        The weight that was chosen.
    accuracies_ : ndarray of shape (len(alphas), n_splits)
        What it was chosen by.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> TunedInfFS(2, sizes=(1, 2), random_state=0).fit(*load_iris(return_X_y=True)).ranking_.shape
    (4,)
    """

    _needs_y = True

    def __init__(
        self,
        n_features_to_select: int | float | str = "auto",
        *,
        alphas: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
        sizes: Sequence[int] = (50,),
        n_splits: int = 3,
        form: str = "2015",
        random_state: int | np.random.RandomState | None = None,
        fixed_features: Sequence[int] | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_features_to_select, fixed_features=fixed_features)
        self.alphas = alphas
        self.sizes = sizes
        self.n_splits = n_splits
        self.form = form
        self.random_state = random_state

    def _column_scores(self, X: np.ndarray, y: np.ndarray | None) -> np.ndarray:
        check_classification_targets(y)
        labels = np.asarray(y)
        if np.unique(labels).size < 2:
            raise ValueError(f"y must hold at least two classes, got {np.unique(labels).size} class; give others")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.accuracies_ = inner_accuracies(
            X, labels, alphas=self.alphas, sizes=self.sizes, n_splits=self.n_splits, form=self.form,
            generator=np.random.default_rng(seed),
        )  # fmt: skip
        self.alpha_ = preferred(self.alphas, self.accuracies_)
        return infinite_sum(column_graph(X), alpha=self.alpha_, form=self.form)

    def _auto_size(self, scores: np.ndarray) -> int:
        return histogram_size(scores)
