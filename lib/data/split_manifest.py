"""Who was trained on and who was tested: a split as a small table that a report keeps beside its receipt.

A result on an archive cannot be checked if it is not known which patients were where. A notebook shows this table
with ``run.table``; its file and sha256 are then part of the receipt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["split_manifest"]


def split_manifest(patients: pd.DataFrame, **parts: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """Describe the parts of a split, and refuse one that a patient crosses.

    Parameters
    ----------
    patients : DataFrame, n rows
        With image_id and patient_id; counted besides: sex and view, where they are.
    **parts : sequence of int
        Row numbers of each part, by its name.

    Returns
    -------
    DataFrame
        One row per part: part, films, patients, share of women and of AP films among those known, and sha256 of the
        lines "patient_id image_id", sorted, each ended by a line feed: the same films give the same sum in any order.

    Raises
    ------
    ValueError
        If a part is empty or out of range, a row stands in two parts or twice, or a patient is in two parts.

    Examples
    --------
    >>> films = pd.DataFrame({"image_id": ["a", "b", "c"], "patient_id": ["1", "1", "2"]})
    >>> split_manifest(films, train=[0, 1], test=[2])[["part", "films", "patients"]].values.tolist()
    [['train', 2, 1], ['test', 1, 1]]
    """
    found, seen = [], dict[str, str]()
    for name, rows in parts.items():
        chosen = np.asarray(rows, dtype=np.int64)
        if (
            chosen.size == 0
            or chosen.min() < 0
            or chosen.max() >= len(patients)
            or np.unique(chosen).size < chosen.size
        ):
            raise ValueError(
                f"{name} must hold different rows in 0..{len(patients) - 1}, got {chosen.size}; check the split"
            )
        part = patients.iloc[chosen]
        people = set(part["patient_id"].astype(str))
        crossing = sorted(people & set(seen))
        if crossing:
            raise ValueError(
                f"a patient must be in one part only, got {len(crossing)} in {seen[crossing[0]]} and {name}, such as "
                f"{crossing[0]}; split with lib.data.patient_split"
            )
        seen |= dict.fromkeys(people, name)
        lines = sorted(f"{who} {what}\n" for who, what in zip(part["patient_id"], part["image_id"], strict=True))
        row = {"part": name, "films": chosen.size, "patients": len(people)}
        for column, value, title in (("sex", "F", "women"), ("view", "AP", "AP")):
            if column in part:
                row[title] = part[column].dropna().eq(value).mean()
        found.append(row | {"sha256": hashlib.sha256("".join(lines).encode()).hexdigest()})
    return pd.DataFrame(found)
