"""Rounding, JPEG and resampling do what they say, and nothing to flat pictures."""

from __future__ import annotations

import pytest
import torch

from lib.data.postprocess import KERNELS, quantised, reencoded, resampled


def noise(channels: int = 3, side: int = 16) -> torch.Tensor:
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(0))


def test_rounding_is_to_the_nearest_of_256_levels_and_idempotent():
    found = quantised(2 * noise() - 0.5)
    assert torch.equal(quantised(found), found)
    assert (found - (2 * noise() - 0.5).clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-7
    assert torch.equal((found * 255).round() / 255, found)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_closer_at_higher_quality_and_keeps_the_shape(channels):
    x = noise(channels)
    errors = [float((reencoded(x, quality=quality) - x).abs().mean()) for quality in (10, 50, 95)]
    assert errors[0] > errors[1] > errors[2] > 0
    found = reencoded(x, quality=75)
    assert found.shape == x.shape and torch.equal(quantised(found), found)


def test_jpeg_keeps_flat_grey_and_halves_the_resolution_of_colour():
    flat = torch.full((1, 3, 16, 16), 128 / 255)
    torch.testing.assert_close(reencoded(flat, quality=75), flat)
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[:, 0, :, ::2], stripes[:, 2, :, 1::2] = 0.8, 0.8
    found = reencoded(stripes, quality=95)
    contrast = (found[:, 0, :, ::2] - found[:, 0, :, 1::2]).mean()
    assert contrast < 0.6 * 0.8  # red against blue, column by column, does not survive 4:2:0


@pytest.mark.parametrize("down", KERNELS)
@pytest.mark.parametrize("up", KERNELS)
def test_resampling_keeps_flat_pictures_and_loses_detail(down, up):
    flat = torch.full((1, 2, 12, 12), 0.3)
    torch.testing.assert_close(resampled(flat, down=down, up=up), flat)
    x = noise()
    assert resampled(x, down=down, up=up).shape == x.shape
    torch.testing.assert_close(resampled(x, factor=1, down=down, up=up, sharpen=0), x, atol=1e-5, rtol=1e-5)
    if down != "nearest":
        plain = resampled(x, down=down, up=up, sharpen=0)
        assert plain.std() < x.std()
        assert resampled(x, down=down, up=up).std() > plain.std()


def test_area_then_nearest_is_the_mean_of_two_by_two():
    x = noise()
    found = resampled(x, down="area", up="nearest", sharpen=0)
    by_hand = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(found, by_hand)


@pytest.mark.parametrize(("call", "match"), [
    (lambda x: reencoded(x[0], quality=75), "add a batch"),
    (lambda x: reencoded(x, quality=0), "quality"),
    (lambda x: resampled(x, up="lanczos"), "bicubic"),
    (lambda x: resampled(x, factor=0.5), "factor"),
])  # fmt: skip
def test_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call(noise())
