"""Bags hold what their label says, in counts that can be told beforehand."""

from __future__ import annotations

import pytest
import torch

from lib import data
from lib.data.bags import draw_bags, witness_count


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def labels(n=400):
    return torch.arange(n) % 10


@pytest.mark.parametrize("rate", [0.01, 0.03, 0.1, 0.5])
def test_labels_follow_from_the_truth(rate):
    y = labels()
    bags = draw_bags(y, witness=3, n=21, size=40, rate=rate, generator=seeded())
    assert bags.rows.shape == bags.witness.shape == (21, 40)
    assert torch.equal(bags.witness, y[bags.rows] == 3)
    assert torch.equal(bags.y.bool(), bags.witness.any(dim=1))
    assert bags.y.sum() == 10
    assert set(bags.witness.sum(dim=1).tolist()) == {0, max(1, round(rate * 40))}
    assert all(len(set(row.tolist())) == 40 for row in bags.rows)


def test_a_bag_is_never_without_a_witness():
    assert [witness_count(20, rate) for rate in (0.001, 0.03, 0.1, 0.5)] == [1, 1, 2, 10]


def test_bags_follow_the_generator_and_witnesses_lie_anywhere():
    y = labels()
    first, again, other = (
        draw_bags(y, witness=3, n=200, size=10, rate=0.1, generator=seeded(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first.rows, again.rows) and torch.equal(first.y, again.y)
    assert not torch.equal(first.rows, other.rows)
    assert first.witness.any(dim=0).all()  # 100 positive bags: a place stays empty once in 3,700 draws
    assert 0 < first.y[:100].sum() < 100


def test_bags_of_digits():
    found = data.images("digits", n=300)
    bags = draw_bags(found.y, witness=2, n=6, size=30, rate=0.1, generator=seeded())
    assert found.x[bags.rows].shape == (6, 30, 1, 28, 28)
    assert (found.y[bags.rows][bags.witness] == 2).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n": 1}, "n and size must be at least 2"),
        ({"size": 1}, "n and size must be at least 2"),
        ({"rate": 3.0}, r"use 0\.03 for 3 percent"),
        ({"rate": 0.0}, r"rate must be in \(0, 1\)"),
        ({"size": 390, "rate": 0.9}, "labels must hold 351 witnesses"),
        ({"witness": 11}, "got 0 and 400"),
    ],
)
def test_what_cannot_be_drawn(options, match):
    with pytest.raises(ValueError, match=match):
        draw_bags(labels(), **({"witness": 3, "n": 4, "size": 10, "rate": 0.1, "generator": seeded()} | options))
