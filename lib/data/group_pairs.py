"""Patients whose acquisition group goes with a finding as strongly as one likes, and their films in both groups.

Stanley et al. 2023 (SimBA, arXiv:2311.02115) give every synthetic subject a twin without the bias. Here every patient
of the thorax generator can be shown as group A and as group B takes films (grey-value window, look-up table, dose, and
a field of view that is a twentieth wider in B), with the same anatomy and the same noise field. The dial is the share
of group B among those with the finding.

Difference: the groups change the acquisition only, never a body; the wider field draws it a little smaller.

Conventions: groups stand for nothing but an acquisition; code 0 = A, 1 = B. At strength p the share of B is p among
those with the finding and 1 - p among those without; 0.5 = the group says nothing. Shares are exact but for rounding,
and assignments at two strengths differ in as few patients as they can.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from pandas import DataFrame
from torch import Tensor

from lib.data import thorax

__all__ = ["PAIR", "assign", "draw_patients", "render_pairs"]

PAIR = ("A", "B")
OTHERS = 0.1  # share of patients with each finding that is not asked about, and with a drain


def draw_patients(n: int, *, finding: str, severity: str, rng: np.random.Generator) -> DataFrame:
    """Draw patients, half of them with the finding, in random order.

    Parameters
    ----------
    n : int
        Patients, at least 2.
    finding : str
        One of `lib.data.thorax.FINDINGS`; all others are present in a tenth of the patients.
    severity : {"easy", "medium", "hard"}
        Size of the findings.
    rng : numpy.random.Generator

    Returns
    -------
    DataFrame
        As `lib.data.thorax.sample_patients`, with the column place: evenly spread over (0, 1) among those with the
        finding and among those without, in random order; `assign` reads the group from it.

    Raises
    ------
    ValueError
        For an unknown finding, or fewer than two patients.

    Examples
    --------
    >>> table = draw_patients(7, finding="effusion", severity="easy", rng=np.random.default_rng(0))
    >>> int(table["effusion"].sum())
    3
    """
    if finding not in thorax.FINDINGS or n < 2:
        raise ValueError(
            f"finding must be one of {', '.join(thorax.FINDINGS)} and n at least 2, got {finding!r} and {n}"
        )
    rates = dict.fromkeys(thorax.FINDINGS, OTHERS)
    table = thorax.sample_patients(
        n, rng=rng, severity=severity, prevalence=rates, p_drain_given_pneumothorax=OTHERS, p_drain_given_none=OTHERS
    )
    table[finding] = rng.permutation(np.arange(n) % 2)
    place = np.empty(n)
    for kind in (0, 1):
        rows = np.flatnonzero(table[finding] == kind)
        place[rows] = (rng.permutation(rows.size) + 0.5) / rows.size
    return table.assign(place=place)


def assign(patients: DataFrame, finding: str, *, strength: float) -> NDArray[np.int64]:
    """Say which group takes each patient's film.

    Parameters
    ----------
    patients : DataFrame
        From `draw_patients` with the same finding.
    finding : str
    strength : float in [0, 1]
        Share of group B among those with the finding; below 0.5 the association is turned round.

    Returns
    -------
    ndarray, int64 (n,)
        0 = A, 1 = B.

    Raises
    ------
    ValueError
        For a strength out of range, or a table without places.

    Examples
    --------
    >>> table = draw_patients(20, finding="effusion", severity="easy", rng=np.random.default_rng(0))
    >>> [int(assign(table, "effusion", strength=p)[table["effusion"] == 1].sum()) for p in (0.0, 0.5, 0.9)]
    [0, 5, 9]
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be a share in [0, 1], got {strength}; write a percentage as a fraction")
    if "place" not in patients:
        raise ValueError("patients must have the column place, got none; draw them with draw_patients")
    chance = np.where(patients[finding] == 1, strength, 1 - strength)
    return (patients["place"].to_numpy() < chance).astype(np.int64)


def render_pairs(patients: DataFrame, wanted: NDArray[np.bool_], *, size: int = 64) -> tuple[Tensor, Tensor]:
    """Render patients as one group or both take their films.

    Parameters
    ----------
    patients : DataFrame
        From `draw_patients`, or any table of `lib.data.thorax`.
    wanted : ndarray, bool (n, 2)
        Which patients to show in group A and in group B; at least one of each patient.
    size : int
        Height and width of a film, pixels.

    Returns
    -------
    x : Tensor, float32 (n, 2, size, size)
        Grey values in [0, 1], the film of A first; NaN where it was not wanted, so that nobody takes it for a film.
    lungs : Tensor, bool (n, 2, size, size)
        The two lungs as they lie on each film; False where it was not wanted.

    Raises
    ------
    ValueError
        If ``wanted`` does not fit the table, or leaves a patient without a film.
    """
    if wanted.shape != (len(patients), 2) or not wanted.any(axis=1).all():
        raise ValueError(
            f"wanted must be ({len(patients)}, 2) with at least one film of each patient, got {wanted.shape}; "
            "use np.ones((n, 2), bool) for both"
        )
    row, code = np.nonzero(wanted)
    films = thorax.render(patients.iloc[row].assign(group=np.array(PAIR)[code]), size=size)
    x = torch.full((len(patients), 2, size, size), torch.nan)
    x[row, code] = films.x[:, 0]
    lungs = torch.zeros(x.shape, dtype=torch.bool)
    lungs[row, code] = films.masks["lung_right"] | films.masks["lung_left"]
    return x, lungs
