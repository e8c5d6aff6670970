"""What distinguishes the token samplers: lattices, cells and rectangles."""

import pytest
import torch
from scipy import stats

from lib import masks
from lib.masks import describe


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def by_cell(mask, side, cell=2):
    """Hidden tokens in each cell: (n, cells)."""
    folded = mask.view(-1, side // cell, cell, side // cell, cell).long()
    return folded.sum((2, 4)).flatten(1)


def test_random_hides_every_token_equally_often():
    hidden = masks.random(4000, 6, ratio=0.75, generator=seeded()).sum(0)
    assert stats.chisquare(hidden.numpy()).pvalue > 0.001  # one seed, fixed: fails for one sampler in a thousand


def test_grid_leaves_one_phase_visible_everywhere():
    mask = masks.grid(64, 8, ratio=0.75, generator=seeded()).view(64, 8, 8)
    assert (by_cell(mask.flatten(1), 8) == 3).all()
    assert torch.equal(mask[:, 2:], mask[:, :-2])  # period two down
    assert torch.equal(mask[:, :, 2:], mask[:, :, :-2])  # and across


def test_jittered_grid_leaves_one_of_four_visible_but_not_the_same_one():
    mask = masks.jittered_grid(64, 8, ratio=0.75, generator=seeded())
    assert (by_cell(mask, 8) == 3).all()
    assert not torch.equal(mask.view(64, 8, 8)[:, 2:], mask.view(64, 8, 8)[:, :-2])


def test_jittered_grid_is_balanced_at_half():
    assert (by_cell(masks.jittered_grid(16, 8, ratio=0.5, generator=seeded()), 8) == 2).all()


def test_cells_are_hidden_whole_but_for_one():
    whole = by_cell(masks.cells(64, 8, ratio=0.75, generator=seeded()), 8)
    assert ((whole == 0) | (whole == 4)).all()  # 48 of 64 tokens are 12 whole cells
    partial = by_cell(masks.cells(64, 8, ratio=0.6, generator=seeded()), 8)
    assert (((partial != 0) & (partial != 4)).sum(1) == 1).all()  # 38 of 64 tokens: 9 cells and a half


def test_cells_of_one_patch_follow_the_random_law():
    mask = masks.cells(3000, 5, ratio=0.6, generator=seeded(), cell=1)
    assert abs(float(describe.morans_i(mask, 5).mean()) + 1 / 24) < 0.01  # standard error about 0.003


def test_cells_must_fit():
    with pytest.raises(ValueError, match=r"cell must be in \[1, 7\] patches, got 8"):
        masks.cells(2, 7, ratio=0.5, generator=seeded(), cell=8)


def test_blocks_hang_together_more_than_random_tokens():
    block = masks.block(128, 14, ratio=0.4, generator=seeded())
    random = masks.random(128, 14, ratio=0.4, generator=seeded())
    assert describe.component_count(block, 14).max() <= 8
    assert describe.component_count(random, 14).min() > 8


def test_one_large_block_is_a_rectangle_cut_once():
    mask = masks.block(64, 14, ratio=0.3, generator=seeded(), smallest=0.3, aspect=1.0).view(64, 14, 14)
    rows, columns = mask.any(2).sum(1), mask.any(1).sum(1)
    one = describe.component_count(mask.flatten(1), 14) == 1
    assert one.float().mean() > 0.3
    assert (rows * columns)[one].min() >= 59  # its bounding box holds all 59 hidden tokens


def test_blocks_end_when_rounds_run_out():
    mask = masks.block(8, 14, ratio=0.99, generator=seeded(), rounds=1)
    assert (mask.sum(1) == round(0.99 * 196)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"smallest": 16}, r"smallest must be a share of the grid in \(0, 1\), got 16"),
        ({"aspect": 3.0}, "aspect must be"),
    ],
)
def test_block_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        masks.block(2, 14, ratio=0.5, generator=seeded(), **arguments)
