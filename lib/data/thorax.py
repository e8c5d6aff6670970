"""Chest radiographs with known truth: independent findings, devices, attributes, exact masks and counterfactual twins.

Analytic Beer-Lambert projections of quadric primitives after the FORBILD thorax phantom (Sourbelle, Erlangen); twins
follow the idea of SimBA (Stanley et al.): the same patient with one factor changed and nothing else, under the same
noise. Physics in thorax_physics, anatomy in thorax_anatomy, findings and devices in thorax_findings, which also state
the differences from the sources.

Conventions: one row = one patient = one radiograph; R and L are the patient's sides, R is on the left of the image.
`group` A, B, C is an *acquisition* group (grey-value window, dose, field of view) and stands for nothing else. Findings
are drawn independently of each other and of all attributes; to make them depend on something, change the table.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas import DataFrame
from torch import Tensor

from lib.data import thorax_anatomy, thorax_findings, thorax_physics
from lib.data.radiographs import Radiographs

Film = tuple[Tensor, dict[str, Tensor]]  # grey values float (n, size, size), and masks
VERSION = "thorax-2"
FINDINGS = ("cardiomegaly", "effusion", "pneumothorax", "nodule", "consolidation", "edema")
DEVICES = ("drain", "ecg_leads", "pacemaker", "marker")
PREVALENCE: Mapping[str, float] = MappingProxyType(
    {"cardiomegaly": 0.3, "effusion": 0.3, "pneumothorax": 0.5, "nodule": 0.3, "consolidation": 0.3, "edema": 0.2}
)
DEVICE_SHARE: Mapping[str, float] = MappingProxyType({"ecg_leads": 0.25, "pacemaker": 0.06, "marker": 0.7})
# A pneumothorax of shrink 0.16 has a rim of about 2 cm beside the lung, the width from which the British Thoracic
# Society calls it large; "hard" is a rim below 1 cm, about a pixel at 64 pixels. The other sizes follow the same idea.
SEVERITIES: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "easy": {
            "cardiomegaly_excess": (0.09, 0.16),
            "effusion_ml": (400.0, 1500.0),
            "pneumothorax_shrink": (0.16, 0.35),
            "nodule_radius_cm": (1.0, 1.5),
            "consolidation_fill": (0.5, 0.8),
            "edema_gain": (0.8, 1.5),
        },
        "medium": {
            "cardiomegaly_excess": (0.06, 0.11),
            "effusion_ml": (150.0, 500.0),
            "pneumothorax_shrink": (0.08, 0.16),
            "nodule_radius_cm": (0.6, 1.0),
            "consolidation_fill": (0.3, 0.5),
            "edema_gain": (0.4, 0.8),
        },
        "hard": {
            "cardiomegaly_excess": (0.03, 0.06),
            "effusion_ml": (50.0, 180.0),
            "pneumothorax_shrink": (0.02, 0.08),
            "nodule_radius_cm": (0.3, 0.6),
            "consolidation_fill": (0.15, 0.3),
            "edema_gain": (0.15, 0.4),
        },
    }
)
GROUPS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "A": {"window": 1.0, "gamma": 1.0, "dose": 1.0},
        "B": {"window": 1.14, "gamma": 0.92, "dose": 0.3},
        "C": {"window": 0.90, "gamma": 1.15, "dose": 0.02},
    }
)
VIEWS = ("PA", "AP")
SIDES = ("R", "L")


def _share(name: str, value: float) -> float:
    """A probability, or a readable error."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a probability in [0, 1], got {value}; write a percentage as a fraction")
    return float(value)


def _known(name: str, value: str, options: tuple[str, ...]) -> str:
    """A member of a closed set, or a readable error."""
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}; choose one of these")
    return value


