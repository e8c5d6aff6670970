"""Regional multi-scale: brute force over regions and draws, the border's moments, and superpixels that fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lib.explain import multiscale


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 3, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, 16, 16, generator=generator(4))


def score(batch: Tensor) -> Tensor:
    rows = batch.mean((1, 3))
    return torch.stack([rows[:, :8].mean(1), rows[:, 8:].square().mean(1)], 1)


def test_brute_force_over_scales_regions_and_draws():
    x, y = images(2), torch.tensor([1, 0])
    maps = multiscale.regional_multiscale(score, x, y, generator=generator(), scales=(4, 9), n_draws=2, max_batch=3)
    mean, factor = multiscale.border_normal(x, width=2)
    chance = generator()
    noise = [torch.randn(3, 16, 16, generator=chance, dtype=torch.float64) for _ in range(2)]
    for index in range(2):
        expected = torch.zeros(16, 16)
        whole = score(x[index][None])[0, y[index]]
        for scale in (4, 9):
            level = multiscale.superpixels(x, scale)[index]
            for draw in noise:
                moved = (factor[index] @ draw.flatten(1)).view(3, 16, 16)
                fill = (mean[index, :, None, None] + moved).clamp(0, 1).float()
                for region in level.unique():
                    seen = torch.where(level == region, fill, x[index])
                    expected[level == region] += (whole - score(seen[None])[0, y[index]]) / 4
        torch.testing.assert_close(maps[index], expected, atol=1e-6, rtol=1e-4)


def test_draws_have_the_moments_of_the_border():
    x = images(2)
    mean, factor = multiscale.border_normal(x, width=3)
    edge = torch.ones(16, 16, dtype=torch.bool)
    edge[3:13, 3:13] = False
    for index in range(2):
        colours = x[index][:, edge].double()
        torch.testing.assert_close(mean[index], colours.mean(1))
        torch.testing.assert_close(factor[index] @ factor[index].T, torch.cov(colours, correction=0))
    flat = multiscale.border_normal(torch.zeros(1, 3, 16, 16), width=2)
    assert flat[0].abs().max() == flat[1].abs().max() == 0


def test_a_flat_image_on_a_flat_border_has_no_evidence():
    x = torch.full((1, 1, 16, 16), 0.4)
    maps = multiscale.regional_multiscale(score, x, torch.tensor([1]), generator=generator(), scales=(4,), n_draws=1)
    assert maps.abs().max() < 1e-5


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_superpixels_are_numbered_and_keep_to_edges(channels):
    x = torch.zeros(2, channels, 16, 16)
    x[:, :, :, 8:] = 1
    found = multiscale.superpixels(x, 8)
    assert found.dtype == torch.int64
    for level in found:
        assert level.unique().tolist() == list(range(int(level.max()) + 1))
        assert not set(level[:, :8].unique().tolist()) & set(level[:, 8:].unique().tolist())


def test_batch_equals_single():
    x, y = images(3), torch.tensor([1, 0, 1])
    both = multiscale.regional_multiscale(score, x, y, generator=generator(), scales=(4, 9), n_draws=2)
    for i in range(3):
        one = slice(i, i + 1)
        single = multiscale.regional_multiscale(
            score, x[one], y[one], generator=generator(), scales=(4, 9), n_draws=2, max_batch=2
        )
        torch.testing.assert_close(single, both[one], atol=1e-6, rtol=1e-4)


def test_errors():
    for options, message in (
        ({"scales": ()}, "scales must not be empty"),
        ({"n_draws": 0}, "n_draws at least 1"),
        ({"border": 8}, "border must be between 1 and less than 8"),
        ({"compactness": 0.0}, "compactness must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            multiscale.regional_multiscale(score, images(1), torch.tensor([0]), generator=generator(), **options)
