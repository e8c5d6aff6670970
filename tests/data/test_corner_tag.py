"""The corner tag: rates, nesting along the strengths, and nothing changed but the corner."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.data import corner_tag


def test_rates_and_true_zero():
    rng = np.random.default_rng(0)
    draws, labels = rng.random(20_000), rng.integers(0, 2, 20_000)
    wears = corner_tag.worn(draws, labels, p=0.9)
    assert abs(wears[labels == 1].mean() - 0.9) < 0.015  # five standard errors of 10,000 draws
    assert abs(wears[labels == 0].mean() - 0.1) < 0.015
    even = corner_tag.worn(draws, labels, p=0.5)
    assert np.array_equal(even, corner_tag.worn(draws, 1 - labels, p=0.5)), "at one half the label does not matter"


def test_a_stronger_shortcut_moves_tags_one_way():
    rng = np.random.default_rng(1)
    draws, labels = rng.random(500), rng.integers(0, 2, 500)
    weak, strong = (corner_tag.worn(draws, labels, p=p) for p in (0.6, 0.9))
    assert (strong[labels == 1] >= weak[labels == 1]).all()
    assert (strong[labels == 0] <= weak[labels == 0]).all()


def test_only_the_corner_changes():
    x = torch.rand(2, 1, 8, 8) * 0.9
    before, y = x.clone(), corner_tag.tagged(x, side=3)
    changed = y != x
    assert torch.equal(x, before)
    assert changed[:, :, :3, :3].all()
    assert changed.sum() == 2 * 9
    assert (y[:, :, :3, :3] == 1).all()


def test_errors():
    with pytest.raises(ValueError, match="p must be a probability"):
        corner_tag.worn([0.1], [1], p=90)
    with pytest.raises(ValueError, match="alike"):
        corner_tag.worn([0.1], [1, 0], p=0.5)
    with pytest.raises(ValueError, match="room for 9 px"):
        corner_tag.tagged(torch.zeros(1, 1, 8, 8), side=9)
