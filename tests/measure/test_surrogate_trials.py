"""Trials of rules: known boxes give known agreement, and the controls differ from the rules in one thing each."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.measure.rules import Rules, fit_rules
from lib.measure.surrogate_trials import ARMS, Split, judge_rules, surrogate_trial, used_columns


def answer(X: np.ndarray) -> np.ndarray:
    """A box of three rules on columns 4 and 9."""
    return np.where(X[:, 4] > 0, np.where(X[:, 9] > 0.3, 0.9, 0.4), 0.1)


@pytest.fixture(scope="module")
def split() -> Split:
    rng = np.random.default_rng(0)
    X, held = rng.normal(size=(600, 20)), rng.normal(size=(300, 20))
    truth = [(rng.random(len(rows)) < answer(rows)).astype(int) for rows in (X, held)]
    return Split(X, truth[0], held, truth[1])


def trial(split: Split, seed: int = 0, **options: Any) -> tuple[pd.DataFrame, Rules]:
    importance = np.zeros(20)
    importance[[4, 9]] = 2, 1
    settings: dict[str, Any] = {"n_columns": (2, 5), "n_rules": (2, 4), "main": (2, 4), "n_random": 3} | options
    return surrogate_trial(answer, split, importance, **settings, generator=np.random.default_rng(seed))


def test_a_box_of_rules_is_found_again(split: Split) -> None:
    frame, rules = trial(split)
    best = frame[(frame["arm"] == "probed") & (frame["columns"] == 2) & (frame["rules"] == 4)].iloc[0]
    assert best["agreement"] > 0.98 and best["r2"] > 0.97
    assert np.flatnonzero(used_columns(rules, 20)).tolist() == [4, 9]
    few = frame[(frame["arm"] == "probed") & (frame["columns"] == 2) & (frame["rules"] == 2)].iloc[0]
    assert few["r2"] < best["r2"] - 0.1


def test_the_grid_is_complete(split: Split) -> None:
    frame, _ = trial(split)
    counts = frame["arm"].value_counts()
    assert set(counts.index) == set(ARMS)
    assert (counts["probed"], counts["labels"], counts["all"], counts["random"]) == (4, 2, 1, 6)
    assert frame["agreement"].between(0, 1).all()


def test_labels_differ_from_answers_only_in_the_target(split: Split) -> None:
    clear = Split(split.X, answer(split.X), split.held, split.y_held)
    frame, _ = trial(clear)
    chosen = frame[frame["columns"] == 2]
    values = [chosen.loc[chosen["arm"] == arm, "r2"].to_numpy() for arm in ("probed", "labels")]
    assert values[0].size == 2
    np.testing.assert_array_equal(values[0], values[1])


def test_measures_by_hand(split: Split) -> None:
    rules = fit_rules(split.X, answer(split.X), columns=np.array([4]), n_rules=2)
    found = judge_rules(rules, answer, split)
    said, asked = rules.predict(split.held), answer(split.held)
    assert found["agreement"] == pytest.approx(np.mean((said > 0.5) == (asked > 0.5)))
    assert found["r2"] == pytest.approx(1 - ((said - asked) ** 2).mean() / asked.var())
    assert found["accuracy"] == pytest.approx(np.mean((said > 0.5) == split.y_held))


def test_the_draws_decide(split: Split) -> None:
    frames = [trial(split, seed)[0] for seed in (1, 1, 2)]
    values = [frame.loc[frame["arm"] == "random", "r2"].to_numpy() for frame in frames]
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


@pytest.mark.parametrize("options", [{"main": (3, 4)}, {"main": (2, 8)}, {"n_random": 0}])
def test_errors(split: Split, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="main must lie on the grid"):
        trial(split, **options)
