"""The league: who plays, that all see the same halves, and that its numbers are those of the measures it is made of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from lib import select
from lib.measure import selector_league
from lib.measure.selection import evaluate, folds
from lib.measure.selector_league import CONTROL, KINDS, LEFT_OUT, kept_columns, league, play, roster, thinned
from lib.select.discretised import discretise

SMALL: dict[str, Any] = {
    "max_rows": 60,
    "max_columns": 20,
    "largest": 4,
    "n_repeats": 1,
    "n_random": 20,
    "effort": 0.05,
}
CHEAP = ("variance", "F test", "Inf-FS", "mRMR", "LLY")


@pytest.fixture(scope="module")
def few() -> Iterator[pytest.MonkeyPatch]:
    everyone = roster
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            selector_league, "roster",
            lambda size, *, effort=1.0: {k: v for k, v in everyone(size, effort=effort).items() if k in CHEAP},
        )  # fmt: skip
        yield patch


def test_every_public_selector_plays_or_is_left_out_with_a_reason() -> None:
    bases = {"ColumnSelector", "RankingSelector", "SequentialSelector", "RandomSelector"}
    public = {name for name in select.__all__ if isinstance(getattr(select, name), type)} - bases
    players = {type(one.selector) for one in roster(3).values()}
    playing = {name for name in public if any(issubclass(kind, getattr(select, name)) for kind in players)}
    assert playing | set(LEFT_OUT) == public and not playing & set(LEFT_OUT)
    assert {one.kind for one in roster(3).values()} == set(KINDS)


def test_entrants_that_claim_to_ignore_labels_do() -> None:
    X, y = thinned("breast-cancer", max_rows=60, max_columns=10, seed=0)
    for name in ("variance", "Inf-FS", "QuickSelection"):
        one = roster(3, effort=0.05)[name]
        assert not one.labels
        fits = [clone(one.selector).fit(X, labels) for labels in (y, 1 - y, None)] if name != "QuickSelection" else [
            clone(one.selector).set_params(random_state=0).fit(X, labels) for labels in (y, 1 - y, None)
        ]  # fmt: skip
        assert all(np.array_equal(fits[0].ranking_, other.ranking_) for other in fits[1:])
    assert sum(not one.labels for one in roster(3).values()) == 3


def test_outrank_sees_five_values_per_column() -> None:
    X, y = thinned("breast-cancer", max_rows=80, max_columns=12, seed=0)
    binned = select.OutRank(3).fit(discretise(X).values.astype(float), y)
    np.testing.assert_array_equal(clone(roster(3)["OutRank"].selector).fit(X, y).ranking_, binned.ranking_)


def test_thinning_keeps_classes_and_its_seed_decides() -> None:
    X, y = thinned("breast-cancer", max_rows=100, max_columns=7, seed=0)
    assert X.shape == (y.size, 7) and abs(y.size - 100) <= 2
    assert abs(y.mean() - thinned("breast-cancer", max_rows=10**6, max_columns=7, seed=0)[1].mean()) < 0.02
    assert not np.array_equal(X, thinned("breast-cancer", max_rows=100, max_columns=7, seed=1)[0])
    assert [kept_columns(d, largest=20) for d in (4, 57, 5000)] == [2, 11, 20]


def test_accuracy_is_that_of_the_honest_protocol_and_a_second_game_is_the_same(few: pytest.MonkeyPatch) -> None:
    first, second = (play("breast-cancer", **SMALL, seed=3) for _ in range(2))
    for key in first.keys() - {"cpu_s"}:
        torch.testing.assert_close(first[key], second[key], rtol=0, atol=0)
    X, y = thinned("breast-cancer", max_rows=60, max_columns=20, seed=3)
    halves = folds(y, n_splits=2, n_repeats=1, generator=np.random.default_rng([3, 2]))
    honest = evaluate(select.FTest(4), X, y, halves, sizes=(4,), generator=np.random.default_rng(0))["accuracy"]
    np.testing.assert_allclose(first["accuracy"][CHEAP.index("F test")], honest)
    every = evaluate(None, X, y, halves, generator=np.random.default_rng(0))["accuracy"]
    np.testing.assert_allclose(first["all"], every)
    assert first["shape"].tolist() == [*X.shape, 2, 4] and first["random"].shape == (20, 2)
    assert (first["cpu_s"] >= 0).all() and (first["stability"] <= 1).all()


def test_the_long_table_has_everybody_on_every_half_and_gains_are_beyond_random(few: pytest.MonkeyPatch) -> None:
    tensors = play("breast-cancer", **SMALL, seed=3)
    table = league({"one": tensors, "two": tensors})
    assert len(table) == 2 * 2 * (len(CHEAP) + 2)
    blind = table[(table["method"] == "random") & (table["table"] == "one")]
    assert (blind["gain"] == 0).all() and blind["cpu_s"].isna().all() and (blind["kind"] == CONTROL).all()
    np.testing.assert_allclose(blind["accuracy"], 100 * tensors["random"].mean(0))
    some = table[table["method"] == "mRMR"]
    np.testing.assert_allclose(some["accuracy"] - some["gain"], [*blind["accuracy"]] * 2)
    assert some["columns_per_row"].iloc[0] == pytest.approx(20 / float(tensors["shape"][0]))


def test_too_few_draws_and_no_effort_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        play("breast-cancer", **{**SMALL, "n_random": 5}, seed=0)
    with pytest.raises(ValueError, match="effort"):
        roster(3, effort=0.0)
