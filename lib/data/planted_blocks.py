"""Tables whose columns come in correlated blocks, with a planted importance for each block.

Bloch and Friedrich 2022 (SN Computer Science 3, doi:10.1007/s42979-022-01371-y) meet such blocks in volumes of
neighbouring brain regions, where nobody knows the truth. This generator is ours: the log-odds of the class are a
weighted sum over blocks, so the Shapley value of a block in the log-odds is known in closed form.

Conventions: columns stand block by block; all are standard normal; a block's signal is the mean of its columns, scaled
to variance 1; ``groups`` is int64 (d,), 0..g-1, as in `lib.measure.aspect_values`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Blocks", "correlated_blocks", "ordered_pairs"]


@dataclass(frozen=True)
class Blocks:
    """A table in blocks and the truth about it.

    Attributes
    ----------
    X : ndarray, float64 (n, d)
    y : ndarray, int64 (n,), 0 or 1
    groups : ndarray, int64 (d,)
        Block of each column.
    weights : ndarray, float64 (g,), >= 0
        Planted importance of each block; the mean size of its Shapley value in the log-odds is proportional to it.
    log_odds : ndarray, float64 (n,)
        Of class 1.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    log_odds: np.ndarray


def correlated_blocks(
    n: int,
    *,
    sizes: Sequence[int] = (8, 4, 1, 1, 1, 4, 1, 1, 1),
    weights: Sequence[float] = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0, 0.0, 0.0, 0.0),
    correlation: float = 0.8,
    strength: float = 3.0,
    generator: np.random.Generator,
) -> Blocks:
    """Draw a table of blocks: the columns of one share a cause, and act on the class together.

    Parameters
    ----------
    n : int, >= 2
        Rows.
    sizes : sequence of int, >= 1
        Columns of each block.
    weights : sequence of float, >= 0
        Importance of each block, not of each column; at least one above 0.
    correlation : float in [0, 1)
        Between any two columns of a block; columns of different blocks are independent.
    strength : float, > 0
        Standard deviation of the log-odds; 3 leaves about one class in seven to chance.
    generator : numpy.random.Generator

    Returns
    -------
    Blocks

    Raises
    ------
    ValueError
        If a size, weight, the correlation or the strength is out of range, or sizes and weights differ in number.

    Examples
    --------
    >>> found = correlated_blocks(50, sizes=(3, 1), weights=(1.0, 0.5), generator=np.random.default_rng(0))
    >>> found.X.shape, found.groups.tolist()
    ((50, 4), [0, 0, 0, 1])
    """
    counts, planted = np.asarray(sizes, dtype=np.int64), np.asarray(weights, dtype=np.float64)
    if counts.shape != planted.shape or counts.ndim != 1 or counts.size == 0 or counts.min() < 1 or n < 2:
        raise ValueError(
            f"n must be at least 2 and sizes >= 1, one for each weight, got n={n}, {counts.tolist()} and "
            f"{planted.tolist()}; a column alone is a block of size 1"
        )
    if planted.min() < 0 or planted.max() <= 0 or not 0 <= correlation < 1 or strength <= 0:
        raise ValueError(
            f"weights must be >= 0 with one above 0, correlation in [0, 1) and strength > 0, got {planted.tolist()}, "
            f"{correlation} and {strength}"
        )
    groups = np.repeat(np.arange(counts.size), counts)
    shared = generator.standard_normal((n, counts.size))
    own = generator.standard_normal((n, groups.size))
    X = np.sqrt(correlation) * shared[:, groups] + np.sqrt(1 - correlation) * own
    means = X @ np.eye(counts.size)[groups] / counts  # (n, g)
    signals = means / np.sqrt((1 + (counts - 1) * correlation) / counts)
    log_odds = strength * signals @ planted / np.linalg.norm(planted)
    y = (generator.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    return Blocks(X, y, groups, planted, log_odds)


def ordered_pairs(truth: np.ndarray, found: np.ndarray) -> float:
    """Share of the pairs with different truth that an importance puts in the right order.

    Parameters
    ----------
    truth, found : ndarray of shape (g,), finite
        Planted and estimated importance.

    Returns
    -------
    float in [0, 1]
        1 = every pair in order, 0.5 = as by lot, 0 = reversed; a tie in ``found`` counts one half.

    Raises
    ------
    ValueError
        If the shapes differ or the truth is the same everywhere.

    Examples
    --------
    >>> ordered_pairs(np.array([2.0, 1.0, 0.0, 0.0]), np.array([0.5, 0.9, 0.1, 0.2]))
    0.8
    """
    truth, found = np.asarray(truth, dtype=np.float64), np.asarray(found, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != found.shape:
        raise ValueError(f"truth and found must be one number per block each, got {truth.shape} and {found.shape}")
    above = truth[:, None] > truth  # (g, g)
    if not above.any():
        raise ValueError("truth must differ between blocks, got the same number for all; plant unequal weights")
    right = np.sign(found[:, None] - found)[above]
    return float((right + 1).mean() / 2)
