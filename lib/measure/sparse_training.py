"""What sparse training makes of the columns of a table, epoch by epoch, with one part of the recipe changed.

Atashgahi et al. 2022, QuickSelection (arXiv:2012.00560): strength of the inputs of a sparse denoising autoencoder.
Four arms: ``moving`` connections (the paper's), ``static`` ones, ``overwritten`` and ``dense`` as in
`lib.models.sparse_variants`. The columns are judged as the authors' code does: accuracy of fifty extremely randomised
trees, and k-means with as many clusters as there are classes.

Differences: trees and clusters are judged on rows that took no part in the choice (there, clusters are made of the
training rows); each seed draws its own training and test rows, stratified.

Conventions: `moving` and `static` come from `lib.select.quick_selection` itself; with the same seed all sparse arms
start from the same weights. Shares in percent. A training is a function of literals, ready for ``run.trained``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedShuffleSplit

from lib import data
from lib.measure.selection import Fold, evaluate_columns
from lib.measure.selection_scores import LEAST_DRAWS, clustering_scores
from lib.models.sparse_autoencoder import train_epoch
from lib.models.sparse_variants import autoencoder
from lib.select.quick_selection import quick_selection

__all__ = [
    "ARMS", "JUDGES", "best_columns", "controls", "held_out", "judge", "judged", "overlaps", "strength_path",
    "trained_strengths",
]  # fmt: skip

ARMS = ("moving", "static", "overwritten", "dense")
JUDGES = ("trees", "clusters")


def held_out(y: np.ndarray, *, n_train: int, seed: int) -> Fold:
    """Training rows, and a third as many test rows, stratified.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Classes.
    n_train : int
        Training rows, at most three quarters of all.
    seed : int
        Of the draw; also the fold's ``repeat``.

    Returns
    -------
    Fold

    Examples
    --------
    >>> split = held_out(np.repeat([0, 1], 50), n_train=1000, seed=0)
    >>> split.train.size, split.test.size
    (75, 25)
    """
    y = np.asarray(y)
    n_train = min(n_train, 3 * y.size // 4)
    cutter = StratifiedShuffleSplit(1, train_size=n_train, test_size=n_train // 3, random_state=seed)
    train, test = next(cutter.split(np.zeros((y.size, 1)), y))
    return Fold(seed, 0, train, test)


def strength_path(
    X: np.ndarray, *, arm: str = "moving", epochs: int = 10, hidden: int = 1000, epsilon: float = 13.0,
    zeta: float = 0.2, output: str = "linear", generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Strength of the columns after every epoch of one training.

    Parameters
    ----------
    X : ndarray of shape (n, d), finite
        Rows are cases; standardised here.
    arm : {"moving", "static", "overwritten", "dense"}
        "static" and "dense" move nothing; "overwritten" moves as the paper does.
    epochs, hidden, epsilon, zeta, output
        See :class:`lib.select.quick_selection.QuickSelection`.
    generator : numpy.random.Generator

    Returns
    -------
    strengths : ndarray of shape (epochs, d), float32
        0 for a constant column.
    errors : ndarray of shape (epochs,), float64
        Mean squared error of the reconstruction in training; about 1 = no better than the column means.

    Raises
    ------
    ValueError
        If the arm is unknown.
    RuntimeError
        If training diverges.

    Examples
    --------
    >>> from lib.data import planted
    >>> found = planted.madelon(300, n_noise=20, generator=np.random.default_rng(0))
    >>> strengths, errors = strength_path(found.X, epochs=3, hidden=40, generator=np.random.default_rng(0))
    >>> strengths.shape, bool(errors[2] < errors[0])
    ((3, 40), True)
    """
    if arm not in ARMS:
        raise ValueError(f"arm must be one of {ARMS}, got {arm!r}; 'moving' is the paper's")
    common = {"epochs": epochs, "hidden": hidden, "epsilon": epsilon, "output": output}
    if arm in ("moving", "static"):
        path = quick_selection(X, zeta=zeta if arm == "moving" else 0.0, generator=generator, **common)  # type: ignore[arg-type]
        return path.strengths, path.errors
    return _own_path(X, variant=arm, zeta=0.0 if arm == "dense" else zeta, generator=generator, **common)  # type: ignore[arg-type]


