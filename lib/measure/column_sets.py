"""What sets of columns are worth to a small network: test accuracy after training it anew on each set alone.

The judge of Yasuda et al. 2023, Sequential Attention (arXiv:2209.14881, experiments): a network with one hidden layer
of 67 rectified units, trained on the chosen columns and tested on rows that the choice has not seen.

Differences: one optimiser, schedule and number of passes for all tables, where the paper tunes them for each; all sets
are trained side by side, from the same first weights where they are of one size and on the same batches, so that their
accuracies pair.

Conventions: rows are standardised by the training rows; accuracy is a share in [0, 1]; gradients are not clipped, since
a common norm would tie the networks together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lib.models.column_stack import ColumnStack
from lib.train import fit

__all__ = ["WIDTH", "set_accuracies"]

WIDTH = 67


def set_accuracies(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    sets: Sequence[Sequence[int] | np.ndarray],
    *,
    epochs: int,
    seed: int,
    batch_size: int = 128,
    lr: float = 1e-2,
    width: int = WIDTH,
    device: str = "cpu",
) -> np.ndarray:
    """Train one network on each set of columns and test it.

    Parameters
    ----------
    train, test : tuple of ndarray (n, d) and ndarray int64 (n,)
        Rows and classes 0..k-1; finite.
    sets : sequence of int sequences
        Column numbers of each set. The largest decides the work for all: give sets of very different sizes in turn.
    epochs, batch_size : int
        Passes over the training rows, rows in a step.
    seed : int
        First weights and batches, the same for all sets.
    lr : float
        Peak learning rate.
    width : int
        Units of the hidden layer.
    device : str

    Returns
    -------
    ndarray of shape (len(sets),), float64, in [0, 1]
        Share of test rows whose class is named; 1 / classes by chance where classes are of one size.

    Raises
    ------
    ValueError
        If a set is empty, or a column is not there.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> rows, classes = (X[:200], X[200:]), (X[:, 2] > 0).astype(np.int64)
    >>> found = set_accuracies((rows[0], classes[:200]), (rows[1], classes[200:]), [[2], [0]], epochs=20, seed=0)
    >>> bool(found[0] > 0.9 > 0.7 > found[1])
    True
    """
    (X, y), (X_test, y_test) = train, test
    columns = np.concatenate([np.asarray(one, dtype=np.int64) for one in sets]) if len(sets) else np.zeros(0)
    if columns.size == 0 or columns.min() < 0 or columns.max() >= X.shape[1]:
        raise ValueError(f"sets must hold column numbers in 0..{X.shape[1] - 1}, got others or none; count from 0")
    mean, scale = X.mean(axis=0), np.where(np.ptp(X, axis=0) > 0, X.std(axis=0), 1.0)
    rows, held = (torch.tensor((one - mean) / scale, dtype=torch.float32, device=device) for one in (X, X_test))
    numbers = [[int(column) for column in one] for one in sets]
    model = ColumnStack(numbers, classes=int(y.max()) + 1, width=width, seed=seed)
    fit(
        model, _loss, (rows, torch.tensor(y, device=device)), epochs=epochs, batch_size=batch_size, lr=lr,
        generator=torch.Generator().manual_seed(seed), weight_decay=0.0, clip=0.0, precision="float32", compile="off",
    )  # fmt: skip
    with torch.no_grad():
        answers = model(held).argmax(2)  # (g, n)
    return (answers.cpu().numpy() == y_test).mean(axis=1)


def _loss(model: Any, batch: tuple[Tensor, ...], generator: Any) -> Tensor:
    rows, target = batch
    logits = model(rows)  # (g, n, classes)
    each = cross_entropy(logits.flatten(0, 1), target.repeat(len(logits)), reduction="none")
    return each.sum() / len(rows)  # a mean over rows, summed over networks: none sees the others
