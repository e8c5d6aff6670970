"""Counts, weights and penalties against what can be worked out by hand."""

import math

import pytest
import torch
from torch import nn

from lib.measure.group_losses import (
    Against,
    balanced_rows,
    balanced_subset,
    exponentiated,
    group_means,
    group_weights,
    mean_match,
    reversed_gradient,
)

GROUPS = torch.tensor([0] * 30 + [1] * 6 + [2] * 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n", [3, 10, 90])
def test_balanced_rows_come_equally_from_every_group(n):
    rows = balanced_rows(GROUPS, n, generator=generator())
    assert torch.bincount(GROUPS[rows]).tolist() == [n // 3] * 3
    assert not torch.equal(
        balanced_rows(GROUPS, 90, generator=generator(1)), balanced_rows(GROUPS, 90, generator=generator())
    )


def test_every_row_of_a_group_can_be_drawn():
    assert set(balanced_rows(GROUPS, 900, generator=generator()).tolist()) == set(range(40))
    with pytest.raises(ValueError, match="n must be at least the number of groups"):
        balanced_rows(GROUPS, 2, generator=generator())


def test_a_balanced_subset_repeats_nothing():
    rows = balanced_subset(GROUPS, generator=generator())
    assert torch.bincount(GROUPS[rows]).tolist() == [4, 4, 4]
    assert len(rows.unique()) == 12


def test_weights_make_groups_count_the_same():
    weights = group_weights(GROUPS)
    sums = [float(weights[code == GROUPS].sum()) for code in range(3)]
    assert sums == pytest.approx([40 / 3] * 3)
    assert float(weights.mean()) == pytest.approx(1)


def test_means_by_group():
    values = torch.arange(40.0)
    expected = [float(values[code == GROUPS].mean()) for code in range(3)]
    assert group_means(values, GROUPS, 4).tolist() == pytest.approx([*expected, 0.0])


def test_the_exponentiated_update():
    weights, losses = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.9, 0.1, 0.4])
    raised = [w * math.exp(2 * value) for w, value in zip(weights.tolist(), losses.tolist(), strict=True)]
    assert exponentiated(weights, losses, eta=2.0).tolist() == pytest.approx([v / sum(raised) for v in raised])
    assert torch.equal(exponentiated(weights, losses, eta=0.0), weights / weights.sum())
    assert torch.isfinite(exponentiated(weights, losses + 1e4, eta=1.0)).all()


def test_the_mean_match_by_hand_and_unmoved_by_a_shift():
    logits, y = torch.randn(40, generator=generator()), torch.arange(40) % 2
    by_hand = 0.0
    for label in (0, 1):
        everybody = logits[y == label].mean()
        for code in range(3):
            by_hand += float(logits[(y == label) & (code == GROUPS)].mean() - everybody) ** 2
    assert float(mean_match(logits, y, GROUPS)) == pytest.approx(by_hand, rel=1e-5)
    assert float(mean_match(logits + 5, y, GROUPS)) == pytest.approx(by_hand, rel=1e-4)
    assert float(mean_match(y.float(), y, GROUPS)) == 0


def test_the_gradient_is_turned_round_and_the_value_kept():
    x = torch.tensor([0.3, -2.0], requires_grad=True)
    turned = reversed_gradient(x, 3.0)
    assert torch.equal(turned, x)
    turned.sum().backward()
    assert x.grad.tolist() == [-3.0, -3.0]


def test_the_adversary_pulls_only_as_much_as_its_weight():
    x, y, groups = torch.randn(40, 2, generator=generator()), torch.arange(40) % 2, GROUPS
    pulls = []
    for weight in (0.0, 1.0, 2.0):
        torch.manual_seed(0)
        both = Against(nn.Linear(2, 1), 3, weight=weight, seed=1)
        logits, guesses = both(x, y)
        nn.functional.cross_entropy(guesses, groups).backward()
        assert logits.shape == (40,) and guesses.shape == (40, 3)
        assert float(both.adversary[0].weight.grad.abs().sum()) > 0
        pulls.append(both.model.weight.grad)
    assert float(pulls[0].abs().sum()) == 0
    torch.testing.assert_close(pulls[2], 2 * pulls[1])


def test_an_adversary_leaves_the_global_seed_alone():
    torch.manual_seed(7)
    Against(nn.Linear(2, 1), 2, weight=1.0, seed=0)
    left = torch.rand(1)
    torch.manual_seed(7)
    nn.Linear(2, 1)
    assert torch.equal(torch.rand(1), left)
