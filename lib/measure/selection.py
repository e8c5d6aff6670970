"""What a choice of columns is worth: accuracy on rows that the choice has not seen, one value per split.

Ambroise and McLachlan 2002 (PNAS): a selector that has seen the test rows makes noise look predictable. ``evaluate``
therefore refits the selector inside every fold; ``where="outside"`` does it the wrong way on purpose, for the lesson.
``evaluate_permuted`` runs both on labels that carry no information.

Conventions: folds are made once (``folds``) and handed to every selector, so that rows of two results pair by
``repeat`` and ``fold``. The classifier is a linear support vector machine on standardised columns, fitted on the
training rows. Accuracy is a share in [0, 1]; balanced accuracy is the mean recall of the classes, chance = 1 / classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from lib.measure.stability import reseeded

__all__ = [
    "PLACES", "Fold", "evaluate", "evaluate_columns", "evaluate_permuted", "folds", "linear_svm", "permutations",
]  # fmt: skip

PLACES = ("inside", "outside")


@dataclass(frozen=True)
class Fold:
    """One split: its place in the design and its row numbers.

    Attributes
    ----------
    repeat, fold : int
        From 0.
    train, test : ndarray of int64
        Row numbers, disjoint.
    """

    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray


def folds(y: np.ndarray, *, n_splits: int = 5, n_repeats: int = 1, generator: np.random.Generator) -> list[Fold]:
    """Repeated stratified cross-validation.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Classes. A class with fewer rows than ``n_splits`` is missing from some test sets.
    n_splits : int, >= 2
        Folds per repeat.
    n_repeats : int, >= 1
        Shuffles.
    generator : numpy.random.Generator
        Source of the shuffles.

    Returns
    -------
    list of Fold
        ``n_repeats * n_splits`` splits.

    Raises
    ------
    ValueError
        If the largest class has fewer rows than ``n_splits``.
    """
    y = np.asarray(y)
    largest = int(np.unique(y, return_counts=True)[1].max())
    if not 2 <= n_splits <= largest:
        raise ValueError(f"n_splits must be in 2..{largest} (the largest class), got {n_splits}; use fewer folds")
    made = []
    for repeat in range(n_repeats):
        cutter = StratifiedKFold(n_splits, shuffle=True, random_state=int(generator.integers(2**31)))
        with _quiet():
            pairs = list(cutter.split(np.zeros((y.size, 1)), y))
        made += [Fold(repeat, fold, train, test) for fold, (train, test) in enumerate(pairs)]
    return made


def _quiet() -> Any:
    # small classes are the caller's choice; a fold without one of them is stated in the docstrings
    return warnings.catch_warnings(action="ignore", category=UserWarning)


def linear_svm(*, C: float = 1.0) -> Any:
    """The house classifier: standardised columns, linear support vector machine, one class against the rest."""
    return make_pipeline(StandardScaler(), LinearSVC(C=C, dual="auto", tol=1e-3, max_iter=5000, random_state=0))


def evaluate_columns(
    X: np.ndarray, y: np.ndarray, columns: np.ndarray, fold: Fold, *, classifier: Any = None
) -> dict[str, float]:
    """Accuracy of a classifier that sees the given columns only.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
    y : ndarray of shape (n,)
    columns : ndarray of int64 or bool mask
        At least one column.
    fold : Fold
        Training and test rows.
    classifier : scikit-learn classifier, optional
        Cloned; :func:`linear_svm` if left out.

    Returns
    -------
    dict
        ``accuracy`` and ``balanced_accuracy`` on the test rows, in [0, 1].
    """
    model = linear_svm() if classifier is None else clone(classifier)
    columns = np.flatnonzero(columns) if columns.dtype == bool else columns
    model.fit(X[np.ix_(fold.train, columns)], y[fold.train])
    truth, guess = y[fold.test], model.predict(X[np.ix_(fold.test, columns)])
    with _quiet():
        balanced = float(balanced_accuracy_score(truth, guess))
    return {"accuracy": float(np.mean(truth == guess)), "balanced_accuracy": balanced}


def evaluate(
    selector: Any,
    X: np.ndarray,
    y: np.ndarray,
    splits: list[Fold],
    *,
    sizes: tuple[int, ...] = (50,),
    where: str = "inside",
    classifier: Any = None,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Cross-validated accuracy of the best columns, one row per split and size.

    Parameters
    ----------
    selector : estimator with ``fit`` and ``ranking_``, or None
        Cloned and fitted once per split (a ``random_state`` gets a fresh seed each time); None keeps all columns.
    X : ndarray of shape (n, d), float64
    y : ndarray of shape (n,)
    splits : list of Fold
        See :func:`folds`; the same list for two selectors makes their rows pairs.
    sizes : tuple of int
        Numbers of columns, each in 1..d.
    where : {"inside", "outside"}
        "inside" fits the selector on the training rows of each split; "outside" once on all rows, test rows included.
    classifier : scikit-learn classifier, optional
        :func:`linear_svm` if left out.
    generator : numpy.random.Generator
        Source of the selectors' seeds.

    Returns
    -------
    DataFrame
        Columns ``repeat, fold, where, size, accuracy, balanced_accuracy, n_train, n_test``.

    Raises
    ------
    ValueError
        If ``where`` or a size is not allowed.
    """
    if where not in PLACES:
        raise ValueError(f"where must be one of {PLACES}, got {where!r}")
    if selector is None:
        sizes = (X.shape[1],)
    if not all(1 <= size <= X.shape[1] for size in sizes):
        raise ValueError(f"sizes must be in 1..{X.shape[1]}, the number of columns, got {sizes}")
    ranking = np.arange(1, X.shape[1] + 1)
    if selector is not None and where == "outside":
        ranking = reseeded(selector, generator).fit(X, y).ranking_
    rows = []
    for split in splits:
        if selector is not None and where == "inside":
            ranking = reseeded(selector, generator).fit(X[split.train], y[split.train]).ranking_
        for size in sizes:
            score = evaluate_columns(X, y, ranking <= size, split, classifier=classifier)
            place = {"repeat": split.repeat, "fold": split.fold, "where": where, "size": size}
            rows.append({**place, **score, "n_train": split.train.size, "n_test": split.test.size})
    return pd.DataFrame(rows)


def permutations(y: np.ndarray, *, n_permutations: int, generator: np.random.Generator) -> np.ndarray:
    """Shuffled copies of the labels, shape (n_permutations, n), class counts kept."""
    return np.stack([generator.permutation(np.asarray(y)) for _ in range(n_permutations)])


def evaluate_permuted(
    selector: Any,
    X: np.ndarray,
    y: np.ndarray,
    *,
    n_permutations: int = 20,
    n_splits: int = 5,
    size: int = 50,
    classifier: Any = None,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Inside and outside selection on labels without information, on the same folds.

    Parameters
    ----------
    selector, X, y, classifier, generator
        As in :func:`evaluate`.
    n_permutations : int
        Shuffles of y; each gets its own folds.
    n_splits : int
        Folds per shuffle.
    size : int
        Number of columns.

    Returns
    -------
    DataFrame
        As :func:`evaluate`, with a column ``permutation``; two rows (inside, outside) per permutation and fold.
    """
    found = []
    for number, shuffled in enumerate(permutations(y, n_permutations=n_permutations, generator=generator)):
        splits = folds(shuffled, n_splits=n_splits, generator=generator)
        for where in PLACES:
            one = evaluate(
                selector, X, shuffled, splits, sizes=(size,), where=where, classifier=classifier, generator=generator
            )
            found.append(one.assign(permutation=number))
    return pd.concat(found, ignore_index=True)
