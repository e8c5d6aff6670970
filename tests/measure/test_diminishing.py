"""Diminishing returns: functions whose answer is known, and the greedy guarantee."""

from __future__ import annotations

import itertools

import pytest
import torch

from lib.measure import diminishing

COVERS = torch.rand(7, 12, generator=torch.Generator().manual_seed(0)) < 0.3  # which of 12 points a set covers


def coverage(sets: torch.Tensor) -> torch.Tensor:
    return (sets.float() @ COVERS.float() > 0).float().sum(1)


def drawn(n: int = 300, k: int = 7) -> diminishing.NestedSets:
    return diminishing.nested_sets(n, k, generator=torch.Generator().manual_seed(1))


def test_sets_are_nested_in_all_sizes():
    found = drawn(2000, 4)
    assert (found.small <= found.large).all()
    assert not found.large[torch.arange(2000), found.added].any()
    sizes = set(zip(found.small.sum(1).tolist(), found.large.sum(1).tolist(), strict=True))
    assert sizes == {(a, b) for b in range(1, 4) for a in range(b)}
    assert found.added.bincount().min() > 400  # 500 expected, standard deviation 19


@pytest.mark.parametrize(
    ("function", "shrinks", "grows"),
    [
        (coverage, True, True),
        (lambda sets: sets.sum(1).float() ** 2, False, True),
        (lambda sets: -sets.sum(1).float(), True, False),
    ],
)
def test_known_functions(function, shrinks, grows):
    found = torch.stack([diminishing.gains(function, drawn(), index) for index in range(300)])
    assert bool((found[:, 0] >= found[:, 1]).all()) == shrinks
    assert bool((found >= 0).all()) == grows


def test_gains_of_terms_keep_their_columns():
    def terms(sets: torch.Tensor) -> torch.Tensor:
        return torch.stack([coverage(sets), sets.sum(1).float()], 1)

    found = diminishing.gains(terms, drawn(), 5)
    assert found.shape == (2, 2)
    assert torch.equal(found[:, 0], diminishing.gains(coverage, drawn(), 5))
    assert torch.equal(found[:, 1], torch.ones(2))


def test_greedy_coverage_keeps_the_guarantee_and_matches_brute_force():
    order: list[int] = []
    for _ in range(7):
        left = [i for i in range(7) if i not in order]
        rows = torch.stack([torch.tensor([j in (*order, i) for j in range(7)]) for i in left])
        order.append(left[int(coverage(rows).argmax())])
    found = diminishing.share_of_best(coverage, torch.tensor(order))
    assert (found >= diminishing.SHARE).all()
    for size in range(1, 8):
        rows = torch.stack(
            [torch.tensor([j in kept for j in range(7)]) for kept in itertools.combinations(range(7), size)]
        )
        own = coverage(torch.tensor([[j in order[:size] for j in range(7)]]))
        assert found[size - 1] == own[0] / coverage(rows).max()


def test_errors():
    with pytest.raises(ValueError, match="at least 2 elements"):
        diminishing.nested_sets(3, 1, generator=torch.Generator())
    with pytest.raises(ValueError, match="at most 16 elements, got 17"):
        diminishing.share_of_best(coverage, torch.arange(17))
