"""Is a gap between the ages a gap of age, or of the other findings that old patients bring along?

Sourget et al. 2025 (arXiv:2507.21291) find lower AUC for older patients. In an archive the old have more other
findings, and then the negatives of a question look less healthy and the positives less typical. With findings drawn
independently of age, both can be had from the same films: test patients are sorted into four cells, by age and by the
number of *other* findings than the one asked for.

Conventions: AUC within a cell counts a tie as half; NaN with fewer than 20 positives or 20 negatives. All gaps are in
AUC and signed; 0 = no difference. An age between the two bands belongs to no cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lib.measure.clustered_auc import AucDraws
from lib.measure.fairness import MINIMUM, auc, too_few

__all__ = ["GAPS", "age_band", "company_cells", "company_gaps", "named_gaps"]

YOUNG, OLD = 50.0, 60.0  # years; below the first is young, from the second on is old
BANDS = ("under 50", "50 to 59", "60 and over")
GAPS = ("as in an archive", "age alone", "company alone")


def age_band(age_years: ArrayLike) -> np.ndarray:
    """One of BANDS for each age.

    Examples
    --------
    >>> age_band([49.9, 50, 60]).tolist()
    ['under 50', '50 to 59', '60 and over']
    """
    return np.array(BANDS)[np.digitize(np.asarray(age_years, dtype=float), [YOUNG, OLD])]


def company_cells(
    scores: ArrayLike, positive: ArrayLike, age_years: ArrayLike, findings: Sequence[str], *, few: int = 1
) -> pd.DataFrame:
    """AUC of every finding within four cells of patients.

    Parameters
    ----------
    scores : array_like of float, shape (findings, n)
        Higher = more likely present.
    positive : array_like of 0/1, shape (findings, n)
        The truth; its columns also give the number of other findings.
    age_years : array_like of float, shape (n,)
    findings : sequence of str
        Names of the rows.
    few : int
        Patients with at most so many other findings have "few", all others "many".

    Returns
    -------
    DataFrame
        Four rows per finding: finding, age ("young"/"old"), company ("few"/"many"), n, positives, auc.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    values, truth, age = np.asarray(scores, dtype=float), np.asarray(positive), np.asarray(age_years, dtype=float)
    if values.ndim != 2 or values.shape != truth.shape or values.shape != (len(findings), age.size):
        raise ValueError(
            f"scores and positive must be (findings, n) = ({len(findings)}, {age.size}), got {values.shape} and "
            f"{truth.shape}; pass one row per finding"
        )
    rows = []
    for f, finding in enumerate(findings):
        others = truth.sum(0) - truth[f]
        for name, aged in (("young", age < YOUNG), ("old", age >= OLD)):
            for company, kept in (("few", others <= few), ("many", others > few)):
                inside = aged & kept
                lacking = too_few(truth[f, inside], minimum=MINIMUM)
                value = math.nan if lacking else auc(values[f, inside], truth[f, inside])
                rows.append((finding, name, company, int(inside.sum()), int(truth[f, inside].sum()), value))
    return pd.DataFrame(rows, columns=["finding", "age", "company", "n", "positives", "auc"])


def company_gaps(cells: pd.DataFrame) -> dict[str, float]:
    """Three gaps out of the four cells, as means over findings.

    Parameters
    ----------
    cells : DataFrame
        From `company_cells`.

    Returns
    -------
    dict of str to float
        "as in an archive": young with few others minus old with many. "age alone": young minus old with equal company,
        mean of few and many. "company alone": few minus many at equal age. The first is the sum of the other two where
        no cell is missing; NaN where no finding has the cells.

    Examples
    --------
    >>> ages, companies = ["young", "young", "old", "old"], ["few", "many", "few", "many"]
    >>> cells = pd.DataFrame({"finding": "edema", "age": ages, "company": companies, "auc": [0.9, 0.8, 0.9, 0.8]})
    >>> {name: round(gap, 3) for name, gap in company_gaps(cells).items()}
    {'as in an archive': 0.1, 'age alone': 0.0, 'company alone': 0.1}
    """
    wide = cells.pivot(index="finding", columns=["age", "company"], values="auc").dropna()
    if wide.empty:
        return dict.fromkeys(GAPS, math.nan)
    mean = wide.mean()
    (young_few, young_many), (old_few, old_many) = (
        (float(mean[age, "few"]), float(mean[age, "many"])) for age in ("young", "old")
    )
    return {
        "as in an archive": young_few - old_many,
        "age alone": (young_few - old_few + young_many - old_many) / 2,
        "company alone": (young_few - young_many + old_few - old_many) / 2,
    }


def named_gaps(draws: AucDraws, grouping: str, first: str, second: str) -> pd.DataFrame:
    """Gap between two groups for every finding, with 95 % intervals over resampled patients.

    Parameters
    ----------
    draws : AucDraws
        From `lib.measure.clustered_auc.auc_draws`.
    grouping, first, second : str
        Of the draws' table.

    Returns
    -------
    DataFrame
        label (the finding), estimate, low, high: AUC of the first group minus AUC of the second; NaN with too few.
    """
    rows = []
    for finding in dict.fromkeys(draws.table["finding"]):
        gap = draws.gap(*(draws.column(finding, grouping, name) for name in (first, second)))
        rows.append((finding, gap.estimate, gap.low, gap.high))
    return pd.DataFrame(rows, columns=["label", "estimate", "low", "high"])
