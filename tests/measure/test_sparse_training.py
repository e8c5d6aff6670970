"""Paths of strengths, splits, judges and overlaps."""

import numpy as np
import pytest

from lib.data import planted
from lib.measure import sparse_training
from lib.measure.selection import Fold
from lib.measure.sparse_training import ARMS, best_columns, held_out, judge, overlaps, strength_path, trained_strengths
from lib.select.quick_selection import quick_selection

SMALL = {"epochs": 4, "hidden": 30, "epsilon": 4.0}


@pytest.fixture(scope="module")
def table() -> planted.Planted:
    return planted.madelon(300, n_noise=30, generator=np.random.default_rng(0))


def path(X: np.ndarray, arm: str, seed: int = 0, **options: object) -> tuple[np.ndarray, np.ndarray]:
    return strength_path(X, arm=arm, generator=np.random.default_rng(seed), **(SMALL | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("zeta", [0.2, 0.0])
def test_the_own_loop_is_that_of_quick_selection(table: planted.Planted, zeta: float) -> None:
    X = np.insert(table.X, 3, 7.0, axis=1)  # a constant column stays aside
    theirs = quick_selection(X, zeta=zeta, generator=np.random.default_rng(5), **SMALL)  # type: ignore[arg-type]
    ours = sparse_training._own_path(
        X, variant="sparse", zeta=zeta, output="linear", epochs=4, hidden=30, epsilon=4.0,
        generator=np.random.default_rng(5),
    )  # fmt: skip
    np.testing.assert_array_equal(ours[0], theirs.strengths)
    np.testing.assert_array_equal(ours[1], theirs.errors)


def test_moving_and_static_agree_until_something_moves(table: planted.Planted) -> None:
    moving, static = path(table.X, "moving")[0], path(table.X, "static")[0]
    np.testing.assert_array_equal(moving[0], static[0])
    assert (moving[1] != static[1]).any()


def test_only_the_overwritten_arm_does_not_learn(table: planted.Planted) -> None:
    last = {arm: path(table.X, arm, epochs=25)[1] for arm in ARMS}
    for arm in ("moving", "static", "dense"):
        assert last[arm][-1] < 0.97, arm
        assert last[arm][-1] < last[arm][0], arm
    assert last["overwritten"][-1] > 0.98  # no better than the column means


def test_same_seed_same_path_and_another_differs(table: planted.Planted) -> None:
    for arm in ARMS:
        first, again, other = (path(table.X, arm, seed, epochs=2)[0] for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_unknown_arm_and_judge(table: planted.Planted) -> None:
    with pytest.raises(ValueError, match="arm must be one of .* got 'thin'"):
        path(table.X, "thin")
    with pytest.raises(ValueError, match="by must be one of .* got 'svm'"):
        judge(table.X, table.y, np.arange(3), held_out(table.y, n_train=60, seed=0), by="svm")


def test_divergence_is_an_error(table: planted.Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_training, "train_epoch", lambda *_, **__: float("nan"))
    with pytest.raises(RuntimeError, match="arm 'dense' diverged in epoch 1; take fewer hidden units"):
        path(table.X, "dense")


def test_trained_strengths_uses_the_training_rows_of_its_split_only() -> None:
    from lib import data

    found = trained_strengths(
        dataset="wine", arm="static", seed=3, n_train=60, epochs=2, hidden=10, epsilon=2.0, zeta=0.2
    )
    wine = data.table("wine")
    rows = held_out(wine.y, n_train=60, seed=3).train
    strengths, errors = strength_path(
        wine.X[rows], arm="static", epochs=2, hidden=10, epsilon=2.0, generator=np.random.default_rng(3)
    )
    np.testing.assert_array_equal(found["strengths"].numpy(), strengths)
    np.testing.assert_array_equal(found["errors"].numpy(), errors)


def test_held_out_keeps_shares_and_disjoint_rows() -> None:
    y = np.repeat([0, 1, 2], [60, 30, 10])
    split = held_out(y, n_train=60, seed=4)
    assert (split.train.size, split.test.size, split.repeat) == (60, 20, 4)
    assert np.intersect1d(split.train, split.test).size == 0
    assert np.bincount(y[split.train]).tolist() == [36, 18, 6]
    assert (held_out(y, n_train=60, seed=5).train != split.train).any()
    assert held_out(y, n_train=10**6, seed=0).train.size == 75


def test_judges_tell_planted_columns_from_noise(table: planted.Planted) -> None:
    split = held_out(table.y, n_train=200, seed=0)
    truth = np.r_[table.relevant, table.redundant]
    noise = np.setdiff1d(np.arange(table.X.shape[1]), truth)[:20]
    good, bad = (judge(table.X, table.y, columns, split)["score"] for columns in (truth, noise))
    assert good > bad + 10
    assert 30 < bad < 70
    labels = np.repeat([0, 1], 40)
    X = np.c_[10.0 * labels, np.random.default_rng(0).standard_normal(80)]
    split = held_out(labels, n_train=40, seed=1)
    found = judge(X, labels, np.array([0]), split, by="clusters", n_clusterings=2)
    assert found == {"score": 100.0, "nmi": pytest.approx(100.0)}


def test_clusters_see_test_rows_only() -> None:
    labels = np.repeat([0, 1], 20)
    X = np.c_[5.0 * labels, np.random.default_rng(0).standard_normal(40)]
    split = Fold(0, 0, np.arange(0, 40, 2), np.arange(1, 40, 2))
    spoilt = X.copy()
    spoilt[split.train] = 1e6
    scores = [judge(table, labels, np.arange(2), split, by="clusters")["score"] for table in (X, spoilt)]
    assert scores[0] == scores[1]


def test_controls_know_nothing_of_a_network(table: planted.Planted) -> None:
    made = sparse_training.controls(table.X, 5, generator=np.random.default_rng(0))
    assert {name: len(sets) for name, sets in made.items()} == {"random": 20, "variance": 1, "all columns": 1}
    assert all(np.unique(draw).size == 5 for draw in made["random"])
    ordered = np.sort(table.X.var(axis=0))[::-1]
    np.testing.assert_allclose(table.X[:, made["variance"][0]].var(axis=0), ordered[:5])
    assert made["all columns"][0].size == table.X.shape[1]
    with pytest.raises(ValueError, match="n_random must be at least 20, got 3"):
        sparse_training.controls(table.X, 5, n_random=3, generator=np.random.default_rng(0))


def test_judged_averages_the_draws_of_a_name(table: planted.Planted) -> None:
    split = held_out(table.y, n_train=90, seed=6)
    sets = [np.arange(4), np.arange(10, 20)]
    rows = sparse_training.judged(table.X, table.y, {"both": sets, "first": sets[:1]}, split, n_trees=5)
    alone = [judge(table.X, table.y, one, split, n_trees=5)["score"] for one in sets]
    assert rows == [
        {"method": "both", "seed": 6, "score": pytest.approx(np.mean(alone))},
        {"method": "first", "seed": 6, "score": alone[0]},
    ]


def test_best_columns_and_overlaps() -> None:
    assert best_columns(np.array([1.0, np.nan, 3.0, 1.0]), 3).tolist() == [2, 0, 3]
    rng = np.random.default_rng(0)
    many = overlaps(np.stack([rng.permutation(40)[:10] for _ in range(60)]))
    assert many.size == 60 * 59 // 2
    assert abs(many.mean() - 0.25) < 0.01  # size / d
