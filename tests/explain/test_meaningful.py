"""Meaningful perturbation: the hole is where the evidence is, each image descends alone, costs do what they say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lib.explain.meaningful import _roughness, meaningful

TARGET = torch.zeros(2, dtype=torch.int64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def corner(images: Tensor) -> Tensor:
    """Brightness of the upper left and of the lower right quarter."""
    return torch.stack([images[:, :, :8, :8].mean((1, 2, 3)), images[:, :, 8:, 8:].mean((1, 2, 3))], 1)


def test_the_hole_opens_where_the_evidence_is():
    images = torch.ones(2, 1, 16, 16)
    options = {"grid": 4, "n_steps": 60, "jitter": 0, "edge_cost": 0.0, "fill": 0.0}
    maps = meaningful(corner, images, torch.tensor([0, 1]), generator=generator(), **options)
    assert maps[0, :6, :6].min() > 0.95
    assert maps[1, 10:, 10:].min() > 0.95
    assert maps[0, 14:].max() < 0.05  # the last row of cells alone
    assert maps[1, :2].max() < 0.05


def test_dear_holes_stay_shut_and_free_ones_open():
    images, options = torch.ones(2, 1, 16, 16), {"grid": 4, "n_steps": 40, "fill": 0.0, "jitter": 0, "edge_cost": 0.0}
    shut = meaningful(corner, images, TARGET, generator=generator(), size_cost=10.0, **options)
    assert shut.max() == 0
    free = meaningful(corner, images, TARGET, generator=generator(), size_cost=0.0, **options)
    assert free[:, :8, :8].min() > 0.45


def test_rough_masks_cost():
    assert float(_roughness(torch.ones(1, 1, 4, 4), 3.0)) == 0
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2.0
    assert float(_roughness(board[None, None], 3.0)) == pytest.approx(24 / 16)  # 24 pairs of neighbours, 16 cells
    images, options = torch.ones(2, 1, 16, 16), {"grid": 4, "n_steps": 60, "fill": 0.0, "jitter": 0}
    free, bound = (
        meaningful(corner, images, TARGET, generator=generator(), edge_cost=cost, **options) for cost in (0.0, 5.0)
    )
    assert bound.diff(dim=1).abs().max() < free.diff(dim=1).abs().max()


def test_each_image_has_its_own_loss():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.LazyLinear(3))
    images, target = torch.rand(5, 2, 12, 12, generator=generator(1)), torch.tensor([0, 1, 2, 0, 1])
    net(images)
    options = {"grid": 4, "n_steps": 12, "sigma": 2.0}

    def score(x: Tensor) -> Tensor:
        return net(x).softmax(1)

    both = meaningful(score, images, target, generator=generator(), max_batch=3, **options)
    for i in range(5):
        one = slice(i, i + 1)
        single = meaningful(score, images[one], target[one], generator=generator(), **options)
        torch.testing.assert_close(both[one], single, atol=1e-4, rtol=0)  # Adam divides by small gradients


def test_jitter_uses_the_generator_and_the_model_is_left_alone():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 2))
    images = torch.rand(2, 1, 12, 12, generator=generator(1))
    with torch.no_grad():
        maps = [
            meaningful(net, images, TARGET, generator=generator(seed), grid=3, n_steps=5, sigma=2.0, jitter=jitter)
            for seed, jitter in ((0, 2), (1, 2), (0, 0), (1, 0))
        ]
    assert not torch.equal(maps[0], maps[1])
    assert torch.equal(maps[2], maps[3])
    assert net[1].weight.grad is None


def test_errors():
    images = torch.rand(2, 1, 12, 12)
    for options, message in (
        ({"grid": 13}, "grid must be between 1 and 12"),
        ({"n_steps": 0}, "n_steps must be at least 1"),
        ({"sigma": 0.0}, "sigma must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            meaningful(corner, images, TARGET, generator=generator(), **options)
