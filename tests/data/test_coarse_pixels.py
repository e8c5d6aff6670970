"""Shrinking pictures by areas: means, blocks, orientation."""

from __future__ import annotations

import numpy as np
import pytest

from lib.data.coarse_pixels import coarse_pixels, coverage


@pytest.mark.parametrize(("old", "new"), [(32, 20), (8, 3), (5, 5), (7, 1)])
def test_every_new_cell_is_a_mean_and_old_cells_count_alike(old: int, new: int) -> None:
    share = coverage(old, new)
    np.testing.assert_allclose(share.sum(axis=1), 1.0)
    np.testing.assert_allclose(share.sum(axis=0), new / old)


def test_whole_blocks_are_block_means() -> None:
    X = np.random.default_rng(0).normal(size=(3, 64))
    blocks = X.reshape(3, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(3, 16)
    np.testing.assert_allclose(coarse_pixels(X, side=4), blocks)


def test_cut_pixels_are_those_of_a_finer_grid() -> None:
    X = np.random.default_rng(1).normal(size=(2, 64))
    fine = X.reshape(2, 8, 8).repeat(5, axis=1).repeat(5, axis=2)  # 40 = 5 * 8 = 8 * 5
    expected = fine.reshape(2, 5, 8, 5, 8).mean(axis=(2, 4)).reshape(2, 25)
    np.testing.assert_allclose(coarse_pixels(X, side=5), expected)


def test_orientation_does_not_matter_and_brightness_stays() -> None:
    X = np.random.default_rng(2).random(size=(4, 1024))
    small = coarse_pixels(X, side=20)
    turned = coarse_pixels(X.reshape(4, 32, 32).transpose(0, 2, 1).reshape(4, 1024), side=20)
    np.testing.assert_allclose(turned.reshape(4, 20, 20).transpose(0, 2, 1).reshape(4, 400), small)
    np.testing.assert_allclose(small.mean(axis=1), X.mean(axis=1))
    np.testing.assert_allclose(coarse_pixels(X, side=32), X)


@pytest.mark.parametrize("side", [0, 9])
def test_sides_out_of_range_are_refused(side: int) -> None:
    with pytest.raises(ValueError, match="side must be in 1..8"):
        coarse_pixels(np.zeros((1, 64)), side=side)


def test_pictures_that_are_not_square_are_refused() -> None:
    with pytest.raises(ValueError, match="must hold square pictures"):
        coarse_pixels(np.zeros((1, 60)), side=2)
