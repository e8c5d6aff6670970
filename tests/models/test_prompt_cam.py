"""Prompt-CAM: a frozen backbone, prompts that are dropped between blocks, heads that are pruned greedily."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from lib.explain.prompts import prompt_attention
from lib.models.prompt_cam import PromptCAM, prune_heads
from lib.models.vit import small_vit


def model(heads: int = 4) -> PromptCAM:
    torch.manual_seed(0)
    backbone = small_vit((8, 12), channels=1, classes=5, patch=4, width=16, depth=3, heads=heads)
    found = PromptCAM(backbone, 3).eval()
    for value in found.parameters():
        nn.init.normal_(value, std=0.4)
    return found


def pictures(n: int = 6) -> torch.Tensor:
    return torch.rand(n, 1, 8, 12, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def test_forward_is_that_of_whole_blocks_with_prompts_dropped_in_between():
    net, x = model(), pictures()
    body = net.backbone
    tokens = body._pos_embed(body.patch_embed(x))
    for number, block in enumerate(body.blocks):
        tokens = block(torch.cat([net.prompts[number].expand(6, -1, -1), tokens], 1))
        if number < 2:
            tokens = tokens[:, 3:]
    expected = net.head(body.norm(tokens)[:, :3])[..., 0]
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


def test_only_prompts_and_their_layer_learn():
    net = model().train()
    assert not any(value.requires_grad for value in net.backbone.parameters())
    assert not any(module.training for module in net.backbone.modules())
    net(pictures()).logsumexp(1).sum().backward()
    assert net.prompts.grad is not None and (net.prompts.grad.abs().amax((1, 2)) > 0).all()
    assert {name for name, value in net.named_parameters() if value.requires_grad} == {
        "prompts", "head.weight", "head.bias"
    }  # fmt: skip


@torch.no_grad()
def test_classes_are_interchangeable():
    """Prompts in another order give the logits and maps in that order: the linear layer is shared."""
    net, x, order = model(), pictures(), torch.tensor([2, 0, 1])
    before, traits = net(x), net.traits(net.before_last(x), torch.full((6,), 2))
    net.prompts.copy_(net.prompts[:, order])
    torch.testing.assert_close(net(x), before[:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net.traits(net.before_last(x), torch.zeros(6, dtype=torch.int64)), traits)


@torch.no_grad()
def test_pruning_keeps_the_class_on_top_and_follows_the_best_head():
    net, x = model(), pictures(12)
    tokens = net.before_last(x)
    target = net(x).argmax(1)
    kept = prune_heads(net, tokens, target)
    assert (kept.sum(1) >= 1).all() and (kept.sum(1) < 4).any()
    assert torch.equal(net.classify(tokens, keep=kept.float()).argmax(1), target)
    assert prune_heads(net, tokens, (target + 1) % 3).all(), "nothing to prune where the class does not win"
    for at in range(3):  # the greedy search, one image at a time in plain Python
        alone, heads = tokens[at : at + 1], [1.0] * 4
        while sum(heads) > 1:
            tries = {}
            for head in (h for h in range(4) if heads[h]):
                keep = torch.tensor([[0.0 if h == head else heads[h] for h in range(4)]])
                logits = net.classify(alone, keep=keep)[0]
                if int(logits.argmax()) == int(target[at]):
                    tries[head] = float(logits[target[at]])
            if not tries:
                break
            heads[max(tries, key=tries.__getitem__)] = 0.0
        assert kept[at].tolist() == [bool(each) for each in heads]


@torch.no_grad()
@pytest.mark.parametrize("pruned", [False, True])
def test_maps_keep_the_contract(pruned):
    net, x = model(), pictures()
    target = torch.arange(6) % 3
    maps = prompt_attention(net, x, target, max_batch=64, pruned=pruned)
    assert maps.shape == (6, 8, 12) and maps.dtype == torch.float32 and maps.min() >= 0
    assert (maps[:, ::4, ::4].sum((1, 2)) <= 1 + 1e-6).all()
    torch.testing.assert_close(prompt_attention(net, x, target, max_batch=4, pruned=pruned), maps)
    torch.testing.assert_close(prompt_attention(net, x[2:3], target[2:3], pruned=pruned)[0], maps[2])
    assert not torch.equal(maps, prompt_attention(net, x, (target + 1) % 3, pruned=pruned))


def test_silencing_all_heads_leaves_no_trace_of_the_image():
    net = model()
    one, two = (net.classify(net.before_last(pictures()[at : at + 1]), keep=torch.zeros(1, 4)) for at in (0, 1))
    torch.testing.assert_close(one, two)


def test_errors():
    with pytest.raises(ValueError, match="must be a timm VisionTransformer, got Linear"):
        PromptCAM(nn.Linear(2, 2), 3)
    with pytest.raises(ValueError, match="classes must be at least 2, got 1"):
        PromptCAM(small_vit((4, 4), channels=1, classes=2, patch=4, width=4, depth=1, heads=1), 1)
    with pytest.raises(ValueError, match="score must be a PromptCAM, got Linear"):
        prompt_attention(nn.Linear(2, 2), pictures(), torch.zeros(6, dtype=torch.int64))
    sizes = list(product((7, 8), (12, 13)))[:1]
    with pytest.raises(ValueError, match="patch must divide both sides"):
        small_vit(sizes[0], channels=1, classes=2, patch=4, width=4, depth=1, heads=1)
