"""Points of the unit cube: balanced where they promise it, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.explain.sampling import POINTS, draw_seed, unit_points


@pytest.mark.parametrize("points", POINTS)
def test_range_shape_and_seed(points):
    found = unit_points(16, 3, points=points, seed=1)
    assert found.shape == (16, 3)
    assert found.min() >= 0 and found.max() < 1
    assert np.array_equal(found, unit_points(16, 3, points=points, seed=1))
    assert not np.array_equal(found, unit_points(16, 3, points=points, seed=2))


def test_stratified_designs_have_one_point_in_every_slice():
    for points in ("sobol", "lhs"):
        slices = np.sort(np.floor(16 * unit_points(16, 4, points=points, seed=0)), axis=0)
        assert np.array_equal(slices, np.arange(16.0)[:, None].repeat(4, 1))


def test_the_mean_of_a_product_is_nearer_with_quasi_random_points():
    def error(points: str) -> float:
        means = [unit_points(128, 4, points=points, seed=seed).prod(1).mean() for seed in range(20)]
        return float(np.std(np.array(means) - 1 / 16))

    assert error("sobol") < 0.3 * error("mc")
    assert error("halton") < 0.5 * error("mc")


def test_seeds_move_the_generator_on():
    generator = torch.Generator().manual_seed(0)
    assert draw_seed(generator) != draw_seed(generator)


def test_errors():
    with pytest.raises(ValueError, match="power of two for points='sobol', got 12; use 16"):
        unit_points(12, 2, points="sobol", seed=0)
    with pytest.raises(ValueError, match="points must be one of"):
        unit_points(8, 2, points="grid", seed=0)
    with pytest.raises(ValueError, match="n and d must be at least 1, got n=0"):
        unit_points(0, 2, points="mc", seed=0)
