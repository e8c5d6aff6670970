"""Blocks grown on packed grids: beside a loop over images and patches, exactly and in law, on grids of any width."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from lib import masks
from lib.masks import blocks, describe

GRIDS = [(1, 1), (14, 14), (5, 9), (9, 5), (3, 64), (2, 65), (130, 2), (4, 131), (1, 20), (20, 1)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def packed(grid):
    """Pack bool (height, width) the slow way: bit by bit."""
    height, width = grid.shape
    per = max(1, 64 // width)
    words = [[0] * -(-width // 64) for _ in range(-(-height // per))]
    for row, column in np.argwhere(grid):
        words[row // per][column // 64] |= 1 << int(row % per * width * (width <= 64) + column % 64)
    return np.array(words, np.uint64)


def one_rectangle(size, area, stretch, top, left):
    """First and last row and column of a rectangle, in plain Python."""
    found = []
    for side, length, place in zip(size, (area**0.5 * stretch, area**0.5 / stretch), (top, left), strict=True):
        length = min(max(round(length), 1), max(1, side - 1))
        start = math.floor(place * (side - length + 1))
        found.append(slice(start, start + length))
    return tuple(found)


def one_block(size, rng, *, count, smallest, aspect, rounds=100):
    """One mask by BEiT's growth with an exact count, image by image: bool (height, width)."""
    hidden, least = np.zeros(size, bool), max(1.0, smallest * size[0] * size[1])
    for _ in range(rounds):
        missing = count - hidden.sum()
        if missing == 0:
            return hidden
        area = rng.uniform(least, max(missing, least))
        stretch = math.exp(rng.uniform(-1, 1) * math.log(1 / aspect) / 2)
        fresh = np.zeros(size, bool)
        fresh[one_rectangle(size, area, stretch, rng.uniform(), rng.uniform())] = True
        found = np.argwhere(fresh & ~hidden)
        angle = rng.uniform(0, 2 * math.pi)
        along = found @ np.array([math.sin(angle), math.cos(angle)])
        hidden[tuple(found[along.argsort()[:missing]].T)] = True
    rest = rng.permutation(np.argwhere(~hidden))
    hidden[tuple(rest[: count - hidden.sum()].T)] = True
    return hidden


@pytest.mark.parametrize("size", GRIDS)
def test_packing_and_back(size):
    grids = np.random.default_rng(0).uniform(size=(7, *size)) < 0.5
    words = np.stack([packed(grid) for grid in grids])
    assert np.array_equal(blocks.unpacked(words, size), grids.reshape(7, -1))
    assert [len(edges) for edges in blocks.packed_edges(*size)] == list(words.shape[1:])


@pytest.mark.parametrize("size", GRIDS)
def test_rectangles_beside_plain_ones(size):
    rng = np.random.default_rng(1)
    area, stretch = rng.uniform(1, size[0] * size[1], 300), np.exp(rng.uniform(-1, 1, 300))
    place = rng.uniform(size=(2, 300)).astype(np.float32)
    lengths = (np.sqrt(area) * np.stack([stretch, 1 / stretch])).astype(np.float32)
    words = blocks.rectangles(lengths, place, np.array(size, np.float32)[:, None], blocks.packed_edges(*size))
    for image in range(300):
        expected = np.zeros(size, bool)
        expected[one_rectangle(size, area[image], stretch[image], *place[:, image])] = True
        assert np.array_equal(words[:, :, image], packed(expected))


def test_rectangles_end_at_the_last_patch():
    """The largest float32 below 1 must not start one patch too far."""
    place = np.full((2, 63), np.nextafter(np.float32(1), np.float32(0)))
    lengths = np.tile(np.arange(1, 64, dtype=np.float32), (2, 1))
    words = blocks.rectangles(lengths, place, np.full((2, 1), 64, np.float32), blocks.packed_edges(64, 64))
    for image, length in enumerate(range(1, 64)):
        grid = blocks.unpacked(words[None, :, :, image], (64, 64)).reshape(64, 64)
        assert grid.sum() == length**2 and grid[-length:, -length:].all()


def test_tries_beside_a_loop():
    """The same chances give the same tokens as a loop over images and rectangles, word for word."""
    size, count, least, aspect = (9, 11), 60, 5.0, 0.4
    chance = torch.rand(12, 4, 40, generator=seeded()).numpy()
    free = np.full((*packed(np.zeros(size, bool)).shape, 40), blocks.EVERYWHERE)
    frees, lacks = blocks.tried(free, np.full(40, count, np.float32), chance, size, least=least, aspect=aspect)
    for image in range(40):
        hidden = np.zeros(size, bool)
        for step in range(13):
            assert np.array_equal(packed(hidden), ~frees[step, :, :, image])
            assert lacks[step, image] == count - hidden.sum()
            if step < 12:
                ratio, share, top, left = (float(one) for one in chance[step, :, image])
                area = least + max(count - hidden.sum() - least, 0) * share
                hidden[one_rectangle(size, area, aspect ** (0.5 - ratio), top, left)] = True


