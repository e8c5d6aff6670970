"""Pretrainings with other targets are functions of their literals, and arms of one seed are paired."""

from __future__ import annotations

import pytest
import torch

from lib import masks, train
from lib.measure import pretraining, probes
from lib.measure import pretraining_targets as variants
from lib.models import mae, simmim

SIZES = {"patch": 7, "width": 32, "depth": 1}
TINY = {"n_images": 64, "epochs": 1, "ratio": 0.5} | SIZES


@pytest.mark.parametrize("target", ["pixels", "normalised", "hog", "gradients"])
def test_features_are_a_function_of_their_literals(target):
    options = {"target": target, "radii": (2, 3)}
    first, again, other = (variants.pretrain_features("digits-twin", seed=s, **options, **TINY) for s in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["embed.weight"], other["embed.weight"])
    assert first["loss"].shape == (1,)
    model = variants.loaded(variants.empty_features("digits-twin", seed=5, **SIZES, **options), first)
    assert torch.equal(model.decoder_head.weight, first["decoder_head.weight"])
    assert not model.training


@pytest.mark.parametrize("options", [
    {"mask_cell": 2}, {"target": "hog", "error": "l2", "sampling": "block", "hog_cell": 7},
])  # fmt: skip
def test_simmim_is_a_function_of_its_literals(options):
    first, again, other = (variants.pretrain_simmim("digits-twin", seed=s, **options, **TINY) for s in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["embed.weight"], other["embed.weight"])
    kind = {name: options[name] for name in ("target", "hog_cell") if name in options}
    model = variants.loaded(variants.empty_simmim("digits-twin", seed=5, **SIZES, **kind), first)
    x = variants.seen("digits-twin", n_images=30, seed=0)
    features, y = train.predict(model.encode, x), torch.arange(30) % 3
    assert features.shape == (30, 32)
    assert len(probes.linear(features, y, features, y).correct) == 30
    assert torch.equal(mae.Encoder(model)(x), model.encode(x))


def test_what_is_hidden_and_how_it_is_judged_matter():
    plain = variants.pretrain_simmim("digits-twin", seed=0, **TINY)
    for change in ({"mask_cell": 2}, {"error": "l2"}, {"sampling": "grid"}, {"target": "normalised"}, {"looks": 1}):
        other = variants.pretrain_simmim("digits-twin", seed=0, **TINY | change)
        assert not torch.equal(other["embed.weight"], plain["embed.weight"]), change


def test_arms_of_one_seed_start_alike_but_for_the_head():
    for empty in (variants.empty_features, variants.empty_simmim):
        pixels, hog = (empty("digits-twin", seed=4, target=kind, **SIZES).state_dict() for kind in ("pixels", "hog"))
        assert all(torch.equal(pixels[name], hog[name]) for name in pixels if "head" not in name)
    plain = pretraining.empty_mae("digits-twin", seed=4, **SIZES).state_dict()
    other = variants.empty_features("digits-twin", seed=4, target="hog", **SIZES).state_dict()
    assert all(torch.equal(plain[name], other[name]) for name in plain if "head" not in name)


def test_decoders_of_one_seed_differ_in_depth_alone():
    shallow, deep = (
        variants.empty_features("digits-twin", seed=4, decoder_depth=depth, **SIZES).state_dict() for depth in (1, 3)
    )
    assert all(torch.equal(value, deep[name]) for name, value in shallow.items())
    assert {name.split(".")[1] for name in deep.keys() - shallow.keys()} == {"1", "2"}
    plain = variants.empty_features("digits-twin", seed=4, **SIZES).state_dict()
    assert all(torch.equal(plain[name], shallow[name]) for name in plain if "decoder_blocks" not in name)


