"""Attention is timm's own, the teacher follows and is seen whole, and each guide hides what its name says."""

from __future__ import annotations

import pytest
import torch

from lib.measure import pretraining
from lib.models import attention, guided, mae
from lib.models.timm_parts import vit_block

SIZES = {"patch": 7, "width": 32, "depth": 2}
TINY = {"n_images": 64, "epochs": 2, "ratio": 0.5, "batch_size": 32} | SIZES


def images(n: int) -> torch.Tensor:
    return torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def timm_attention(block: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """What timm's unfused attention hands to its dropout."""
    caught = []
    block.attn.fused_attn = False
    hook = block.attn.attn_drop.register_forward_hook(lambda part, given, out: caught.append(given[0]))
    block(tokens)
    hook.remove()
    block.attn.fused_attn = True
    return caught[0]


def test_attention_of_a_block_is_that_of_timm():
    torch.manual_seed(0)
    block, tokens = vit_block(32, 4).eval(), torch.randn(3, 9, 32)
    with torch.no_grad():
        torch.nn.init.normal_(block.attn.qkv.weight)  # far from uniform
        found, slow = attention.block_attention(block, tokens), timm_attention(block, tokens)
    assert found.shape == (3, 4, 9, 9)
    assert slow.max() > 0.5
    assert torch.allclose(found, slow, atol=1e-6)  # float32
    assert torch.allclose(found.sum(dim=-1), torch.ones(3, 4, 9))


def test_look_averages_blocks_heads_and_queries_and_encodes_on_the_way():
    model, x = pretraining.empty_mae("digits-twin", seed=0, **SIZES), images(3)
    with torch.no_grad():
        inputs, hooks = [], []
        for block in model.blocks:
            hooks.append(block.register_forward_hook(lambda part, given, out: inputs.append(given[0])))
        whole = model.encode_tokens(x)
        for hook in hooks:
            hook.remove()
        each = [timm_attention(block, t).mean(dim=(1, 2)) for block, t in zip(model.blocks, inputs, strict=True)]
        for last, expected in ((1, each[1]), (2, (each[0] + each[1]) / 2)):
            for part in (model, mae.Encoder(model)):
                tokens, found = attention.look(part, x, last=last)
                assert torch.allclose(tokens, whole, atol=1e-6)
                assert torch.allclose(found, expected, atol=1e-6)
    for last in (0, 3):
        with pytest.raises(ValueError, match=r"last must be in \[1, 2\]"):
            attention.look(model, x, last=last)


def test_teacher_starts_as_the_student_and_follows_it():
    model = pretraining.empty_guided("digits-twin", seed=0, **SIZES)
    before = model.teacher.embed.weight.clone()
    assert torch.equal(before, model.student.embed.weight)
    with torch.no_grad():
        model.student.embed.weight.add_(1.0)
    model.follow(1.0)
    assert torch.equal(model.teacher.embed.weight, before)
    model.follow(0.75)
    assert torch.allclose(model.teacher.embed.weight, before + 0.25, atol=1e-6)
    model.follow(0.0)
    assert all(torch.equal(value, dict(model.student.named_parameters())[name]) for name, value in
               model.teacher.named_parameters())  # fmt: skip
    assert not any(value.requires_grad for value in model.teacher.parameters())


def test_goals_know_neither_place_nor_scale():
    tokens = torch.randn(20, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    found = guided.goals(tokens)
    assert torch.allclose(found.mean(dim=0), torch.zeros(4, 3), atol=1e-6)
    assert torch.allclose(found.square().mean(dim=(0, 1)), torch.ones(3), atol=1e-4)
    moved = guided.goals(5 * tokens + torch.arange(12.0).view(1, 4, 3))
    assert torch.allclose(found, moved, atol=1e-4)  # up to the small constant in the root
    assert torch.equal(guided.goals(torch.ones(5, 4, 3)), torch.zeros(5, 4, 3))
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        guided.goals(tokens[:1])


def test_guides_hide_what_they_say():
    weight = torch.rand(40, 49, generator=torch.Generator().manual_seed(0))
    ranks = weight.argsort(dim=1).argsort(dim=1)  # 0 = least attended

    def hidden(guide: str, seed: int = 1) -> torch.Tensor:
        found = pretraining.hide_by(
            guide, weight, (7, 7), ratio=0.5, generator=torch.Generator().manual_seed(seed)
        )  # fmt: skip
        assert (found.sum(dim=1) == 24).all()
        return found

    assert torch.equal(hidden("high"), ranks >= 25)
    assert torch.equal(hidden("low"), ranks < 24)
    hint = hidden("hint")
    assert ((~hint) & (ranks >= 44)).sum(dim=1).tolist() == [2] * 40  # round(.1 * 24.5) of the top round(4.9)
    cells = torch.nn.functional.avg_pool2d(weight.view(40, 1, 7, 7), 2, ceil_mode=True).flatten(1)  # (40, 16)
    at = torch.arange(7) // 2
    of = (at.view(-1, 1) * 4 + at).flatten()  # the cell of each patch
    best = cells.argmax(dim=1, keepdim=True) == of
    assert not (hidden("aclip") & best).any()
    assert weight[hidden("aclip")].mean() < weight[hidden("random")].mean() < weight[hidden("high")].mean()
    for guide in ("random", "block", "hint"):
        assert not torch.equal(hidden(guide), hidden(guide, 2))
    with pytest.raises(ValueError, match="guide must be one of random, block, high"):
        pretraining.hide_by("top", weight, (7, 7), ratio=0.5, generator=torch.Generator())


def test_pretraining_is_a_function_of_its_literals():
    runs = [
        pretraining.pretrain_guided("digits-twin", seed=seed, guide=guide, **TINY)
        for seed, guide in ((0, "high"), (0, "high"), (1, "high"), (0, "low"))
    ]
    name = "student.embed.weight"
    assert all(torch.equal(value, runs[1][key]) for key, value in runs[0].items())
    assert not torch.equal(runs[0][name], runs[2][name])
    assert not torch.equal(runs[0][name], runs[3][name])
    assert runs[0]["loss"].shape == (2,)
    assert not torch.equal(runs[0][name], runs[0]["teacher.embed.weight"])
    empty = pretraining.empty_guided("digits-twin", seed=9, **SIZES)
    model = pretraining.loaded(empty, runs[0])
    assert torch.equal(model.student.embed.weight, runs[0][name])
    assert torch.equal(model.encode(images(2)), model.student.encode(images(2)))


def test_it_starts_from_the_plain_autoencoder_of_its_seed():
    model = pretraining.empty_guided("digits-twin", seed=3, **SIZES)
    plain = pretraining.empty_mae("digits-twin", seed=3, **SIZES).state_dict()
    own = model.student.state_dict()
    assert own.keys() == plain.keys()
    assert all(torch.equal(value, own[name]) for name, value in plain.items())
    other = pretraining.empty_guided("digits-twin", seed=4, **SIZES)
    assert not torch.equal(other.head.weight, model.head.weight)


def test_loss_is_the_error_of_features_plus_that_of_pixels_on_hidden_patches():
    model, x = pretraining.empty_guided("digits-twin", seed=0, **SIZES), images(6)
    tokens, weight = model.look(x)
    hidden = pretraining.hide_by("high", weight, (4, 4), ratio=0.5, generator=torch.Generator())
    with torch.no_grad():
        painted, guessed = model(x, hidden)
        assert torch.allclose(painted, model.student(x, hidden), atol=1e-6)
        slow = 0.0
        for found, goal in ((painted, model.student.targets(x)), (guessed, guided.goals(tokens))):
            parts = [(found[i, t] - goal[i, t]).square().mean() for i in range(6) for t in range(16) if hidden[i, t]]
            slow += float(torch.stack(parts).mean())
        value = pretraining.guided_loss(model, model, x, hidden, tokens=tokens)
    assert float(value) == pytest.approx(slow, abs=1e-5)  # float32


def test_a_teacher_that_copies_or_stays(monkeypatch):
    """The loss asks the teacher about whole images, all blocks for A-CLIP, and moves it by the decay."""
    asked, look = [], guided.Guided.look

    def watched(self: guided.Guided, x: torch.Tensor, *, last: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append((len(x), last))
        return look(self, x, last=last)

    monkeypatch.setattr(guided.Guided, "look", watched)
    kept = pretraining.pretrain_guided("digits-twin", seed=0, guide="aclip", decay=1.0, **TINY)
    start = pretraining.empty_guided("digits-twin", seed=0, **SIZES).teacher.state_dict()
    assert asked == [(32, 2)] * 4
    assert all(torch.equal(kept[f"teacher.{name}"], value) for name, value in start.items())
    assert [pretraining.blocks_asked(guide, 5) for guide in ("high", "random", "aclip")] == [1, 1, 5]


def test_errors():
    with pytest.raises(ValueError, match="guide must be one of random, block, high"):
        pretraining.pretrain_guided("digits-twin", seed=0, guide="attmask", **TINY)
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\], got 98"):
        pretraining.pretrain_guided("digits-twin", seed=0, decay=98, **TINY)
