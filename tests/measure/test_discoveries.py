"""Rules that decide which columns act on y, and the count of what they got right."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from lib.data.planted import Planted
from lib.data.planted_causal import additive_noise_model
from lib.measure.discoveries import RULES, AdditiveRidge, column_curves, compare, judge, regression_pvalues

FAST = [name for name in RULES if name != "DRCFS, kernel"]


def _table(seed: int = 0, n: int = 300, effect: float = 1.0) -> Planted:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6))
    y = effect * (X[:, 1] + X[:, 4]) + rng.normal(size=n)
    return Planted(X, y, np.array([1, 4]), np.array([], dtype=np.int64), tuple("abcdef"))


def test_p_values_are_those_of_statsmodels() -> None:
    table = _table(n=40)
    expected = sm.OLS(table.y, sm.add_constant(table.X)).fit().pvalues[1:]
    np.testing.assert_allclose(regression_pvalues(table.X, table.y), expected, rtol=1e-8)
    with pytest.raises(ValueError, match="more rows than columns"):
        regression_pvalues(table.X[:7], table.y[:7])


def test_curves_bend_along_each_column_and_never_across() -> None:
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(2, 1500, 2))
    model = AdditiveRidge()
    bent = model.fit(X, np.sin(2 * X[:, 0]) + X[:, 1]).score(new, np.sin(2 * new[:, 0]) + new[:, 1])
    across = model.fit(X, X[:, 0] * X[:, 1]).score(new, new[:, 0] * new[:, 1])
    assert bent > 0.97
    assert across < 0.05


def test_ridge_is_that_of_scikit_learn_on_the_same_curves() -> None:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(80, 3)) * [1, 10, 0.1] + 5, rng.normal(size=80)
    peer = make_pipeline(StandardScaler(), FunctionTransformer(column_curves), Ridge(alpha=2.0))
    np.testing.assert_allclose(AdditiveRidge(penalty=2.0).fit(X, y).predict(X), peer.fit(X, y).predict(X), rtol=1e-8)


def test_bumps_are_level_far_out() -> None:
    far = column_curves(np.array([[3.0], [30.0]]))
    np.testing.assert_array_equal(far[0, 1:], far[1, 1:])
    assert far[:, 0].tolist() == [3.0, 30.0]


@pytest.mark.parametrize("rule", FAST)
def test_every_rule_finds_two_strong_columns_and_answers_alike_twice(rule: str) -> None:
    table = _table()
    first, again = (RULES[rule](table.X, table.y, alpha=0.1, n_splits=3, seed=0) for _ in range(2))
    assert first.dtype == bool and first.shape == (6,)
    assert first[[1, 4]].all()
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("rule", ["DRCFS, curves", "DRCFS, lines", "t test", "F test"])
def test_rules_that_hold_a_rate_are_mostly_silent_on_noise(rule: str) -> None:
    silent = [
        not RULES[rule](table.X, table.y, alpha=0.1, n_splits=3, seed=seed).any()
        for seed in range(20)
        for table in [_table(seed, n=80, effect=0.0)]
    ]
    assert np.mean(silent) >= 0.8  # the level is 0.1; seeded, so the slack only guards against other versions


def test_judge_counts_by_hand() -> None:
    table = additive_noise_model(20, n_parents=3, n_children=1, generator=np.random.default_rng(0))
    parents, child = table.parents, table.children[0]
    other = np.setdiff1d(np.arange(10), np.r_[parents, child])[0]
    found = judge(np.isin(np.arange(10), [parents[0], parents[2], child, other]), table)
    assert found == {"selected": 4, "false": 0.5, "recall": 2 / 3, "f1": pytest.approx(4 / 7), "children": 1.0}
    nothing = judge(np.zeros(10, dtype=bool), table)
    assert (nothing["false"], nothing["recall"], nothing["f1"]) == (0, 0, 0)
    with pytest.raises(ValueError, match="selected must be a bool mask of 10 columns"):
        judge(parents, table)


def test_compare_shows_every_rule_the_same_first_rows() -> None:
    table = _table()
    found = compare(table, ["t test", "F test"], alpha=0.1, n_splits=3, seed=0, n_rows=50)
    assert found["rule"].tolist() == ["t test", "F test"]
    assert set(found["rows"]) == {50}
    alone = judge(RULES["F test"](table.X[:50], table.y[:50], alpha=0.1, n_splits=3, seed=0), table)
    assert found.set_index("rule").loc["F test", "false"] == alone["false"]
    assert np.isnan(found["children"]).all()
    with pytest.raises(ValueError, match="rules must be among"):
        compare(table, ["t-test"], alpha=0.1, n_splits=3, seed=0)


def test_a_forest_is_shown_one_shuffled_column_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    table, calls = _table(n=120), []
    whole = RandomForestRegressor.predict

    def spy(self: RandomForestRegressor, X: np.ndarray) -> np.ndarray:
        calls.append(X)
        return whole(self, X)

    monkeypatch.setattr(RandomForestRegressor, "predict", spy)
    RULES["forest"](table.X, table.y, alpha=0.1, n_splits=3, seed=0)
    mixed, plain = calls[0].reshape(10, 6, 30, 6), calls[-1]
    for repeat in range(10):
        for column in range(6):
            changed = mixed[repeat, column] != plain
            assert changed[:, column].any() and not np.delete(changed, column, axis=1).any()
            np.testing.assert_array_equal(np.sort(mixed[repeat, column, :, column]), np.sort(plain[:, column]))
