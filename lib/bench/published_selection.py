"""Published ways to select columns, stated anew: peers of `lib.bench.select`.

As in `lib.bench.published`, each function follows the public code of its paper step by step, in our words: the loops
over pairs, candidates and weights stay loops, because these are what is measured; nothing is added. Where the public
code computes something other than its paper, the step is the paper's at the code's cost, and the function says so.

Conventions: tables are (n, d), rows are cases; information is in bits, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import log

import numpy as np
from scipy import sparse, stats

Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]


def infinite_paths(X: np.ndarray, *, alpha: float) -> np.ndarray:
    """Scores of Infinite Feature Selection, pair by pair: PyIFS 0.0.3 (InfFS.infFS, unsupervised).

    There the correlation enters with its sign and as a likeness; here it is 1 - |correlation|, as in the paper, which
    takes as many steps. Its module lacks two imports, so the public function itself stops before its first loop.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    alpha : float in [0, 1]
        Weight of the spread.

    Returns
    -------
    ndarray of shape (d,), larger is better
    """
    found, _ = stats.spearmanr(X)
    unlike = _without_nan(1 - np.abs(found))
    spread = _without_nan(_divided(_lowered(_larger_of_both(np.std(X, ddof=1, axis=0)))))
    A = alpha * spread + (1 - alpha) * unlike
    identity = np.identity(len(A))
    r = 0.9 / max(np.linalg.eigvals(A).real)
    return (np.linalg.inv(identity - r * A) - identity).sum(axis=1)


def _larger_of_both(spread: np.ndarray) -> np.ndarray:
    pairs = np.zeros((len(spread), len(spread)))
    for i in range(len(spread)):
        for j in range(len(spread)):
            pairs[i, j] = spread[i] if spread[i] > spread[j] else spread[j]
    return pairs


def _lowered(pairs: np.ndarray) -> np.ndarray:
    least = np.inf
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            if pairs[i, j] < least:
                least = pairs[i, j]
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            pairs[i, j] = pairs[i, j] - least
    return pairs


def _divided(pairs: np.ndarray) -> np.ndarray:
    most = -1.0
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            if pairs[i, j] > most:
                most = pairs[i, j]
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            pairs[i, j] = pairs[i, j] / most
    return pairs


def _without_nan(pairs: np.ndarray) -> np.ndarray:
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            if np.isnan(pairs[i, j]) or pairs[i, j] < -1 or pairs[i, j] > 1:
                pairs[i, j] = 0
    return pairs


def information_order(X: np.ndarray, y: np.ndarray, *, size: int, criterion: str) -> np.ndarray:
    """Greedy mRMR, JMI or CMIM, one candidate at a time: jundongl/scikit-feature 3db8392 (LCSI.lcsi, CMIM.cmim).

    Parameters
    ----------
    X : ndarray of shape (n, d), int
        Codes.
    y : ndarray of shape (n,), int
    size : int
        Columns to pick.
    criterion : {"mrmr", "jmi", "cmim"}

    Returns
    -------
    ndarray of shape (size,), int64
        Columns in the order of the picks.
    """
    columns = X.shape[1]
    relevance = np.array([_information(X[:, i], y) for i in range(columns)])
    redundant, conditional = np.zeros(columns), np.zeros(columns)
    worst = np.full(columns, -1e7)
    picked = [int(np.argmax(relevance))]
    while len(picked) < size:
        last, best, found = X[:, picked[-1]], -1e12, -1
        beta = 1.0 / len(picked)
        gamma = beta if criterion == "jmi" else 0.0
        for i in range(columns):
            if i in picked:
                continue
            alone, given = _information(last, X[:, i]), _conditional_information(last, X[:, i], y)  # both in any case
            redundant[i] += alone
            conditional[i] += given
            worst[i] = max(worst[i], alone - given)
            value = relevance[i] - (worst[i] if criterion == "cmim" else beta * redundant[i] - gamma * conditional[i])
            if value > best:
                best, found = value, i
        picked.append(found)
    return np.array(picked, dtype=np.int64)


def _entropy(values: Iterable[object]) -> float:
    seen = list(values)
    counts: dict[object, int] = {}
    for one in seen:
        counts[one] = counts.get(one, 0) + 1
    shares = [count / len(seen) for count in counts.values()]
    return -sum(share * log(share) for share in shares if share < 1) / log(2)


def _information(a: np.ndarray, b: np.ndarray) -> float:
    return -_entropy(zip(a, b, strict=True)) + _entropy(a) + _entropy(b)


def _conditional_information(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> float:
    joint = _entropy(zip(b, given, strict=True)) + _entropy(zip(a, given, strict=True))
    return joint - _entropy(zip(a, b, given, strict=True)) - _entropy(given)


@dataclass
class SparseNetwork:
    """The sparse autoencoder of QuickSelection as published (zahraatashgahi/QuickSelection 04bfea8, Sparse_DAE).

    Parameters
    ----------
    weights : list of two csr_matrix
        (d, hidden) and (hidden, d); cases are rows.
    kernel : callable
        ``kernel(activity, delta, rows, columns, out)`` writes the mean over cases of activity x delta at each weight;
        the published one is compiled, see :func:`compiled_kernel`.
    dropout : float in [0, 1)

    Notes
    -----
    A gradient gets memory of its own here; with today's SciPy the published code writes it into the weights.
    """

    weights: list[sparse.csr_matrix]
    kernel: Kernel
    dropout: float = 0.2
    biases: list[np.ndarray] = field(default_factory=list)
    speeds: list[sparse.csr_matrix | None] = field(default_factory=lambda: [None, None])
    drifts: list[np.ndarray | None] = field(default_factory=lambda: [None, None])

    def __post_init__(self) -> None:
        self.biases = self.biases or [np.zeros(one.shape[1]) for one in self.weights]

    def gradients(self, noisy: np.ndarray, clean: np.ndarray, rng: np.random.RandomState) -> list[tuple]:
        """Slopes (csr_matrix, delta of the cases) of both layers, the first layer's first."""
        before = noisy @ self.weights[0] + self.biases[0]
        hidden = 1 / (1 + np.exp(-before))
        if self.dropout:
            kept = rng.rand(*hidden.shape)
            kept[kept >= self.dropout] = 1
            kept[kept < self.dropout] = 0
            hidden = kept * hidden
        delta = hidden @ self.weights[1] + self.biases[1] - clean
        outer = self._slope(1, hidden, delta)
        squashed = 1 / (1 + np.exp(-before))
        inner = (delta @ self.weights[1].transpose()) * (squashed * (1 - 1 / (1 + np.exp(-before))))
        return [(self._slope(0, noisy, inner), inner), (outer, delta)]

    def _slope(self, layer: int, activity: np.ndarray, delta: np.ndarray) -> sparse.csr_matrix:
        found = sparse.coo_matrix(self.weights[layer], copy=True)
        self.kernel(activity, delta, found.row, found.col, found.data)
        return found.tocsr()

    def step(self, slopes: list[tuple], *, rate: float, momentum: float, decay: float) -> None:
        """Momentum and decay, with new sparse matrices for every sum."""
        for layer, (slope, delta) in enumerate(slopes):
            speed, drift = self.speeds[layer], self.drifts[layer]
            push, lean = -rate * slope, -rate * np.mean(delta, 0)
            speed = push if speed is None else momentum * speed + push
            drift = lean if drift is None else momentum * drift + lean
            self.speeds[layer], self.drifts[layer] = speed, drift
            self.weights[layer] = self.weights[layer] + (speed - decay * self.weights[layer])
            self.biases[layer] = self.biases[layer] + (drift - decay * self.biases[layer])

    def epoch(self, noisy: np.ndarray, clean: np.ndarray, *, batch_size: int, rng: np.random.RandomState) -> None:
        """All full batches once, with the paper's rate, momentum and decay."""
        order = rng.permutation(len(clean))
        noisy, clean = noisy[order], clean[order]
        for start in range(0, len(clean) - batch_size + 1, batch_size):
            rows = slice(start, start + batch_size)
            self.step(self.gradients(noisy[rows], clean[rows], rng), rate=0.01, momentum=0.9, decay=1e-5)


def mean_products(
    activity: np.ndarray, delta: np.ndarray, rows: np.ndarray, columns: np.ndarray, out: np.ndarray
) -> None:
    """The published loop over weights and cases: the mean over cases of activity x delta at every weight."""
    for i in range(out.shape[0]):
        total = 0.0
        for j in range(activity.shape[0]):
            total += activity[j, rows[i]] * delta[j, columns[i]]
        out[i] = total / activity.shape[0]


def compiled_kernel() -> Kernel:
    """:func:`mean_products`, compiled by numba where theirs is by Cython."""
    from numba import njit

    compiled: Kernel = njit(mean_products)
    return compiled
