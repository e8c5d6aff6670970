"""Every method does what its closed form or its limit says, and leaves its arguments alone."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lib.measure import fairness
from lib.measure.mitigation import (
    METHODS,
    PENALTIES,
    Robust,
    Training,
    _as_long,
    adversarial,
    balanced,
    dfr,
    erm,
    group_dro,
    jtt,
    mean_matched,
    reweighted,
    scored,
)
from lib.models.filters import LineCNN
from lib.models.mlp import mlp

QUICK = Training(epochs=8, batch_size=50, lr=0.1, weight_decay=0.0)
SHORT = Training(epochs=2, batch_size=30, lr=0.1, weight_decay=0.0)


def shortcut(n=400, minority=0.2, seed=0):
    """Core and shortcut feature: the second says the class in group 0 and nothing in group 1."""
    rng = np.random.default_rng(seed)
    y, group = rng.permutation(np.arange(n) % 2), (rng.random(n) < minority).astype(np.int64)
    core = y + rng.normal(0, 1.0, n)
    cue = np.where(group == 0, y, rng.integers(0, 2, n)) + rng.normal(0, 0.3, n)
    x = torch.tensor(np.stack([core, cue], 1) - 0.5, dtype=torch.float32)
    return x, torch.tensor(y), torch.tensor(group)


def head(depth=0):
    torch.manual_seed(3)
    return mlp(2, 1, width=4, depth=depth)


def weights_of(model):
    return torch.cat([value.detach().flatten() for value in model.parameters()])


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_the_model_is_copied_and_the_seed_decides(method):
    x, y, group = shortcut(60)
    model = head(1)
    before = weights_of(model)
    first, again, other = (method(model, x, y, group, seed=s, training=SHORT) for s in (1, 1, 2))
    assert torch.equal(weights_of(model), before)
    assert torch.equal(weights_of(first), weights_of(again))
    assert not torch.equal(weights_of(first), weights_of(other))
    assert not first.training and all(value.requires_grad for value in first.parameters())
    assert scored(first, x).shape == (60,)


@pytest.mark.parametrize("method", PENALTIES.values(), ids=list(PENALTIES))
def test_a_penalty_of_weight_zero_is_plain_training_to_the_bit(method):
    x, y, group = shortcut(200)
    plain = erm(head(1), x, y, group, seed=4, training=QUICK)
    assert torch.equal(weights_of(method(head(1), x, y, group, weight=0.0, seed=4, training=QUICK)), weights_of(plain))
    moved = method(head(1), x, y, group, weight=1.0, seed=4, training=QUICK)
    assert not torch.equal(weights_of(moved), weights_of(plain))


def test_equal_groups_need_no_weights():
    x, y, _ = shortcut(200)
    group = torch.arange(200) % 2
    plain = erm(head(), x, y, group, seed=0, training=QUICK)
    assert torch.equal(weights_of(reweighted(head(), x, y, group, seed=0, training=QUICK)), weights_of(plain))
    assert torch.equal(weights_of(jtt(head(), x, y, group, seed=0, training=QUICK, raised=1.0)), weights_of(plain))


def test_group_dro_without_a_step_is_balanced_training():
    x, y, group = shortcut(200)
    still = group_dro(head(), x, y, group, seed=0, training=QUICK, eta=0.0)
    same = balanced(head(), x, y, group, seed=0, training=QUICK)
    torch.testing.assert_close(weights_of(still), weights_of(same), atol=1e-4, rtol=1e-4)  # sums in another order


def test_the_weights_of_group_dro_follow_the_exponentiated_update():
    x, y, group = shortcut(200)
    loss, net = Robust(x, y, group, eta=0.5), head()
    expected = torch.tensor([0.5, 0.5])
    for step in range(5):
        rows = Robust(x, y, group, eta=0.5)
        value = loss(net, (x[:40],), torch.Generator().manual_seed(step))
        rows(net, (x[:40],), torch.Generator().manual_seed(step))  # the same batch from equal weights
        ratio = (rows.weights[0] / rows.weights[1]).log() / 0.5  # loss of group 0 minus that of group 1
        raised = expected * torch.tensor([float(torch.exp(0.5 * ratio)), 1.0])
        expected = raised / raised.sum()
        torch.testing.assert_close(loss.weights, expected, atol=1e-5, rtol=1e-5)
        assert value.requires_grad and not loss.weights.requires_grad


def test_a_shortcut_of_the_large_group_loses_weight_where_groups_count():
    x, y, group = shortcut(600)
    longer = Training(epochs=25, batch_size=300, lr=0.4, weight_decay=0.0)
    cue = {}
    for name in ("plain", "balanced", "reweighted", "GroupDRO", "last layer"):
        method = METHODS[name]
        core, shortcut_weight = method(head(), x, y, group, seed=0, training=longer)[1].weight[0].tolist()
        cue[name] = shortcut_weight / core
    assert max(value for name, value in cue.items() if name != "plain") < 0.9 * cue["plain"], cue


def test_a_large_penalty_equalises_the_mean_scores():
    x, y, group = shortcut(500)
    gaps = []
    for weight in (0.0, 100.0):
        model = mean_matched(head(), x, y, group, weight=weight, seed=0, training=QUICK)
        sick = scored(model, x)[y == 1]
        gaps.append(abs(float(sick[group[y == 1] == 0].mean() - sick[group[y == 1] == 1].mean())))
    assert gaps[1] < 0.2 * gaps[0]


def test_an_adversary_takes_the_group_out_of_the_score():
    x, y, group = shortcut(500)
    told = []
    for weight in (0.0, 30.0):
        model = adversarial(head(), x, y, group, weight=weight, seed=0, training=QUICK)
        told.append(abs(fairness.auc(scored(model, x)[y == 1], group[y == 1]) - 0.5))
    assert told[1] < 0.5 * told[0]


def test_the_last_layer_alone_is_trained_anew():
    x, y, group = shortcut(200)
    model = head(1)
    trained = dfr(model, x, y, group, seed=0, training=QUICK, draws=2)
    generator = torch.Generator().manual_seed(0)
    first = torch.randperm(200, generator=generator)[:100]
    body = erm(model, x[first], y[first], group[first], seed=0, training=QUICK)
    assert torch.equal(trained[1].weight, body[1].weight)
    assert not torch.equal(trained[3].weight, body[3].weight)


@pytest.mark.parametrize("part", [400, 350, 150, 100, 7])
def test_few_rows_are_visited_for_as_many_steps(part):
    steps = 10 * 4
    found = _as_long(Training(epochs=10, batch_size=100), 400, part).epochs
    per_epoch = -(-part // 100)
    assert found * per_epoch >= steps > (found - 1) * per_epoch


def test_a_convolutional_network_can_be_trained():
    torch.manual_seed(0)
    maps, y, group = torch.randn(24, 8, 4, 4), torch.arange(24) % 2, torch.arange(24) % 3
    model, short = LineCNN(8, grid=4, width=4), Training(epochs=1, batch_size=12)
    for method in METHODS.values():
        assert scored(method(model, maps, y, group, seed=0, training=short), maps).shape == (24,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": torch.full((40,), 2)}, "y must hold 0 and 1"),
        ({"groups": torch.zeros(40, dtype=torch.long)}, "at least two groups"),
        ({"groups": torch.zeros(3, dtype=torch.long)}, "equally long"),
    ],
)
def test_bad_rows_are_named(change, message):
    x, y, group = shortcut(40)
    for method in METHODS.values():
        with pytest.raises(ValueError, match=message):
            method(head(), **({"x": x, "y": y, "groups": group} | change), seed=0, training=QUICK)


def test_bad_options_are_named():
    rows, options = shortcut(40), {"seed": 0, "training": QUICK}
    with pytest.raises(ValueError, match="weight must be at least 0"):
        mean_matched(head(), *rows, weight=-1.0, **options)
    with pytest.raises(ValueError, match="eta must be at least 0"):
        group_dro(head(), *rows, eta=-1.0, **options)
    with pytest.raises(ValueError, match="raised must be at least 1"):
        jtt(head(), *rows, raised=0.5, **options)
    with pytest.raises(ValueError, match="held must be in"):
        dfr(head(), *rows, held=1.0, **options)
    with pytest.raises(ValueError, match=r"hold an nn\.Linear"):
        dfr(nn.Flatten(), *copy.deepcopy(rows), **options)
