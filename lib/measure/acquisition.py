"""Networks that ask for columns, from literals to weights: on real tables, and on laws whose information is known.

Gadgil, Covert and Lee, ICLR 2024 (arXiv:2306.03301, DIME); training is that of `lib.select.dime_networks`. For a rival
that asks every row for the same columns there is a predictor of the same shape, trained on the first columns of its
order alone (`train_for_order`): each fixed choice gets weights of its own, as a separate model for each would have.

Differences from the paper: tables are split here by individual where rows of one individual share a group; missing
values become the training rows' median and columns that do not vary among the training rows are left out. The
predictor alone trains for a fixed, long time before the joint stages, rather than until it stops to improve. Costs are
drawn, since these tables have none, and come in when a column is asked for, not in training.

Conventions: rows are standardised with the training rows' mean and deviation, float32 (n, d). ``seed`` decides split,
costs, first weights and order of rows; the share of test rows is one third, so there are half as many as training rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lib.data.binary_tables import draw, law
from lib.data.tables import Table, table
from lib.select.dime_networks import Columns, Dime, Schedule, train_dime
from lib.train import fit

__all__ = [
    "Rows", "asking_network", "drawn_costs", "table_rows", "train_for_order", "train_on_law", "train_on_table",
    "unit_columns",
]  # fmt: skip

TEST_SHARE = 1 / 3
WIDTH, DEPTH = 64, 2
BATCH, RATE = 256, 0.01  # tables: large batches, since a step costs the same
LAW_BATCH, LAW_RATE = 512, 5e-3


@dataclass(frozen=True)
class Rows:
    """A table, split and standardised.

    Attributes
    ----------
    x, x_test : Tensor, float32 (n, d) and (m, d)
    y, y_test : Tensor, int64 (n,) and (m,)
    n_classes : int
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    n_classes: int


def table_rows(id: str, *, seed: int, n_rows: int) -> Rows:
    """Split a table, individuals whole, every class in both parts; impute and standardise by the training rows.

    Parameters
    ----------
    id : str
        See `lib.data.table`.
    seed : int
        Of the split.
    n_rows : int
        Rows that take part at most, a random share of them all.

    Returns
    -------
    Rows

    Examples
    --------
    >>> rows = table_rows("breast-cancer", seed=0, n_rows=300)
    >>> tuple(rows.x.shape), tuple(rows.x_test.shape), bool(rows.x.mean(0).abs().max() < 1e-5)
    ((200, 30), (100, 30), True)
    """
    found, rng = table(id, missing="keep"), np.random.default_rng(seed)
    train, test = _split(found, n_rows, rng)
    X = np.where(np.isnan(found.X), np.nanmedian(found.X[train], axis=0), found.X)
    X = X[:, np.ptp(X[train], axis=0) > 0]
    X = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
    x, y = torch.from_numpy(X).float(), torch.from_numpy(found.y)
    return Rows(x[train], y[train], x[test], y[test], len(found.classes))


