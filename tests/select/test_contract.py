"""What all selectors promise, asked of each: same seed, same answer; how order, copies, units and constants matter.

A new selector in `lib.select` has to be entered in `CHEAP`, and says by the sets below what it does not promise.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

import lib.select
from lib.select.base import ColumnSelector
from lib.select.table_network import TableNetwork

CHEAP: dict[str, dict[str, Any]] = {
    "AspectSelector": {"estimator": LinearRegression(), "scoring": "r2"},
    "AttributionElimination": {"estimator": TableNetwork(epochs=1, width=4)},
    "DIME": {"max_features": 2, "pretrain_epochs": 1, "epochs": 1, "stages": 1, "width": 8},
    "DRCFS": {"regressor": LinearRegression(), "n_splits": 2},
    "DeepLasso": {"epochs": 2, "width": 8},
    "DisCo": {},
    "ECFS": {},
    "FTest": {},
    "FeatureGradients": {"steps": 4},
    "GroupLasso": {"max_steps": 3, "width": 8},
    "ILFS": {},
    "InfFS": {},
    "InfFSSupervised": {},
    "InformationSelector": {},
    "LLY": {"epochs": 1, "width": 8},
    "LinearSequentialAttention": {},
    "MutualInformation": {},
    "OMP": {},
    "OutRank": {},
    "QuickSelection": {"epochs": 1, "hidden": 20, "epsilon": 2.0},
    "RandomSelector": {},
    "SequentialAttention": {"epochs": 1, "warmup_epochs": 1, "width": 8},
    "ThreeMR": {},
    "Variance": {},
}
BASES = {"ColumnSelector", "RankingSelector", "SequentialSelector"}
NAMES = sorted(CHEAP)
SEEDED = {name for name in NAMES if "random_state" in getattr(lib.select, name)().get_params()}
BY_CHANCE = {  # draws weights, batches or folds for columns in their order
    "AttributionElimination", "DIME", "DeepLasso", "FeatureGradients", "GroupLasso", "LLY", "QuickSelection",
    "RandomSelector", "SequentialAttention",
}  # fmt: skip
IN_UNITS = {"Variance", "InfFS", "InfFSSupervised", "ECFS"}  # the spread of a column is part of its score
ALONE = {"FTest", "InfFS", "InfFSSupervised", "ILFS", "ECFS", "MutualInformation", "OutRank", "Variance"}  # copies tie
CONSTANTS_ANYWHERE = {"RandomSelector"}


def selector(name: str, **more: Any) -> ColumnSelector:
    seed = {"random_state": 0} if name in SEEDED else {}
    return getattr(lib.select, name)(**{"n_features_to_select": 3} | CHEAP[name] | seed | more)


def table(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Seven columns of few values, of which the first three make the class with different strength."""
    rng = np.random.default_rng(0)
    X = rng.integers(6, size=(n, 7)).astype(np.float64) * np.array([1.0, 2.0, 4.0, 0.5, 8.0, 1.0, 2.0])
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    y = (2.0 * scaled[:, 0] + 1.2 * scaled[:, 1] - 0.8 * scaled[:, 2] + 0.5 * rng.standard_normal(n) > 0).astype(
        np.int64
    )
    return X, y


def test_every_selector_is_here() -> None:
    classes = {name for name in lib.select.__all__ if inspect.isclass(getattr(lib.select, name))}
    assert set(CHEAP) == classes - BASES
    assert BY_CHANCE <= SEEDED


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_one_answer(name: str) -> None:
    X, y = table()
    one, two = selector(name).fit(X, y), selector(name).fit(X, y)
    np.testing.assert_array_equal(one.scores_, two.scores_)
    np.testing.assert_array_equal(one.ranking_, two.ranking_)
    assert sorted(one.ranking_) == list(range(1, 8)) and one.support_.sum() == 3
    if hasattr(one, "selection_order_"):
        assert one.ranking_[one.selection_order_].tolist() == list(range(1, one.selection_order_.size + 1))


@pytest.mark.parametrize("name", sorted(BY_CHANCE - {"AttributionElimination"}))
def test_another_seed_gives_another_answer(name: str) -> None:
    """Elimination knows only places, which two seeds may share."""
    X, y = table()
    one, two = selector(name).fit(X, y), selector(name, random_state=1).fit(X, y)
    assert (one.scores_ != two.scores_).any()


@pytest.mark.parametrize("name", sorted(set(NAMES) - BY_CHANCE))
def test_columns_in_another_order_get_the_same_ranks(name: str) -> None:
    X, y = table()
    order = np.array([4, 0, 6, 2, 5, 1, 3])
    one, moved = selector(name).fit(X, y), selector(name).fit(X[:, order], y)
    np.testing.assert_array_equal(moved.ranking_, one.ranking_[order])


@pytest.mark.parametrize("name", sorted(set(NAMES) - IN_UNITS))
def test_units_do_not_matter(name: str) -> None:
    """Powers of two are exact; what is standardised in float32 may differ in the last bit, so ranks are compared."""
    X, y = table()
    units = np.array([4.0, 0.25, 16.0, 2.0, 0.5, 8.0, 1.0])
    np.testing.assert_array_equal(selector(name).fit(X * units, y).ranking_, selector(name).fit(X, y).ranking_)


@pytest.mark.parametrize("name", sorted(IN_UNITS))
def test_units_matter_where_the_spread_counts(name: str) -> None:
    X, y = table()
    wider = X * np.array([1.0, 1.0, 1.0, 1000.0, 1.0, 1.0, 1.0])
    assert selector(name).fit(wider, y).ranking_[3] < selector(name).fit(X, y).ranking_[3]


@pytest.mark.parametrize("name", sorted(ALONE))
def test_a_copy_has_the_score_of_its_original(name: str) -> None:
    X, y = table()
    found = selector(name).fit(np.c_[X, X[:, 1]], y)
    assert found.scores_[7] == pytest.approx(found.scores_[1], rel=1e-6)
    assert found.ranking_[7] == found.ranking_[1] + 1  # ties by column number, nothing between


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AspectSelector", {}),
        ("DisCo", {}),
        ("InformationSelector", {"criterion": "mrmr"}),
        ("InformationSelector", {"criterion": "cmim"}),
        ("LinearSequentialAttention", {}),
        ("OMP", {}),
    ],
)
def test_a_copy_of_a_pick_waits_for_columns_that_add_something(name: str, options: dict[str, Any]) -> None:
    """JMI does not promise it: a copy says as much together with another column as its original does."""
    X, y = table(200)
    first = int(selector(name, **options).fit(X, y).selection_order_[0])
    picked = selector(name, **options).fit(np.c_[X, X[:, first]], y).selection_order_
    assert not {first, 7} <= set(picked.tolist())


@pytest.mark.parametrize("name", sorted(set(NAMES) - CONSTANTS_ANYWHERE))
def test_a_constant_column_is_last(name: str) -> None:
    X, y = table()
    found = selector(name).fit(np.c_[X[:, :3], np.full(len(X), 5.0), X[:, 3:]], y)
    assert found.ranking_[3] == 8 and not found.support_[3]


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_of_a_selector_is_unfitted_and_equal(name: str) -> None:
    X, y = table()
    fitted = selector(name).fit(X, y)
    again = clone(fitted)
    assert not hasattr(again, "ranking_") and again.get_params().keys() == fitted.get_params().keys()
    np.testing.assert_array_equal(again.fit(X, y).ranking_, fitted.ranking_)
