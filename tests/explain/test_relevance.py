"""Attention, rollout and relevance: the contract, brute-force oracles, and a network that is left as it was."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from lib.explain import lrp, relevance
from lib.explain.transformer import ATTENTION, recorded, transformer
from lib.models.attention import block_attention
from lib.models.vit import small_vit

METHODS = [relevance.raw_attention, relevance.rollout, relevance.gradient_rollout, relevance.relevance]
BLIND = METHODS[:2]
GIVEN = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)


def network(pool: str = "token", **options) -> nn.Module:
    torch.manual_seed(5)
    model = small_vit((8, 12), channels=2, classes=3, patch=4, width=16, depth=3, heads=2)
    if pool != "token" or options:
        from timm.models.vision_transformer import VisionTransformer

        model = VisionTransformer(
            img_size=(8, 12), patch_size=4, in_chans=2, num_classes=3, embed_dim=16, depth=3, num_heads=2,
            global_pool=pool, **options,
        )  # fmt: skip
    for value in model.parameters():  # far from the small first weights, so that attention is far from uniform
        nn.init.normal_(value, std=0.4)
    return model.requires_grad_(False).eval()


def pictures(n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(n, 2, 8, 12, generator=torch.Generator().manual_seed(1)), torch.arange(n) % 3


@GIVEN
def test_contract(method):
    images, target = pictures()
    vit = transformer(network())
    maps = method(vit, images, target, generator=None, max_batch=64)
    assert maps.shape == (5, 8, 12) and maps.dtype == torch.float32 and not maps.requires_grad
    assert maps.min() >= 0 and maps.max() > 0
    other = method(vit, images, target, max_batch=2)
    # sums of another batch are made in another order, and where the memory lies matters too
    within = {"rtol": 0.0, "atol": 5e-3 * float(maps.max())}
    torch.testing.assert_close(maps, other, **within)
    for at in range(5):  # each image on its own
        alone = method(vit, images[at : at + 1], target[at : at + 1])
        torch.testing.assert_close(alone[0], maps[at], **within)
    patch = maps.unfold(1, 4, 4).unfold(2, 4, 4)
    assert torch.equal(patch.amin((-1, -2)), patch.amax((-1, -2))), "a pixel has the value of its patch"


@GIVEN
def test_only_relevance_looks_at_the_target(method):
    images, target = pictures()
    vit = transformer(network())
    same = torch.equal(method(vit, images, target), method(vit, images, (target + 1) % 3))
    assert same == (method in BLIND)


@GIVEN
def test_no_call_exceeds_max_batch(method):
    images, target = pictures()
    model, seen = network(), []
    model.patch_embed.register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    method(transformer(model), images, target, max_batch=2)
    assert seen == [2, 2, 1]


@GIVEN
@pytest.mark.parametrize("training", [False, True])
def test_the_network_is_left_as_it_was(method, training):
    images, target = pictures()
    model = network(proj_drop_rate=0.5, attn_drop_rate=0.5).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = method(transformer(model), images, target)
    assert torch.equal(first, method(transformer(model), images, target)), "dropout is off while a map is made"
    assert all(module.training == training for module in model.modules())
    assert all(block.attn.fused_attn for block in model.blocks)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(value.grad is None for value in model.parameters())


def test_hooks_go_when_the_network_fails():
    model = network()
    with pytest.raises(AssertionError, match="height"):
        relevance.rollout(transformer(model), torch.rand(1, 2, 9, 12), torch.zeros(1, dtype=torch.int64))
    assert not any(module._forward_hooks for module in model.modules())
    assert all(block.attn.fused_attn for block in model.blocks)


def test_attention_is_that_of_the_unfused_blocks():
    images, _ = pictures()
    model = network()
    found = relevance.attention(transformer(model), images, max_batch=3)
    assert found.shape == (5, 3, 2, 7, 7)
    torch.testing.assert_close(found.sum(-1), torch.ones(5, 3, 2, 7))
    tokens = model._pos_embed(model.patch_embed(images))
    for at, block in enumerate(model.blocks):
        torch.testing.assert_close(found[:, at], block_attention(block, tokens), rtol=1e-4, atol=1e-6)
        tokens = block(tokens)  # the fused path


def test_recording_changes_the_logits_by_rounding_only():
    images, _ = pictures()
    model = network()
    plain = model(images)
    with recorded(transformer(model)) as tape:
        torch.testing.assert_close(model(images), plain, rtol=1e-4, atol=1e-5)
    assert set(tape.left[0]) == {ATTENTION}


def test_rollout_adds_up_all_paths():
    """Three tokens, three blocks: the sum over all ways from a token of the last block to one of the image."""
    matrices = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0)).softmax(-1)
    blocks = [matrices[:1], matrices[1:], matrices[:1].mT.softmax(-1)]
    found = relevance.rolled(blocks)[0]
    steps = [((each[0] + torch.eye(3)) / 2) for each in blocks]
    expected = torch.zeros(3, 3)
    for end, b, a, start in product(range(3), repeat=4):
        expected[end, start] += steps[2][end, b] * steps[1][b, a] * steps[0][a, start]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(-1), torch.ones(3))


def test_gathered_is_the_sum_over_all_paths():
    """Every path leaves out some blocks; two blocks have four."""
    one, two = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(relevance.gathered([one, two]), torch.eye(3) + one + two + two @ one)


def test_raw_attention_and_rollout_from_the_attention_by_hand():
    images, target = pictures()
    vit = transformer(network())
    weights = relevance.attention(vit, images).mean(2)  # (n, blocks, tokens, tokens)
    raw = weights[:, 1, 0, 1:].view(5, 2, 3).repeat_interleave(4, 1).repeat_interleave(4, 2)
    torch.testing.assert_close(relevance.raw_attention(vit, images, target, block=1), raw)
    joint = torch.eye(7)
    for at in range(3):
        joint = (weights[:, at] + torch.eye(7)) / 2 @ joint
    found = relevance.rollout(vit, images, target)[:, ::4, ::4].flatten(1)
    torch.testing.assert_close(found, joint[:, 0, 1:])


def test_gradient_of_attention_by_finite_differences():
    """Adding to one attention weight of the last block moves the logit as the recorded gradient says."""
    images, target = pictures(1)
    model = network().double()
    vit = transformer(model)
    tape, slopes = relevance._with_gradients(vit, images.double(), target, (ATTENTION,))
    step, place = 1e-5, (0, 1, 0, 4)

    def moved(module, given, out):
        out = out.clone()
        out[place] += step
        return out

    with recorded(vit):
        base = model(images.double())[0, 0]
        hook = model.blocks[-1].attn.attn_drop.register_forward_hook(moved)
        higher = model(images.double())[0, 0]
        hook.remove()
    torch.testing.assert_close((higher - base) / step, slopes[-1][place], rtol=1e-4, atol=1e-6)


def test_gradient_rollout_of_one_block_is_gradient_times_attention():
    images, target = pictures()
    model = network()
    model.blocks = model.blocks[-1:]
    vit = transformer(model)
    tape, slopes = relevance._with_gradients(vit, images, target, (ATTENTION,))
    weighted = (slopes[0] * tape.attention()[0]).clamp_min(0).mean(1)[:, 0, 1:]
    found = relevance.gradient_rollout(vit, images, target)[:, ::4, ::4].flatten(1)
    torch.testing.assert_close(found, weighted)


def test_linear_rule_by_brute_force():
    draw = torch.Generator().manual_seed(2)
    x, weight, wanted = (torch.randn(*shape, generator=draw).double() for shape in [(4,), (3, 4), (3,)])
    expected = torch.zeros(4).double()
    for out in range(3):
        gains = [max(float(x[j] * weight[out, j]), 0.0) for j in range(4)]
        for j in range(4):
            expected[j] += wanted[out] * gains[j] / sum(gains)
    found = lrp.linear_rule(x, weight, wanted)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(), wanted.sum())
    assert torch.equal(lrp.linear_rule(torch.zeros(4).double(), weight, wanted), torch.zeros(4).double())


def test_products_and_sums_keep_the_total():
    draw = torch.Generator().manual_seed(3)
    first, second, wanted = (torch.randn(2, 5, 5, generator=draw).double() for _ in range(3))
    one, two = lrp.product_rule(first, second, wanted)
    torch.testing.assert_close(one.sum((1, 2)), wanted.sum((1, 2)) / 2)
    torch.testing.assert_close(two.sum((1, 2)), wanted.sum((1, 2)) / 2)
    left, right = lrp.sum_rule(first, second, wanted)
    torch.testing.assert_close((left + right).sum((1, 2)), wanted.sum((1, 2)))
    alone = lrp.sum_rule(first[:1], second[:1], wanted[:1])[0]
    torch.testing.assert_close(alone, left[:1])  # images do not share a total


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_relevance_is_conserved_down_the_network(pool):
    """Half of what the attention branch of a block got reaches its attention; nothing is lost on the way down."""
    images, target = pictures()
    vit = transformer(network(pool))
    tape, _ = relevance._with_gradients(vit, images, target, lrp.LAYERS)
    found = lrp.propagate(vit, tape, target)
    totals = torch.stack([each.sum((1, 2, 3)) for each in found])
    assert totals.isfinite().all()
    assert (totals[-1] > 0).all() and (totals[-1] <= 0.5 + 1e-9).all()  # the logit starts with relevance one


def test_mean_pooling_reads_all_patches():
    images, target = pictures()
    vit = transformer(network("avg"))
    weights = relevance.attention(vit, images)[:, -1].mean(1)[:, 1:, 1:].mean(1)
    found = relevance.raw_attention(vit, images, target)[:, ::4, ::4].flatten(1)
    torch.testing.assert_close(found, weights)
    assert relevance.relevance(vit, images, target).max() > 0


def test_a_network_around_the_vit():
    images, target = pictures()
    inner = network()
    wrapped = nn.Sequential(nn.Identity(), inner)
    assert torch.equal(
        relevance.relevance(transformer(wrapped), images, target),
        relevance.relevance(transformer(inner), images, target),
    )


def test_errors():
    images, target = pictures()
    vit = transformer(network())
    with pytest.raises(ValueError, match="score must be a Transformer, got VisionTransformer"):
        relevance.rollout(network(), images, target)
    with pytest.raises(ValueError, match=r"block must be in \[-3, 2\], got 3"):
        relevance.raw_attention(vit, images, target, block=3)
    with pytest.raises(ValueError, match="must hold one timm VisionTransformer, got 0"):
        transformer(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="pool by 'token' or 'avg'"):
        transformer(network("max"))
    for method in METHODS:
        with pytest.raises(ValueError, match="one class number per image"):
            method(vit, images, target[:2])
        with pytest.raises(ValueError, match="max_batch must be at least 1"):
            method(vit, images, target, max_batch=0)
