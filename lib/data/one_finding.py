"""Background and target patients: nobody of the one has a finding, everybody of the other has exactly one.

Louiset et al. 2024, SepCLR (arXiv:2402.11928), experiment on CheXpert: "No Finding" against exactly one of
cardiomegaly, edema and effusion. In an archive sex, age and disease go together; here they are drawn independently, so
a code of the finding has no reason to tell the sex. `everybody_sick` makes the control: a background that varies like
the target.

Conventions: one row = one patient as in `lib.data.thorax`; kinds int64 0, 1, 2 in the order of SUBTYPES; severity is
the place of the finding's size in the range that was drawn from, 0 = mildest, 1 = most severe.
"""

from __future__ import annotations

import numpy as np
from pandas import DataFrame

from lib.data import thorax
from lib.data.doubtful_labels import SIZES

__all__ = ["ATTRIBUTES", "SUBTYPES", "everybody_sick", "one_finding_patients", "two_kinds"]

SUBTYPES = ("cardiomegaly", "edema", "effusion")
ATTRIBUTES = ("sex", "age", "view", "body")
DRAINS = 0.2  # share with a chest drain, whatever the patient has
MIDDLE_AGE, MIDDLE_BMI = 55.0, 26.0  # years and kg/m2, the centres of what is drawn


def one_finding_patients(n_background: int, n_target: int, *, rng: np.random.Generator, severity: str) -> DataFrame:
    """Draw both sets, in random order.

    Parameters
    ----------
    n_background, n_target : int
        Patients of either set.
    rng : numpy.random.Generator
    severity : {"easy", "medium", "hard"}
        As in `lib.data.thorax.sample_patients`.

    Returns
    -------
    DataFrame
        As `thorax.sample_patients` with half of the films from the bedside, and the columns target (0/1), kind (the
        finding that the patient has, or would have in the control) and severity. Kinds are equally frequent in
        either set, to within one patient.

    Raises
    ------
    ValueError
        If a set is empty; as `thorax.sample_patients`.

    Examples
    --------
    >>> people = one_finding_patients(4, 6, rng=np.random.default_rng(0), severity="easy")
    >>> people.groupby("target")[list(SUBTYPES)].sum().to_numpy().tolist()
    [[0, 0, 0], [2, 2, 2]]
    """
    if n_background < 1 or n_target < 1:
        raise ValueError(f"n_background and n_target must be at least 1, got {n_background} and {n_target}; raise them")
    people = thorax.sample_patients(
        n_background + n_target,
        rng=rng,
        severity=severity,
        prevalence=dict.fromkeys(thorax.FINDINGS, 0.0),
        p_drain_given_pneumothorax=DRAINS,
        p_drain_given_none=DRAINS,
        p_ap=0.5,
    )
    target = np.repeat([0, 1], [n_background, n_target])
    kind = np.concatenate([np.arange(n_background), np.arange(n_target)]) % len(SUBTYPES)
    order = rng.permutation(len(people))
    people = people.assign(target=target[order], kind=kind[order])
    places = np.zeros(len(people))
    for k, name in enumerate(SUBTYPES):
        low, high = thorax.SEVERITIES[severity][SIZES[name]]
        mine = (people["kind"] == k).to_numpy()
        places[mine] = (people[SIZES[name]].to_numpy()[mine] - low) / (high - low)
        people[name] = (mine & (people["target"] == 1).to_numpy()).astype(np.int64)
    return people.assign(severity=places)


def everybody_sick(patients: DataFrame) -> DataFrame:
    """The control: a copy in which background patients have the finding of their `kind`; nothing else changes.

    Parameters
    ----------
    patients : DataFrame
        From `one_finding_patients`.

    Returns
    -------
    DataFrame
        ``target`` stays, so it is now a coin that nothing on a film tells.
    """
    return patients.assign(**{name: (patients["kind"] == k).astype(np.int64) for k, name in enumerate(SUBTYPES)})


def two_kinds(patients: DataFrame) -> np.ndarray:
    """Four attributes as 0/1, int64 (n, 4) in the order of ATTRIBUTES: woman, over 55 years, bedside, BMI over 26."""
    columns = (
        patients["sex"] == "F",
        patients["age_years"] > MIDDLE_AGE,
        patients["view"] == "AP",
        patients["bmi"] > MIDDLE_BMI,
    )
    return np.stack([np.asarray(column, dtype=np.int64) for column in columns], axis=1)
