"""Networks with one hidden layer side by side, each behind its own few columns of a table.

A stack holds the weights of `lib.models.mlp` networks of one width and several classes and computes them in one product
for all. They share nothing but their rows. `lib.models.mlp_stack` is the stack for one answer and many shown columns;
here every network gathers its columns first, so that few columns cost little however wide the table is.

Conventions: rows are float32 (n, columns), answers (g, n, classes). Sets may differ in size: a shorter one is filled up
with column 0 times zero, whose weights get no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lib.models.mlp import mlp
from lib.models.mlp_stack import linear


class ColumnStack(nn.Module):
    """One network for each set of columns.

    Parameters
    ----------
    sets : sequence of sequences of int
        Column numbers; sets of one size start from the same weights, which follow ``seed``.
    classes, width : int
        Answers, and units of the hidden layer.
    seed : int
        Of the first weights.

    Raises
    ------
    ValueError
        If there is no set, or an empty one.

    Examples
    --------
    >>> ColumnStack([[0], [2, 1]], classes=3, width=4, seed=0)(torch.zeros(5, 3)).shape
    torch.Size([2, 5, 3])
    """

    index: Tensor
    inside: Tensor

    def __init__(self, sets: Sequence[Sequence[int]], *, classes: int, width: int, seed: int) -> None:
        super().__init__()
        sizes = [len(one) for one in sets]
        if not sizes or min(sizes) < 1:
            raise ValueError(f"sets must hold at least one column each, got sizes {sizes}; leave out empty sets")
        most = max(sizes)
        index, inside = torch.zeros(len(sets), most, dtype=torch.int64), torch.zeros(len(sets), most)
        entry = torch.zeros(len(sets), most, width)
        layers = {size: _layers(size, classes, width, seed) for size in set(sizes)}
        for place, (one, size) in enumerate(zip(sets, sizes, strict=True)):
            index[place, :size], inside[place, :size] = torch.as_tensor(list(one)), 1.0
            entry[place, :size] = layers[size][0].weight.detach().T
        own = [layers[size] for size in sizes]
        self.entry = nn.Parameter(entry)  # (g, most, width)
        self.entry_bias = nn.Parameter(torch.stack([first.bias.detach()[None] for first, _ in own]))
        self.exit = nn.Parameter(torch.stack([last.weight.detach().T for _, last in own]))  # (g, width, classes)
        self.exit_bias = nn.Parameter(torch.stack([last.bias.detach()[None] for _, last in own]))
        self.register_buffer("index", index)
        self.register_buffer("inside", inside)

    def forward(self, rows: Tensor) -> Tensor:
        """Logits (g, n, classes) of rows (n, columns)."""
        seen = rows[:, self.index] * self.inside  # (n, g, most)
        hidden = torch.baddbmm(self.entry_bias, seen.transpose(0, 1), self.entry).relu()
        return torch.baddbmm(self.exit_bias, hidden, self.exit)


def _layers(size: int, classes: int, width: int, seed: int) -> list[nn.Linear]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return linear(mlp(size, classes, width=width, depth=1))
