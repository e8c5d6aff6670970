"""The loss predictor ranks as the double loop says, trains what it should, and its teacher follows by closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from lib import masks
from lib.models import hpm, mae


def small(seed: int = 0) -> hpm.HPM:
    generator = torch.Generator().manual_seed(seed)
    model = mae.MAE(8, patch=2, width=16, depth=1, heads=2, decoder_width=8, decoder_heads=2, generator=generator)
    return hpm.HPM(model, depth=1, heads=2, generator=generator)


def images(n: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def hidden(n: int = 3) -> torch.Tensor:
    return masks.random(n, 4, ratio=0.75, generator=torch.Generator().manual_seed(1))


def scores(n: int, width: int, seed: int) -> torch.Tensor:
    return 3 * torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def double_loop(predicted: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
    """The paper's sum over ordered pairs, one at a time, ties left out."""
    terms = []
    for row, truth in zip(predicted, losses, strict=True):
        for i in range(len(row)):
            for j in range(len(row)):
                if truth[i] != truth[j]:
                    label = (truth[j] > truth[i]).to(row.dtype)
                    terms.append(functional.binary_cross_entropy_with_logits(row[j] - row[i], label))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("width", [2, 3, 6, 7])
@pytest.mark.parametrize("levels", [0, 3])
def test_relative_loss_is_the_double_loop(width, levels):
    """Odd and even widths, without and with ties (whole numbers of ``levels`` kinds), value and gradient."""
    predicted, losses = scores(4, width, 0).requires_grad_(), scores(4, width, 1).square()
    if levels:
        losses = losses.round().clamp(max=levels - 1)
    value, slow = hpm.relative_loss(predicted, losses), double_loop(predicted, losses)
    assert torch.allclose(value, slow, atol=1e-5)  # float32, another order of sums
    (gradient,), (expected,) = (torch.autograd.grad(part, predicted) for part in (value, slow))
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_relative_loss_does_not_depend_on_how_rows_are_split():
    predicted, losses = scores(2 * hpm.ROWS + 5, 9, 0), scores(2 * hpm.ROWS + 5, 9, 1)
    assert torch.allclose(hpm.relative_loss(predicted, losses), double_loop(predicted, losses), atol=1e-5)


def test_relative_loss_at_its_extremes():
    losses = torch.rand(5, 12, generator=torch.Generator().manual_seed(0))
    assert float(hpm.relative_loss(torch.zeros(5, 12), losses)) == pytest.approx(math.log(2), abs=1e-6)
    ranks = losses.argsort(dim=1).argsort(dim=1).float()
    assert hpm.relative_loss(14 * ranks, losses) < 1e-5  # scores 154 apart, near the stated limit
    assert hpm.relative_loss(-14 * ranks, losses) > 14
    assert hpm.relative_loss(ranks, torch.ones(5, 12)) == 0, "nothing but ties"
    assert hpm.relative_loss(ranks[:, :1], losses[:, :1]) == 0, "a patch alone has no pair"


def test_relative_loss_knows_order_only():
    predicted, losses = scores(4, 10, 0), scores(4, 10, 1).square()
    value = hpm.relative_loss(predicted, losses)
    turn = torch.randperm(10, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(hpm.relative_loss(predicted[:, turn], losses[:, turn]), value, atol=1e-6)
    assert torch.allclose(hpm.relative_loss(predicted + 7, losses.exp()), value, atol=1e-5)  # float32
    assert not torch.allclose(hpm.relative_loss(predicted, losses.flip(1)), value)


def test_absolute_loss_by_hand():
    losses = torch.tensor([[1.0, 3.0], [10.0, 10.0]])
    z = math.sqrt(0.5)
    assert float(hpm.absolute_loss(torch.tensor([[-z, z], [0.0, 0.0]]), losses)) == pytest.approx(0, abs=1e-9)
    assert float(hpm.absolute_loss(torch.zeros(2, 2), losses)) == pytest.approx(0.25, abs=1e-5)  # eps 1e-6
    predicted = scores(4, 8, 0)
    same = hpm.absolute_loss(predicted, 5 * losses.new_tensor(range(32)).view(4, 8) + 3)
    assert torch.allclose(same, hpm.absolute_loss(predicted, losses.new_tensor(range(32)).view(4, 8)), atol=1e-5)


@pytest.mark.parametrize("loss", [hpm.relative_loss, hpm.absolute_loss])
def test_the_predictor_cannot_change_what_it_predicts(loss):
    predicted, losses = scores(2, 5, 0).requires_grad_(), scores(2, 5, 1).square().requires_grad_()
    loss(predicted, losses).backward()
    assert losses.grad is None
    assert predicted.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="pick the hidden patches first"):
        loss(torch.zeros(2, 5), torch.zeros(2, 4))