def sample_patients(
    n: int,
    *,
    rng: np.random.Generator,
    p_drain_given_pneumothorax: float = 0.5,
    p_drain_given_none: float = 0.5,
    severity: str = "medium",
    prevalence: Mapping[str, float] | None = None,
    devices: Mapping[str, float] | None = None,
    p_female: float = 0.5,
    p_ap: float = 0.3,
    groups: Mapping[str, float] | None = None,
) -> DataFrame:
    """Draw the latent table of n patients; `render` makes their radiographs.

    Parameters
    ----------
    n : int
        Patients.
    rng : numpy.random.Generator
        Source of all randomness, the noise of the films included (column `seed`).
    p_drain_given_pneumothorax, p_drain_given_none : float
        Share with a chest drain among those with and without a pneumothorax; equal = no shortcut, (1, 0) = a drain
        is as good as the finding. The drain lies on `pneumothorax_side`, which every patient has.
    severity : {"easy", "medium", "hard"}
        Range from which every finding's size is drawn uniformly, see SEVERITIES.
    prevalence, devices : mapping, optional
        Overrides of PREVALENCE (per finding) and DEVICE_SHARE (ecg_leads, pacemaker, marker).
    p_female, p_ap : float
        Share of women and of bedside (AP) films.
    groups : mapping, optional
        Shares of the acquisition groups A, B, C; default equal. They are normalised.

    Returns
    -------
    DataFrame
        patient_id, image_id, seed, sex ("F"/"M"), age_years (18-95), bmi (16-45 kg/m2), view, group, ctr
        (cardiothoracic ratio without cardiomegaly), the findings and devices as 0/1, their sizes, sides and
        places, drain_propensity (uniform; drain = propensity < p, so a change of p adds or removes as few drains as
        it can), bones (1; 0 = a film without bone).

    Raises
    ------
    ValueError
        For n < 1, a share outside [0, 1], an unknown severity, finding, device or group.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}; ask for one patient or more")
    ranges = SEVERITIES[_known("severity", severity, tuple(SEVERITIES))]
    for key in prevalence or {}:
        _known("finding in prevalence", key, FINDINGS)
    for key in devices or {}:
        _known("device in devices", key, tuple(DEVICE_SHARE))
    rates = {key: _share(f"prevalence[{key!r}]", v) for key, v in {**PREVALENCE, **(prevalence or {})}.items()}
    shares = {key: _share(f"devices[{key!r}]", v) for key, v in {**DEVICE_SHARE, **(devices or {})}.items()}
    table = _attributes(n, rng, p_female=_share("p_female", p_female), p_ap=_share("p_ap", p_ap), groups=groups)
    for name in FINDINGS:
        table[name] = (rng.random(n) < rates[name]).astype(np.int64)
    for name, (low, high) in ranges.items():
        table[name] = rng.uniform(low, high, n)
    for name in ("effusion", "pneumothorax", "nodule", "consolidation", "marker"):
        table[f"{name}_side"] = np.where(rng.random(n) < 0.5, *SIDES)
    for name in ("nodule", "consolidation"):
        table[f"{name}_x"], table[f"{name}_z"] = rng.random(n), rng.random(n)
    for name, share in shares.items():
        table[name] = (rng.random(n) < share).astype(np.int64)
    table["drain_side"] = table["pneumothorax_side"]
    table["drain_propensity"] = rng.random(n)
    table["bones"] = 1.0
    return assign_drains(
        table, p_drain_given_pneumothorax=p_drain_given_pneumothorax, p_drain_given_none=p_drain_given_none
    )


def _attributes(
    n: int, rng: np.random.Generator, *, p_female: float, p_ap: float, groups: Mapping[str, float] | None
) -> DataFrame:
    """Identity and build of n patients."""
    weights = dict(groups or {"A": 1.0, "B": 1.0, "C": 1.0})
    for key in weights:
        _known("group in groups", key, tuple(GROUPS))
    chance = np.array(list(weights.values()), float)
    age = np.clip(rng.normal(55, 18, n), 18, 95)
    return DataFrame(
        {
            "patient_id": np.arange(n),
            "image_id": [f"thorax-{i:06d}" for i in range(n)],
            "seed": rng.integers(0, 2**62, n),
            "sex": np.where(rng.random(n) < p_female, "F", "M"),
            "age_years": age,
            "bmi": np.clip(rng.normal(26, 4.5, n), 16, 45),
            "view": np.where(rng.random(n) < p_ap, "AP", "PA"),
            "group": np.array(list(weights))[rng.choice(len(weights), n, p=chance / chance.sum())],
            "ctr": np.clip(0.45 + 0.0009 * (age - 50) + rng.normal(0, 0.015, n), 0.38, 0.495),
        }
    )


def assign_drains(patients: DataFrame, *, p_drain_given_pneumothorax: float, p_drain_given_none: float) -> DataFrame:
    """Give drains anew, with another strength of the shortcut, to the same patients.

    Parameters
    ----------
    patients : DataFrame
        From `sample_patients`; unchanged.
    p_drain_given_pneumothorax, p_drain_given_none : float
        As in `sample_patients`.

    Returns
    -------
    DataFrame
        A copy whose column `drain` is `drain_propensity` < the patient's p.
    """
    sick = _share("p_drain_given_pneumothorax", p_drain_given_pneumothorax)
    well = _share("p_drain_given_none", p_drain_given_none)
    chance = np.where(patients["pneumothorax"] == 1, sick, well)
    return patients.assign(drain=(patients["drain_propensity"].to_numpy() < chance).astype(np.int64))


def twin(patients: DataFrame, factor: str, value: Any) -> DataFrame:
    """The same patients with one factor changed and nothing else, noise included.

    Parameters
    ----------
    patients : DataFrame
        From `sample_patients`; unchanged.
    factor : str
        Any column but patient_id, image_id and seed: "drain", "sex", "age_years", "group", "pneumothorax", "bones" ...
    value : scalar or array of n
        Its new value.

    Returns
    -------
    DataFrame
        A copy. A device changes only the pixels it covers; a finding also acts, faintly, through scatter.

    Raises
    ------
    ValueError
        For a factor that is not a column, or that names the patient and not a factor.

    Examples
    --------
    >>> people = sample_patients(2, rng=np.random.default_rng(0))
    >>> twin(people, "drain", 1)["drain"].tolist()
    [1, 1]
    """
    if factor not in patients.columns:
        raise ValueError(f"factor must be a column of patients, got {factor!r}; known: {', '.join(patients.columns)}")
    if factor in ("patient_id", "image_id", "seed"):
        raise ValueError(f"factor must not be {factor!r}, which says who the patient is; draw new patients instead")
    changed = patients.copy()
    changed[factor] = value
    return changed


def render(patients: DataFrame, *, size: int = 64, batch: int = 32) -> Radiographs:
    """Make the radiographs of a table of patients, with every ground truth mask.

    Parameters
    ----------
    patients : DataFrame
        From `sample_patients`, `assign_drains` or `twin`; rows may be dropped, doubled or changed.
    size : int
        Height and width, pixels (16 or more); the field is about 40 cm.
    batch : int
        Patients evaluated together; it bounds the memory and does not change the result.

    Returns
    -------
    Radiographs
        x float32 (n, 1, size, size) in [0, 1], dense = white; findings (FINDINGS as 0/1); patients (the table);
        masks bool (n, size, size): lung_right, lung_left (the pleural space outside heart and diaphragm), the same
        with _aerated (without fluid and pneumothorax), heart, ribs, spine, body, every finding but cardiomegaly, every
        device.

    Raises
    ------
    ValueError
        For an empty table, a missing column, or size below 16 or batch below 1.
    """
    patients = _renderable(patients, size=size, batch=batch)
    return _films(patients, [_render_batch(part, [part], size=size)[0] for part in _parts(patients, batch)])


def render_device_twins(
    patients: DataFrame, device: str, *, size: int = 64, batch: int = 32
) -> tuple[Radiographs, Radiographs]:
    """Make every patient's film without and with a device, evaluating the anatomy once.

    Parameters
    ----------
    patients, size, batch
        As in `render`.
    device : str
        One of DEVICES.

    Returns
    -------
    (Radiographs, Radiographs)
        Without and with it, to the bit what `render` makes of ``twin(patients, device, 0)`` and ``(…, 1)``.

    Raises
    ------
    ValueError
        As `render`; for an unknown device.
    """
    patients = _renderable(patients, size=size, batch=batch)
    both = [twin(patients, _known("device", device, DEVICES), present) for present in (0, 1)]
    pairs = zip(*(_parts(table, batch) for table in both), strict=True)
    made = [_render_batch(pair[0], pair, size=size) for pair in pairs]
    bare, equipped = (_films(table, list(parts)) for table, parts in zip(both, zip(*made, strict=True), strict=True))
    return bare, equipped


def _renderable(patients: DataFrame, *, size: int, batch: int) -> DataFrame:
    """The table with a fresh index, or a readable error."""
    if len(patients) == 0:
        raise ValueError("patients must have at least one row, got 0; see sample_patients")
    missing = {"seed", "sex", "view", "group", *FINDINGS, *DEVICES} - set(patients.columns)
    if missing:
        raise ValueError(f"patients must have the columns of sample_patients, got none of {sorted(missing)}; add them")
    if size < 16 or batch < 1:
        raise ValueError(f"size must be at least 16 and batch at least 1, got {size} and {batch}; raise them")
    return patients.reset_index(drop=True)


def _parts(patients: DataFrame, batch: int) -> list[DataFrame]:
    return [patients.iloc[i : i + batch] for i in range(0, len(patients), batch)]


def _films(patients: DataFrame, parts: list[Film]) -> Radiographs:
    """Put batches of films together."""
    return Radiographs(
        x=torch.cat([image for image, _ in parts])[:, None],
        findings=patients[list(FINDINGS)].copy(),
        patients=patients,
        masks={name: torch.cat([masks[name] for _, masks in parts]) for name in parts[0][1]},
        source=f"generator {VERSION}",
    )


def _render_batch(patients: DataFrame, versions: Sequence[DataFrame], *, size: int) -> list[Film]:
    """One batch of patients, in versions that differ from ``patients`` in their devices at most."""
    s = thorax_anatomy.scene(patients, size=size)
    exposure = thorax_findings.expose(s, patients)
    worn = [exposure if version is patients else thorax_findings.equip(exposure, s, version) for version in versions]
    return [_expose_film(s, each, patients) for each in worn]


def _expose_film(s: thorax_anatomy.Scene, exposure: thorax_findings.Exposure, patients: DataFrame) -> Film:
    """From optical depth to grey values, with the patients' own noise."""
    site = pd.DataFrame([GROUPS[g] for g in patients["group"]])
    window, gamma, dose = (torch.as_tensor(site[k].to_numpy(np.float32))[:, None, None] for k in site.columns)
    primary = torch.exp(-exposure.anatomy)
    ratio = torch.as_tensor(patients["view"].map(thorax_physics.SCATTER_RATIO).to_numpy(np.float32))[:, None, None]
    behind = torch.where(exposure.body, primary, 0.0)
    scattered = thorax_physics.scatter(behind, pixel_cm=s.px, ratio=ratio)
    intensity = primary * torch.exp(-exposure.devices) + scattered
    noise = thorax_physics.quantum_noise(patients["seed"].to_numpy(), (s.size, s.size))
    detected = thorax_physics.detect(intensity, noise, pixel_cm=s.px, dose=dose)
    high = (1.0 + 0.122 * s.p["body"]) * (1 + 0.04 * s.p["g_exposure"]) * window
    low = 0.38 + 0.06 * s.p["g_contrast"]
    shape = 0.9 * gamma * (1 + 0.08 * s.p["g_contrast"])
    return thorax_physics.display(detected, low=low, high=high, gamma=shape), exposure.masks
