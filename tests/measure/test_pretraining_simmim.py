"""SimMIM's pretraining is a function of its literals, and arms of one seed are paired."""

from __future__ import annotations

import pytest
import torch

from lib import train
from lib.measure import pretraining, probes
from lib.models import mae

SIZES = {"patch": 7, "width": 32, "depth": 1}
TINY = {"n_images": 64, "epochs": 1, "ratio": 0.5} | SIZES


@pytest.mark.parametrize("options", [
    {"cell": 2}, {"target": "hog", "error": "l2", "sampling": "block", "hog_cell": 7},
])  # fmt: skip
def test_simmim_is_a_function_of_its_literals(options):
    first, again, other = (pretraining.pretrain_simmim("digits-twin", seed=s, **options, **TINY) for s in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["embed.weight"], other["embed.weight"])
    kind = {name: options[name] for name in ("target", "hog_cell") if name in options}
    model = pretraining.loaded(pretraining.empty_simmim("digits-twin", seed=5, **SIZES, **kind), first)
    x = pretraining.seen("digits-twin", n_images=30, seed=0)
    features, y = train.predict(model.encode, x), torch.arange(30) % 3
    assert features.shape == (30, 32)
    assert len(probes.linear(features, y, features, y).correct) == 30
    assert torch.equal(mae.Encoder(model)(x), model.encode(x))


def test_what_is_hidden_and_how_it_is_judged_matter():
    plain = pretraining.pretrain_simmim("digits-twin", seed=0, **TINY)
    for change in ({"cell": 2}, {"error": "l2"}, {"sampling": "grid"}, {"target": "normalised"}, {"looks": 1}):
        other = pretraining.pretrain_simmim("digits-twin", seed=0, **TINY | change)
        assert not torch.equal(other["embed.weight"], plain["embed.weight"]), change


def test_arms_of_one_seed_start_alike_but_for_the_head():
    pixels, hog = (
        pretraining.empty_simmim("digits-twin", seed=4, target=kind, **SIZES).state_dict() for kind in ("pixels", "hog")
    )
    assert all(torch.equal(pixels[name], hog[name]) for name in pixels if "head" not in name)


def test_errors():
    with pytest.raises(ValueError, match="error must be one of l1, l2, got 'l3'"):
        pretraining.pretrain_simmim("digits-twin", seed=0, error="l3", **TINY)
    with pytest.raises(ValueError, match="target must be one of"):
        pretraining.pretrain_simmim("digits-twin", seed=0, target="edges", **TINY)
