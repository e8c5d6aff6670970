"""Weights that resample a test set to equal prevalence in every group, and to an equal mix of another attribute.

Paper: Glocker et al. 2023, arXiv:2110.14755, which draws test films with replacement until groups agree in prevalence
and in age within each label. Difference: every row gets the weight that such a draw gives it on average, so nothing is
added by chance. What cannot change under a weight is worth knowing: within one group and one label all rows weigh the
same when only prevalence is balanced, so the group's rates at a fixed threshold, and its AUC, stay what they were.

Conventions: weights sum to the number of rows; 0 = the row's cell has no counterpart in another group.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lib.measure.fairness import MINIMUM
from lib.measure.fairness_thresholds import at_fpr, rates


def weights(positive: ArrayLike, groups: ArrayLike, *, strata: ArrayLike | None = None) -> NDArray[np.float64]:
    """Weight of every row after which all groups have the same prevalence, and the same strata within each label.

    Parameters
    ----------
    positive : array_like of bool or 0/1, shape (n,)
    groups : array_like, shape (n,)
        The group of each row; every group ends with the same weight in all.
    strata : array_like, shape (n,), optional
        Age band, view, or another attribute to equalise within each (group, label). A stratum counts only where
        every group has rows of it with that label; the target is its share over all rows that count.

    Returns
    -------
    ndarray of float64, shape (n,)
        Sums to n, unless a label is left without a common stratum: then all weights are NaN.

    Raises
    ------
    ValueError
        If the shapes differ or a label is neither 0 nor 1.

    Examples
    --------
    >>> weights([1, 0, 0, 1, 1, 0], list("AAABBB")).round(2).tolist()
    [1.5, 0.75, 0.75, 0.75, 0.75, 1.5]
    """
    labels, names = np.asarray(positive), np.asarray(groups)
    bands = np.zeros(labels.shape) if strata is None else np.asarray(strata)
    if labels.ndim != 1 or not labels.shape == names.shape == bands.shape:
        shapes = f"{labels.shape}, {names.shape}, {bands.shape}"
        raise ValueError(f"positive, groups and strata must be one-dimensional and equally long, got {shapes}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("positive must hold 0 and 1 only; drop rows without a label before measuring")
    table = pd.DataFrame({"label": labels.astype(int), "band": bands, "group": names})
    cells = table.groupby(["label", "band"])["group"]
    table = table.assign(common=cells.transform("nunique") == table["group"].nunique(), one=1.0)
    prevalence = table.groupby("label")["one"].transform("sum") / len(table)
    kept = table[table["common"]]
    if kept["label"].nunique() < table["label"].nunique():
        return np.full(len(table), math.nan)
    per_label = kept.groupby("label")["one"].transform("sum")
    target = kept.groupby(["label", "band"])["one"].transform("sum") / per_label * prevalence[kept.index]
    cell = kept.groupby(["label", "band", "group"])["one"].transform("sum")
    found = target * len(table) / table["group"].nunique() / cell
    return found.reindex(table.index, fill_value=0.0).to_numpy()


def tpr_gap_at_fpr(
    valid: pd.DataFrame,
    test: pd.DataFrame,
    *,
    fpr: float,
    first: Hashable,
    second: Hashable,
    balance: tuple[str, ...] | None = None,
    minimum: int = MINIMUM,
) -> float:
    """TPR of the first group minus the second at one threshold with a stated false positive rate, both sets resampled.

    Parameters
    ----------
    valid, test : DataFrame
        Columns score, positive, group and those named in ``balance``; the threshold is chosen on ``valid``.
    fpr : float in [0, 1]
        False positive rate over all (weighted) validation rows at which the threshold lies.
    first, second : hashable
        Names of the two groups.
    balance : tuple of str, optional
        None = as it is; () = equal prevalence; ("view",) = equal prevalence and equal shares of that column per label.
    minimum : int
        See :func:`lib.measure.fairness_thresholds.rates`.

    Returns
    -------
    float
        In [-1, 1]; 0 = positives of both groups are found equally often, NaN = too few rows.
    """
    weighed = [_weights(rows, balance) for rows in (valid, test)]
    if np.isnan(np.concatenate(weighed)).any():
        return math.nan
    cut = at_fpr(valid["score"], valid["positive"], fpr=fpr, weights=weighed[0])
    label, group = test["positive"], test["group"]
    table = rates(test["score"], label, group, threshold=cut, minimum=minimum, weights=weighed[1])
    found = dict(zip(table["group"], table["tpr"], strict=True))
    return float(found[first] - found[second])


def _weights(rows: pd.DataFrame, balance: tuple[str, ...] | None) -> NDArray[np.float64]:
    if balance is None:
        return np.ones(len(rows))
    strata = rows.groupby(list(balance)).ngroup() if balance else None
    return weights(rows["positive"], rows["group"], strata=strata)