def _own_path(
    X: np.ndarray, *, variant: str, epochs: int, hidden: int, epsilon: float, zeta: float, output: str,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The loop of `lib.select.quick_selection` around a network of another kind."""
    varies = np.ptp(X, axis=0) > 0
    kept = np.asarray(X, dtype=np.float64)[:, varies]
    scaled = ((kept - kept.mean(axis=0)) / kept.std(axis=0)).astype(np.float32)
    network = autoencoder(
        scaled.shape[1], variant=variant, hidden=hidden, epsilon=epsilon, output=output, generator=generator
    )
    strengths, errors = np.zeros((epochs, varies.size), dtype=np.float32), np.zeros(epochs)
    for epoch in range(epochs):
        errors[epoch] = train_epoch(network, scaled, generator=generator)
        if not np.isfinite(errors[epoch]):
            raise RuntimeError(f"training of arm {variant!r} diverged in epoch {epoch + 1}; take fewer hidden units")
        strengths[epoch, varies] = network.strength()
        if epoch < epochs - 1:
            network.rewire(zeta, generator)
    return strengths, errors


def trained_strengths(
    *, dataset: str, arm: str, seed: int, n_train: int, epochs: int, hidden: int, epsilon: float, zeta: float
) -> dict[str, torch.Tensor]:
    """One training on the training rows of one split of a table.

    Parameters
    ----------
    dataset : str
        Id of a table; the output is tanh for "madelon" and linear for all others, as in the paper.
    seed : int
        Of the split (see :func:`held_out`) and of the training.
    arm, n_train, epochs, hidden, epsilon, zeta
        See :func:`strength_path` and :func:`held_out`.

    Returns
    -------
    dict of Tensor
        ``strengths`` (epochs, d) and ``errors`` (epochs,).
    """
    table = data.table(dataset)
    rows = held_out(table.y, n_train=n_train, seed=seed).train
    strengths, errors = strength_path(
        table.X[rows], arm=arm, epochs=epochs, hidden=hidden, epsilon=epsilon, zeta=zeta,
        output="tanh" if dataset == "madelon" else "linear", generator=np.random.default_rng(seed),
    )  # fmt: skip
    return {"strengths": torch.from_numpy(strengths), "errors": torch.from_numpy(errors)}


def best_columns(scores: np.ndarray, size: int) -> np.ndarray:
    """Numbers of the ``size`` largest scores, best first; ties by column, NaN last."""
    return np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")[:size]


def judge(
    X: np.ndarray, y: np.ndarray, columns: np.ndarray, fold: Fold, *, by: str = "trees", n_trees: int = 50,
    n_clusterings: int = 10,
) -> dict[str, float]:  # fmt: skip
    """What some columns are worth on the fold's test rows.

    Parameters
    ----------
    X : ndarray of shape (n, d), float64
    y : ndarray of shape (n,)
    columns : ndarray of int64
        At least one.
    fold : Fold
        Its ``repeat`` seeds trees and clusters.
    by : {"trees", "clusters"}
        "trees" learns on the training rows; "clusters" sees test rows and no label.
    n_trees, n_clusterings : int >= 1
        Trees of the forest; runs of k-means that are averaged.

    Returns
    -------
    dict
        ``score``, percent of test rows that are classified rightly, or whose cluster stands for their class.

    Raises
    ------
    ValueError
        If ``by`` is unknown.
    """
    if by not in JUDGES:
        raise ValueError(f"by must be one of {JUDGES}, got {by!r}; 'trees' needs labels, 'clusters' does not")
    if by == "trees":
        forest = ExtraTreesClassifier(n_trees, random_state=fold.repeat)
        return {"score": 100 * evaluate_columns(X, y, columns, fold, classifier=forest)["accuracy"]}
    chance = np.random.default_rng(fold.repeat)
    found = clustering_scores(X[fold.test], y[fold.test], columns, n_runs=n_clusterings, generator=chance)
    return {"score": 100 * float(found["accuracy"].mean()), "nmi": 100 * float(found["nmi"].mean())}


def controls(
    X: np.ndarray, size: int, *, n_random: int = 20, generator: np.random.Generator
) -> dict[str, list[np.ndarray]]:
    """Columns that need no training: random draws, the largest variance, all.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training rows.
    size : int in 1..d
        Columns of a draw and of the largest variance.
    n_random : int, >= 20
        Draws.
    generator : numpy.random.Generator

    Returns
    -------
    dict
        "random", "variance" and "all columns" to lists of column numbers.

    Raises
    ------
    ValueError
        If there are fewer draws than 20.
    """
    if n_random < LEAST_DRAWS:
        raise ValueError(f"n_random must be at least {LEAST_DRAWS}, got {n_random}; fewer do not show their spread")
    draws = [generator.permutation(X.shape[1])[:size] for _ in range(n_random)]
    return {"random": draws, "variance": [best_columns(X.var(axis=0), size)], "all columns": [np.arange(X.shape[1])]}


def judged(
    X: np.ndarray, y: np.ndarray, choices: Mapping[str, Sequence[np.ndarray]], fold: Fold, *, by: str = "trees",
    n_trees: int = 50, n_clusterings: int = 10,
) -> list[dict[str, str | float]]:  # fmt: skip
    """Several choices on one fold, one row per name: the mean over the choices of that name.

    Parameters
    ----------
    X, y, fold, by, n_trees, n_clusterings
        As in :func:`judge`.
    choices : mapping of str to sequence of ndarray of int64
        Column numbers.

    Returns
    -------
    list of dict
        ``method``, ``seed`` (the fold's ``repeat``) and what :func:`judge` returns.
    """
    rows: list[dict[str, str | float]] = []
    for method, sets in choices.items():
        found = [judge(X, y, one, fold, by=by, n_trees=n_trees, n_clusterings=n_clusterings) for one in sets]
        means = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
        rows.append({"method": method, "seed": fold.repeat, **means})
    return rows


def overlaps(choices: np.ndarray) -> np.ndarray:
    """Share of columns in common for every pair of choices of one size.

    Parameters
    ----------
    choices : ndarray of shape (m, size), int
        Column numbers, m >= 2.

    Returns
    -------
    ndarray of shape (m * (m - 1) / 2,), float64
        1 = the same columns; random ones of d: size / d on average.

    Examples
    --------
    >>> overlaps(np.array([[0, 1], [1, 0], [1, 2]])).tolist()
    [1.0, 0.5, 0.5]
    """
    pairs = combinations(np.asarray(choices), 2)
    return np.array([np.intersect1d(one, other).size / len(one) for one, other in pairs])
