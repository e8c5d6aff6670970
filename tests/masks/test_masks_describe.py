"""Statistics of masks: closed forms, brute force on small grids, and scipy's labels as oracle."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from lib import masks
from lib.masks import describe

GRIDS = [(4, 4), (5, 7), (8, 8)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def some_masks(grid, ratio=0.6, n=12):
    return masks.random(n, grid, ratio=ratio, generator=seeded())


def chessboard(side=6):
    token = torch.arange(side * side)
    return ((token // side + token % side) % 2 == 0)[None]


@pytest.mark.parametrize("grid", GRIDS)
def test_morans_i_by_brute_force(grid):
    mask = some_masks(grid)
    places = list(itertools.product(range(grid[0]), range(grid[1])))
    for row, value in zip(mask.double().numpy(), describe.morans_i(mask, grid), strict=True):
        z = row - row.mean()
        pairs = [
            z[i] * z[j]
            for i, a in enumerate(places)
            for j, b in enumerate(places)
            if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1
        ]
        assert float(value) == pytest.approx(len(z) / len(pairs) * sum(pairs) / (z**2).sum(), abs=1e-12)


def test_morans_i_extremes():
    assert float(describe.morans_i(chessboard(), 6)) == pytest.approx(-1)
    halves = (torch.arange(64) // 8 < 4)[None]
    assert float(describe.morans_i(halves, 8)) == pytest.approx(1 - 2 * 8 / 112)  # 8 of 112 edges join unlike tokens


@pytest.mark.parametrize("grid", GRIDS)
def test_visible_distance_by_brute_force(grid):
    mask = some_masks(grid, ratio=0.8)
    places = list(itertools.product(range(grid[0]), range(grid[1])))
    for row, value in zip(mask.tolist(), describe.visible_distance(mask, grid), strict=True):
        seen = [place for place, hidden in zip(places, row, strict=True) if not hidden]
        nearest = [
            min(math.dist(place, other) for other in seen) for place, hidden in zip(places, row, strict=True) if hidden
        ]
        assert float(value) == pytest.approx(sum(nearest) / len(nearest), abs=1e-6)  # distances in float32


def test_visible_distance_does_not_depend_on_chunks():
    mask = some_masks(8)
    assert torch.equal(describe.visible_distance(mask, 8, chunk=5), describe.visible_distance(mask, 8))


@pytest.mark.parametrize("sampler", masks.SAMPLERS)
@pytest.mark.parametrize("visible", [False, True])
def test_components_against_scipy(sampler, visible):
    mask = sampler(20, (9, 14), ratio=0.6, generator=seeded())
    mask = ~mask if visible else mask
    labels = describe.components(mask, (9, 14)).view(-1, 9, 14).numpy()
    counts, largest = describe.component_count(mask, (9, 14)), describe.largest_component(mask, (9, 14))
    means = describe.component_size(mask, (9, 14))
    for row, ours in enumerate(labels):
        theirs, count = ndimage.label(mask[row].view(9, 14).numpy())
        assert ((ours > 0) == (theirs > 0)).all()
        assert len(set(zip(ours.ravel(), theirs.ravel(), strict=True)) - {(0, 0)}) == count  # same partition
        sizes = np.bincount(theirs.ravel())[1:]
        assert int(counts[row]) == count
        assert float(largest[row]) == pytest.approx(sizes.max() / sizes.sum())
        assert float(means[row]) == pytest.approx(sizes.mean())


def test_components_follow_a_snake_to_its_end():
    snake = torch.zeros(7, 7, dtype=torch.bool)
    snake[::2] = True
    snake[1, 6] = snake[3, 0] = snake[5, 6] = True
    assert int(describe.component_count(snake.view(1, -1), 7)) == 1


def test_no_region_has_no_size():
    empty = torch.zeros(1, 9, dtype=torch.bool)
    assert int(describe.component_count(empty, 3)) == 0
    assert math.isnan(float(describe.component_size(empty, 3)))
    assert math.isnan(float(describe.largest_component(empty, 3)))


def test_random_masks_have_power_one_in_every_ring():
    power = describe.radial_power(masks.random(2000, 10, ratio=0.75, generator=seeded()), 10, edges=(0, 0.2, 0.4, 0.8))
    assert (power.mean(0) - 1).abs().max() < 0.03  # standard error below 0.01 in the smallest ring


def test_all_power_of_a_chessboard_is_in_the_corner():
    power = describe.radial_power(chessboard(), 6, edges=(0, 0.3, 0.7, 0.8))[0]
    assert power[:2].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert float(power[2]) == pytest.approx(35)  # 35 modes other than zero share the power; one holds it all


def test_power_does_not_see_wrapped_shifts_or_inversion():
    mask = some_masks(8)
    edges = (0.0, 0.15, 0.3, 0.71)
    power = describe.radial_power(mask, 8, edges=edges)
    shifted = mask.view(-1, 8, 8).roll((3, 2), (1, 2)).flatten(1)
    torch.testing.assert_close(describe.radial_power(shifted, 8, edges=edges), power)
    torch.testing.assert_close(describe.radial_power(~mask, 8, edges=edges), power)


def test_ring_without_modes_is_nan():
    assert describe.radial_power(some_masks(8), 8, edges=(0.0, 0.1, 0.8))[:, 0].isnan().all()


def test_coverage_border_overlap_distinct_on_a_known_case():
    mask = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]], dtype=torch.bool)
    assert describe.coverage(mask).tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert describe.distinct(mask) == 2
    assert describe.overlap(mask, mask[[0, 0, 1]]).tolist() == [1.0, 0.5, 0.5]
    assert int(describe.border((4, 5)).sum()) == 14
    assert int(describe.border(6, depth=2).sum()) == 32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: describe.morans_i(m, 5), ValueError, r"shape \(n, 25\) for a 5 x 5 grid, got \(12, 16\)"),
        (
            lambda m: describe.morans_i(m.float(), 4),
            TypeError,
            r"mask must be bool with True = hidden, got torch.float32",
        ),
        (lambda m: describe.radial_power(m, 4, edges=(0.3, 0.1)), ValueError, "edges must rise"),
        (lambda m: describe.overlap(m, m[:3]), ValueError, r"other must have shape \(12, 16\), got \(3, 16\)"),
        (lambda m: describe.border(4, depth=2), ValueError, "depth must leave an interior in a 4 x 4 grid, got 2"),
    ],
)
def test_describe_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(some_masks(4))
