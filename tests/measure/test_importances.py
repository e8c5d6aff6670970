"""Importances of trees by columns and aspects: identities that hold for any model, and a planted truth."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss

from lib.data.planted_blocks import Blocks, correlated_blocks, ordered_pairs
from lib.measure.importances import agreements, best_by_group, importances, over_halves, tree_models

Fitted = tuple[Blocks, dict[str, Any]]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    made = correlated_blocks(500, generator=np.random.default_rng(0))
    models = tree_models(n_trees=20, seed=0)
    return made, {name: model.fit(made.X[:300], made.y[:300]) for name, model in models.items()}


def explain(made: Blocks, model: Any, groups: np.ndarray, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    return importances(
        model, made.X[300:], made.y[300:], background=made.X[:300], groups=groups, n_explained=20, n_orders=10,
        generator=np.random.default_rng(seed),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["forest", "boosting"])
def test_aspects_find_the_planted_order(fitted: Fitted, name: str) -> None:
    made, models = fitted
    columns, aspects = explain(made, models[name], made.groups)
    assert len(columns) == made.groups.size and len(aspects) == made.weights.size
    assert ordered_pairs(made.weights, aspects["shapley"].to_numpy()) > 0.85
    assert columns["natural"].sum() == pytest.approx(1) and aspects["natural"].sum() == pytest.approx(1)
    np.testing.assert_allclose(aspects["natural"], np.bincount(made.groups, columns["natural"]))


def test_single_columns_as_aspects_change_nothing_but_the_draw(fitted: Fitted) -> None:
    made, models = fitted
    columns, aspects = explain(made, models["boosting"], np.arange(made.groups.size))
    np.testing.assert_array_equal(columns["natural"], aspects["natural"])
    np.testing.assert_allclose(aspects["added"], columns["shapley"])
    assert np.corrcoef(columns["shapley"], aspects["shapley"])[0, 1] > 0.9


def test_one_aspect_of_all_columns_is_the_whole_answer(fitted: Fitted) -> None:
    made, models = fitted
    model = models["forest"]
    aspects = explain(made, model, np.zeros(made.groups.size, dtype=int))[1]
    answers = model.predict_proba(made.X)[:, 1]
    gap = np.abs(answers[300:320] - answers[:300].mean()).mean()
    assert aspects["shapley"].item() == pytest.approx(gap, abs=0.15)  # ten background rows stand in for 300
    before = brier_score_loss(made.y[300:], answers[300:])
    assert aspects["permutation"].item() > before  # rows that answer for one another are worse than none


def test_best_is_the_largest_of_a_group() -> None:
    rng = np.random.default_rng(1)
    values, groups = rng.normal(size=12), np.repeat(np.arange(4), 3)
    np.testing.assert_array_equal(best_by_group(values, groups), values.reshape(4, 3).max(axis=1))


def test_halves_and_their_agreements() -> None:
    made = correlated_blocks(160, generator=np.random.default_rng(1))
    models = partial(_models, n_trees=8)
    found = over_halves(
        made.X, made.y, groups=made.groups, models=models, n_splits=2, n_explained=5, n_orders=3,
        generator=np.random.default_rng(0),
    )  # fmt: skip
    assert len(found) == 2 * 2 * 2 * (made.groups.size + made.weights.size)
    table = agreements(found)
    assert len(table) == 2 * 2 * 2 * 3
    assert table["spearman"].between(-1, 1).all()
    assert set(table["pair"]) == {"natural", "permutation", "other half"}


def _models(seed: int, *, n_trees: int) -> dict[str, Any]:
    return tree_models(n_trees=n_trees, seed=seed)


def test_a_constant_importance_has_no_order() -> None:
    made = correlated_blocks(60, sizes=(1, 1), weights=(1.0, 0.0), generator=np.random.default_rng(0))
    found = over_halves(
        made.X, made.y, groups=made.groups, models=partial(_models, n_trees=2), n_splits=1, n_explained=2, n_orders=1,
        generator=np.random.default_rng(0),
    )  # fmt: skip
    table = agreements(found.assign(natural=1.0))
    assert table.loc[table["pair"] == "natural", "spearman"].isna().all()


def test_no_row_to_explain_is_an_error(fitted: Fitted) -> None:
    made, models = fitted
    with pytest.raises(ValueError, match="n_explained must be at least 1"):
        importances(
            models["forest"], made.X, made.y, background=made.X, groups=made.groups, n_explained=0, n_orders=1,
            generator=np.random.default_rng(0),
        )  # fmt: skip
