"""Whether the first pick of Sequential Attention follows from the data: how often it repeats, and what it is worth.

Yasuda et al. 2023, Sequential Attention (arXiv:2209.14881). The public code picks before the first phase in which the
logits are trained, so that its first column is the largest of fresh random numbers. A pick that follows from the rows
repeats from seed to seed, and tells more of the classes than a column drawn blindly.

Conventions: the rows stay the same and only the selector's seed changes, so that whatever differs is chance of the
selector. One column of d drawn blindly repeats with probability 1 / d and stands in the middle, at 0.5, on average.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.measure.selector_race import split
from lib.select import SequentialAttention
from lib.select.omp import marginal_strength
from lib.select.response import response, standardised
from lib.select.sequential_attention import SCHEDULES

__all__ = ["first_picks", "repeats", "standing"]


def first_picks(
    *, dataset: str, first_seed: int, n_seeds: int, pick_epochs: int, warmup_epochs: int, device: str = "cpu"
) -> dict[str, Tensor]:
    """First pick of both schedules, for several seeds on the same training rows.

    Parameters
    ----------
    dataset : str
    first_seed, n_seeds : int
        Seeds ``first_seed, first_seed + 1, ...`` of the selector; the rows are those of the first.
    pick_epochs, warmup_epochs, device
        As `lib.measure.selector_race.race`.

    Returns
    -------
    dict of Tensor
        ``corrected`` and ``reference`` int64 (n_seeds,), and ``strength`` float64 (d,), see
        `lib.select.omp.marginal_strength`; NaN for constant columns.
    """
    part = split(dataset, seed=first_seed)
    found = {}
    for name in SCHEDULES:
        options: dict[str, Any] = {
            "schedule": name,
            "epochs": pick_epochs,
            "warmup_epochs": warmup_epochs,
            "device": device,
        }
        seeds = range(first_seed, first_seed + n_seeds)
        chosen = [SequentialAttention(1, random_state=s, **options).fit(part.X, part.y) for s in seeds]
        found[name] = torch.tensor(np.concatenate([one.selection_order_ for one in chosen]))
    strength = marginal_strength(standardised(part.X)[0], response(part.y).indicators)
    return found | {"strength": torch.tensor(strength)}


def standing(strength: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Share of the other columns that a pick beats, ties counted half.

    Parameters
    ----------
    strength : ndarray of shape (d,)
        Larger is better; NaN = not in the race, and last.
    picks : ndarray of shape (n,), int
        Column numbers.

    Returns
    -------
    ndarray of shape (n,), float64, in [0, 1]
        1 = the best column, 0 = the worst; 0.5 on average for columns drawn at random.

    Examples
    --------
    >>> standing(np.array([0.1, 0.5, 0.3]), np.array([1, 2, 0])).tolist()
    [1.0, 0.5, 0.0]
    """
    known = np.where(np.isnan(strength), -np.inf, strength)
    below, equal = known < known[picks][:, None], known == known[picks][:, None]
    return (below.sum(axis=1) + (equal.sum(axis=1) - 1) / 2) / (known.size - 1)


def repeats(picks: np.ndarray) -> dict[str, float]:
    """How much of a pick is chance.

    Parameters
    ----------
    picks : ndarray of shape (n,), int
        The same pick under n seeds, n >= 2.

    Returns
    -------
    dict
        ``agreement``, the share of pairs of seeds with one pick, in [0, 1] (1 = always the same; d equally likely
        columns give 1 / d); ``entropy`` of the observed picks in bits, at most log2(n); ``different``, how many.

    Raises
    ------
    ValueError
        If there are fewer than two picks.

    Examples
    --------
    >>> repeats(np.array([7, 7, 3, 5]))["entropy"], repeats(np.array([7, 7, 3]))["different"]
    (1.5, 2)
    """
    if len(picks) < 2:
        raise ValueError(f"picks must hold at least two, got {len(picks)}; run more seeds")
    counts = np.unique(picks, return_counts=True)[1]
    n, share = len(picks), counts / len(picks)
    agreement = float((counts * (counts - 1)).sum() / (n * (n - 1)))
    return {"agreement": agreement, "entropy": float(-(share * np.log2(share)).sum()), "different": int(counts.size)}
