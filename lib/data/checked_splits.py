"""Repeated splits by patient, each with enough films of either label on either side.

Half of a small archive may hold too few films of one label to carry an AUC. Such a split is passed over before any
model is fitted: by counts of labels only, never by a result. Stratified splits (Kohavi 1995, IJCAI) balance rows; rows
of a patient cannot be balanced one by one.

Conventions: a label is 0 or 1; splits come from `lib.data.patient_split`, so no patient is on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.data.radiographs import patient_split

__all__ = ["Checked", "checked_splits"]


@dataclass(frozen=True)
class Checked:
    """One split: its seed, and the row numbers of either side, int64, in increasing order."""

    seed: int
    train: np.ndarray
    test: np.ndarray


def checked_splits(
    patients: pd.DataFrame,
    labels: Mapping[str, np.ndarray],
    *,
    count: int,
    test_share: float,
    minimum: int,
    first_seed: int,
    tries: int = 1000,
) -> list[Checked]:
    """Take the first splits that hold enough of every label.

    Parameters
    ----------
    patients : DataFrame, n rows
        With a column ``patient_id``.
    labels : mapping of str to ndarray of 0/1, (n,)
        All are asked for at once, so that questions share their splits.
    count : int, >= 1
        Splits wanted.
    test_share : float in (0, 1)
        Share of rows on the test side.
    minimum : int, >= 1
        Rows with 1, and rows with 0, that each side must hold of each label.
    first_seed : int
        Seeds are tried from here upwards.
    tries : int
        How many seeds at most.

    Returns
    -------
    list of Checked
        Fewer than ``count``, perhaps none, if the tries run out.

    Raises
    ------
    ValueError
        If count or minimum is below 1, or labels and patients differ in length.

    Examples
    --------
    >>> people = pd.DataFrame({"patient_id": range(12)})
    >>> found = checked_splits(people, {"a": np.arange(12) % 2}, count=2, test_share=0.5, minimum=2, first_seed=0)
    >>> [split.train.size + split.test.size for split in found]
    [12, 12]
    """
    if count < 1 or minimum < 1:
        raise ValueError(f"count and minimum must be >= 1, got {count} and {minimum}; ask for at least one of each")
    if wrong := {name: len(values) for name, values in labels.items() if len(values) != len(patients)}:
        raise ValueError(f"labels must have {len(patients)} rows, got {wrong}; pass one label per film")
    found: list[Checked] = []
    for seed in range(first_seed, first_seed + tries):
        train, test = patient_split(patients, test_share=test_share, seed=seed)
        sides = [np.asarray(values)[rows] for values in labels.values() for rows in (train, test)]
        if all(min(side.sum(), side.size - side.sum()) >= minimum for side in sides):
            found.append(Checked(seed, train, test))
        if len(found) == count:
            break
    return found
