"""Dose and response: planted ends are found, floors stand where nothing is shown, probing uses the first head."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lib.measure import dose_response, mask_grid
from lib.measure.dose_response import PROBED, RETRAINED, Views
from lib.measure.fairness import auc

SIZES = (0.0, 5.0, 10.0)


def planted(n: int, seed: int) -> tuple[Views, np.ndarray]:
    """The signal is there up to 5 mm and gone at 10; the mask says nothing; the table says a little."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    noise = torch.tensor(rng.normal(size=(n, 4)))
    shown = {mm: noise.clone() for mm in SIZES}
    for mm in SIZES[:2]:
        shown[mm][:, 0] += torch.tensor(3.0 * labels)
    table = torch.tensor(rng.normal(size=(n, 1)) + 0.5 * labels[:, None])
    return Views(shown, {mm: torch.ones(n, 2) for mm in SIZES}, table), labels


@pytest.fixture(scope="module")
def levels() -> pd.DataFrame:
    parts = []
    for seed in range(3):
        (train, y), (test, z) = planted(300, seed), planted(200, 50 + seed)
        rng = np.random.default_rng(seed)
        parts.append(dose_response.curves(train, test, y, z, penalty=0.1, rng=rng).assign(seed=seed))
    return pd.concat(parts)


def test_the_curve_falls_where_the_signal_ends(levels):
    mean = levels.groupby(["what", "mm"])["auc"].mean()
    for what in (PROBED, RETRAINED):
        assert mean[what, 0.0] > 0.95
        assert mean[what, 5.0] > 0.95
        assert abs(mean[what, 10.0] - 0.5) < 0.1
    assert set(levels["what"]) == {PROBED, RETRAINED, *mask_grid.FLOORS}


def test_floors(levels):
    wide = levels.pivot_table(index=["what", "seed"], columns="mm", values="auc")
    assert (wide.loc["silhouette"] == 0.5).all(axis=None)
    assert (wide.loc["table"].nunique(axis=1) == 1).all()
    assert abs(wide.loc["permuted labels"].mean(axis=None) - 0.5) < 0.08


def test_probed_is_the_head_of_the_first_size():
    (train, y), (test, z) = planted(120, 0), planted(80, 1)
    rows = dose_response.curves(train, test, y, z, penalty=0.2, rng=np.random.default_rng(0))
    head = mask_grid.fit_heads(train.shown[0.0], torch.tensor(y)[:, None], penalty=0.2)
    found = rows[rows["what"] == PROBED].set_index("mm")["auc"]
    for mm in SIZES:
        assert found[mm] == pytest.approx(auc(head(test.shown[mm])[:, 0].numpy(), z))
    again = rows[(rows["what"] == RETRAINED) & (rows["mm"] == 0)]["auc"]
    assert again.item() == pytest.approx(found[0.0])


def test_diagonal_is_that_of_the_grid():
    (train, y), (test, z) = planted(100, 2), planted(70, 3)
    x, w = ({"full": views.shown[0.0], "gone": views.shown[10.0]} for views in (train, test))
    grid = mask_grid.cross(x, w, y, z, penalty=0.1, rng=np.random.default_rng(0)).set_index(["train", "test"])["auc"]
    found = dose_response.diagonal(
        x | {"table": train.table}, w | {"table": test.table}, y, z, penalty=0.1, rng=np.random.default_rng(0)
    ).set_index("mask")
    assert list(found.index) == ["full", "gone", "table"]
    assert list(found.columns) == ["auc", "permuted"]
    assert all(found.loc[name, "auc"] == grid[name, name] for name in x)
    assert found["permuted"].nunique() == 3


def test_above_floor_takes_the_best_mean(levels):
    wide = levels.pivot_table(index=["what", "seed"], columns="mm", values="auc")
    best = max(wide.loc[floor, 5.0].mean() for floor in mask_grid.FLOORS)
    excess = dose_response.above_floor(levels, what=PROBED)
    assert np.allclose(excess[5.0], wide.loc[PROBED, 5.0] - best)
    with pytest.raises(ValueError, match=r"levels must hold the rows \['table'\]"):
        dose_response.above_floor(levels[levels["what"] != "table"], what=PROBED)


def test_meets_floor_by_hand_at_both_ends_and_between():
    table = pd.DataFrame(
        [[0.4, 0.3, 0.1, 0.0], [0.0, 0.3, 0.3, 0.3], [0.4, 0.4, 0.4, 0.4], [0.4, 0.05, 0.4, 0.0]],
        columns=[0.0, 4.0, 8.0, 12.0],
    )
    assert dose_response.meets_floor(table, margin=0.05) == pytest.approx([10.0, 0.0, 12.0, 4.0])
    with pytest.raises(ValueError, match="margin must be >= 0"):
        dose_response.meets_floor(table, margin=-0.1)
    with pytest.raises(ValueError, match="sizes ascend"):
        dose_response.meets_floor(table[[4.0, 0.0]], margin=0.1)


def test_slope_is_least_squares():
    rng = np.random.default_rng(0)
    mm = np.array([0.0, 3.0, 7.0, 9.0, 20.0])
    table = pd.DataFrame(rng.normal(size=(4, 5)), columns=mm)
    found = dose_response.slope(table, until=9)
    expected = [10 * np.polyfit(mm[:4], row[:4], 1)[0] for row in table.to_numpy()]
    assert found == pytest.approx(expected)
    assert np.isnan(dose_response.slope(table, until=1.0)).all()


def test_relative_error():
    assert dose_response.relative_error([20.0, 23.0], 20.0) == pytest.approx([0.0, 0.15])
    with pytest.raises(ValueError, match="true must be > 0"):
        dose_response.relative_error([1.0], 0.0)


def test_sizes_must_agree():
    (train, y), (test, z) = planted(30, 0), planted(30, 1)
    fewer = Views({0.0: test.shown[0.0]}, test.blind, test.table)
    with pytest.raises(ValueError, match="same sizes"):
        dose_response.curves(train, fewer, y, z, penalty=0.1, rng=np.random.default_rng(0))
