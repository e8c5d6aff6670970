"""Masks guided by attention: what is hidden and shown, and the law of the sampled ones."""

import functools
import itertools

import pytest
import torch
from scipy import stats

from lib import masks
from lib.masks import describe


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def attention(n=64, side=8):
    tokens = side[0] * side[1] if isinstance(side, tuple) else side**2
    return torch.randn(n, tokens, generator=seeded(7)).softmax(1)


SEEDED = {"hint": masks.attmask_hint, "milan": masks.milan}
RULES = {name: functools.partial(rule, generator=seeded()) for name, rule in SEEDED.items()} | {
    "high": masks.attmask_high,
    "low": masks.attmask_low,
    "aclip": functools.partial(masks.aclip, grid=8),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 0.9])
def test_exact_count_and_distinct_per_image(rule, ratio):
    on_grid = {"grid": 14} if rule is RULES["aclip"] else {}
    mask = rule(attention(side=14), ratio=ratio, **on_grid)
    assert mask.dtype == torch.bool and mask.shape == (64, 196)
    assert (mask.sum(1) == round(ratio * 196)).all()
    assert describe.distinct(mask) == 64


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_exact_count_where_all_attention_is_equal(rule):
    assert (rule(torch.full((5, 64), 1 / 64), ratio=0.6).sum(1) == round(0.6 * 64)).all()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_scale_of_the_attention_does_not_matter_to_the_count_and_half_precision_is_taken(rule):
    assert (rule(attention().half() * 100, ratio=0.6).sum(1) == round(0.6 * 64)).all()


@pytest.mark.parametrize("rule", SEEDED.values(), ids=SEEDED)
def test_seed(rule):
    call = functools.partial(rule, attention(), ratio=0.5)
    assert torch.equal(call(generator=seeded(1)), call(generator=seeded(1)))
    assert not torch.equal(call(generator=seeded(1)), call(generator=seeded(2)))


def test_high_and_low_share_the_tokens_between_them():
    weight = attention()
    assert torch.equal(masks.attmask_high(weight, ratio=0.25), ~masks.attmask_low(weight, ratio=0.75))


def test_hints_come_from_the_top_and_the_next_take_their_place():
    weight, count, shown, pool = attention(), 32, round(0.2 * 0.5 * 64), round(0.2 * 64)
    order = weight.argsort(1, descending=True)
    mask = masks.attmask_hint(weight, ratio=0.5, hint=0.2, generator=seeded()).gather(1, order)
    assert ((~mask[:, :pool]).sum(1) == shown).all()
    assert mask[:, pool : count + shown].all()
    assert not mask[:, count + shown :].any()
    assert torch.equal(
        masks.attmask_hint(weight, ratio=0.5, hint=0.0, generator=seeded()), masks.attmask_high(weight, ratio=0.5)
    )


def test_every_token_of_the_top_is_a_hint_equally_often():
    mask = masks.attmask_hint(attention(1).expand(3000, 64), ratio=0.5, hint=0.25, generator=seeded())
    top = attention(1)[0].argsort(descending=True)[:16]
    assert stats.chisquare((~mask[:, top]).sum(0).numpy()).pvalue > 0.001  # one seed, fixed


def test_low_attention_never_hides_the_top():
    weight = attention()
    top = weight.argsort(1, descending=True)[:, :16]
    assert not masks.attmask_low(weight, ratio=0.75).gather(1, top).any()


def test_aclip_keeps_the_cells_with_the_highest_mean():
    weight = attention()
    means = weight.view(-1, 4, 2, 4, 2).mean((2, 4)).flatten(1)
    visible = means.argsort(1, descending=True)[:, :8]
    expected = torch.ones(64, 16, dtype=torch.bool).scatter(1, visible, False).view(-1, 4, 4)
    expected = expected.repeat_interleave(2, 1).repeat_interleave(2, 2).flatten(1)
    assert torch.equal(masks.aclip(weight, 8, ratio=0.5), expected)