def _split(found: Table, n_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of training and test; of every class a third of the individuals, rounded, is test."""
    groups = np.arange(found.y.size) if found.groups is None else found.groups
    one_of_each, first = np.unique(groups, return_index=True)
    if found.groups is None and n_rows < groups.size:
        one_of_each = first = np.sort(rng.permutation(groups.size)[:n_rows])
    of_test = []
    for label in np.unique(found.y):
        members = rng.permutation(one_of_each[found.y[first] == label])
        of_test.append(members[: round(TEST_SHARE * members.size)])
    taken, tested = np.isin(groups, one_of_each), np.isin(groups, np.concatenate(of_test))
    return np.flatnonzero(taken & ~tested), np.flatnonzero(taken & tested)


def drawn_costs(n_columns: int, *, ratio: float, seed: int) -> Tensor:
    """Costs with mean 1, log-uniform so that the dearest column may cost ``ratio`` times the cheapest.

    Parameters
    ----------
    n_columns : int
    ratio : float, >= 1
        1 = all cost the same.
    seed : int

    Returns
    -------
    Tensor, float32 (n_columns,)

    Examples
    --------
    >>> drawn_costs(3, ratio=1.0, seed=0).tolist()
    [1.0, 1.0, 1.0]
    """
    if not ratio >= 1:
        raise ValueError(f"ratio must be at least 1, got {ratio}; it is the dearest cost over the cheapest")
    logs = np.random.default_rng([seed, 1]).uniform(0, np.log(ratio), n_columns)
    costs = np.exp(logs)
    return torch.from_numpy(costs / costs.mean()).float()


def unit_columns(n_columns: int, *, questions: int, costs: Tensor | None = None) -> Columns:
    """All columns may be asked for, none is known from the start; every cost is 1 where none are given."""
    costs = torch.ones(n_columns) if costs is None else costs
    none = torch.zeros(n_columns, dtype=torch.bool)
    return Columns(costs, none, ~none, min(questions, n_columns))


def train_on_table(
    id: str, *, seed: int, n_rows: int, questions: int, pretrain_epochs: int, epochs: int
) -> dict[str, Tensor]:
    """Train predictor and value network on the training rows of a table.

    Parameters
    ----------
    id, seed, n_rows
        As :func:`table_rows`.
    questions : int
        Questions per row in training, d where there are fewer columns.
    pretrain_epochs, epochs : int
        Of the predictor alone, and of each of three joint stages.

    Returns
    -------
    dict of str to Tensor
        Weights, for :func:`asking_network`.
    """
    rows = table_rows(id, seed=seed, n_rows=n_rows)
    columns = unit_columns(rows.x.shape[1], questions=questions)
    schedule = Schedule(pretrain_epochs, epochs, lr=RATE, batch_size=BATCH)
    return _weights(rows.x, rows.y, rows.n_classes, columns, schedule, seed)


def train_on_law(
    name: str, *, seed: int, n_rows: int, questions: int, pretrain_epochs: int, epochs: int
) -> dict[str, Tensor]:
    """Train both networks on rows drawn from a law of `lib.data.binary_tables`.

    Parameters
    ----------
    name : str
        One of `lib.data.binary_tables.LAWS`.
    seed, n_rows, questions, pretrain_epochs, epochs
        As :func:`train_on_table`; the rows are drawn anew for each seed.

    Returns
    -------
    dict of str to Tensor
    """
    x, y = draw(name, n=n_rows, seed=seed)
    columns = unit_columns(x.shape[1], questions=questions)
    schedule = Schedule(pretrain_epochs, epochs, lr=LAW_RATE, batch_size=LAW_BATCH)
    return _weights(x, y, law(name).shape[-1], columns, schedule, seed)


def _weights(
    x: Tensor, y: Tensor, n_classes: int, columns: Columns, schedule: Schedule, seed: int
) -> dict[str, Tensor]:
    sizes = {"n_classes": n_classes, "width": WIDTH, "depth": DEPTH}
    return train_dime(x, y, columns=columns, schedule=schedule, seed=seed, **sizes).state_dict()


def asking_network(weights: dict[str, Tensor]) -> Dime:
    """The networks of :func:`train_on_table`, :func:`train_on_law` or :func:`train_for_order`, in eval mode.

    Examples
    --------
    >>> network = asking_network(Dime(3, 2, width=WIDTH, depth=DEPTH).state_dict())
    >>> network(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool))[0].shape
    torch.Size([1, 2])
    """
    ends = [name for name in weights if name.endswith("bias")]
    n_classes = weights[[name for name in ends if name.startswith("predictor")][-1]].numel()
    n_columns = weights[[name for name in ends if name.startswith("value")][-1]].numel()
    model = Dime(n_columns, n_classes, width=WIDTH, depth=DEPTH)
    model.load_state_dict(weights)
    return model.eval()


@dataclass(frozen=True)
class _FirstColumns:
    """Cross entropy of the prediction from the first columns of an order, every number of them equally likely."""

    place: Tensor  # int64 (d,), 0 = first
    least: int
    most: int

    def __call__(self, model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        x, y = batch
        size = torch.randint(self.least, self.most + 1, (len(x), 1), generator=generator).to(x.device)
        return cross_entropy(model(x, self.place < size)[0], y)


def train_for_order(rows: Rows, order: Tensor, *, epochs: int, seed: int, least: int = 0) -> Dime:
    """Train a predictor for one fixed order of columns: it sees their first ones only, some number of them each time.

    Parameters
    ----------
    rows : Rows
    order : Tensor, int64 (k,)
        Different columns, first = asked for first.
    epochs : int
    seed : int
    least : int in 0..k
        Smallest number of columns; k = always all of them.

    Returns
    -------
    Dime
        Its value network is not trained.

    Raises
    ------
    ValueError
        If a column comes twice, or ``least`` is out of range.
    """
    n_columns, most = rows.x.shape[1], order.numel()
    if order.unique().numel() != most or not 0 <= least <= most:
        raise ValueError(
            f"order must hold different columns, at least {least} of them, got {order.tolist()}; name each column once"
        )
    place = torch.full((n_columns,), n_columns)
    place[order] = torch.arange(most)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Dime(n_columns, rows.n_classes, width=WIDTH, depth=DEPTH)
    generator, loss = torch.Generator().manual_seed(seed), _FirstColumns(place, least, most)
    fit(
        model, loss, (rows.x, rows.y), epochs=epochs, generator=generator, batch_size=BATCH,
        lr=RATE, weight_decay=0.0,
    )  # fmt: skip
    return model
