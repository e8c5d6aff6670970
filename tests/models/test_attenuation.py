"""Attenuation of skip connections: patch-wise, in [0, 1], and it fits the U-Net."""

import pytest
import torch
from torch.nn import functional

from lib.models.attenuation import Attenuation
from lib.models.unet import UNet


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def made(**options):
    net = UNet(1, width=4, generator=seeded())
    return net, Attenuation(net.skip_channels, grid=(4, 4), generator=seeded(1), **options)


def test_scales_every_patch_by_one_number():
    _, attenuation = made()
    skip = torch.rand(3, 4, 16, 16, generator=seeded(2)) + 0.1
    with torch.no_grad():
        ratio, shares = attenuation(0, skip) / skip, attenuation.shares(0, skip)
    assert shares.shape == (3, 16) and (shares >= 0).all() and (shares <= 1).all()
    expected = functional.interpolate((1 - shares).view(3, 1, 4, 4), size=(16, 16), mode="nearest")
    torch.testing.assert_close(ratio, expected.expand_as(ratio))
    other = skip.clone()
    other[:, :, :4, :4] *= 9
    with torch.no_grad():
        changed = attenuation.shares(0, other) != shares
    assert changed[:, 0].all() and not changed[:, 1:].any()  # a patch is judged by itself


def test_fits_the_unet_and_starts_almost_open():
    net, attenuation = made()
    images = torch.rand(2, 1, 16, 16, generator=seeded(3))
    with torch.no_grad():
        skips, _ = net.encode(images)
        for level, skip in enumerate(skips):
            assert float(attenuation.shares(level, skip).mean()) < 0.2
        whole, dimmed = net(images), net(images, attenuate=attenuation)
        for layer in attenuation.perceptrons.second:
            layer.bias.fill_(-1e4)
        torch.testing.assert_close(net(images, attenuate=attenuation), whole)
    assert not torch.equal(whole, dimmed)


def test_all_levels_at_once_are_the_levels_one_by_one():
    net, attenuation = made(hidden=8)
    skips, _ = net.encode(torch.rand(2, 1, 16, 16, generator=seeded(4)))
    means = [attenuation.means(skip) for skip in skips]
    for level, logits in enumerate(attenuation.perceptrons(*means)):
        torch.testing.assert_close(logits.sigmoid(), attenuation.shares(level, skips[level]))
    by_hand = skips[0][:, :, 4:8, 8:12].mean((2, 3))
    torch.testing.assert_close(means[0][:, 1 * 4 + 2], by_hand)


def test_weights_come_from_the_generator():
    assert torch.equal(*(made()[1].perceptrons.first[0].weight for _ in range(2)))
    with pytest.raises(ValueError, match="at least one skip"):
        Attenuation((), grid=(4, 4), generator=seeded())
