"""Grids of sizes and the area under an accuracy curve."""

import numpy as np
import pandas as pd
import pytest

from lib.measure.selection import folds
from lib.measure.selection_scores import score_grid
from lib.measure.size_curves import curve_areas, log_area, size_grid
from lib.select import FTest


@pytest.mark.parametrize("n_columns", [4, 7, 30, 325, 500, 7070])
def test_grid_rises_and_leaves_half_of_the_columns(n_columns: int) -> None:
    sizes = size_grid(n_columns, n_sizes=5)
    assert sizes == tuple(sorted(set(sizes)))
    assert sizes[0] >= 1
    assert sizes[-1] == min(200, n_columns // 2)


def test_wide_grid_has_equal_steps_on_the_logarithmic_axis() -> None:
    steps = np.diff(np.log(size_grid(10_000, least=10, largest=1000, n_sizes=5)))
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.02)  # sizes are whole numbers


@pytest.mark.parametrize(("arguments", "message"), [
    ({"n_columns": 3}, "n_columns must be at least 4"),
    ({"n_columns": 30, "least": 20, "largest": 10}, "least < largest"),
    ({"n_columns": 30, "n_sizes": 1}, "n_sizes >= 2"),
])  # fmt: skip
def test_grid_refuses(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        size_grid(**arguments)


def test_area_of_a_line_in_log_size_is_its_middle() -> None:
    sizes = np.array([3, 5, 17, 80])
    values = 0.2 + 0.1 * np.log(sizes)
    assert log_area(sizes, values) == pytest.approx((values[0] + values[-1]) / 2)
    assert log_area(sizes, np.full(4, 0.6)) == pytest.approx(0.6)
    assert log_area(sizes[:1], values[:1]) == values[0]


def test_area_is_linear_and_does_not_depend_on_the_base_of_the_sizes() -> None:
    rng = np.random.default_rng(0)
    sizes, first, second = np.array([2, 9, 30]), rng.random(3), rng.random(3)
    assert log_area(sizes, first - second) == pytest.approx(log_area(sizes, first) - log_area(sizes, second))
    assert log_area(7 * sizes, first) == pytest.approx(log_area(sizes, first))


@pytest.mark.parametrize(("sizes", "values"), [([1, 2], [0.5]), ([], []), ([2, 1], [0.5, 0.5]), ([0, 1], [0.5, 0.5])])
def test_area_refuses(sizes: list[int], values: list[float]) -> None:
    with pytest.raises(ValueError, match="sizes"):
        log_area(np.array(sizes), np.array(values))


def test_areas_pair_by_split_and_average_draws() -> None:
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], 20)
    X = rng.normal(size=(40, 12)) + 2 * np.eye(12)[3] * y[:, None]
    splits = folds(y, n_splits=2, generator=rng)
    grid = score_grid({"F": FTest()}, X, y, splits, sizes=(1, 2, 4), generator=rng)
    areas = curve_areas(grid)
    assert set(areas["method"]) == {"F", "random", "all"}
    assert len(areas) == 3 * 2
    one = grid[(grid["method"] == "random") & (grid["fold"] == 1)].groupby("size")["accuracy"].mean()
    found = areas[(areas["method"] == "random") & (areas["fold"] == 1)]["area"].item()
    assert found == pytest.approx(log_area(one.index.to_numpy(), one.to_numpy()))
    level = grid[(grid["method"] == "all") & (grid["fold"] == 0)]["accuracy"].item()
    assert areas[(areas["method"] == "all") & (areas["fold"] == 0)]["area"].item() == level


def test_areas_refuse_methods_with_other_sizes() -> None:
    rows = [
        {"method": m, "repeat": 0, "fold": 0, "size": k, "accuracy": 0.5} for m, k in [("a", 2), ("a", 4), ("b", 2)]
    ]
    with pytest.raises(ValueError, match="share their sizes"):
        curve_areas(pd.DataFrame(rows))
    with pytest.raises(ValueError, match="without"):
        curve_areas(pd.DataFrame(rows).drop(columns="size"))
