"""Gated attention against a loop over three instances; what is hidden has no influence; the teacher follows."""

from __future__ import annotations

import math

import pytest
import torch

from lib import data
from lib.models.mil import GatedAttentionMIL, MaskedStudent, Whitening, agreement_loss, cosine_share


def model(seed=0, **options):
    torch.manual_seed(seed)
    return GatedAttentionMIL(4, width=6, attention=5, **options).eval()


def bag(n=1, size=3, seed=1):
    return torch.randn(n, size, 4, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def by_hand(net, instances):
    """Equations 7 and 9 of Ilse et al., one instance after the other, without softmax or linear layers of torch."""

    def linear(layer, vector):
        bias = layer.bias if layer.bias is not None else torch.zeros(len(layer.weight))
        return [
            sum(w * v for w, v in zip(row, vector, strict=True)) + b for row, b in zip(layer.weight, bias, strict=True)
        ]

    hidden = [[max(float(v), 0.0) for v in linear(net.layer, x)] for x in instances]
    scores = []
    for h in hidden:
        content = [math.tanh(float(v)) for v in linear(net.content, h)]
        gate = [1 / (1 + math.exp(-float(v))) for v in linear(net.gate, h)]
        scores.append(float(linear(net.weight, [a * b for a, b in zip(content, gate, strict=True)])[0]))
    total = sum(math.exp(s) for s in scores)
    attention = [math.exp(s) / total for s in scores]
    feature = [sum(a * h[i] for a, h in zip(attention, hidden, strict=True)) for i in range(6)]
    return [float(v) for v in linear(net.head, feature)], attention, feature


def test_three_instances_by_brute_force():
    net, x = model(), bag()
    said = net(x, torch.ones(1, 3, dtype=torch.bool))
    for ours, theirs in zip(said, by_hand(net, x[0].tolist()), strict=True):
        assert torch.allclose(ours[0], torch.tensor(theirs), atol=1e-6)


def test_what_is_not_visible_has_no_influence():
    net, x = model(), bag(n=2, size=5)
    visible = torch.tensor([[True, False, True, True, False], [True] * 5])
    said, short = net(x, visible), net(x[:1, [0, 2, 3]], torch.ones(1, 3, dtype=torch.bool))
    assert torch.allclose(said.logits[:1], short.logits, atol=1e-6)
    assert torch.equal(said.attention == 0, ~visible)
    assert torch.allclose(said.attention.sum(dim=1), torch.ones(2))
    dirty = x.clone()
    dirty[~visible] = float("nan")
    assert torch.equal(net(dirty, visible).logits, said.logits)
    dirty.requires_grad_(True)
    net(dirty, visible).logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_order_within_a_bag_does_not_matter():
    net, x, order = model(), bag(size=7), torch.randperm(7, generator=torch.Generator().manual_seed(3))
    everything = torch.ones(1, 7, dtype=torch.bool)
    one, other = net(x, everything), net(x[:, order], everything)
    assert torch.allclose(one.logits, other.logits, atol=1e-6)
    assert torch.allclose(one.attention[:, order], other.attention, atol=1e-6)


@pytest.mark.parametrize(
    ("visible", "match"),
    [
        (torch.zeros(1, 3, dtype=torch.bool), "must leave an instance"),
        (torch.ones(1, 3), "must be bool"),
        (torch.ones(1, 4, dtype=torch.bool), r"must be bool \(1, 3\)"),
    ],
)
def test_visible_is_checked(visible, match):
    with pytest.raises(ValueError, match=match):
        model()(bag(), visible)


def test_the_teacher_follows_and_is_never_trained():
    student, teacher = model(0, dropout=0.5), model(1, dropout=0.5)
    pair = MaskedStudent(student, teacher).train()
    assert pair.student.training and not pair.teacher.training
    assert not any(p.requires_grad for p in pair.teacher.parameters())
    x, valid = bag(n=4), torch.ones(4, 3, dtype=torch.bool)
    assert torch.equal(pair.survey(x, valid).attention, teacher(x, valid).attention)
    before, goal = teacher.head.weight.clone(), student.head.weight.clone()
    pair.follow(1.0)
    assert torch.equal(pair.teacher.head.weight, before)
    pair.follow(0.75)
    assert torch.allclose(pair.teacher.head.weight, 0.75 * before + 0.25 * goal)
    pair.follow(0.0)
    assert torch.equal(pair.teacher.head.weight, goal)
    assert torch.equal(teacher.head.weight, before), "the teacher is a copy"
    assert int(pair.steps) == 3


def test_agreement_is_least_where_the_student_says_what_the_sharpened_teacher_says():
    teacher = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    goal = (teacher / 0.1).softmax(dim=1)
    entropy = -(goal * goal.clamp(min=1e-30).log()).sum(dim=1).mean()
    assert torch.allclose(agreement_loss(teacher / 0.1, teacher), entropy, atol=1e-5)
    assert torch.allclose(agreement_loss(torch.zeros(5, 8), teacher), torch.tensor(8.0).log())
    assert agreement_loss(-teacher, teacher) > agreement_loss(teacher, teacher) > entropy
    teacher.requires_grad_(True)
    student = torch.zeros(5, 8, requires_grad=True)
    agreement_loss(student, teacher).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="temperature must be > 0"):
        agreement_loss(student, teacher, temperature=0.0)


def test_the_share_falls_along_half_a_cosine():
    shares = [cosine_share(step, steps=10, start=0.03) for step in range(13)]
    assert shares[0] == 0.03 and shares[5] == pytest.approx(0.015) and shares[10:] == [0.0, 0.0, 0.0]
    assert all(a > b for a, b in zip(shares, shares[1:11], strict=False))
    with pytest.raises(ValueError, match="count steps from 0"):
        cosine_share(-1, steps=10, start=0.03)


def test_whitened_images_have_uncorrelated_components_of_variance_one():
    x = data.images("digits", n=400).x
    found = Whitening.of(x, 12)
    z = found(x).double()
    assert torch.allclose(z.T @ z / len(z), torch.eye(12, dtype=torch.double), atol=1e-4)
    assert torch.allclose(z.mean(dim=0), torch.zeros(12, dtype=torch.double), atol=1e-5)
    # the components are the directions of largest variance: no other 12 give a smaller error of reconstruction
    flat = x.flatten(1).double()
    left = (flat - flat.mean(dim=0)).square().sum() / len(flat)
    axes = torch.nn.functional.normalize(found.turn.double(), dim=0)
    kept = ((flat - flat.mean(dim=0)) @ axes).square().sum() / len(flat)
    values = torch.linalg.svdvals(flat - flat.mean(dim=0)).square() / len(flat)
    assert torch.allclose(kept, values[:12].sum(), rtol=1e-5) and kept < left
    assert Whitening.of(x, 5)(x).allclose(z.float()[:, :5], atol=1e-4)
    with pytest.raises(ValueError, match=r"outputs must be in 1\.\.399"):
        Whitening.of(x, 400)