def test_the_decoders_depth_matters_and_can_be_loaded():
    one, two = (
        variants.pretrain_features("digits-twin", seed=0, target="pixels", decoder_depth=d, **TINY) for d in (1, 2)
    )
    assert not torch.equal(one["embed.weight"], two["embed.weight"])
    empty = variants.empty_features("digits-twin", seed=5, decoder_depth=2, **SIZES)
    assert torch.equal(variants.loaded(empty, two).decoder_head.weight, two["decoder_head.weight"])


def test_hidden_loss_by_hand():
    """With a squared error it is the loss of `pretraining`; with an absolute one that of the paper."""
    model = variants.empty_simmim("digits-twin", seed=0, **SIZES)
    x = variants.seen("digits-twin", n_images=4, seed=0)

    def value(error) -> torch.Tensor:
        loss = variants.hidden_loss(model, masks.random, ratio=0.5, error=error)
        return loss(model, (x,), torch.Generator().manual_seed(3))

    squared = pretraining.masked_loss(model, masks.random, ratio=0.5)(model, (x,), torch.Generator().manual_seed(3))
    assert torch.equal(value(mae.reconstruction_loss), squared)
    hidden = masks.random(4, model.grid, ratio=0.5, generator=torch.Generator().manual_seed(3))
    assert torch.equal(value(simmim.l1_loss), simmim.l1_loss(model(x, hidden), model.targets(x), hidden))


def test_speckle_has_mean_one_and_the_variance_of_its_looks():
    grey = torch.full((40, 1, 32, 32), 0.1)
    for looks in (1, 4):
        gain = variants.speckled(grey, looks=looks, generator=torch.Generator().manual_seed(0)) / 0.1
        assert float(gain.mean()) == pytest.approx(1, abs=0.02)  # 5 deviations of a mean of 40,960 gains
        assert float(gain.var()) == pytest.approx(1 / looks, rel=0.1)  # 5 deviations; at most exp(-10) are clipped
    black = variants.speckled(torch.zeros(1, 1, 4, 4), looks=1, generator=torch.Generator().manual_seed(0))
    white = variants.speckled(torch.ones(1, 1, 64, 64), looks=1, generator=torch.Generator().manual_seed(0))
    assert (black == 0).all()
    assert white.amax() == 1
    pair = [variants.seen("digits-twin", n_images=4, seed=s, looks=2) for s in (0, 0, 1)]
    assert torch.equal(pair[0], pair[1])
    assert not torch.equal(pair[0], pair[2])
    assert not torch.equal(pair[0], variants.seen("digits-twin", n_images=4, seed=0))


def test_cells_of_one_patch_follow_the_sampler():
    hidden = variants.sampler("cells", mask_cell=2)(5, 4, ratio=0.5, generator=torch.Generator().manual_seed(0))
    cells = hidden.view(5, 2, 2, 2, 2).permute(0, 1, 3, 2, 4).flatten(3)
    assert (cells.all(dim=3) | ~cells.any(dim=3)).all()
    assert variants.sampler("block") is masks.block


def test_errors():
    with pytest.raises(ValueError, match="sampling must be one of random, block, grid, cells, got 'blob'"):
        variants.pretrain_simmim("digits-twin", seed=0, sampling="blob", **TINY)
    with pytest.raises(ValueError, match="error must be one of l1, l2, got 'l3'"):
        variants.pretrain_simmim("digits-twin", seed=0, error="l3", **TINY)
    with pytest.raises(ValueError, match="target must be one of"):
        variants.pretrain_features("digits-twin", seed=0, target="edges", **TINY)
    with pytest.raises(ValueError, match="decoder_depth must be at least 1, got 0"):
        variants.empty_features("digits-twin", seed=0, decoder_depth=0, **SIZES)
    with pytest.raises(ValueError, match="looks must be at least 1"):
        variants.speckled(torch.ones(1, 1, 2, 2), looks=0, generator=torch.Generator())
    with pytest.raises(RuntimeError, match="size mismatch"):
        variants.loaded(variants.empty_simmim("digits-twin", seed=0, **SIZES),
                        variants.pretrain_simmim("digits-twin", seed=0, target="hog", **TINY))  # fmt: skip
