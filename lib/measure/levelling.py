"""Who gains and who pays when groups are made equal: AUC by group, and the penalty at which the gap is closed.

*Levelling down* (Zhang et al. 2022, arXiv:2203.12609; Mittelstadt et al. 2023, arXiv:2302.02404): groups become equal
because the better served ones lose, while nobody gains. It shows where the gap is closed: is the worst group better off
there than without the penalty?

Difference: the weight that closes the gap is read on the other seeds; the seed that is judged has no part in it.

Conventions: a gap is signed, first named group minus second; 0 = equal. Worst and best group are those of each model.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lib.measure import fairness


def by_names(score: ArrayLike, positive: ArrayLike, groups: ArrayLike, names: Sequence[str]) -> dict[str, float]:
    """AUC of named groups, the best and the worst of them, and the gap between the first two.

    Parameters
    ----------
    score, positive : array_like, shape (n,)
        As in `lib.measure.fairness.by_group`.
    groups : array_like of int, shape (n,)
        Codes into ``names``.
    names : sequence of str
        At least two.

    Returns
    -------
    dict of str to float
        One AUC in [0, 1] per name, then "best", "worst" and "gap" (first minus second name). Any of them is NaN where a
        group has too few positives or negatives.

    Raises
    ------
    ValueError
        If a code has no name, or there are fewer than two names.
    """
    codes = np.asarray(groups)
    if len(names) < 2 or not np.isin(codes, np.arange(len(names))).all():
        raise ValueError(f"groups must be codes into at least two names, got codes {np.unique(codes)} and {names}")
    table = fairness.by_group(score, positive, np.asarray(names)[codes]).set_index("group")["auc"]
    each = [float(table.get(name, np.nan)) for name in names]
    return dict(zip(names, each, strict=True)) | {
        "best": float(np.max(each)),
        "worst": float(np.min(each)),
        "gap": each[0] - each[1],
    }


def closing_weights(gaps: pd.DataFrame, *, tolerance: float) -> pd.Series:
    """For every seed the smallest weight that closes the gap on the other seeds.

    Parameters
    ----------
    gaps : DataFrame
        Seeds in rows, weights in columns in rising order; signed gaps.
    tolerance : float
        A mean gap of a smaller size is closed, > 0.

    Returns
    -------
    Series
        One weight per seed. Where none closes the gap, the weight with the smallest mean gap.

    Raises
    ------
    ValueError
        For fewer than two seeds, weights that do not rise, or a tolerance that is not positive.

    Examples
    --------
    >>> gaps = pd.DataFrame({0.0: [0.1, 0.1, 0.1], 1.0: [0.03, 0.01, 0.01], 10.0: [0.0, 0.0, 0.0]})
    >>> closing_weights(gaps, tolerance=0.02).tolist()
    [1.0, 10.0, 10.0]
    """
    if len(gaps) < 2 or not gaps.columns.is_monotonic_increasing or tolerance <= 0:
        raise ValueError(
            f"gaps must hold two seeds or more and rising weights, tolerance must be > 0, got {len(gaps)} seeds, "
            f"{list(gaps.columns)} and {tolerance}; sort the columns"
        )
    chosen = []
    for seed in gaps.index:
        size = gaps.drop(index=seed).mean().abs()
        closed = size.index[size < tolerance]
        chosen.append(closed[0] if len(closed) else size.fillna(np.inf).idxmin())
    return pd.Series(chosen, index=gaps.index, name="weight")


def at_weights(values: pd.DataFrame, weights: pd.Series) -> pd.Series:
    """The value of each seed at its own weight: seeds in rows, weights in columns, as `closing_weights`."""
    table = values.to_numpy(dtype=float)
    places = zip(values.index.get_indexer(weights.index), values.columns.get_indexer(pd.Index(weights)), strict=True)
    found = [table[place] for place in places]
    return pd.Series(found, index=weights.index, name="value")
