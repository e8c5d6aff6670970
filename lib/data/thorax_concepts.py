"""Patients who are admitted because of what a reader can measure on the film, and shortcuts that go with admission.

Concept bottlenecks under confounding (Yan et al. 2023, arXiv:2310.03182) are judged where something that is no
concept goes with the label in training and against it in the test. Here the label is a sum of measurable concepts plus
doubt, and three things may go with it: a chest drain, a bright tag in the corner, an acquisition group.

Conventions: concepts are numbers in natural units (CONCEPTS); 0 where a finding is absent. Findings are independent of
each other and of everything else, so a concept tells the label and never a shortcut except through the label.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.data import thorax
from lib.data.corner_tag import tagged

__all__ = ["CONCEPTS", "SHORTCUTS", "admission_patients", "concept_values", "films", "mixed_films"]

CONCEPTS: Mapping[str, str] = MappingProxyType(
    {
        "heart width": "share of the chest's width",
        "fluid height": "cm above the diaphragm, up to a constant",
        "air rim": "share by which the lung has shrunk",
        "dense patch": "share of a region's air that is filled",
        "haze": "gain of the vessels' shadow",
    }
)
SHORTCUTS = ("corner tag", "drain", "acquisition group")
PLAIN, OTHER = "A", "C"  # acquisition groups without and with the third shortcut


def admission_patients(n: int, *, rng: np.random.Generator, doubt: float, severity: str = "medium") -> pd.DataFrame:
    """Draw patients, and say who is admitted.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator
    doubt : float, >= 0
        Deviation of what the decision rests on besides the concepts, against a burden of deviation 1.
    severity : {"easy", "medium", "hard"}
        Size of the findings, see `lib.data.thorax.SEVERITIES`.

    Returns
    -------
    DataFrame
        As `lib.data.thorax.sample_patients`, each finding in half of the patients, all of group A without drains, plus
        ``admitted`` (0/1, half of the patients): burden (sum of the standardised concepts) and doubt above the median.

    Raises
    ------
    ValueError
        As `lib.data.thorax.sample_patients`; if doubt is negative or n is below 2.

    Examples
    --------
    >>> people = admission_patients(100, rng=np.random.default_rng(0), doubt=0.5)
    >>> int(people["admitted"].sum())
    50
    """
    if doubt < 0 or n < 2:
        raise ValueError(f"doubt must be >= 0 and n at least 2, got {doubt} and {n}; 0 = the concepts decide alone")
    half = dict.fromkeys(thorax.FINDINGS, 0.5) | {"nodule": 0.0}
    people = thorax.sample_patients(
        n, rng=rng, severity=severity, prevalence=half, groups={PLAIN: 1.0},
        p_drain_given_pneumothorax=0, p_drain_given_none=0,
    )  # fmt: skip
    values = concept_values(people)
    z = (values - values.mean(0)) / np.maximum(values.std(0), 1e-12)
    burden = z.sum(1) / np.sqrt(z.shape[1]) + doubt * rng.normal(size=n)
    return people.assign(admitted=(burden > np.median(burden)).astype(np.int64))


def concept_values(patients: pd.DataFrame) -> NDArray[np.float64]:
    """True concepts of patients.

    Parameters
    ----------
    patients : DataFrame
        From `lib.data.thorax.sample_patients` or `admission_patients`.

    Returns
    -------
    ndarray
        float64 (n, 5), in the order and units of CONCEPTS.
    """
    columns = {name: patients[name].to_numpy(dtype=np.float64) for name in thorax.FINDINGS}
    litres = patients["effusion_ml"].to_numpy(dtype=np.float64) / 1000
    return np.stack(
        [
            patients["ctr"] + columns["cardiomegaly"] * patients["cardiomegaly_excess"],
            columns["effusion"] * 9.0 * litres**0.62,  # the generator's level of a volume
            columns["pneumothorax"] * patients["pneumothorax_shrink"],
            columns["consolidation"] * patients["consolidation_fill"],
            columns["edema"] * patients["edema_gain"],
        ],
        axis=1,
    )


def films(patients: pd.DataFrame, *, size: int) -> dict[str, Tensor]:
    """Every patient's film as it is, and with each of the shortcuts.

    Parameters
    ----------
    patients : DataFrame
        From `admission_patients`.
    size : int
        Side of a film, pixels.

    Returns
    -------
    dict of str to Tensor
        float32 (n, 1, size, size): "none", then each of SHORTCUTS; the noise is the patient's own in all of them.
    """
    bare, tubed = thorax.render_device_twins(patients, "drain", size=size)
    other = thorax.render(thorax.twin(patients, "group", OTHER), size=size)
    return {"none": bare.x, "corner tag": tagged(bare.x), "drain": tubed.x, "acquisition group": other.x}


def mixed_films(patients: pd.DataFrame, *, size: int, rng: np.random.Generator) -> Tensor:
    """Films on which each shortcut is present in half of the patients, independently of everything.

    Parameters
    ----------
    patients, size
        As in `films`.
    rng : numpy.random.Generator

    Returns
    -------
    Tensor
        float32 (n, 1, size, size).
    """
    drain, group, tag = (rng.random(len(patients)) < 0.5 for _ in SHORTCUTS)
    worn = patients.assign(drain=drain.astype(np.int64), group=np.where(group, OTHER, PLAIN))
    x = thorax.render(worn, size=size).x
    return torch.where(torch.as_tensor(tag)[:, None, None, None], tagged(x), x)
