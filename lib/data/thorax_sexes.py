"""Patients of the thorax generator whose sex matters through the drain, through the film, through both, or not at all.

Olesen et al. 2024 (arXiv:2406.12142) trace a gap between women and men to a chest drain that one sex carries more
often; Weng et al. 2023 (arXiv:2308.05129) ask whether the body itself is the cause. Here each cause is a switch. Every
patient has a *build*, which the film shows: breasts, the size of the chest, and a pneumothorax that is thinner in the
female build. Where the anatomy is on, a patient is recorded as the sex of the build; where it is off, the recorded sex
is dealt by chance and the film knows nothing of it. So all arms share one set of patients.

Conventions: column ``sex`` is the build, ``recorded`` the sex in the archive, both "F" or "M"; drains are dealt by
`drain_propensity`, so that between arms as few as possible change. Which sex has more drains is a choice of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pandas import DataFrame

from lib.data import thorax

__all__ = ["ARMS", "Arm", "in_arm", "sample_builds"]

SHRINK = (0.05, 0.12)  # of the lung in the male build: between "hard" and "medium" of thorax.SEVERITIES


@dataclass(frozen=True)
class Arm:
    """Which causes are on.

    Attributes
    ----------
    drains : bool
        The sick of one sex have a drain more often.
    anatomy : bool
        The recorded sex is the sex of the build.
    """

    drains: bool
    anatomy: bool


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "none": Arm(drains=False, anatomy=False),
        "drains": Arm(drains=True, anatomy=False),
        "anatomy": Arm(drains=False, anatomy=True),
        "both": Arm(drains=True, anatomy=True),
    }
)


def sample_builds(n: int, *, rng: np.random.Generator, sick: float = 0.5, thinner: float = 0.7) -> DataFrame:
    """Draw patients with a build; nobody has a recorded sex or a drain yet.

    Parameters
    ----------
    n : int
        Patients, at least four.
    rng : numpy.random.Generator
    sick : float in (0, 1)
        Share with a pneumothorax, exact to within one patient; half of the sick and of the healthy have either build.
    thinner : float in (0, 1]
        The female build's shrinkage of the lung, as a share of the male build's; 1 = equally visible but for the body.

    Returns
    -------
    DataFrame
        As `lib.data.thorax.sample_patients`, and ``luck``, a uniform number that deals the recorded sex.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> table = sample_builds(20, rng=np.random.default_rng(0), sick=0.6)
    >>> table.groupby(["pneumothorax", "sex"]).size().tolist()
    [4, 4, 6, 6]
    """
    if n < 4 or not 0 < sick < 1 or not 0 < thinner <= 1:
        raise ValueError(f"n must be at least 4, sick in (0, 1) and thinner in (0, 1], got {n}, {sick}, {thinner}")
    table = thorax.sample_patients(n, rng=rng)
    order, ill = rng.permutation(n), np.arange(n) < round(sick * n)
    female = np.arange(n) % 2 == 0
    table["pneumothorax"] = ill[order].astype(np.int64)
    table["sex"] = np.where(female[order], "F", "M")
    table["pneumothorax_shrink"] = rng.uniform(*SHRINK, n) * np.where(female[order], thinner, 1.0)
    return table.assign(luck=rng.random(n), drain=0)


def in_arm(patients: DataFrame, arm: str, *, women: float, men: float, well: float) -> DataFrame:
    """Record a sex and deal drains as an arm has it.

    Parameters
    ----------
    patients : DataFrame
        From `sample_builds`; unchanged.
    arm : str
        Key of `ARMS`.
    women, men : float
        Share of the sick with a drain, where the arm's drains are on; otherwise all have the mean of the two.
    well : float
        Share of the healthy with a drain, both sexes and all arms.

    Returns
    -------
    DataFrame
        A copy with ``recorded`` ("F"/"M") and ``drain`` (0/1). Without anatomy the recorded sex is dealt in pairs of
        patients alike in health, build and shrinkage, one of each sex, so that chance keeps the sexes apart little.

    Raises
    ------
    ValueError
        For an unknown arm, or a share outside [0, 1].
    """
    if arm not in ARMS:
        raise ValueError(f"arm must be one of {', '.join(ARMS)}, got {arm!r}; choose one of these")
    if not all(0 <= share <= 1 for share in (women, men, well)):
        raise ValueError(
            f"women, men and well must be shares in [0, 1], got {women}, {men}, {well}; write 0.3 for 30 %"
        )
    recorded = patients["sex"].to_numpy() if ARMS[arm].anatomy else _dealt(patients)
    shares = (women, men) if ARMS[arm].drains else ((women + men) / 2,) * 2
    sick = np.where(recorded == "F", *shares)
    chance = np.where(patients["pneumothorax"] == 1, sick, well)
    drain = (patients["drain_propensity"].to_numpy() < chance).astype(np.int64)
    return patients.assign(recorded=recorded, drain=drain)


def _dealt(patients: DataFrame) -> np.ndarray:
    """A sex for everybody, one of each in a pair of neighbours: "F" or "M" (n,)."""
    keys = (patients["pneumothorax_shrink"], patients["sex"] == "M", patients["pneumothorax"])
    order = np.lexsort([np.asarray(key) for key in keys])
    first = patients["luck"].to_numpy()[order[0::2]] < 0.5  # one throw per pair
    female = np.empty(len(patients), bool)
    female[order[0::2]], female[order[1::2]] = first, ~first[: len(order[1::2])]
    return np.where(female, "F", "M")
