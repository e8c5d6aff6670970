"""Autoencoders with other targets and decoders are functions of their literals, and arms of one seed are paired."""

from __future__ import annotations

import pytest
import torch

from lib.measure import pretraining

SIZES = {"patch": 7, "width": 32, "depth": 1}
TINY = {"n_images": 64, "epochs": 1, "ratio": 0.5} | SIZES


@pytest.mark.parametrize("target", ["pixels", "normalised", "hog", "gradients"])
def test_features_are_a_function_of_their_literals(target):
    options = {"target": target, "radii": (2, 3)}
    first, again, other = (pretraining.pretrain_features("digits-twin", seed=s, **options, **TINY) for s in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["embed.weight"], other["embed.weight"])
    assert first["loss"].shape == (1,)
    model = pretraining.loaded(pretraining.empty_features("digits-twin", seed=5, **SIZES, **options), first)
    assert torch.equal(model.decoder_head.weight, first["decoder_head.weight"])
    assert not model.training


def test_arms_of_one_seed_start_alike_but_for_the_head():
    pixels, hog = (
        pretraining.empty_features("digits-twin", seed=4, target=kind, **SIZES).state_dict()
        for kind in ("pixels", "hog")
    )
    plain = pretraining.empty_mae("digits-twin", seed=4, **SIZES).state_dict()
    for other in (hog, plain):
        assert all(torch.equal(pixels[name], other[name]) for name in pixels if "head" not in name)


def test_decoders_of_one_seed_differ_in_depth_alone():
    shallow, deep = (
        pretraining.empty_features("digits-twin", seed=4, decoder_depth=depth, **SIZES).state_dict() for depth in (1, 3)
    )
    assert all(torch.equal(value, deep[name]) for name, value in shallow.items())
    assert {name.split(".")[1] for name in deep.keys() - shallow.keys()} == {"1", "2"}
    plain = pretraining.empty_features("digits-twin", seed=4, **SIZES).state_dict()
    assert all(torch.equal(plain[name], shallow[name]) for name in plain if "decoder_blocks" not in name)


def test_the_decoders_depth_matters_and_can_be_loaded():
    one, two = (pretraining.pretrain_features("digits-twin", seed=0, decoder_depth=d, **TINY) for d in (1, 2))
    assert not torch.equal(one["embed.weight"], two["embed.weight"])
    empty = pretraining.empty_features("digits-twin", seed=5, decoder_depth=2, **SIZES)
    assert torch.equal(pretraining.loaded(empty, two).decoder_head.weight, two["decoder_head.weight"])


def test_errors():
    with pytest.raises(ValueError, match="target must be one of"):
        pretraining.pretrain_features("digits-twin", seed=0, target="edges", **TINY)
    with pytest.raises(ValueError, match="decoder_depth must be at least 1, got 0"):
        pretraining.empty_features("digits-twin", seed=0, decoder_depth=0, **SIZES)
