"""The erasing of pixels between two classes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lib.measure.erasing import erasing


def test_erasing_against_a_loop():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.Tanh(), nn.Linear(6, 4)).eval()
    images, maps = torch.rand(5, 2, 4, 4), torch.randn(5, 4, 4)
    pairs = torch.tensor([[0, 1], [2, 3], [3, 0], [1, 2], [0, 2]])
    falls = erasing(model, images, maps, pairs, shares=[0.0, 0.25, 1.0], fill=0.5, max_batch=2)
    assert torch.equal(falls[:, 0], torch.zeros(5))
    for row in range(5):
        for column, count in ((1, 4), (2, 16)):
            cut = images[row : row + 1].clone()
            for place in sorted(range(16), key=lambda p: -float(maps[row].flatten()[p]))[:count]:  # noqa: B023
                if maps[row].flatten()[place] > 0:
                    cut.flatten(2)[0, :, place] = 0.5
            first, second = pairs[row].tolist()
            before, after = model(images[row : row + 1])[0], model(cut)[0]
            wanted = (before[first] - before[second]) - (after[first] - after[second])
            torch.testing.assert_close(falls[row, column], wanted, rtol=1e-4, atol=1e-6)


def test_a_map_below_zero_erases_nothing():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    falls = erasing(model, torch.rand(1, 1, 2, 2), -torch.rand(1, 2, 2), torch.tensor([[0, 1]]), shares=[1.0])
    assert falls.item() == 0


def test_errors():
    model, images = nn.Flatten(), torch.rand(2, 1, 2, 2)
    pairs = torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="one difference map and two classes"):
        erasing(model, images, torch.rand(2, 3, 2), pairs, shares=[0.5])
    with pytest.raises(ValueError, match="a fifth of the pixels is 0.2"):
        erasing(model, images, torch.rand(2, 2, 2), pairs, shares=[20])
