"""Controls: a flat image has no edges, a ramp has constant ones, blurring adds nothing."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter, sobel

from lib.explain import baselines

ZERO = torch.zeros(1, dtype=torch.int64)


def never(images: torch.Tensor) -> torch.Tensor:
    raise AssertionError("a control must not ask the model")


def test_sobel_agrees_with_scipy_and_is_zero_on_flat_images():
    image = torch.rand(1, 1, 9, 9)
    lines = [sobel(image[0, 0].double().numpy(), axis=axis, mode="nearest") / 8 for axis in (0, 1)]
    expected = torch.as_tensor(lines[0] ** 2 + lines[1] ** 2).sqrt().float()
    torch.testing.assert_close(baselines.sobel(never, image, ZERO)[0], expected, atol=1e-6, rtol=1e-5)
    assert baselines.sobel(never, torch.full((1, 3, 9, 9), 0.4), ZERO).max() < 1e-6


def test_random_is_uniform_and_differs_between_images():
    maps = baselines.random(never, torch.rand(2, 3, 40, 40), ZERO.repeat(2), generator=torch.Generator().manual_seed(0))
    assert maps.shape == (2, 40, 40)
    assert not torch.equal(maps[0], maps[1])
    assert abs(float(maps.mean()) - 0.5) < 4 * 0.29 / 3200**0.5  # four standard errors of a uniform mean


def test_blur_agrees_with_scipy_and_keeps_the_mean_of_constants():
    maps = torch.rand(2, 20, 20)
    expected = gaussian_filter(maps[1].double().numpy(), 1.5, mode="mirror", radius=5)
    torch.testing.assert_close(
        baselines.blurred(maps, sigma=1.5)[1], torch.as_tensor(expected).float(), atol=1e-6, rtol=1e-5
    )
    assert torch.equal(baselines.blurred(maps, sigma=0.0), maps)
    assert baselines.blurred(maps, sigma=2.0).var() < maps.var()


def test_blur_must_fit():
    with pytest.raises(ValueError, match="use a smaller blur"):
        baselines.blurred(torch.rand(1, 8, 8), sigma=3.0)
    with pytest.raises(ValueError, match=r"maps must be \(n, h, w\)"):
        baselines.blurred(torch.rand(1, 1, 8, 8), sigma=1.0)
