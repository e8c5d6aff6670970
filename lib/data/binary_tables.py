"""Tables of a few fair binary columns, so small that what any column tells about the class can be enumerated.

The laws are ours. In each the class is made of bits, a bit is one column turned over with some probability, and the
columns are independent fair coins. "pointer": the first column is a bit of the class and names which of two others
is the second bit, so the best second question depends on the first answer. "independent": three bits of three columns,
so what a column tells never depends on another. "silent pointer": the class is the bit that the first column names
among two others, but the first column alone tells nothing. In each, further columns are independent of the class.

Conventions: a law is P(class | row), float64, of shape (2,) * d + (classes,). In :func:`posterior` an axis has a third
place, 2 = the column is not known. Rows for networks hold -1 and +1, which have mean 0 and variance 1. Information is
in nats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["LAWS", "all_rows", "draw", "information", "law", "partial_rows", "posterior"]

UNKNOWN = 2
FLIP = 0.1  # of the bit that a pointer names
FLIPS = (0.05, 0.15, 0.25)  # of the three independent bits
SILENT_FLIP = 0.05
COLUMNS = 6
LAWS = ("pointer", "independent", "silent pointer")


def law(name: str) -> np.ndarray:
    """P(class | row) for every row of six binary columns.

    Parameters
    ----------
    name : {"pointer", "independent", "silent pointer"}
        See the module. The columns that count come first.

    Returns
    -------
    ndarray of shape (2,) * 6 + (classes,), float64
        4, 8 and 2 classes.

    Raises
    ------
    ValueError
        For another name.

    Examples
    --------
    >>> table = law("pointer")  # the first column points, here to the third
    >>> table[1, 0, 1, 0, 0, 0].round(2).tolist()
    [0.0, 0.0, 0.1, 0.9]
    """
    bits = np.moveaxis(np.indices((2,) * COLUMNS), 0, -1)  # (2, ..., 2, d)
    named = np.where(bits[..., 0] == 0, bits[..., 1], bits[..., 2])
    if name == "pointer":
        return _code([bits[..., 0], named], [0.0, FLIP])
    if name == "independent":
        return _code([bits[..., column] for column in range(3)], FLIPS)
    if name == "silent pointer":
        return _code([named], [SILENT_FLIP])
    raise ValueError(f"law must be one of {', '.join(LAWS)}, got {name!r}")


def _code(bits: Sequence[np.ndarray], flips: Sequence[float]) -> np.ndarray:
    """Probabilities of the class whose binary digits are the bits, each turned over with its probability."""
    found = np.ones((*bits[0].shape, 1))
    for bit, flip in zip(bits, flips, strict=True):
        digit = np.stack([np.where(bit == 0, 1 - flip, flip), np.where(bit == 1, 1 - flip, flip)], axis=-1)
        found = (found[..., :, None] * digit[..., None, :]).reshape(*bit.shape, -1)
    return found


def draw(name: str, *, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw rows and classes.

    Parameters
    ----------
    name : str
        One of `LAWS`.
    n : int
    seed : int

    Returns
    -------
    Tensor, float32 (n, d), of -1 and +1
    Tensor, int64 (n,)

    Examples
    --------
    >>> x, y = draw("independent", n=4, seed=0)
    >>> x.shape, sorted(set(x.flatten().tolist()))
    (torch.Size([4, 6]), [-1.0, 1.0])
    """
    generator, table = np.random.default_rng(seed), law(name)
    bits = generator.integers(0, 2, (n, table.ndim - 1))
    chance = table[tuple(bits.T)].cumsum(axis=1)  # (n, classes)
    classes = (generator.random((n, 1)) > chance[:, :-1]).sum(axis=1)
    return torch.from_numpy(2.0 * bits - 1).float(), torch.from_numpy(classes.astype(np.int64))


def all_rows(n_columns: int = COLUMNS) -> Tensor:
    """Every row once, of -1 and +1, in the order of a law's flattened axes: float32 (2 ** d, d)."""
    bits = np.indices((2,) * n_columns).reshape(n_columns, -1).T
    return torch.from_numpy(2.0 * bits - 1).float()


def partial_rows(n_columns: int, *, most: int) -> np.ndarray:
    """Every way of knowing at most some columns.

    Parameters
    ----------
    n_columns : int
    most : int
        Known columns at most.

    Returns
    -------
    ndarray of shape (states, d), int64
        0, 1, or 2 where the column is not known; ``tuple(states.T)`` looks up :func:`posterior`.

    Examples
    --------
    >>> partial_rows(2, most=1).tolist()
    [[0, 2], [1, 2], [2, 0], [2, 1], [2, 2]]
    """
    states = np.indices((3,) * n_columns).reshape(n_columns, -1).T
    return states[(states != UNKNOWN).sum(axis=1) <= most]


def posterior(table: np.ndarray) -> np.ndarray:
    """P(class | known columns) for every set of known columns and their values.

    Parameters
    ----------
    table : ndarray of shape (2,) * d + (classes,)
        A law.

    Returns
    -------
    ndarray of shape (3,) * d + (classes,)
        Place 2 of an axis is the mean of places 0 and 1: the columns are independent and fair.
    """
    for axis in range(table.ndim - 1):
        table = np.concatenate([table, table.mean(axis=axis, keepdims=True)], axis=axis)
    return table


def information(known: np.ndarray) -> np.ndarray:
    """Conditional mutual information of every unknown column with the class, exactly.

    Parameters
    ----------
    known : ndarray of shape (3,) * d + (classes,)
        From :func:`posterior`.

    Returns
    -------
    ndarray of shape (3,) * d + (d,)
        I(class; column | known values), nats, at least 0; NaN where the column is known.

    Examples
    --------
    >>> exact = information(posterior(law("silent pointer")))
    >>> nothing, answered = exact[(2,) * 6], exact[(0,) + (2,) * 5]  # the first column points to the second
    >>> nothing[:3].round(2).tolist(), answered[1:3].round(2).tolist()
    ([0.0, 0.1, 0.1], [0.49, 0.0])
    """
    logs = np.log(np.where(known > 0, known, 1.0))
    entropy = -(known * logs).sum(axis=-1)  # (3, ..., 3)
    found = np.full((*entropy.shape, entropy.ndim), np.nan)
    for column in range(entropy.ndim):
        by_value = np.moveaxis(entropy, column, 0)
        gain = by_value[UNKNOWN] - (by_value[0] + by_value[1]) / 2
        np.moveaxis(found[..., column], column, 0)[UNKNOWN] = np.maximum(gain, 0.0)
    return found
