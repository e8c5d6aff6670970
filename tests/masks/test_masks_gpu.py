"""GPU twins: the same contract on a CUDA device, and a CPU generator gives a CUDA tensor the CPU's mask."""

import functools

import pytest
import torch

from lib import masks
from lib.masks import describe

pytestmark = pytest.mark.gpu


def seeded(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def weights(n=64, tokens=64):
    return torch.randn(n, tokens, generator=seeded(7)).softmax(1)


@pytest.mark.parametrize("sampler", masks.SAMPLERS)
def test_samplers_keep_the_contract(sampler):
    mask = sampler(48, 14, ratio=0.75, generator=seeded(device="cuda"))
    assert mask.is_cuda and mask.dtype == torch.bool
    assert (mask.sum(1) == 147).all()
    assert describe.distinct(mask) == (4 if sampler is masks.grid else 48)
    assert torch.equal(mask, sampler(48, 14, ratio=0.75, generator=seeded(device="cuda")))
    assert not torch.equal(mask, sampler(48, 14, ratio=0.75, generator=seeded(1, device="cuda")))


RULES = {
    "hard": functools.partial(masks.hard_patches, ratio=0.75, alpha=0.5),
    "hint": functools.partial(masks.attmask_hint, ratio=0.5),
    "milan": functools.partial(masks.milan, ratio=0.75),
}
FIXED = {
    "hardest": functools.partial(masks.hardest_patches, ratio=0.75),
    "high": functools.partial(masks.attmask_high, ratio=0.75),
    "low": functools.partial(masks.attmask_low, ratio=0.75),
    "aclip": functools.partial(masks.aclip, grid=8, ratio=0.5),
    "salient": functools.partial(masks.salient, ratio=0.75),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rules_with_a_generator(rule):
    ours = rule(weights().cuda(), generator=seeded(device="cuda"))
    assert ours.is_cuda
    assert (ours.sum(1) == rule(weights(), generator=seeded()).sum(1)).all()
    same = rule(weights().cuda(), generator=seeded()).cpu() == rule(weights(), generator=seeded())
    assert same.double().mean() > 0.999  # logarithms of two devices may order near-ties differently


@pytest.mark.parametrize("rule", FIXED.values(), ids=FIXED)
def test_rules_without_a_generator(rule):
    assert torch.equal(rule(weights().cuda()).cpu(), rule(weights()))


def test_bags():
    valid = torch.rand(64, 64, generator=seeded()) < 0.7
    for rule in (masks.bag_easy, masks.bag_low):
        assert torch.equal(rule(weights().cuda(), valid.cuda(), share=0.3).cpu(), rule(weights(), valid, share=0.3))
    ours = masks.bag_random_easy(weights().cuda(), valid.cuda(), share=0.3, generator=seeded(device="cuda"))
    assert torch.equal(ours.sum(1).cpu(), masks.bag_random(valid, share=0.3, generator=seeded()).sum(1))
    assert not (ours & ~valid.cuda()).any()


def test_pixels():
    images = torch.rand(16, 3, 32, 32, generator=seeded())
    ours = masks.erase_cells(images.cuda(), generator=seeded(), cell=8)
    assert torch.equal(ours.cpu(), masks.erase_cells(images, generator=seeded(), cell=8))
    hidden = masks.hidden_pixels(16, (32, 32), ratio=0.5, generator=seeded(device="cuda"))
    assert hidden.is_cuda and (hidden.sum((1, 2)) == 512).all()
    torch.testing.assert_close(
        masks.mosaic(images.cuda(), hidden, cell=5).cpu(), masks.mosaic(images, hidden.cpu(), cell=5)
    )


def test_portrait():
    table = masks.portrait.table({"cox": masks.cox_process}, 8, ratio=0.75, generator=seeded(device="cuda"), n=100)
    assert table["exact_percent"].tolist() == [100]
