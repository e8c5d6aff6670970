"""Tables with extra columns: who is compared, on which rows, and that a truth that is there is found."""

from __future__ import annotations

import numpy as np
import pytest

from lib.data.planted import second_order
from lib.data.planted_extras import with_extras
from lib.measure import extras

QUICK = {"n_train": 120, "n_test": 60, "epochs": 4, "n_trees": 10, "n_random": 2}


def table(kind="corrupted"):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    return with_extras(X, (X.sum(axis=1) > 0).astype(int), kind=kind, n_extra=5, strength=1.0, generator=rng)


def test_every_method_and_control_once():
    found = extras.compare(table(), **QUICK, seed=1)
    counts = found.groupby("method").size()
    assert set(counts.index) == {*extras.METHODS, extras.RANDOM, extras.ALL, extras.ORIGINALS}
    assert counts[extras.RANDOM] == 2
    assert counts.drop(extras.RANDOM).eq(1).all()
    by_method = found.set_index("method")
    assert by_method.loc[extras.ORIGINALS, "recall"] == 1
    assert by_method.loc[extras.ALL, "recall"] == 1
    assert set(by_method["recall"].mul(3).round(9)) <= {0, 1, 2, 3}
    assert found["score"].between(0, 1).all()


def test_recalls_are_those_of_the_comparison():
    methods = ("F test", "mutual information")
    whole = extras.compare(table(), **QUICK, methods=methods, seed=1)
    part = extras.recalls(table(), **QUICK, methods=methods, seed=1)
    assert part.equals(whole.loc[~whole["method"].isin([extras.ALL, extras.ORIGINALS]), part.columns])


def test_same_seed_same_numbers_other_seed_other_ones():
    methods = ("F test", "Deep Lasso")
    first = extras.compare(table(), **QUICK, methods=methods, seed=1)
    assert first.equals(extras.compare(table(), **QUICK, methods=methods, seed=1))
    assert not first.equals(extras.compare(table(), **QUICK, methods=methods, seed=2))


def test_rankings_are_permutations_for_classes_and_numbers():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(120, 5))
    for y in ((X[:, 0] > 0).astype(int), X[:, 0] + 0.1 * rng.normal(size=120)):
        found = extras.rankings(X, y, size=2, methods=(*extras.METHODS, extras.FIRST_MOMENT), epochs=8, seed=0)
        for ranking in found.values():
            assert sorted(ranking) == [1, 2, 3, 4, 5]
            assert ranking[0] == 1


def test_penalty_and_degree_are_what_the_names_say():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(600, 8))
    y = X[:, 1] * X[:, 5]
    names = ("Feature Gradients", "Feature Gradients, degree 2", "Deep Lasso", "Deep Lasso, no penalty")
    found = extras.rankings(X, y, size=2, methods=names, epochs=30, seed=0)
    assert set(np.argsort(found[names[1]])[:2]) == {1, 5}
    assert set(np.argsort(found[names[2]])[:2]) == {1, 5}
    assert not np.array_equal(found[names[0]], found[names[1]])


def test_numbers_are_scored_by_r2():
    made = second_order(500, n_pairs=0, n_squares=1, n_noise=1, noise=0.1, generator=np.random.default_rng(0))
    train, test = extras.split_rows(made.y, n_train=300, n_test=200, seed=0)
    truth = np.isin(np.arange(2), made.relevant)
    assert extras.network_score(made.X, made.y, truth, train, test, epochs=40, seed=0) > 0.8
    assert extras.network_score(made.X, made.y, ~truth, train, test, epochs=40, seed=0) < 0.1


def test_split_is_disjoint_and_by_class():
    y = np.repeat([0, 1], [150, 50])
    train, test = extras.split_rows(y, n_train=100, n_test=80, seed=0)
    assert not set(train) & set(test)
    assert y[train].mean() == 0.25
    assert y[test].mean() == 0.25


def test_errors():
    with pytest.raises(ValueError, match="n_train \\+ n_test must be"):
        extras.split_rows(np.arange(10), n_train=8, n_test=8, seed=0)
    with pytest.raises(ValueError, match="methods must be among"):
        extras.rankings(np.eye(4), np.arange(4) % 2, size=1, methods=("magic",), seed=0)
