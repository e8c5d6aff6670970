"""Arms of elimination differ only in the rows that they ask, and a stop can be judged on any of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lib.data.formulas import FormulaRows
from lib.measure import stopping
from lib.measure.elimination import best_round, eliminate
from lib.measure.stopping import ALL_ROWS, FEWER_ROWS, stopped, train_stops

SIZES = {
    "seed": 0, "n_train": 90, "n_held": 30, "n_test": 32, "n_fresh": 60, "n_noise": 5, "n_targets": 2, "n_null": 1,
    "n_folds": 2, "width": 4, "depth": 1, "activation": "tanh", "epochs": 2,
}  # fmt: skip
ARMS = (*ALL_ROWS, *FEWER_ROWS, "validation, linear")


@pytest.fixture(scope="module")
def result() -> dict[str, Tensor]:
    return train_stops(source="formulas", **SIZES)


def test_every_arm_goes_from_all_columns_to_one(result: dict[str, Tensor]) -> None:
    for arm in ARMS:
        kept = result[f"{arm}/kept"]
        assert kept[0].sum(1).tolist() == [6, 14, 6]  # formulas of one and of nine columns, five idle ones
        assert kept[-1].sum(1).tolist() == [1, 1, 1]
        assert not bool((kept[1:] & ~kept[:-1]).any())
        for rows in ("test", "fresh"):
            assert result[f"{arm}/{rows}"].shape == kept.shape[:2]


def test_arms_that_share_their_rows_begin_alike(result: dict[str, Tensor]) -> None:
    first = [result[f"{arm}/fresh"][0] for arm in ALL_ROWS]
    torch.testing.assert_close(first[0], first[1])
    torch.testing.assert_close(first[0], first[2])
    assert not torch.allclose(first[0], result[f"{FEWER_ROWS[0]}/fresh"][0])


def test_labels_of_the_test_rows_reach_only_the_arm_that_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stopping._split

    def other(*arguments: object) -> object:
        split = whole(*arguments)
        test = FormulaRows(split.test.x, -split.test.y.flip(0), split.test.clean, split.test.formulas)
        return stopping.Split(split.train, test, split.fresh, split.shown, split.relevant, split.null)

    before = train_stops(source="formulas", **SIZES)
    monkeypatch.setattr(stopping, "_split", other)
    after = train_stops(source="formulas", **SIZES)
    for arm in ARMS:
        assert torch.equal(before[f"{arm}/kept"], after[f"{arm}/kept"]) == (arm != "test, permutation")
    assert not torch.equal(before["training, gradient/test"], after["training, gradient/test"])


def test_a_linear_step_finds_linear_columns() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(120, 10, generator=rng)
    y = (x[:, [3]] - x[:, [7]]) * torch.tensor([[1.0, 2.0]]) + 0.1 * torch.randn(120, 2, generator=rng)
    fitted, held = (FormulaRows(x[part], y[part], y[part], ()) for part in (slice(80), slice(80, 120)))
    path = eliminate(stopping._linear(fitted, {"held": held}), torch.ones(2, 10, dtype=torch.bool), patience=None)
    at = next(i for i, kept in enumerate(path.kept) if int(kept[0].sum()) == 2)
    assert path.kept[at].nonzero()[:, 1].tolist() == [3, 7, 3, 7]
    assert (path.errors["held"][at] < 0.15).all()


def test_stopped_says_what_the_path_says(result: dict[str, Tensor]) -> None:
    found = stopped(result, arm="training, gradient", by="nested")
    at, each = best_round(result["training, gradient/nested"]), torch.arange(3)
    fresh, test = (result[f"training, gradient/{rows}"][at, each].numpy() for rows in ("fresh", "test"))
    np.testing.assert_allclose(found["optimism"], 100 * (1 - test / fresh), rtol=1e-4)
    np.testing.assert_array_equal(found["columns"], result["training, gradient/kept"][at, each].sum(1))
    assert found["null"].tolist() == [False, False, True]
    everything = stopped(result, arm="training, gradient", by="test", patience=None)
    assert (everything["reported"].to_numpy() <= found["reported"].to_numpy() + 1e-7).all()
    with pytest.raises(ValueError, match="result must hold"):
        stopped(result, arm="test, gradient", by="nested")


def test_a_table_has_one_true_target_and_smaller_tests_are_its_first_rows() -> None:
    result = train_stops(source="breast-cancer", **SIZES)
    assert result["null"].tolist() == [False, True]
    assert result["relevant"].sum(1).tolist() == [30, 30]
    assert {f"training, gradient/test 1/{part}" for part in stopping.PARTS} <= set(result)


@pytest.mark.parametrize("options", [{"n_held": 90}, {"n_folds": 1}])
def test_wrong_numbers_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="n_held must be in 1..89 and n_folds at least 2"):
        train_stops(source="formulas", **SIZES | options)
