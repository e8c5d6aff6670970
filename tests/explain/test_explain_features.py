"""Features: what counts as one."""

from __future__ import annotations

import pytest
import torch

from lib.explain import features


@pytest.mark.parametrize(("size", "grid"), [((28, 28), 7), ((5, 9), 4), ((1, 6), 1)])
def test_cells_cover_everything_with_nearly_equal_parts(size, grid):
    counts = features.cells(size, grid).flatten().bincount()
    assert len(counts) == grid**2
    tall, wide = ({edge // grid, -(-edge // grid)} for edge in size)
    assert set(counts.tolist()) <= {height * width for height in tall for width in wide}


def test_a_table_is_a_picture_of_one_row():
    rows = torch.rand(3, 1, 1, 5)
    found = features.each(features.pixels((1, 5)), rows)
    kept = torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0]])
    assert features.gated(kept, found[0]).tolist() == [kept.tolist()]


def test_spread_turns_values_of_features_into_maps():
    labels = features.cells((4, 4), 2)
    found = features.spread(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), labels)
    assert found.shape == (1, 4, 4)
    assert found[0].flatten().tolist() == [float(label + 1) for label in labels.flatten()]


@pytest.mark.parametrize("bad", [torch.zeros(4, 4), torch.zeros(3, 4, dtype=torch.int64), torch.ones(4, 4).long()])
def test_bad_features_are_named(bad):
    with pytest.raises(ValueError, match="features must be"):
        features.each(bad, torch.rand(2, 1, 4, 4))


def test_a_gap_in_the_numbers_is_named():
    with pytest.raises(ValueError, match="without a gap"):
        features.each(torch.tensor([[0, 2]]), torch.rand(1, 1, 1, 2))


def test_too_many_cells_are_named():
    with pytest.raises(ValueError, match="grid must be between 1 and 3"):
        features.cells((3, 8), 4)