def test_gradients_flow_where_they_should():
    """The predictor's loss trains second decoder and encoder, not the first decoder; the teacher never."""
    model, x, mask = small(), images(), hidden()
    predicted, guessed = model(x, mask)
    rows = [part[mask].view(3, -1) for part in (guessed, mae.patch_losses(predicted, model.mae.targets(x)))]
    hpm.relative_loss(*rows).backward()
    grads = {name: part.grad for name, part in model.named_parameters()}
    own = ("student.mae.decoder_blocks", "student.mae.decoder_norm", "student.mae.decoder_head")
    for name, grad in grads.items():
        if name.startswith(own) or name.startswith("teacher"):
            assert grad is None, name
        elif name != "student.guess_head.bias":  # shifts all scores alike: it has no gradient but rounding
            assert grad.abs().sum() > 0, name


def test_one_loss_for_each_patch_and_the_autoencoder_as_it_was():
    model, x, mask = small(), images(), hidden()
    alone = mae.MAE(8, patch=2, width=16, depth=1, heads=2, decoder_width=8, decoder_heads=2,
                    generator=torch.Generator().manual_seed(0))  # fmt: skip
    with torch.no_grad():
        predicted, guessed = model(x, mask)
        assert torch.equal(predicted, alone(x, mask)), "the second decoder changes neither weights nor predictions"
        assert guessed.shape == (3, 16)
        assert torch.equal(model.encode(x), alone.encode(x))
        assert torch.equal(model.encode_tokens(x), alone.encode_tokens(x))


def test_difficulty_is_the_teachers_and_sees_everything():
    model, x = small(), images()
    nothing = torch.zeros(3, 16, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(model.difficulty(x), model(x, nothing)[1]), "they start alike"
        for part in model.student.parameters():
            part.add_(0.1)
        assert not torch.allclose(model.difficulty(x), model(x, nothing)[1])
        before = model.difficulty(x)
        model.follow(1.0)
        assert torch.equal(model.difficulty(x), before)
        model.follow(0.0)
        assert torch.allclose(model.difficulty(x), model(x, nothing)[1], atol=1e-6)  # lerp at 1, float32
    assert not model.difficulty(x).requires_grad


def test_teacher_follows_by_closed_form():
    """k steps after a student that stands still: decay**k of the start, the rest of the student."""
    model = small()
    start = [part.clone() for part in model.teacher.parameters()]
    with torch.no_grad():
        for part in model.student.parameters():
            part.add_(1.0)
    for _ in range(5):
        model.follow(0.9)
    left = 0.9**5
    for first, slow, fast in zip(start, model.teacher.parameters(), model.student.parameters(), strict=True):
        assert torch.allclose(slow, left * first + (1 - left) * fast, atol=1e-6)  # float32
    assert int(model.steps) == 5
    assert "steps" in model.state_dict()


def test_decay_schedule():
    values = [hpm.ema_decay(epoch) for epoch in (0, 50, 100, 199)]
    assert values == pytest.approx([0.999, 0.99945, 0.9999, 0.9999])
    assert hpm.ema_decay(0, end=0.5, rising=0) == 0.5
    with pytest.raises(ValueError, match="remembers 100 steps"):
        hpm.ema_decay(0, start=99)


def test_weights_follow_the_generator():
    first, again, other = small().state_dict(), small().state_dict(), small(1).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["student.guess_head.weight"], other["student.guess_head.weight"])
    assert torch.equal(first["student.guess_head.weight"], first["teacher.guess_head.weight"])
