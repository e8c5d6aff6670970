"""Columns that say nothing of y by themselves and much beside their partner.

Horst 1941 ("suppressor variables"): one column measures a cause of y and a disturbance, its partner the disturbance
alone. The partner is uncorrelated with y, yet subtracting it clears the view; the law is linear, so that second moments
tell all. Differences: several pairs, independent of each other, with equal variances.

Conventions: as `lib.data.planted`; both columns of a pair are relevant.
"""

from __future__ import annotations

import numpy as np

from lib.data.planted import Planted, shuffled_columns

__all__ = ["partners"]


def partners(
    n: int,
    *,
    n_pairs: int = 2,
    n_noise: int = 16,
    disturbance: float = 1.0,
    noise: float = 0.5,
    generator: np.random.Generator,
) -> Planted:
    """y is a sum of causes; a relevant column is a cause plus a disturbance, its partner the disturbance.

    Parameters
    ----------
    n : int, >= 2
        Rows.
    n_pairs : int, >= 1
        Pairs of relevant columns.
    n_noise : int, >= 0
        Standard normal columns.
    disturbance : float, > 0
        Standard deviation of the disturbance, in units of a cause's.
    noise : float, >= 0
        Standard deviation of what is added to y.
    generator : numpy.random.Generator

    Returns
    -------
    Planted
        y is float64; the names of the partners begin with "relevant, partner".

    Raises
    ------
    ValueError
        If a count or a deviation is out of range.

    Examples
    --------
    >>> found = partners(2000, n_pairs=1, n_noise=0, noise=0.0, generator=np.random.default_rng(0))
    >>> cause, partner = (found.names.index(name) for name in ("relevant, cause 0", "relevant, partner 0"))
    >>> bool(abs(np.corrcoef(found.X[:, partner], found.y)[0, 1]) < 0.1)
    True
    >>> bool(np.allclose(found.X[:, cause] - found.X[:, partner], found.y))
    True
    """
    if n < 2 or n_pairs < 1 or n_noise < 0 or not disturbance > 0 or noise < 0:
        raise ValueError(
            "n >= 2, n_pairs >= 1, n_noise >= 0, disturbance > 0 and noise >= 0 are needed, got "
            f"{n}, {n_pairs}, {n_noise}, {disturbance} and {noise}"
        )
    causes = generator.standard_normal((n, n_pairs))
    disturbances = disturbance * generator.standard_normal((n, n_pairs))
    X = np.hstack([causes + disturbances, disturbances, generator.standard_normal((n, n_noise))])
    y = causes.sum(axis=1) + noise * generator.standard_normal(n)
    kinds = ["relevant, cause"] * n_pairs + ["relevant, partner"] * n_pairs + ["noise"] * n_noise
    return shuffled_columns(X, y, kinds, generator)
