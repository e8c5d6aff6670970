"""A classification head in which each class asks the cells of a feature map with a random query that is not trained.

Yang et al. 2025, Chest X-ray Foundation Model with Global and Local Representations Integration (arXiv:2502.05142):
random class queries, never trained, attend to local features of a frozen backbone; what they gather is joined with a
global feature, and every class has a linear layer of its own. Attention: Vaswani et al. 2017 (arXiv:1706.03762), eq. 1.

Differences: no self-attention between queries (before the first attention it sees constants only); the global
feature is the mean of the cells, since a backbone without a class token has no other; dropout is not applied to the
attention, so that it sums to one in training too. A query reaches the cells through a trained projection, so "not
trained" limits the head only where there are more classes than the width of a head's queries.

Conventions: cells float32 (n, cells, inputs), in any order; a head does not know where a cell lies unless its features
say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

QUERIES = ("frozen", "learnt", "shared", "uniform")


class Looked(NamedTuple):
    """``logits`` (n, classes); ``attention`` (n, classes, cells): mean over heads, summing to one over cells."""

    logits: Tensor
    attention: Tensor


class GloriHead(nn.Module):
    """Class queries, one layer of cross-attention, a feed-forward layer, a global feature, one linear layer a class.

    Parameters
    ----------
    inputs : int
        Features of a cell.
    classes : int
        Findings, each with its own logit.
    generator : torch.Generator
        Draws the queries; the other weights follow torch's global seed, as every torch layer does.
    width, hidden : int
        Of keys, values and queries; of the feed-forward layer.
    heads : int
        Attention heads; they divide ``width``.
    dropout : float in [0, 1)
        After attention and in the feed-forward layer.
    queries : {"frozen", "learnt", "shared", "uniform"}
        The paper's; trained like other weights; one frozen query for all classes; no query: every cell weighs the same.
        The layers and their sizes are the same in all four.

    Raises
    ------
    ValueError
        For sizes below 1, heads that do not divide the width, dropout outside [0, 1) or unknown queries.

    Examples
    --------
    >>> head = GloriHead(5, 3, generator=torch.Generator().manual_seed(0), width=8, heads=2, hidden=16)
    >>> [tuple(part.shape) for part in head.look(torch.zeros(4, 9, 5))]
    [(4, 3), (4, 3, 9)]
    """

    query: Tensor

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        generator: torch.Generator,
        width: int = 32,
        heads: int = 4,
        hidden: int = 64,
        dropout: float = 0.1,
        queries: str = "frozen",
    ) -> None:
        super().__init__()
        _check_sizes(inputs, classes, width, heads, hidden, dropout, queries)
        self.classes, self.heads, self.queries = classes, heads, queries
        drawn = torch.randn(classes, width, generator=generator)
        if queries == "shared":
            drawn = drawn[:1]
        self.query = nn.Parameter(drawn, requires_grad=queries == "learnt")
        self.enter = nn.Linear(inputs, width)
        self.ask, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.leave = nn.Linear(width, width)
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.randn(classes, width + inputs) / math.sqrt(width + inputs))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, cells: Tensor) -> Tensor:
        """Float (n, cells, inputs) -> logits (n, classes)."""
        return self.look(cells).logits

    def look(self, cells: Tensor, *, order: Sequence[int] | None = None) -> Looked:
        """Logits and where each class looked.

        Parameters
        ----------
        cells : Tensor
            float (n, cells, inputs).
        order : sequence of int, optional
            Class c asks with the query of class ``order[c]``; its linear layer stays its own. Default: its own query.

        Returns
        -------
        Looked

        Raises
        ------
        ValueError
            If cells are not (n, cells >= 1, inputs), or the order does not name a class for every class.
        """
        if cells.ndim != 3 or cells.shape[1] < 1 or cells.shape[2] != self.enter.in_features:
            want = f"(n, cells, {self.enter.in_features})"
            raise ValueError(f"cells must be {want}, got {tuple(cells.shape)}; flatten the map and put features last")
        asked = list(range(self.classes)) if order is None else list(order)
        if len(asked) != self.classes or not set(asked) <= set(range(self.classes)):
            raise ValueError(f"order must hold {self.classes} numbers of classes, got {asked}; use range(classes)")
        query = self.query.expand(self.classes, -1)[asked]  # (classes, width)
        local = functional.relu(self.enter(cells))  # (n, cells, width)
        attention, gathered = self._attend(query, local)
        feature = self.first_norm(query + self.dropout(self.leave(gathered)))  # (n, classes, width)
        feature = self.second_norm(feature + self.dropout(self.feed(feature)))
        overall = cells.mean(1, keepdim=True).expand(-1, self.classes, -1)  # (n, classes, inputs)
        logits = (torch.cat([feature, overall], 2) * self.weight).sum(2) + self.bias
        return Looked(logits, attention)

    def _attend(self, query: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
        """Attention (n, classes, cells) and what it gathers (n, classes, width)."""
        n, count, width = local.shape
        value = self.value(local)  # (n, cells, width)
        if self.queries == "uniform":
            even = local.new_full((n, self.classes, count), 1 / count)
            return even, value.mean(1, keepdim=True).expand(-1, self.classes, -1)
        split = (self.heads, width // self.heads)
        asks = self.ask(query).unflatten(1, split).transpose(0, 1)  # (heads, classes, d)
        keys = self.key(local).unflatten(2, split).permute(0, 2, 3, 1)  # (n, heads, d, cells)
        weights = (asks @ keys / math.sqrt(split[1])).softmax(-1)  # (n, heads, classes, cells)
        gathered = weights @ value.unflatten(2, split).transpose(1, 2)  # (n, heads, classes, d)
        return weights.mean(1), gathered.transpose(1, 2).flatten(2)


def _check_sizes(inputs: int, classes: int, width: int, heads: int, hidden: int, dropout: float, queries: str) -> None:
    for name, value in {"inputs": inputs, "classes": classes, "width": width, "heads": heads, "hidden": hidden}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}; pass a positive whole number")
    if width % heads:
        raise ValueError(f"heads must divide the width, got {heads} heads and width {width}; try {math.gcd(width, 4)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}; write a percentage as a fraction")
    if queries not in QUERIES:
        raise ValueError(f"queries must be one of {', '.join(QUERIES)}, got {queries!r}; choose one of these")
