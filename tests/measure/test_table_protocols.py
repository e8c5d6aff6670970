"""Protocols: who is kept apart, what a leak invents, and that the honest arm invents nothing."""

from __future__ import annotations

import numpy as np
import pytest

from lib.data.filling import hide
from lib.measure import table_protocols as protocols
from lib.select import FTest

RNG = np.random.default_rng
TREES = {"extra trees": protocols.classifier("extra trees")}
LINE = {"linear SVM": protocols.classifier("linear SVM")}


def mice(seed: int = 0, n_groups: int = 24, rows: int = 6, columns: int = 8) -> tuple[np.ndarray, ...]:
    """Rows that know their group and nothing of their class."""
    rng = RNG(seed)
    groups = np.repeat(np.arange(n_groups), rows)
    X = rng.normal(size=(n_groups, columns))[groups] + 0.1 * rng.normal(size=(n_groups * rows, columns))
    return X, groups % 3, groups


def run(X, y, splits, filling="training mean", **options):
    kept = {"selectors": {"F": FTest()}, "sizes": (4,), "classifiers": TREES} | options
    return protocols.evaluate_protocol(X, y, splits, filling=filling, **kept, generator=RNG(1))


def test_group_folds_keep_groups_apart_and_cover_all_rows():
    _, y, groups = mice()
    made = protocols.group_folds(y, groups, n_splits=4, n_repeats=2, generator=RNG(0))
    assert len(made) == 8
    for fold in made:
        assert not set(groups[fold.train]) & set(groups[fold.test])
    for repeat in (0, 1):
        tested = np.concatenate([fold.test for fold in made if fold.repeat == repeat])
        assert sorted(tested) == list(range(y.size))
    assert not np.array_equal(made[0].test, made[4].test)


def test_shuffle_keeps_groups_whole():
    _, y, groups = mice()
    shuffled = protocols.shuffle_groups(y, groups, generator=RNG(5))
    assert np.array_equal(np.bincount(shuffled), np.bincount(y))
    assert all(np.unique(shuffled[groups == one]).size == 1 for one in groups)
    assert not np.array_equal(shuffled, y)


def test_known_groups_are_recognised_new_ones_are_not():
    from lib.measure.selection import folds

    X, y, groups = mice()
    known = run(X, y, folds(y, n_splits=4, generator=RNG(0)))["accuracy"].mean()
    new = run(X, y, protocols.group_folds(y, groups, n_splits=4, generator=RNG(0)))["accuracy"].mean()
    assert known > 0.95
    assert new < 0.6


def test_class_means_invent_and_training_means_do_not():
    X, y, groups = mice()
    X = hide(X, 0.4, generator=RNG(2))
    splits = protocols.group_folds(y, groups, n_splits=4, generator=RNG(0))
    leak = run(X, y, splits, "class mean", sizes=(8,))["balanced_accuracy"].mean()
    honest = run(X, y, splits, sizes=(8,))["balanced_accuracy"].mean()
    assert leak > honest + 0.3


def test_scaling_is_fitted_where_it_says():
    X = RNG(0).normal(size=(50, 3))
    inside = protocols.scaled(X, np.arange(30))
    assert inside[:30].min() == 0
    assert inside[:30].max() == 1
    assert np.ptp(protocols.scaled(X, np.arange(50)), axis=0).tolist() == [1, 1, 1]
    assert not np.isnan(protocols.scaled(np.ones((4, 2)), np.arange(4))).any()


def test_controls_holes_and_pairs():
    X, y, groups = mice()
    X[::2, 3] = np.nan
    splits = protocols.group_folds(y, groups, n_splits=3, generator=RNG(0))
    found = run(X, y, splits, n_random=2, sizes=(2, 4), scaling="all rows", classifiers=LINE)
    counts = found.groupby("selector").size().to_dict()
    assert counts == {"F": 6, "all": 3, "random": 12}
    everything = found[found["selector"] == "all"]
    assert everything["size"].eq(8).all()
    assert everything["holes"].to_numpy() == pytest.approx(np.isnan(X).mean())
    again = run(X, y, splits, n_random=2, sizes=(2, 4), scaling="all rows", classifiers=LINE)
    assert found.equals(again)


def test_chance_is_subtracted():
    X, y, groups = mice()
    found = run(X, y, protocols.group_folds(y, groups, n_splits=3, generator=RNG(0)))
    beyond = protocols.beyond_chance(found, ["selector"], n_classes=3)["beyond"].item()
    assert beyond == pytest.approx(100 * (found["balanced_accuracy"].mean() - 1 / 3))


def test_errors():
    X, y, groups = mice()
    splits = protocols.group_folds(y, groups, n_splits=3, generator=RNG(0))
    with pytest.raises(ValueError, match="scaling must be"):
        run(X, y, splits, scaling="none")
    with pytest.raises(ValueError, match="classifier must be"):
        protocols.classifier("oracle")
    with pytest.raises(ValueError, match="n_splits must be"):
        protocols.group_folds(y, groups, n_splits=99, generator=RNG(0))
    with pytest.raises(ValueError, match="constant within"):
        protocols.shuffle_groups(np.arange(y.size), groups, generator=RNG(0))