def test_aclip_cuts_at_most_one_cell_and_hides_its_least_attended():
    weight = attention()
    mask = masks.aclip(weight, 8, ratio=0.6)  # 38 of 64 tokens: nine cells and a half
    folded, parts = (t.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(64, 16, 4) for t in (mask, weight))
    cut = (folded.sum(2) > 0) & (folded.sum(2) < 4)
    assert (cut.sum(1) == 1).all()
    for hidden, values in zip(folded[cut], parts[cut], strict=True):
        assert values[hidden].max() < values[~hidden].min()


def test_aclip_on_a_grid_that_cells_do_not_fill():
    mask = masks.aclip(attention(16, (5, 9)), (5, 9), ratio=0.5)
    assert (mask.sum(1) == round(0.5 * 45)).all()
    assert torch.equal(
        masks.aclip(attention(), 8, ratio=0.5, cell=1), masks.attmask_low(attention(), ratio=0.5)
    )  # single tokens


def test_milan_draws_one_token_by_its_attention():
    weight = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    mask = masks.milan(weight.expand(20_000, 4), ratio=0.75, generator=seeded())
    torch.testing.assert_close((~mask).double().mean(0), weight[0].double(), atol=0.012, rtol=0)  # 3.5 standard errors


def test_milan_draws_pairs_without_replacement():
    weight = [0.1, 0.2, 0.3, 0.4]
    mask = masks.milan(torch.tensor([weight]).expand(20_000, 4), ratio=0.5, generator=seeded())
    for first, second in itertools.combinations(range(4), 2):
        chance = sum(weight[a] * weight[b] / (1 - weight[a]) for a, b in ((first, second), (second, first)))
        share = float((~mask[:, [first, second]]).all(1).double().mean())
        assert share == pytest.approx(chance, abs=0.012)  # 3.5 standard errors of at most .0035


def test_milan_leaves_visible_in_the_order_of_attention():
    weight = (torch.arange(36.0) + 1) ** 2
    share = 1 - describe.coverage(masks.milan(weight.expand(4000, 36), ratio=0.75, generator=seeded()))
    assert stats.spearmanr(weight, share).statistic > 0.99


def test_tokens_without_attention_come_last_in_random_order():
    weight = torch.zeros(1, 36)
    weight[0, :4] = 0.25
    mask = masks.milan(weight.expand(3000, 36), ratio=0.75, generator=seeded())  # nine visible
    assert not mask[:, :4].any()
    assert stats.chisquare((~mask[:, 4:]).sum(0).numpy()).pvalue > 0.001  # one seed, fixed


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a.log(), ValueError, "attention must be at least 0, got .*; take it after the softmax"),
        (lambda a: a[0], ValueError, r"attention must have shape \(n, tokens\), got \(64,\)"),
        (lambda a: a / 0, ValueError, "attention must be finite"),
        (lambda a: (100 * a).long(), TypeError, "attention must be floating point, got torch.int64"),
    ],
    ids=["logits", "one image", "infinite", "integer"],
)
def test_attention_is_checked(rule, change, error, message):
    with pytest.raises(error, match=message):
        rule(change(attention()), ratio=0.5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: masks.milan(a, ratio=75, generator=seeded()), ValueError, "the paper writes percent, use 0.75"),
        (lambda a: masks.milan(a, ratio=0.5, generator=0), TypeError, "generator must be a torch.Generator, got int"),
        (lambda a: masks.attmask_hint(a, ratio=0.5, generator=0), TypeError, "generator must be a torch.Generator"),
        (
            lambda a: masks.attmask_hint(a, ratio=0.5, hint=10, generator=seeded()),
            ValueError,
            r"hint must be in \[0, 1\)",
        ),
        (
            lambda a: masks.attmask_hint(a, ratio=0.9, hint=0.5, generator=seeded()),
            ValueError,
            "shows 29 where 6 may be visible; use at most 0.1",
        ),
        (lambda a: masks.aclip(a, 7, ratio=0.5), ValueError, r"attention must have shape \(n, 49\) for a 7 x 7 grid"),
        (lambda a: masks.aclip(a, 8, ratio=0.5, cell=9), ValueError, r"cell must be in \[1, 8\] patches, got 9"),
    ],
)
def test_errors_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call(attention())
