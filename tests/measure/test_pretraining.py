"""What all pretrainings share, and masked autoencoders: functions of their literals; arms of one seed are paired."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lib
from lib import masks
from lib.closure import Library
from lib.measure import pretraining
from lib.measure.pretraining.samplers import SAMPLERS
from lib.models import mae, simmim
from lib.models.targets import normalised_pixels

SIZES = {"patch": 7, "width": 32, "depth": 1}
TINY = {"n_images": 64, "epochs": 1, "ratio": 0.5} | SIZES


def test_notebooks_depend_on_the_kind_of_pretraining_they_use():
    library = Library(Path(lib.__file__).parent)
    pieces = ["from lib.measure import pretraining\npretraining.pretrain_hpm"]
    found = {name.rpartition(".")[2] for name in library.closure(pieces) if name.startswith("lib.measure.pretraining")}
    assert found == {"mining", "loop", "images", "untrained"}


def test_pretraining_is_a_function_of_its_literals():
    first, again, other, block, normalised = (
        pretraining.pretrain_mae("digits-twin", seed=seed, sampling=how, norm_targets=norm, **TINY)
        for seed, how, norm in (
            (0, "random", False), (0, "random", False), (1, "random", False), (0, "block", False), (0, "random", True)
        )
    )  # fmt: skip
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    for changed in (other, block, normalised):
        assert not torch.equal(first["embed.weight"], changed["embed.weight"])
    assert first["loss"].shape == (1,)


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_every_mask_can_be_pretrained_with(sampling):
    options = {"seed": 0, "sampling": sampling, "cell": 2, "n_images": 2, "epochs": 1, "ratio": 0.75, "patch": 4}
    state = pretraining.pretrain_mae("digits-twin", width=32, depth=1, **options)
    assert torch.isfinite(state["loss"]).all()


def test_arms_of_one_seed_start_alike():
    """Pairing: whatever is hidden or predicted, the first weights are those of the seed."""
    first, second, other = (
        pretraining.empty_mae("digits-twin", seed=seed, norm_targets=norm, **SIZES).state_dict()
        for seed, norm in ((4, False), (4, True), (5, False))
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["embed.weight"], other["embed.weight"])


def test_weights_are_loaded_into_a_copy():
    empty = pretraining.empty_mae("digits-twin", seed=4, norm_targets=True, **SIZES).train()
    state = pretraining.pretrain_mae("digits-twin", seed=0, norm_targets=True, **TINY)
    before = {name: value.clone() for name, value in empty.state_dict().items()}
    model = pretraining.loaded(empty, state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.target is normalised_pixels
    assert not model.training
    assert empty.training
    assert all(torch.equal(value, before[name]) for name, value in empty.state_dict().items())
    with pytest.raises(RuntimeError, match="size mismatch"):
        pretraining.loaded(pretraining.empty_mae("digits-twin", seed=0, **SIZES | {"width": 64}), state)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_are_those_of_their_names(name):
    known = {"cells": lambda *a, **k: masks.cells(*a, cell=2, **k), "cox": masks.cox_process}
    draws = [
        how(3, 7, ratio=0.75, generator=torch.Generator().manual_seed(0))
        for how in (pretraining.sampler(name, cell=2), known.get(name) or getattr(masks, name))
    ]
    assert torch.equal(*draws)


def test_cells_have_the_side_asked_for():
    large = pretraining.sampler("cells", cell=3)(40, 6, ratio=0.75, generator=torch.Generator().manual_seed(0))
    assert (masks.describe.component_size(~large, 6) == 9).all()
    hidden = pretraining.sampler("cells", cell=2)(5, 4, ratio=0.5, generator=torch.Generator().manual_seed(0))
    cells = hidden.view(5, 2, 2, 2, 2).permute(0, 1, 3, 2, 4).flatten(3)
    assert (cells.all(dim=3) | ~cells.any(dim=3)).all()
    single = pretraining.sampler("cells")(2000, 3, ratio=0.4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(single.float().mean(dim=0), torch.tensor(4 / 9), atol=0.05)  # 4.5 deviations of 2,000 rows


def test_masked_loss_by_hand():
    model = pretraining.empty_simmim("digits-twin", seed=0, **SIZES)
    x = pretraining.seen("digits-twin", n_images=4, seed=0)
    hidden = masks.random(4, model.grid, ratio=0.5, generator=torch.Generator().manual_seed(3))
    for options, error in (({}, mae.reconstruction_loss), ({"error": simmim.l1_loss}, simmim.l1_loss)):
        loss = pretraining.masked_loss(model, masks.random, ratio=0.5, **options)
        value = loss(model, (x,), torch.Generator().manual_seed(3))
        assert torch.equal(value, error(model(x, hidden), model.targets(x), hidden))


def test_speckle_has_mean_one_and_the_variance_of_its_looks():
    grey = torch.full((40, 1, 32, 32), 0.1)
    for looks in (1, 4):
        gain = pretraining.speckled(grey, looks=looks, generator=torch.Generator().manual_seed(0)) / 0.1
        assert float(gain.mean()) == pytest.approx(1, abs=0.02)  # 5 deviations of a mean of 40,960 gains
        assert float(gain.var()) == pytest.approx(1 / looks, rel=0.1)  # 5 deviations; at most exp(-10) are clipped
    black = pretraining.speckled(torch.zeros(1, 1, 4, 4), looks=1, generator=torch.Generator().manual_seed(0))
    white = pretraining.speckled(torch.ones(1, 1, 64, 64), looks=1, generator=torch.Generator().manual_seed(0))
    assert (black == 0).all()
    assert white.amax() == 1
    pair = [pretraining.seen("digits-twin", n_images=4, seed=s, looks=2) for s in (0, 0, 1)]
    assert torch.equal(pair[0], pair[1])
    assert not torch.equal(pair[0], pair[2])
    assert not torch.equal(pair[0], pretraining.seen("digits-twin", n_images=4, seed=0))


def test_errors():
    known = "sampling must be one of random, block, grid, jittered_grid, cells, blue, green, purple, red, cox, got"
    for run in (pretraining.pretrain_mae, pretraining.pretrain_features, pretraining.pretrain_simmim):
        with pytest.raises(ValueError, match=f"{known} 'blob'"):
            run("digits-twin", seed=0, sampling="blob", **TINY)
    with pytest.raises(ValueError, match="multiple of 32"):
        pretraining.empty_mae("digits-twin", seed=0, patch=7, width=20, depth=1)
    with pytest.raises(ValueError, match="patch must divide size"):
        pretraining.empty_mae("digits-twin", seed=0, patch=5, width=32, depth=1)
    with pytest.raises(ValueError, match="looks must be at least 1"):
        pretraining.speckled(torch.ones(1, 1, 2, 2), looks=0, generator=torch.Generator())
