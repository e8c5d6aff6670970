"""A target planted on the columns of a given table: real dependence between columns, known parents.

Quinzan et al. 2023 (DRCFS, arXiv:2306.07024) test on semi-synthetic tables as well. Differences: theirs are not rebuilt
here; the law is ours, a broken line through the quintiles of each parent, so that heavy tails and integers do no harm.

Conventions: as `lib.data.planted`. All columns but the parents are called redundant: on real columns nothing is known
to be independent of them.
"""

from __future__ import annotations

import numpy as np

from lib.data.planted import Planted

__all__ = ["planted_target"]

QUANTILES = (0.02, 0.2, 0.4, 0.6, 0.8, 0.98)


def planted_target(X: np.ndarray, *, n_parents: int = 3, noise: float = 1.0, generator: np.random.Generator) -> Planted:
    """y = a random curve of each of a few random columns, plus Gaussian noise.

    Parameters
    ----------
    X : ndarray of shape (n, d), finite
        Left as it is.
    n_parents : int, in 1..d
        Drawn among the columns that vary.
    noise : float, > 0
        Standard deviation of the noise; the sum over the parents has variance 1.
    generator : numpy.random.Generator

    Returns
    -------
    Planted
        y is float64, ``relevant`` are the parents, ``names`` say which; the graph holds the edges into y alone.

    Raises
    ------
    ValueError
        If ``n_parents`` or ``noise`` is out of range.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> found = planted_target(X, n_parents=2, generator=np.random.default_rng(1))
    >>> found.parents.tolist() == found.relevant.tolist(), found.y.shape
    (True, (50,))
    """
    n, d = X.shape
    varying = np.flatnonzero(np.ptp(X, axis=0) > 0)
    if not 1 <= n_parents <= varying.size or noise <= 0:
        raise ValueError(
            f"n_parents in 1..{varying.size}, the columns that vary, and noise > 0 are needed, got {n_parents} and "
            f"{noise}"
        )
    parents = np.sort(generator.choice(varying, n_parents, replace=False))
    total = sum((_broken_line(X[:, column], generator) for column in parents), np.zeros(n))
    spread = total.std()
    y = (total - total.mean()) / (spread if spread > 0 else 1.0) + noise * generator.standard_normal(n)
    graph = np.zeros((d + 1, d + 1), dtype=bool)
    graph[parents, -1] = True
    others = np.setdiff1d(np.arange(d), parents)
    places = {int(column): f"relevant {i}" for i, column in enumerate(parents)}
    places |= {int(column): f"redundant {i}" for i, column in enumerate(others)}
    return Planted(np.asarray(X, dtype=np.float64), y, parents, others, tuple(places[j] for j in range(d)), graph)


def _broken_line(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A curve through random heights at quantiles, level beyond them, of variance 1."""
    knots = np.unique(np.quantile(x, QUANTILES))
    if knots.size == 1:  # nearly all rows are equal
        knots = np.array([x.min(), x.max()])
    heights = np.cumsum(generator.choice([-1.0, 1.0]) + generator.standard_normal(knots.size))
    curve = np.interp(x, knots, heights)
    return (curve - curve.mean()) / max(float(curve.std()), 1e-12)
