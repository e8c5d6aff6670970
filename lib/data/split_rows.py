"""Rows for training, for a test and many fresh ones that judge both, with idle columns and with shuffled targets.

Shi et al. 2024, ChaosMining (arXiv:2406.12150) add columns of noise to symbolic tables; here idle columns can also
stand in a real table, as shuffled copies of its own ("probes": Guyon et al. 2005, NIPS 2003 challenge). Targets without
meaning are copies of the true ones whose rows are shuffled within each part.

Conventions: parts are `lib.data.formulas.FormulaRows`, several targets share their rows; true targets come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.data.formulas import Formula, FormulaRows, formula_rows, relevance

__all__ = ["Split", "formula_split", "table_split"]


@dataclass(frozen=True)
class Split:
    """One draw of rows.

    Attributes
    ----------
    train, test, fresh : FormulaRows
        Disjoint rows; only the first may be learned from.
    shown, relevant : Tensor, bool (targets, columns)
        Columns that each target's networks may see, and those of them that are not idle.
    null : Tensor, bool (targets,)
        True where the target was shuffled.
    """

    train: FormulaRows
    test: FormulaRows
    fresh: FormulaRows
    shown: Tensor
    relevant: Tensor
    null: Tensor


def formula_split(
    formulas: Sequence[Formula], *, seed: int, n_train: int, n_test: int, n_fresh: int, n_noise: int, n_null: int
) -> Split:
    """Formulas as targets, each shown its own columns and the same idle ones.

    Parameters
    ----------
    formulas : sequence of Formula
    seed : int
    n_train, n_test, n_fresh, n_noise : int
        Rows of the parts, and idle columns.
    n_null : int, >= 0
        Shuffled targets, copies of the true ones in turn.

    Returns
    -------
    Split
        Targets in their own unit.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    sizes = {"train": n_train, "test": n_test, "fresh": n_fresh}
    parts = [formula_rows(n=n, n_noise=n_noise, seed=seed, part=part, formulas=formulas) for part, n in sizes.items()]
    relevant, shown = relevance(formulas, n_noise=n_noise)
    return _with_null([(each.x, each.y) for each in parts], shown, relevant, n_null=n_null, seed=seed)


def table_split(
    X: np.ndarray, y: np.ndarray, *, seed: int, n_train: int, n_test: int, n_noise: int, n_null: int
) -> Split:
    """A table with probes; the rows that neither train nor test are fresh.

    Parameters
    ----------
    X : ndarray of shape (n, d), finite
        Columns are standardised by the training rows.
    y : ndarray of shape (n,)
        Numbers, standardised in the same way; classes count as the numbers of their codes.
    seed : int
    n_train, n_test : int
        Together fewer than n.
    n_noise : int, >= 0
        Probes: the columns in turn, each with its own order of rows.
    n_null : int, >= 0
        Shuffled copies of y.

    Returns
    -------
    Split
        ``relevant`` are the columns of the table itself, of which nobody knows whether they are.

    Raises
    ------
    ValueError
        If there are too few rows.
    """
    n, d = X.shape
    if min(n_train, n_test) < 1 or n_train + n_test >= n:
        raise ValueError(
            f"n_train + n_test must be below {n}, the rows, got {n_train} + {n_test}; fresh rows are needed"
        )
    rng = np.random.default_rng([seed, 77])
    probes = [rng.permutation(X[:, i % d]) for i in range(n_noise)]
    cut = np.split(rng.permutation(n), [n_train, n_train + n_test])
    both = np.column_stack([X, *probes, y]).astype(np.float64)
    mean, spread = both[cut[0]].mean(axis=0), both[cut[0]].std(axis=0)
    scaled = torch.from_numpy((both - mean) / np.where(spread > 0, spread, 1.0)).float()
    shown = torch.ones(1, d + n_noise, dtype=torch.bool)
    relevant = (torch.arange(d + n_noise) < d)[None]
    parts = [(scaled[rows, :-1], scaled[rows, -1:]) for rows in map(torch.from_numpy, cut)]
    return _with_null(parts, shown, relevant, n_null=n_null, seed=seed)


def _with_null(
    parts: Sequence[tuple[Tensor, Tensor]], shown: Tensor, relevant: Tensor, *, n_null: int, seed: int
) -> Split:
    generator = torch.Generator().manual_seed(seed)
    n_true = len(shown)
    copies = torch.tensor([i % n_true for i in range(n_null)], dtype=torch.int64)
    made = []
    for x, y in parts:
        orders = [torch.randperm(len(y), generator=generator) for _ in copies]
        shuffled = [y[order, i] for order, i in zip(orders, copies.tolist(), strict=True)]
        targets = torch.column_stack([y, *shuffled])
        made.append(FormulaRows(x, targets, targets, ()))
    null = torch.arange(n_true + n_null) >= n_true
    train, test, fresh = made
    return Split(train, test, fresh, torch.cat([shown, shown[copies]]), torch.cat([relevant, relevant[copies]]), null)
