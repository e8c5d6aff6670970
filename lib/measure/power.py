"""How small a difference could be seen: half-widths and seeds needed, from the spread of one arm, before any other.

The spread between the seeds of a single arm knows nothing of differences between arms, so it may be looked at first.
Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, section 2, by the normal approximation.

Conventions: two arms of n independent seeds each. Arms that share images, weights and order are paired, and their
differences as a rule vary less; what stands here is then on the careful side.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

LEVEL, POWER = 0.95, 0.8


def half_width(sd: float, n: int) -> float:
    """Half the 95 % interval of a difference between two unpaired arms of ``n`` seeds with this deviation.

    Examples
    --------
    >>> [round(half_width(1.0, n), 2) for n in (3, 5, 8)]
    [2.27, 1.46, 1.07]
    """
    if n < 2:
        return math.nan
    return float(stats.t.ppf((1 + LEVEL) / 2, 2 * n - 2)) * sd * math.sqrt(2 / n)


def seeds_needed(sd: float, effect: float) -> int:
    """Seeds of each arm with which a true difference of ``effect`` is found in four of five studies.

    Raises
    ------
    ValueError
        ``effect`` is zero.

    Examples
    --------
    >>> [seeds_needed(0.5, effect) for effect in (1.0, 0.5, 0.2)]
    [4, 16, 99]
    """
    if effect == 0:
        raise ValueError("effect must not be 0: no number of seeds shows that; ask for equivalence within a margin")
    reach = float(stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(POWER))
    return max(2, math.ceil(2 * (reach * sd / effect) ** 2))


def plan(scores: Mapping[str, Sequence[float]], *, effects: Mapping[str, float]) -> pd.DataFrame:
    """What could be seen of some effects, by the spread of one arm.

    Parameters
    ----------
    scores : mapping of str to floats (n,)
        For each measure, its value for every seed of one arm.
    effects : mapping of str to float
        Differences that somebody might want to see, in the unit of the scores, by name.

    Returns
    -------
    DataFrame, one row per measure
        ``measure``, ``seeds``, ``sd``, ``half_width``, and ``seeds for <effect>`` for each effect.
    """
    rows = []
    for name, values in scores.items():
        sd = float(np.std(np.asarray(values, dtype=float), ddof=1)) if len(values) > 1 else math.nan
        row: dict[str, str | float] = {"measure": name, "seeds": len(values), "sd": sd}
        row["half_width"] = half_width(sd, len(values))
        rows.append(row | {f"seeds for {what}": _needed(sd, size) for what, size in effects.items()})
    return pd.DataFrame(rows)


def _needed(sd: float, effect: float) -> float:
    return float(seeds_needed(sd, effect)) if math.isfinite(sd) else math.nan
