"""Transformers for two objects: training from literals, rebuilding, and the share of a map on its own object."""

from __future__ import annotations

import pytest
import torch

from lib.data.composites import composites
from lib.measure import pairs, prompting

SIZES = {"dataset": "digits", "n_images": 32, "patch": 14, "width": 8, "depth": 2, "heads": 2, "batch_size": 16}


def test_training_repeats_and_rebuilds():
    state, same = (pairs.train_vit(seed=0, epochs=1, **SIZES) for _ in range(2))
    other = pairs.train_vit(seed=1, epochs=1, **SIZES)
    assert all(torch.equal(state[name], same[name]) for name in state)
    assert not torch.equal(state["head.weight"], other["head.weight"])
    model = pairs.vit(state)
    assert not model.training and not any(value.requires_grad for value in model.parameters())
    assert torch.equal(model.head.weight, state["head.weight"])
    assert model(torch.rand(2, 1, 28, 56)).shape == (2, 10)
    fresh = pairs.vit(state, seed=0)
    assert not torch.equal(fresh.head.weight, state["head.weight"])
    assert torch.equal(fresh.head.weight, pairs.vit(other, seed=0).head.weight)


def test_training_lowers_the_loss():
    data = composites("digits", n=32, seed=0)
    wanted = pairs.halves(data.y, 10)

    def loss(model):
        return float(pairs.pair_loss(model, (data.x, wanted), torch.Generator()).detach())

    trained = pairs.vit(pairs.train_vit(seed=0, epochs=15, **SIZES))
    assert loss(trained) < loss(pairs.vit(pairs.train_vit(seed=0, epochs=1, **SIZES)))
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    given = {"dataset": "digits", "n_images": 32, "batch_size": 16, "seed": 0}
    prompts = prompting.fit_prompts(trained, epochs=12, **given)
    assert loss(prompts) < loss(prompting.untrained_prompts(trained, 10, seed=0))
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    assert torch.equal(prompts.prompts, prompting.fit_prompts(trained, epochs=12, **given).prompts)


def test_wanted_probabilities_are_the_best_possible_answer():
    wanted = pairs.halves(torch.tensor([[0, 2], [1, 0]]), 3)
    torch.testing.assert_close(wanted.sum(1), torch.ones(2))
    best = pairs.pair_loss(lambda x: wanted.clamp_min(1e-9).log(), (None, wanted), torch.Generator())
    torch.testing.assert_close(best, torch.tensor(2.0).log())


def test_both_named_counts_pairs_in_any_order():
    class Fixed(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([[0.0, 2.0, 1.0, -1.0]]).expand(len(x), -1)

    y = torch.tensor([[1, 2], [2, 1], [1, 3], [0, 3]])
    assert pairs.both_named(Fixed(), torch.zeros(4, 1, 2, 2), y).tolist() == [1.0, 1.0, 0.5, 0.0]


def test_own_share():
    masks = torch.zeros(3, 2, 4, 8, dtype=torch.bool)
    masks[:, 0, :, :2] = True
    masks[:, 1, :, 4:] = True
    place = torch.tensor([0, 1, 0])
    maps = torch.zeros(3, 4, 8)
    maps[0, :, :2] = 1.0  # all on its own object
    maps[1] = 3.0  # everywhere alike: objects of different size, no preference
    assert pairs.own_share(maps, masks, place).tolist() == [1.0, 0.5, 0.5]
    maps = torch.rand(3, 4, 8, generator=torch.Generator().manual_seed(0))
    share = pairs.own_share(maps, masks, place)
    torch.testing.assert_close(share + pairs.own_share(maps, masks, 1 - place), torch.ones(3))
    torch.testing.assert_close(pairs.own_share(7 * maps, masks, place), share)


def test_errors():
    masks, place = torch.ones(2, 2, 3, 3, dtype=torch.bool), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"masks must be \(2, 2, 3, 4\)"):
        pairs.own_share(torch.ones(2, 3, 4), masks, place)
    with pytest.raises(ValueError, match="maps must not be negative, got -1"):
        pairs.own_share(-torch.ones(2, 3, 3), masks, place)
    with pytest.raises(ValueError, match="every object must have a pixel"):
        pairs.own_share(torch.ones(2, 3, 3), masks & False, place)
