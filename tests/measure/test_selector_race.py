"""Splits, sizes, elimination on one path, and a small race."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.feature_selection import RFE
from sklearn.linear_model import RidgeClassifier

from lib.measure.selector_race import ALL, METHODS, RANDOM, eliminated, race, race_rows, set_sizes, split
from lib.select.response import standardised


def test_a_split_holds_every_row_once_and_the_classes_in_proportion() -> None:
    found = split("digits-table", seed=3)
    assert len(found.y) + len(found.y_test) == 1797
    share = np.bincount(found.y_test) / np.bincount(np.concatenate([found.y, found.y_test]))
    np.testing.assert_allclose(share, 0.25, atol=0.01)
    assert (split("digits-table", seed=4).X_test[:5] != found.X_test[:5]).any()


def test_rows_of_a_mouse_stay_together_and_gaps_are_filled_from_training_rows() -> None:
    from lib import data

    table, found = data.table("mice-protein-twin", missing="keep"), split("mice-protein-twin", seed=0)
    assert np.isfinite(found.X).all() and np.isfinite(found.X_test).all()
    assert table.groups is not None
    filled = np.where(np.isnan(table.X), 0.0, table.X)
    known = ~np.isnan(table.X)
    test = [any(np.array_equal(row[seen], other[seen]) for other in found.X_test)
            for row, seen in zip(filled, known, strict=True)]  # fmt: skip
    assert sum(test) == len(found.y_test)
    assert not set(table.groups[test]) & set(table.groups[~np.array(test)])


def test_coil_has_four_hundred_pixels() -> None:
    assert split("coil20-twin", seed=0).X.shape[1] == 400


@pytest.mark.parametrize(("columns", "most"), [(617, 50), (101, 50), (100, 25), (77, 19)])
def test_sizes(columns: int, most: int) -> None:
    assert set_sizes(columns, 50) == (5, 10, most)


def test_narrow_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="leave more than 10 columns"):
        set_sizes(30, 50)


def test_elimination_is_nested_and_that_of_scikit_learn() -> None:
    X, y = load_wine(return_X_y=True)
    found = eliminated(X, y, (2, 4, 7), step=0.05)
    columns = standardised(X)[0]
    for size in (2, 4, 7):
        peer = RFE(RidgeClassifier(), n_features_to_select=size, step=1).fit(columns, y)
        assert set(found[:size]) == set(np.flatnonzero(peer.support_))


@pytest.fixture(scope="module")
def found() -> dict[str, torch.Tensor]:
    return race(
        dataset="digits-table-twin", seed=0, n_kept=50, n_random=2, pick_epochs=1, warmup_epochs=0, mask_epochs=1,
        lasso_steps=2, retrain_epochs=3,
    )  # fmt: skip


def test_every_method_picks_sixteen_different_columns(found: dict[str, torch.Tensor]) -> None:
    for name in METHODS:
        picks = found[f"picks/{name}"].tolist()
        assert len(set(picks)) == 16 and min(picks) >= 0 and max(picks) < 64
    assert found[f"picks/{METHODS[0]}"].tolist() != found[f"picks/{METHODS[1]}"].tolist()


def test_rows_hold_every_method_draw_and_size(found: dict[str, torch.Tensor]) -> None:
    rows = race_rows(found)
    counts = rows.groupby("method").size()
    assert counts[ALL] == 1 and counts[RANDOM] == 6 and (counts[list(METHODS)] == 3).all()
    assert rows["points"].between(0, 100).all()
    assert rows.loc[rows["method"] == "OMP", "size"].tolist() == [5, 10, 16]
