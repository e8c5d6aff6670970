"""Disjoint random masks: they hide every patch once, evenly, and by the generator."""

import pytest
import torch

from lib.masks import partition


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("grid", "sets"), [(8, 4), ((4, 6), 3), (2, 4)])
def test_every_patch_is_hidden_once(grid, sets):
    dealt = partition.deal(50, grid, sets=sets, generator=seeded())
    tokens = grid**2 if isinstance(grid, int) else grid[0] * grid[1]
    assert dealt.dtype == torch.bool and dealt.shape == (sets, 50, tokens)
    assert (dealt.sum(0) == 1).all()
    assert (dealt.sum(2) == tokens // sets).all()
    assert not torch.equal(dealt[:, 0], dealt[:, 1]) or tokens == sets
    assert torch.equal(dealt, partition.deal(50, grid, sets=sets, generator=seeded()))


def test_every_set_is_uniform():
    share = partition.deal(4000, 4, sets=4, generator=seeded()).double().mean(dim=1)
    assert (share - 0.25).abs().max() < 0.03  # 4 standard errors


def test_errors():
    with pytest.raises(ValueError, match="take 4"):
        partition.deal(2, 8, sets=5, generator=seeded())
    with pytest.raises(ValueError, match="at least 2"):
        partition.deal(2, 8, sets=1, generator=seeded())
