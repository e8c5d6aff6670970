"""ROAD: the imputation against a dense solve, the curves against single calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lib.measure import road


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))


def scene(n: int = 5) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    images, maps = torch.rand(n, 2, 8, 8, generator=generator), torch.rand(n, 8, 8, generator=generator)
    return images, torch.arange(n) % 3, maps


def dense(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """One equation per removed pixel: it equals the weighted mean of the neighbours that exist."""
    height, width = removed.shape
    numbers = {tuple(at): index for index, at in enumerate(np.argwhere(removed))}
    left, right = np.zeros((len(numbers), len(numbers))), np.zeros((len(numbers), len(image)))
    for (row, column), index in numbers.items():
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                at = (row + down, column + across)
                if (down or across) and 0 <= at[0] < height and 0 <= at[1] < width:
                    weight = 1 / 6 if 0 in (down, across) else 1 / 12
                    left[index, index] += weight
                    if at in numbers:
                        left[index, numbers[at]] -= weight
                    else:
                        right[index] += weight * image[:, at[0], at[1]]
    out = image.copy()
    out[:, removed] = np.linalg.solve(left, right).T
    return out


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_imputation_equals_a_dense_solve(share):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(3, 7, 5, generator=generator)
    removed = torch.rand(7, 5, generator=generator) < share
    found = road.impute(image, removed)
    np.testing.assert_allclose(found.numpy(), dense(image.double().numpy(), removed.numpy()), atol=1e-6)
    assert torch.equal(found[:, ~removed], image[:, ~removed])


def test_imputation_stays_between_what_is_kept():
    image = torch.rand(1, 9, 9)
    removed = torch.ones(9, 9, dtype=torch.bool)
    removed[4, 4] = False
    torch.testing.assert_close(road.impute(image, removed), image[:, 4:5, 4:5].expand(1, 9, 9))
    assert torch.equal(road.impute(image, torch.zeros_like(removed)), image)
    flat = road.impute(torch.full((1, 9, 9), 0.3), removed)
    torch.testing.assert_close(flat, torch.full((1, 9, 9), 0.3))


def test_curve_against_single_calls():
    images, target, maps = scene()
    protocol = road.Protocol(shares=(0.0, 0.25, 0.5), noise=0.0)
    found = road.measure(network(), images, target, maps, generator=torch.Generator().manual_seed(0), protocol=protocol)
    for index in range(len(images)):
        ranking = maps[index].flatten().argsort(descending=True)
        for place, count in enumerate((0, 16, 32)):
            removed = torch.zeros(64, dtype=torch.bool)
            removed[ranking[:count]] = True
            logits = network()(road.impute(images[index], removed.view(8, 8))[None])[0].detach()
            chance = float(logits.softmax(0)[target[index]])
            assert float(found.probability[index, place]) == pytest.approx(chance, abs=1e-6)
            assert bool(found.hit[index, place]) == (int(logits.argmax()) == int(target[index]))
    height = (found.probability[:, 1:] + found.probability[:, :-1]).mean(1) / 2
    torch.testing.assert_close(found.area, height)


def test_orders_mirror_each_other_and_chance_is_the_seeds():
    images, target, maps = scene()

    def run(values, first="most", seed=0, noise=0.05, **options):
        return road.measure(
            network(), images, target, values, generator=torch.Generator().manual_seed(seed),
            protocol=road.Protocol(first=first, noise=noise), **options,
        ).probability  # fmt: skip

    torch.testing.assert_close(run(maps, noise=0.0), run(-maps, "least", noise=0.0))
    assert torch.equal(run(maps), run(maps))
    assert not torch.equal(run(maps), run(maps, seed=1))
    torch.testing.assert_close(run(maps, max_batch=3), run(maps), rtol=1e-5, atol=1e-6)
    tied = torch.zeros_like(maps)
    assert not torch.equal(run(tied, noise=0.0), run(tied, seed=1, noise=0.0))


def test_removing_what_matters_first_lowers_the_score():
    images = 0.1 * torch.rand(6, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    images[:, :, 3:6, 3:6] = 1.0
    square = torch.zeros(6, 10, 10)
    square[:, 3:6, 3:6] = 1.0

    def score(x: torch.Tensor) -> torch.Tensor:
        seen = 8 * x[:, 0, 3:6, 3:6].mean((1, 2)) - 4
        return torch.stack([seen, -seen], 1)

    area = {}
    for first in ("most", "least"):
        area[first] = road.measure(
            score, images, torch.zeros(6, dtype=torch.int64), square,
            generator=torch.Generator().manual_seed(0), protocol=road.Protocol(first=first),
        ).area  # fmt: skip
    assert (area["most"] < area["least"] - 0.3).all()


def test_errors():
    images, target, maps = scene()
    with pytest.raises(ValueError, match="some pixels must stay"):
        road.Protocol(shares=(0.5, 1.0))
    with pytest.raises(ValueError, match="first must be 'most' or 'least'"):
        road.Protocol(first="both")
    with pytest.raises(ValueError, match="all 64 removed"):
        road.impute(images[0], torch.ones(8, 8, dtype=torch.bool))
    with pytest.raises(ValueError, match="merge the channels of the maps first"):
        road.measure(network(), images, target, maps[:2], generator=torch.Generator())
