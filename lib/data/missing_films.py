"""Patients whose attributes tell something about a finding, and films that go missing for a reason or for none.

Swamy et al. 2023, MultiModN (arXiv:2309.14118), hide one modality from a share of the sick when they train and from the
same share of the healthy when they test: missing not at random, in two opposite ways. Differences: who is hidden is
drawn by chance instead of by the order of the file, the same luck serves all shares, so that a patient without a film
at one share has none at any larger one, and a control hides as many films without looking at the finding.

Conventions: shares are fractions of the patients that are eligible, "sick", "healthy" or "all"; counts are exact.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame
from torch import Tensor

from lib.data import thorax

__all__ = ["ATTRIBUTES", "attribute_columns", "patients_at_risk", "without_film"]

ATTRIBUTES = ("age_years", "bmi", "female")
RISK = (1.0, 0.5, -0.5)  # log odds of the finding per unit of the columns of `attribute_columns`
OTHERS = 0.1  # share of patients with each finding that is not asked about, and with a drain


def patients_at_risk(
    n: int, *, rng: np.random.Generator, finding: str = "cardiomegaly", severity: str = "medium", risk: float = 1.0
) -> DataFrame:
    """Draw patients of whom half have a finding, the more likely the older and heavier they are, and the men.

    Parameters
    ----------
    n : int
        Patients; ``n // 2`` of them have the finding.
    rng : numpy.random.Generator
    finding : str
        One of `thorax.FINDINGS`; all others, and drains, are present in a tenth of the patients, whatever else is so.
    severity : str
        As `thorax.sample_patients`.
    risk : float
        How much attributes matter: factor on the log odds of RISK; 0 = nothing.

    Returns
    -------
    DataFrame
        As `thorax.sample_patients`.

    Raises
    ------
    ValueError
        As `thorax.sample_patients`, and for an unknown finding.

    Examples
    --------
    >>> people = patients_at_risk(200, rng=np.random.default_rng(0))
    >>> old = people["age_years"] > 60
    >>> bool(people.loc[old, "cardiomegaly"].mean() > people.loc[~old, "cardiomegaly"].mean())
    True
    """
    if finding not in thorax.FINDINGS:
        raise ValueError(f"finding must be one of {', '.join(thorax.FINDINGS)}, got {finding!r}")
    table = thorax.sample_patients(
        n,
        rng=rng,
        severity=severity,
        prevalence=dict.fromkeys(thorax.FINDINGS, OTHERS),
        p_drain_given_pneumothorax=OTHERS,
        p_drain_given_none=OTHERS,
    )
    odds = risk * (attribute_columns(table).double().numpy() @ np.array(RISK))
    threshold = odds + rng.logistic(size=n)  # the half with the highest values: logistic odds at a fixed count
    table[finding] = 0
    table.loc[np.argsort(-threshold, kind="stable")[: n // 2], finding] = 1
    return table


def attribute_columns(patients: DataFrame) -> Tensor:
    """Age, body mass index and sex as numbers of about unit spread, float32 (n, 3), in the order of ATTRIBUTES."""
    columns = [
        (patients["age_years"] - 55.0) / 18.0,
        (patients["bmi"] - 26.0) / 4.5,
        np.where(patients["sex"] == "F", 1.0, -1.0),
    ]
    return torch.tensor(np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1))


def without_film(positive: ArrayLike, luck: ArrayLike, *, share: float, among: str) -> NDArray[np.bool_]:
    """Who has no film: an exact share of those who may lose it, those of the smallest luck.

    Parameters
    ----------
    positive : array_like of 0/1, shape (n,)
        Who has the finding.
    luck : array_like of float, shape (n,)
        Distinct numbers that know nothing of the finding.
    share : float in [0, 1]
        Of the eligible; the count is rounded.
    among : {"sick", "healthy", "all"}
        Who is eligible.

    Returns
    -------
    ndarray of bool (n,)
        True = no film.

    Raises
    ------
    ValueError
        For a share out of range, an unknown ``among`` or shapes that differ.

    Examples
    --------
    >>> without_film([1, 1, 0, 0], [0.2, 0.1, 0.3, 0.4], share=0.5, among="sick").tolist()
    [False, True, False, False]
    """
    sick, order = np.asarray(positive) == 1, np.asarray(luck, dtype=float)
    eligible = {"sick": sick, "healthy": ~sick, "all": np.ones_like(sick)}
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}; write a percentage as a fraction")
    if among not in eligible:
        raise ValueError(f"among must be one of {', '.join(eligible)}, got {among!r}")
    if sick.shape != order.shape:
        raise ValueError(f"positive and luck must have one value per patient, got {sick.shape} and {order.shape}")
    ranked = np.flatnonzero(eligible[among])
    ranked = ranked[np.argsort(order[ranked], kind="stable")]
    found = np.zeros(sick.shape, bool)
    found[ranked[: round(share * len(ranked))]] = True
    return found
