"""Chains with known answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lib.models import chains


def test_fixed_networks_compute_what_they_say():
    rows = torch.rand(50, 1, 1, 2, generator=torch.Generator().manual_seed(0)) * 2
    torch.testing.assert_close(chains.minimum()(rows)[:, 0], rows.amin((1, 2, 3)))
    torch.testing.assert_close(chains.saturated()(rows)[:, 0], rows.sum((1, 2, 3)).clamp_max(1))


@pytest.mark.parametrize("side", [4, 13, 28])
def test_pooled_chain_is_a_chain_and_treats_images_apart(side):
    torch.manual_seed(0)
    model = chains.pooled_chain(2, side, 5, width=3)
    assert all(not list(layer.children()) for layer in model)
    assert len({id(layer) for layer in model}) == len(model)
    images = torch.rand(4, 2, side, side)
    torch.testing.assert_close(model(images)[2:3], model(images[2:3]))
    assert isinstance(model[-1], nn.Linear) and model(images).shape == (4, 5)


def test_sizes():
    with pytest.raises(ValueError, match="side at least 4"):
        chains.pooled_chain(1, 3, 2)
    with pytest.raises(ValueError, match="multiples of 4 px, got"):
        chains.strided_chain(1, 3, size=(10, 8))
