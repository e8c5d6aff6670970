"""Instance masks for bags: counts against brute force, padding, and what is easy, low and random."""

import functools

import pytest
import torch
from scipy import stats

from lib import masks


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def bags(n=40, longest=60):
    generator = seeded(7)
    sizes = torch.randint(1, longest + 1, (n, 1), generator=generator)
    scores = torch.randn(n, longest, generator=generator)
    valid = torch.arange(longest).expand(n, longest).contiguous() < sizes
    return scores, valid[:, torch.randperm(longest, generator=generator)]  # padding anywhere


def expected_count(size, share):
    return min(round(share * size), size - 1)


RULES = {
    "easy": masks.bag_easy,
    "low": masks.bag_low,
    "random": lambda scores, valid, share: masks.bag_random(valid, share=share, generator=seeded()),
    "random easy": functools.partial(masks.bag_random_easy, generator=seeded()),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@every_rule
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_counts_padding_and_what_stays(rule, share):
    scores, valid = bags()
    mask = rule(scores, valid, share=share)
    assert mask.dtype == torch.bool and mask.shape == valid.shape
    assert not (mask & ~valid).any()
    sizes = valid.sum(1).tolist()
    assert mask.sum(1).tolist() == [expected_count(size, share) for size in sizes]
    assert (valid & ~mask).any(1).all()


@every_rule
def test_padding_may_hold_anything(rule):
    scores, valid = bags()
    dirty = torch.where(valid, scores, torch.tensor(float("nan")))
    RULES["random easy"].keywords["generator"].manual_seed(0)
    first = rule(scores, valid, share=0.3)
    RULES["random easy"].keywords["generator"].manual_seed(0)
    assert torch.equal(first, rule(dirty, valid, share=0.3))


def test_easy_and_low_by_brute_force():
    scores, valid = bags()
    easy, low = masks.bag_easy(scores, valid, share=0.2), masks.bag_low(scores, valid, share=0.2)
    for row in range(len(scores)):
        order = sorted(valid[row].nonzero().flatten().tolist(), key=lambda i, row=row: float(scores[row, i]))
        count = expected_count(len(order), 0.2)
        assert easy[row].nonzero().flatten().tolist() == sorted(order[len(order) - count :])
        assert low[row].nonzero().flatten().tolist() == sorted(order[:count])


def test_random_easy_draws_evenly_from_the_top():
    scores = torch.arange(40.0).expand(3000, 40)
    valid = torch.ones(3000, 40, dtype=torch.bool)
    mask = masks.bag_random_easy(scores, valid, share=0.2, drawn=0.5, generator=seeded())
    assert not mask[:, :24].any()  # 8 hidden, from the highest 16
    assert stats.chisquare(mask[:, 24:].sum(0).numpy()).pvalue > 0.001  # one seed, fixed


def test_the_extremes_of_random_easy():
    scores, valid = bags()
    all_drawn = masks.bag_random_easy(scores, valid, share=0.3, drawn=1.0, generator=seeded())
    assert torch.equal(all_drawn, masks.bag_easy(scores, valid, share=0.3))
    flat = torch.ones(3000, 20, dtype=torch.bool)
    anywhere = masks.bag_random_easy(flat.float().cumsum(1), flat, share=0.3, drawn=0.1, generator=seeded())
    assert stats.chisquare(anywhere.sum(0).numpy()).pvalue > 0.001  # as bag_random


def test_random_hides_every_instance_equally_often():
    mask = masks.bag_random(torch.ones(3000, 20, dtype=torch.bool), share=0.7, generator=seeded())
    assert stats.chisquare(mask.sum(0).numpy()).pvalue > 0.001


def test_mixtures_are_compositions():
    scores, valid = bags()
    easy = masks.bag_easy(scores, valid, share=0.03)
    low = masks.bag_low(scores, valid & ~easy, share=0.8)
    assert not (easy & low).any()
    assert (valid & ~(easy | low)).any(1).all()


def test_a_bag_of_one_hides_nothing():
    one = torch.tensor([[False, True, False]])
    assert not masks.bag_easy(torch.zeros(1, 3), one, share=0.9).any()


@pytest.mark.parametrize("rule", ["random", "random easy"])
def test_seed(rule):
    scores, valid = bags()
    calls = {
        "random": functools.partial(masks.bag_random, valid, share=0.5),
        "random easy": functools.partial(masks.bag_random_easy, scores, valid, share=0.3),
    }
    call = calls[rule]
    assert torch.equal(call(generator=seeded(1)), call(generator=seeded(1)))
    assert not torch.equal(call(generator=seeded(1)), call(generator=seeded(2)))


@every_rule
@pytest.mark.parametrize(
    ("valid", "share", "error", "message"),
    [
        (torch.ones(2, 3), 0.5, TypeError, "valid must be bool with False = padding, got torch.float32"),
        (torch.ones(3, dtype=torch.bool), 0.5, ValueError, r"valid must have shape \(n, instances\), got \(3,\)"),
        (torch.tensor([[True, True, True], [False, False, False]]), 0.5, ValueError, "got none in 1; drop them"),
        (torch.ones(2, 3, dtype=torch.bool), 3, ValueError, r"share must be in \(0, 1\), got 3; .* use 0.03"),
    ],
    ids=["type", "shape", "empty", "percent"],
)
def test_bags_are_checked(rule, valid, share, error, message):
    with pytest.raises(error, match=message):
        rule(torch.zeros(2, 3), valid, share=share)


def test_scores_are_checked():
    valid = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"scores must have shape \(2, 3\) like valid, got \(2, 4\)"):
        masks.bag_low(torch.zeros(2, 4), valid, share=0.5)
    with pytest.raises(ValueError, match="scores must be finite for valid instances"):
        masks.bag_easy(torch.full((2, 3), float("nan")), valid, share=0.5)
    with pytest.raises(ValueError, match=r"drawn must be in \(0, 1\], got 0"):
        masks.bag_random_easy(torch.zeros(2, 3), valid, share=0.5, drawn=0.0, generator=seeded())
    with pytest.raises(TypeError, match="generator must be a torch.Generator, got int"):
        masks.bag_random(valid, share=0.5, generator=0)
