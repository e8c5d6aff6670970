"""A stack computes what its networks compute, each from its own columns."""

from __future__ import annotations

import pytest
import torch

from lib.models.column_stack import ColumnStack
from lib.models.mlp import mlp

SETS = [[2, 0, 5], [1], [4, 3, 2]]


def test_answers_are_those_of_single_networks() -> None:
    rows = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    found = ColumnStack(SETS, classes=4, width=5, seed=3)(rows)
    for place, columns in enumerate(SETS):
        torch.manual_seed(3)
        alone = mlp(len(columns), 4, width=5, depth=1)
        torch.testing.assert_close(found[place], alone(rows[:, columns]))


def test_other_columns_do_not_matter() -> None:
    rows = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    stack = ColumnStack(SETS, classes=2, width=5, seed=0)
    changed = rows.clone()
    changed[:, 0] += 1.0
    same = (stack(changed) == stack(rows)).flatten(1).all(dim=1)
    assert same.tolist() == [False, True, True]


def test_filling_gets_no_gradient() -> None:
    stack = ColumnStack(SETS, classes=2, width=5, seed=0)
    stack(torch.randn(7, 6)).square().sum().backward()
    assert stack.entry.grad is not None
    assert stack.entry.grad[1, 1:].abs().sum() == 0 and (stack.entry.grad[0].abs().sum() > 0)


@pytest.mark.parametrize("sets", [[], [[0], []]])
def test_empty_sets_are_refused(sets: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="sets must hold at least one column each"):
        ColumnStack(sets, classes=2, width=3, seed=0)
