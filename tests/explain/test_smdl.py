"""SMDL: the set function is its definition, and the greedy order is the one that brute force finds."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from lib.explain import smdl
from lib.explain.features import cells

WEIGHTS = (0.7, 1.3, 1.0, 0.5)


def nets() -> tuple[nn.Module, smdl.Networks]:
    torch.manual_seed(5)
    body = nn.Sequential(nn.Conv2d(2, 5, 3), nn.SiLU(), nn.Flatten(), nn.Linear(5 * 16, 6)).eval()
    classes, evidence = nn.Linear(6, 3), nn.Linear(6, 3)
    return nn.Sequential(body, classes, nn.Softmax(1)), smdl.Networks(body, nn.Sequential(body, evidence))


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(seed))


def function(grid: int = 2, max_batch: int = 64, weights=WEIGHTS, fill=0.25) -> smdl.SetFunction:
    score, networks = nets()
    return smdl.set_function(
        score, image(), 1, networks=networks, features=cells((6, 6), grid), weights=weights, fill=fill,
        max_batch=max_batch,
    )  # fmt: skip


def by_hand(subset: tuple[int, ...], regions: torch.Tensor, fill: float) -> list[float]:
    """The four terms of one set, from their definition, one image at a time."""
    score, networks = nets()

    def shown(kept: tuple[int, ...]) -> torch.Tensor:
        mask = torch.zeros(6, 6, dtype=torch.bool)
        for region in kept:
            mask |= regions == region
        return torch.where(mask, image(), torch.tensor(fill))[None]

    with torch.no_grad():
        alpha = networks.evidence(shown(subset)).exp() + 1
        rest = tuple(i for i in range(int(regions.max()) + 1) if i not in subset)
        views = [networks.embed(shown((i,)))[0] for i in subset]
        effective = 0.0
        for i, one in enumerate(views):
            angles = [
                math.acos(float(nn.functional.cosine_similarity(one, other, dim=0))) / math.pi
                for j, other in enumerate(views)
                if j != i
            ]
            effective += min(angles, default=1.0)
        return [
            1 - 3 / float(alpha.sum()),
            effective,
            float(score(shown(subset))[0, 1]),
            1 - float(score(shown(rest))[0, 1]),
        ]


def test_every_set_has_the_value_of_the_definition():
    sets = torch.tensor(list(itertools.product([False, True], repeat=4)))
    found = function().terms(sets)
    regions = cells((6, 6), 2)
    wanted = [by_hand(tuple(row.nonzero()[:, 0].tolist()), regions, 0.25) for row in sets]
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-4, atol=1e-4)  # arccos in float32 near 1
    torch.testing.assert_close(function().values(sets), found @ torch.tensor(WEIGHTS))


def test_greedy_is_the_best_order_step_by_step_among_all_orders():
    """Greedy values are lexicographically the largest of all 720 orders, the definition of a greedy choice."""
    one = smdl.set_function(
        nets()[0], image(3), 2, networks=nets()[1], features=torch.arange(36).view(6, 6) // 6, weights=WEIGHTS
    )
    sets = torch.tensor(list(itertools.product([False, True], repeat=6)))
    value = dict(zip(map(tuple, sets.long().tolist()), one.values(sets).tolist(), strict=True))

    def path(order: tuple[int, ...]) -> tuple[float, ...]:
        return tuple(value[tuple(int(i in order[: n + 1]) for i in range(6))] for n in range(6))

    best = max(itertools.permutations(range(6)), key=path)
    found = smdl.greedy(one)
    assert tuple(found.order.tolist()) == best
    torch.testing.assert_close(found.values, torch.tensor(path(best)), rtol=1e-5, atol=1e-5)


def test_greedy_sorts_where_regions_do_not_interact():
    """A score that is the sum of the pixels makes every gain constant, so greedy sorts by it."""

    def score(images: torch.Tensor) -> torch.Tensor:
        total = images.flatten(1).sum(1, keepdim=True) / 100
        return torch.cat([total, 1 - total], 1)

    pixels = torch.randperm(16, generator=torch.Generator().manual_seed(2)).view(1, 4, 4) / 16
    one = smdl.set_function(
        score, pixels, 0, networks=smdl.Networks(score), features=cells((4, 4), 4), weights=(0.0, 0.0, 1.0, 1.0)
    )
    assert torch.equal(smdl.greedy(one).order, pixels.flatten().argsort(descending=True))


def test_equal_regions_are_taken_in_reading_order():
    one = smdl.set_function(
        lambda x: torch.full((len(x), 2), 0.5), torch.zeros(1, 4, 4), 0,
        networks=smdl.Networks(lambda x: torch.ones(len(x), 3)), features=cells((4, 4), 2),
    )  # fmt: skip
    assert smdl.greedy(one).order.tolist() == [0, 1, 2, 3]


def test_batches_do_not_matter_and_features_are_looked_at_once():
    torch.testing.assert_close(smdl.greedy(function(max_batch=1)).terms, smdl.greedy(function()).terms)
    seen = []
    score, networks = nets()

    def embed(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return networks.embed(images)

    one = smdl.set_function(score, image(), 0, networks=smdl.Networks(embed), features=cells((6, 6), 3), max_batch=4)
    smdl.greedy(one)
    assert sum(seen) == 9 and max(seen) <= 4


def test_the_map_ranks_the_regions():
    score, networks = nets()
    images = torch.stack([image(0), image(1)])
    regions = cells((6, 6), 3)
    found = smdl.smdl(score, images, torch.tensor([0, 2]), networks=networks, features=regions, max_batch=5)
    for index, label in enumerate([0, 2]):
        order = smdl.greedy(smdl.set_function(score, images[index], label, networks=networks, features=regions)).order
        ranks = torch.stack([found[index][regions == region][0] for region in order])
        torch.testing.assert_close(ranks, torch.arange(9, 0, -1) / 9)


def test_a_term_of_weight_zero_is_not_asked_for():
    def fail(images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("asked")

    score, _ = nets()
    one = smdl.set_function(
        score, image(), 0, networks=smdl.Networks(fail, fail), features=cells((6, 6), 2), weights=(0.0, 0.0, 1.0, 0.0)
    )
    assert smdl.greedy(one).terms[:, [0, 1, 3]].abs().sum() == 0


def test_errors():
    score, networks = nets()
    with pytest.raises(ValueError, match="features must be int64"):
        smdl.smdl(score, image()[None], torch.tensor([0]), networks=networks, features=torch.zeros(6, 6))
