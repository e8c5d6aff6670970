"""Five ways in which two groups of patients can differ, drawn on the same generated patients.

Papers: Seyyed-Kalantari et al. 2021, Nature Medicine (sick patients called healthy, by group); Glocker et al. 2023,
arXiv:2110.14755 (groups of a test set differ in prevalence and age); Bernhardt et al. 2022, Nature Medicine
(labels biased by group). Difference: in an archive these causes come together; here one is on at a time
and the truth is known; the attribute that lies between group and prevalence is the view, which every film shows,
where Glocker et al. look at age, which these films show poorly.

Conventions: a patient is healthy or has exactly one finding, drawn alike for all, so what a sick film looks like does
not depend on how many are sick. The groups are the sexes of the generator, which change the anatomy and so show on the
film. `sick` is the truth, `recorded` the label that a model and an audit get to see. All arms take their chances from
the same uniform numbers of a patient, so two arms differ in as few patients as they can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.data import thorax

CHUNK = 256  # films rendered together
RESERVE = ("cardiomegaly", "effusion", "pneumothorax", "consolidation")  # large enough for films of 64 pixels


@dataclass(frozen=True)
class Shift:
    """How women and men differ in one arm.

    Attributes
    ----------
    sick_women, sick_men : float
        Share with a finding, in [0, 1].
    sick_by_view : tuple of float, optional
        Instead: share with a finding among PA and among AP (bedside) films, the same for both sexes.
    women_ap, men_pa : float
        Share of the women with an AP film, and of the men with a PA film, who are kept; 1 = all.
    mild_women : bool
        The findings of women are small ones.
    missed_women : float
        Share of sick women whose label says healthy.
    """

    sick_women: float = 0.45
    sick_men: float = 0.45
    sick_by_view: tuple[float, float] | None = None
    women_ap: float = 1.0
    men_pa: float = 1.0
    mild_women: bool = False
    missed_women: float = 0.0


ARMS: dict[str, Shift] = {
    "none": Shift(),
    "prevalence": Shift(sick_women=0.3, sick_men=0.6),
    "view": Shift(sick_by_view=(0.2, 0.7), women_ap=0.4, men_pa=0.4),
    "severity": Shift(mild_women=True),
    "labels": Shift(missed_women=0.3),
}


def draw_pool(n: int, *, rng: np.random.Generator, severity: str = "easy", mild: str = "hard") -> pd.DataFrame:
    """Patients without findings, each with a finding in reserve, in two sizes.

    Parameters
    ----------
    n : int
        Patients.
    rng : numpy.random.Generator
    severity, mild : {"easy", "medium", "hard"}
        Size of the finding in reserve, and its size for the mild.

    Returns
    -------
    DataFrame
        As :func:`lib.data.thorax.sample_patients`, half AP, no drains, plus finding (one of RESERVE),
        u_sick, u_keep and u_label (uniform in [0, 1)), and for each size a column ``mild_<size>`` at the same place of
        the mild range.

    Raises
    ------
    ValueError
        As :func:`lib.data.thorax.sample_patients`; for an unknown mild severity.
    """
    if mild not in thorax.SEVERITIES:
        raise ValueError(f"mild must be one of {', '.join(thorax.SEVERITIES)}, got {mild!r}; choose one of these")
    nobody = dict.fromkeys(thorax.FINDINGS, 0.0)
    pool = thorax.sample_patients(
        n, rng=rng, severity=severity, prevalence=nobody, p_ap=0.5, p_drain_given_pneumothorax=0, p_drain_given_none=0
    )
    for name, (low, high) in thorax.SEVERITIES[severity].items():
        least, most = thorax.SEVERITIES[mild][name]
        pool[f"mild_{name}"] = least + (pool[name] - low) / (high - low) * (most - least)
    pool["finding"] = np.array(RESERVE)[rng.integers(0, len(RESERVE), n)]
    for name in ("u_sick", "u_keep", "u_label"):
        pool[name] = rng.random(n)
    return pool


def apply(pool: pd.DataFrame, shift: Shift) -> pd.DataFrame:
    """Say who is sick, how badly, and what the label says, under one shift.

    Parameters
    ----------
    pool : DataFrame
        From :func:`draw_pool`; unchanged.
    shift : Shift
        One of ARMS, or one of your own.

    Returns
    -------
    DataFrame
        One row per patient kept: row (its place in the pool), patient_id, sex, age_years, view, sick, recorded (0/1),
        mild (bool).

    Examples
    --------
    >>> people = draw_pool(1000, rng=np.random.default_rng(0))
    >>> apply(people, Shift(sick_women=0.0, sick_men=1.0)).groupby("sex")["sick"].mean().tolist()
    [0.0, 1.0]
    """
    women, ap = pool["sex"].to_numpy() == "F", pool["view"].to_numpy() == "AP"
    chance = np.where(women, shift.sick_women, shift.sick_men)
    if shift.sick_by_view is not None:
        chance = np.where(ap, shift.sick_by_view[1], shift.sick_by_view[0])
    stay = np.where(women & ap, shift.women_ap, np.where(~women & ~ap, shift.men_pa, 1.0))
    sick = pool["u_sick"].to_numpy() < chance
    missed = women & (pool["u_label"].to_numpy() < shift.missed_women)
    table = pool[["patient_id", "sex", "age_years", "view"]].assign(
        row=np.arange(len(pool)),
        sick=sick.astype(int),
        recorded=(sick & ~missed).astype(int),
        mild=sick & women & shift.mild_women,
    )
    kept = pool["u_keep"].to_numpy() < stay
    return table[kept].reset_index(drop=True)


class Films:
    """Render every (patient, health, size) once, whatever number of arms shows it.

    Parameters
    ----------
    pool : DataFrame
        From :func:`draw_pool`.
    tables : sequence of DataFrame
        From :func:`apply`; all arms that will be looked at.
    size : int
        Height and width of a film, pixels.
    """

    def __init__(self, pool: pd.DataFrame, tables: list[pd.DataFrame], *, size: int) -> None:
        shown = pd.concat([table[["row", "sick", "mild"]] for table in tables]).drop_duplicates()
        self.index = pd.MultiIndex.from_frame(shown)
        people = equip(pool, shown)
        parts = [people.iloc[start : start + CHUNK] for start in range(0, len(people), CHUNK)]
        self.x: Tensor = torch.cat([thorax.render(part, size=size).x for part in parts])

    def of(self, table: pd.DataFrame) -> Tensor:
        """Films of one arm, float32 (rows, 1, size, size), in the order of its table.

        Raises
        ------
        ValueError
            If the arm shows a film that was not asked for when this was made.
        """
        where = self.index.get_indexer(pd.MultiIndex.from_frame(table[["row", "sick", "mild"]]))
        if (where < 0).any():
            raise ValueError(f"table shows {(where < 0).sum()} films that were not rendered; pass all tables to Films")
        return self.x[torch.as_tensor(where)]


def equip(pool: pd.DataFrame, shown: pd.DataFrame) -> pd.DataFrame:
    """Patients of the pool with their finding switched on, in the size that is asked for.

    Parameters
    ----------
    pool : DataFrame
        From :func:`draw_pool`; unchanged.
    shown : DataFrame
        Columns row, sick (0/1), mild (bool), one row per film.

    Returns
    -------
    DataFrame
        Ready for :func:`lib.data.thorax.render`, one row per film.
    """
    people = pool.iloc[shown["row"]].reset_index(drop=True)
    sick, mild = shown["sick"].to_numpy() == 1, shown["mild"].to_numpy(bool)
    for finding in thorax.FINDINGS:
        people[finding] = (sick & (people["finding"] == finding)).astype(np.int64)
    for name in thorax.SEVERITIES["easy"]:
        people[name] = np.where(mild, people[f"mild_{name}"], people[name])
    return people
