"""Points of the unit cube from which black-box methods make their masks: quasi-random or plain.

Sobol' 1967 (sequences with base 2) and Owen 1998 (scrambling); Halton 1960; McKay, Beckman & Conover 1979 (Latin
hypercube); all from scipy.stats.qmc.

Conventions: points are float64 (n, d) in [0, 1); a whole number seeds them, so that the same seed gives every image
the points it would have got alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc

Points = Literal["sobol", "halton", "lhs", "mc"]
POINTS: tuple[Points, ...] = ("sobol", "halton", "lhs", "mc")


def draw_seed(generator: torch.Generator) -> int:
    """A seed for `unit_points` from a generator, which moves on by one draw.

    Examples
    --------
    >>> draw_seed(torch.Generator().manual_seed(0)) == draw_seed(torch.Generator().manual_seed(0))
    True
    """
    return int(torch.randint(2**62, (), generator=generator))


def unit_points(n: int, d: int, *, points: Points, seed: int) -> NDArray[np.float64]:
    """Draw n points in d dimensions.

    Parameters
    ----------
    n, d : int
        At least 1; for "sobol" n is a power of two, the sizes at which a Sobol' sequence is balanced.
    points : {"sobol", "halton", "lhs", "mc"}
        Scrambled Sobol' or Halton sequence, Latin hypercube, or independent uniform values.
    seed : int

    Returns
    -------
    ndarray, float64 (n, d), [0, 1)

    Raises
    ------
    ValueError
        Unknown kind, a size below 1, or a Sobol' sequence of another length.

    Examples
    --------
    >>> unit_points(4, 2, points="sobol", seed=0).shape
    (4, 2)
    """
    if points not in POINTS:
        raise ValueError(f"points must be one of {POINTS}, got {points!r}; sobol converges fastest")
    if n < 1 or d < 1:
        raise ValueError(f"n and d must be at least 1, got n={n}, d={d}; use e.g. n=32")
    if points == "sobol" and n & (n - 1):
        raise ValueError(
            f"n must be a power of two for points='sobol', got {n}; use {1 << (n - 1).bit_length()} or points='halton'"
        )
    rng = np.random.default_rng(seed)
    if points == "mc":
        return rng.random((n, d))
    if points == "sobol":
        return qmc.Sobol(d, scramble=True, rng=rng).random(n)
    if points == "halton":
        return qmc.Halton(d, scramble=True, rng=rng).random(n)
    return qmc.LatinHypercube(d, rng=rng).random(n)
