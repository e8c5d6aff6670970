"""Pretrainings under shaped masks are functions of their literals, and arms of one seed differ in masks alone."""

from __future__ import annotations

import pytest
import torch

from lib import masks
from lib.measure import pretraining
from lib.measure import pretraining_masks as shaped
from lib.models.targets import normalised_pixels

SIZES = {"patch": 4, "width": 32, "depth": 1}
TINY = {"n_images": 48, "epochs": 1, "ratio": 0.75} | SIZES


def test_pretraining_is_a_function_of_its_literals():
    first, again, other, red = (
        shaped.pretrain_masked("digits-twin", seed=seed, sampling=how, **TINY)
        for seed, how in ((0, "green"), (0, "green"), (1, "green"), (0, "red"))
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["embed.weight"], other["embed.weight"])
    assert not torch.equal(first["embed.weight"], red["embed.weight"])
    assert first["loss"].shape == (1,)
    model = shaped.load(first, "digits-twin", **SIZES)
    assert torch.equal(model.embed.weight, first["embed.weight"])
    assert model.target is normalised_pixels
    assert not model.training


def test_random_masks_give_the_plain_autoencoder():
    ours = shaped.pretrain_masked("digits-twin", seed=3, sampling="random", batch_size=16, lr=1e-3, **TINY)
    plain = pretraining.pretrain_mae(
        "digits-twin", seed=3, sampling="random", norm_targets=True, batch_size=16, lr=1e-3, **TINY
    )
    assert all(torch.equal(value, plain[name]) for name, value in ours.items())


@pytest.mark.parametrize("name", shaped.SAMPLINGS)
def test_samplers_are_those_of_their_names(name):
    draws = [
        how(3, 7, ratio=0.75, generator=torch.Generator().manual_seed(0))
        for how in (shaped.sampler(name), getattr(masks, name))
    ]
    assert torch.equal(*draws)


def test_cells_have_the_side_asked_for():
    large = shaped.sampler("cells", cell=3)(40, 6, ratio=0.75, generator=torch.Generator().manual_seed(0))
    assert (masks.describe.component_size(~large, 6) == 9).all()


def test_errors():
    with pytest.raises(ValueError, match="sampling must be one of random, cells"):
        shaped.pretrain_masked("digits-twin", seed=0, sampling="pink", **TINY)
