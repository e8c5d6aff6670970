"""Accuracy of selected columns: the design of the splits, and what the selector has seen."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from lib.measure.selection import evaluate, evaluate_columns, evaluate_permuted, folds, linear_svm, permutations
from lib.select import FTest, RandomSelector, RankingSelector, Variance


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [24, 16])
    X = rng.normal(size=(40, 60))
    X[:, 7] += 3 * y
    return X, y


def test_folds_partition_the_rows_and_keep_the_classes(data: tuple[np.ndarray, np.ndarray]) -> None:
    y = data[1]
    made = folds(y, n_splits=4, n_repeats=3, generator=np.random.default_rng(0))
    assert [(f.repeat, f.fold) for f in made] == [(r, f) for r in range(3) for f in range(4)]
    for repeat in range(3):
        tested = np.concatenate([f.test for f in made if f.repeat == repeat])
        assert sorted(tested) == list(range(40))
    assert all(np.bincount(y[f.test]).tolist() == [6, 4] for f in made)
    assert all(np.intersect1d(f.train, f.test).size == 0 for f in made)
    again = folds(y, n_splits=4, n_repeats=3, generator=np.random.default_rng(0))
    other = folds(y, n_splits=4, n_repeats=3, generator=np.random.default_rng(1))
    assert all((a.test == b.test).all() for a, b in zip(made, again, strict=True))
    assert any((a.test != b.test).any() for a, b in zip(made, other, strict=True))


def test_too_many_folds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"n_splits must be in 2\.\.3"):
        folds(np.array([0, 0, 0, 1]), n_splits=5, generator=np.random.default_rng(0))


def test_inside_equals_a_scikit_learn_pipeline(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    splits = folds(y, n_splits=5, generator=np.random.default_rng(0))
    ours = evaluate(FTest(), X, y, splits, sizes=(5,), generator=np.random.default_rng(0))
    pipeline = make_pipeline(FTest(5), linear_svm())
    peer = cross_val_score(pipeline, X, y, cv=[(f.train, f.test) for f in splits])
    np.testing.assert_allclose(ours["accuracy"], peer)


def test_the_selector_sees_training_rows_only_inside_and_all_rows_outside(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = data
    seen: list[int] = []

    class Spy(RankingSelector):
        def _column_scores(self, X: np.ndarray, y: Any) -> np.ndarray:
            seen.append(X.shape[0])
            return X.var(axis=0)

    splits = folds(y, n_splits=5, n_repeats=2, generator=np.random.default_rng(0))
    evaluate(Spy(), X, y, splits, sizes=(2, 4), generator=np.random.default_rng(0))
    assert seen == [32] * 10
    seen.clear()
    evaluate(Spy(), X, y, splits, where="outside", sizes=(2, 4), generator=np.random.default_rng(0))
    assert seen == [40]


def test_one_row_per_split_and_size_with_all_columns_as_control(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    splits = folds(y, n_splits=4, n_repeats=2, generator=np.random.default_rng(0))
    found = evaluate(Variance(), X, y, splits, sizes=(1, 10, 60), generator=np.random.default_rng(0))
    assert len(found) == 24
    assert not found.duplicated(["repeat", "fold", "size"]).any()
    every = evaluate(None, X, y, splits, generator=np.random.default_rng(0))
    assert (every["size"] == 60).all()
    pd.testing.assert_frame_equal(every, found[found["size"] == 60].reset_index(drop=True))


def test_random_columns_are_drawn_again_in_every_fold(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    splits = folds(y, n_splits=5, generator=np.random.default_rng(0))
    first, second = (
        evaluate(RandomSelector(random_state=0), X, y, splits, sizes=(3,), generator=np.random.default_rng(seed))
        for seed in (0, 1)
    )
    assert (first["accuracy"] != second["accuracy"]).any()


def test_balanced_accuracy_of_a_classifier_that_says_the_majority(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    split = folds(y, n_splits=4, generator=np.random.default_rng(0))[0]
    majority = KNeighborsClassifier(n_neighbors=split.train.size)
    score = evaluate_columns(X, y, np.array([0]), split, classifier=majority)
    assert score == {"accuracy": 0.6, "balanced_accuracy": 0.5}


def test_outside_selection_invents_accuracy_on_noise() -> None:
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(40, 1000)), np.repeat([0, 1], 20)
    found = evaluate_permuted(FTest(), X, y, n_permutations=6, n_splits=4, size=20, generator=rng)
    mean = found.groupby("where")["accuracy"].mean()
    # the folds hold 240 predictions: a standard error of .03 around chance, the invented part is several tenths
    assert mean["outside"] > 0.75
    assert abs(mean["inside"] - 0.5) < 0.12
    assert found.groupby(["permutation", "where"]).size().eq(4).all()


def test_permutations_keep_the_counts_and_differ(data: tuple[np.ndarray, np.ndarray]) -> None:
    shuffled = permutations(data[1], n_permutations=3, generator=np.random.default_rng(0))
    assert (shuffled.sum(axis=1) == 16).all()
    assert len(np.unique(shuffled, axis=0)) == 3


def test_bad_arguments_are_named(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    splits = folds(y, n_splits=4, generator=np.random.default_rng(0))
    with pytest.raises(ValueError, match="where must be one of"):
        evaluate(Variance(), X, y, splits, where="both", generator=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"sizes must be in 1\.\.60"):
        evaluate(Variance(), X, y, splits, sizes=(61,), generator=np.random.default_rng(0))
