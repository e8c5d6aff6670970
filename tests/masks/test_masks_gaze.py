"""Gaze windows: equal area whatever was looked at, the hottest pixels by brute force, and crops around their centre."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.masks.gaze import centres, crops, fixations, random_pixels, window


def rng(seed=0):
    return np.random.default_rng(seed)


def test_every_window_shows_equally_many_pixels_wherever_the_points_lie():
    points = torch.tensor([[[2.0, 2.0]], [[-50.0, 90.0]], [[7.5, 0.0]]]).repeat(1, 3, 1)
    never = torch.zeros(3, 8, 8, dtype=torch.bool)
    never[:, 2:4] = True
    for forbidden in (None, never):
        shown = window(points, (8, 8), pixels=11, blur=1.5, never=forbidden)
        assert shown.flatten(1).sum(1).tolist() == [11, 11, 11]
        assert forbidden is None or not (shown & forbidden).any()


def test_the_window_holds_the_hottest_pixels():
    points = torch.from_numpy(rng().uniform(0, 7, (4, 3, 2)))
    shown = window(points, (8, 7), pixels=9, blur=1.3)
    for film, seen in zip(points, shown, strict=True):
        heat = np.array([[sum(np.exp(-((r - a) ** 2 + (c - b) ** 2) / (2 * 1.3**2)) for a, b in film.tolist())
                          for c in range(7)] for r in range(8)])  # fmt: skip
        assert heat[seen.numpy()].min() >= heat[~seen.numpy()].max()


def test_random_pixels_are_uniform_over_the_region():
    allowed = torch.zeros(2, 4, 5, dtype=torch.bool)
    allowed[0, 1, 2] = allowed[0, 3, 4] = allowed[1, 0, 0] = True
    drawn = random_pixels(allowed, 400, rng=rng())
    assert drawn[1].abs().max() == 0
    assert (drawn[0] == torch.tensor([1.0, 2.0])).all(1).double().mean().item() == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ValueError, match="allowed must hold a pixel"):
        random_pixels(allowed & False, 1, rng=rng())


def test_fixations_scatter_by_the_given_deviation():
    points = fixations(torch.tensor([[3.0, 4.0], [10.0, 2.0]]), 5000, scatter=np.array([1.0, 3.0]), rng=rng())
    assert points.mean(1).numpy() == pytest.approx(np.array([[3, 4], [10, 2]]), abs=0.2)
    assert points.std(1).numpy() == pytest.approx(np.array([[1, 1], [3, 3]]), rel=0.05)
    again = fixations(torch.tensor([[3.0, 4.0]]), 2, scatter=np.ones(1), rng=rng(1))
    assert not torch.equal(again, fixations(torch.tensor([[3.0, 4.0]]), 2, scatter=np.ones(1), rng=rng(2)))


def test_centre_and_crop_agree():
    images = torch.rand(3, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    shown = torch.zeros(3, 9, 9, dtype=torch.bool)
    for k, (row, column) in enumerate(((4, 5), (0, 0), (8, 3))):
        shown[k, row, column] = True
    middle = centres(shown)
    assert middle.tolist() == [[4, 5], [0, 0], [8, 3]]
    for side in (1, 4, 5):
        cut = crops(images, middle, side=side)
        assert torch.equal(cut[:, 0, side // 2, side // 2], images[:, 0][shown])
    assert crops(images, middle, side=4)[1, 0, :2].abs().sum() == 0  # beyond the film it is black


@pytest.mark.parametrize(("pixels", "blur"), [(0, 1.0), (65, 1.0), (5, 0.0)])
def test_impossible_windows_are_refused(pixels, blur):
    with pytest.raises(ValueError, match="pixels must be in 1..64 and blur > 0"):
        window(torch.zeros(1, 1, 2), (8, 8), pixels=pixels, blur=blur)
    with pytest.raises(ValueError, match="count must be at least 1"):
        fixations(torch.zeros(1, 2), 0, scatter=np.ones(1), rng=rng())
    with pytest.raises(ValueError, match="centre must be"):
        crops(torch.zeros(2, 1, 4, 4), torch.zeros(1, 2), side=2)