def test_growth_stops_at_the_rectangle_that_reaches_the_count():
    hidden, last, unfinished = blocks.grown(
        200, (14, 14), seeded(), count=100, least=16.0, aspect=0.3, rounds=3 * blocks.AT_ONCE
    )
    done = np.setdiff1d(np.arange(200), unfinished)
    assert len(done) > 100 and not (hidden & last).any()
    assert (hidden.sum(1) < 100).all() and ((hidden | last)[done].sum(1) >= 100).all()
    assert not last[unfinished].any()


@pytest.mark.parametrize("rounds", [0, 1, 3, blocks.AT_ONCE, blocks.AT_ONCE + 1])
@pytest.mark.parametrize("grid", [(14, 14), (3, 70)])
def test_exact_count_when_rounds_run_out(rounds, grid):
    mask = masks.block(64, grid, ratio=0.9, generator=seeded(), rounds=rounds, smallest=0.01)
    assert (mask.sum(1) == round(0.9 * grid[0] * grid[1])).all()
    assert describe.distinct(mask) == 64


def test_without_rounds_the_law_is_that_of_random():
    mask = masks.block(3000, 6, ratio=0.5, generator=seeded(), rounds=0)
    assert abs(float(describe.morans_i(mask, 6).mean()) + 1 / 35) < 0.01  # standard error about 0.002


@pytest.mark.parametrize("grid", [(2, 65), (3, 128), (129, 2), (64, 64), (1, 300), (70, 70)])
def test_wide_grids_keep_the_contract(grid):
    mask = masks.block(9, grid, ratio=0.6, generator=seeded(), smallest=0.02)
    assert mask.shape == (9, grid[0] * grid[1]) and describe.distinct(mask) == 9
    assert (mask.sum(1) == round(0.6 * grid[0] * grid[1])).all()


LAWS = {
    "three quarters": ((14, 14), 0.75, 16 / 196, 0.3, 100),
    "small rectangles": ((10, 10), 0.5, 0.04, 0.3, 100),
    "oblong": ((5, 9), 0.6, 16 / 196, 0.5, 100),
    "several words in a row": ((2, 70), 0.4, 0.05, 0.3, 100),
    "few rounds": ((8, 8), 0.9, 0.1, 0.3, 4),
}


@pytest.mark.parametrize("law", LAWS)
def test_same_law_as_image_by_image(law):
    """Coverage, neighbours, regions and clustering of two independent samples; one seed, fixed.

    Each statistic would differ for about one correct sampler in a thousand: |z| < 3.3, and for the largest of
    all tokens' z the bound is Bonferroni's.
    """
    size, ratio, smallest, aspect, rounds = LAWS[law]
    n, rng, tokens = 400, np.random.default_rng(2), size[0] * size[1]
    count = round(ratio * tokens)
    slow = torch.from_numpy(
        np.stack([one_block(size, rng, count=count, smallest=smallest, aspect=aspect, rounds=rounds) for _ in range(n)])
    ).flatten(1)
    fast = masks.block(5 * n, size, ratio=ratio, generator=seeded(3), smallest=smallest, aspect=aspect, rounds=rounds)
    assert (slow.sum(1) == count).all() and (fast.sum(1) == count).all()

    def difference(measure):
        one, other = measure(slow).double(), measure(fast).double()
        error = (torch.cat([one, other]).var(0) * (1 / len(one) + 1 / len(other))).sqrt().clamp(min=1e-9)
        return ((one.mean(0) - other.mean(0)) / error).abs().max()

    assert difference(lambda mask: mask) < stats.norm.isf(0.0005 / tokens), "coverage of each patch"
    assert difference(lambda mask: mask[:, : tokens // 2] & mask[:, -(tokens // 2) :]) < stats.norm.isf(0.001 / tokens)
    for measure in (describe.component_count, describe.morans_i, describe.largest_component):
        assert difference(lambda mask, measure=measure: measure(mask, size)) < 3.3, measure.__name__
        assert difference(lambda mask, measure=measure: measure(~mask, size)) < 3.3, (
            f"{measure.__name__} of the visible"
        )


def test_log_uniform_aspect_is_symmetric():
    chance = torch.rand(1, 4, 2000, generator=seeded()).numpy()
    free = np.full((15, 1, 2000), blocks.EVERYWHERE)  # two rows in a word
    frees, _ = blocks.tried(free, np.full(2000, 36, np.float32), chance, (30, 30), least=36.0, aspect=0.3)
    shape = blocks.unpacked(~frees[1].transpose(2, 0, 1), (30, 30)).reshape(-1, 30, 30)
    height, width = shape.any(2).sum(1), shape.any(1).sum(1)
    assert np.array_equal(height * width, shape.sum((1, 2)))  # filled rectangles
    assert abs(np.log(height / width).mean()) < 3 * math.log(1 / 0.3) / math.sqrt(2000)
    assert max((height / width).max(), (width / height).max()) <= 1 / 0.3 * 1.1  # rounding to whole patches
    assert abs(shape.sum((1, 2)).mean() - 36) < 0.5


def test_chance_comes_from_the_generator_alone():
    generator, state = seeded(4), torch.get_rng_state()
    first = masks.block(20, 14, ratio=0.5, generator=generator)
    middle = generator.get_state()
    second = masks.block(20, 14, ratio=0.5, generator=generator)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(second, masks.block(20, 14, ratio=0.5, generator=torch.Generator().set_state(middle)))
    assert not torch.equal(first, second)
