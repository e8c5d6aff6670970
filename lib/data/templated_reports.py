"""Short radiology reports written from labels, with negations, doubt and descriptors, and the prompts that ask back.

Image-text models of chest films (Sourget et al. 2025, arXiv:2507.21291, compares six) learn from reports that cannot be
passed on. Here reports are made from what a film is known to show: a finding is affirmed, denied, hedged or passed
over, a side is named where one is known, and now and then a descriptor says by what the finding is seen (Pellegrini et
al. 2023, Xplainer, arXiv:2303.13391). All phrases were written for this module. Differences from reports: one clause
per finding, no history, no comparison, no typing errors; nothing is said of sex, age, view or acquisition.

Conventions: labels are 1 present, 0 absent, -1 uncertain, NaN or None not mentioned, as in CheXpert; lower case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

__all__ = ["DESCRIPTORS", "NAMES", "STYLES", "prompts", "report", "reports", "vocabulary"]

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "cardiomegaly": "cardiomegaly",
        "effusion": "pleural effusion",
        "pneumothorax": "pneumothorax",
        "nodule": "nodule",
        "consolidation": "consolidation",
        "edema": "pulmonary edema",
    }
)
# What the films of lib.data.thorax show where the finding is present.
DESCRIPTORS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cardiomegaly": ("wide heart shadow", "high cardiothoracic ratio", "heart border near the chest wall"),
        "effusion": ("blunted costophrenic angle", "fluid level", "meniscus along the chest wall"),
        "pneumothorax": ("visible pleural line", "rim of air", "lung edge away from the chest wall"),
        "nodule": ("small round density", "coin lesion", "focal spot in the lung"),
        "consolidation": ("patchy opacity", "airspace shadow", "clouded part of the lung"),
        "edema": ("prominent vessels", "vascular congestion", "widened vessel shadows"),
    }
)
STYLES = ("label", "negated", "descriptors")
SIDES: Mapping[str, str] = MappingProxyType({"R": "right", "L": "left"})
OPENINGS = ("frontal chest film .", "chest .", "single view of the chest .")
HEALTHY = ("no findings .", "chest no findings .", "no acute findings in the chest .")
PRESENT = ("{what} .", "there is {what} .", "{what} is seen .", "there are signs of {what} .")
ABSENT = ("no {what} .", "there is no {what} .", "no {what} is seen .", "there are no signs of {what} .")
DOUBTFUL = (
    "possible {what} .",
    "{what} cannot be excluded .",
    "there may be {what} .",
    "findings may suggest {what} .",
)
_FORMS = {1: PRESENT, 0: ABSENT, -1: DOUBTFUL}


def _sentence(finding: str, state: int, side: str, *, describe: float, rng: np.random.Generator) -> str:
    """One clause about one finding; a descriptor may take the place of its name or follow it."""
    what = NAMES[finding]
    if state == 1 and side:
        what = f"{SIDES[side]} {what}"
    pick, form, added = rng.integers(len(DESCRIPTORS[finding])), rng.integers(len(_FORMS[state])), rng.random(2)
    if added[0] < describe:
        mark = DESCRIPTORS[finding][pick]
        what = f"{mark} indicating {what}" if added[1] < 0.5 else mark
    return _FORMS[state][form].format(what=what)


def report(
    labels: Mapping[str, float | None],
    *,
    rng: np.random.Generator,
    sides: Mapping[str, str] | None = None,
    mention: float = 0.5,
    describe: float = 0.5,
) -> str:
    """Write one report.

    Parameters
    ----------
    labels : mapping of str to {1, 0, -1, None}
        State of each finding (keys of NAMES); None or NaN = passed over.
    rng : numpy.random.Generator
        Wording, order, and which absent findings are denied; the same state writes the same report.
    sides : mapping of str to {"R", "L"}, optional
        Where present findings are.
    mention : float in [0, 1]
        Share of the absent findings that are denied; the others are passed over.
    describe : float in [0, 1]
        Share of clauses with a descriptor in place of the name or beside it.

    Returns
    -------
    str
        Lower case, clauses ended by " .". With nothing present or uncertain it may say that there are no findings.

    Raises
    ------
    ValueError
        For an unknown finding, state or side, or a share outside [0, 1].

    Examples
    --------
    >>> report({"pneumothorax": 1}, rng=np.random.default_rng(1), sides={"pneumothorax": "L"}, describe=0.0)
    'chest . left pneumothorax .'
    """
    states = _checked(labels, sides or {}, mention=mention, describe=describe)
    opening, healthy = rng.integers(len(OPENINGS)), rng.integers(len(HEALTHY))
    clauses = []
    for finding, state in states.items():
        denied, said = (
            rng.random(),
            _sentence(finding, state, (sides or {}).get(finding, ""), describe=describe, rng=rng),
        )
        if state != 0 or denied < mention:
            clauses.append(said)
    told = [clauses[i] for i in rng.permutation(len(clauses))]
    if rng.random() < 0.5 and not any(state != 0 for state in states.values()):
        told.insert(0, HEALTHY[healthy])
    return " ".join([OPENINGS[opening], *told])


def _checked(
    labels: Mapping[str, float | None], sides: Mapping[str, str], *, mention: float, describe: float
) -> dict[str, int]:
    """States of the findings that are not passed over, or a readable error."""
    for name, share in (("mention", mention), ("describe", describe)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be a share in [0, 1], got {share}; write a percentage as a fraction")
    unknown = sorted((set(labels) | set(sides)) - set(NAMES))
    if unknown:
        raise ValueError(f"labels and sides must name findings of {', '.join(NAMES)}, got {unknown}; leave them out")
    wrong = sorted({str(side) for side in sides.values()} - set(SIDES))
    if wrong:
        raise ValueError(f"sides must be R or L, got {wrong}; leave a finding without a side out")
    states = {}
    for finding, value in labels.items():
        if value is None or value != value:
            continue
        if value not in _FORMS:
            raise ValueError(f"label of {finding} must be 1, 0, -1 or missing, got {value}; see the conventions")
        states[finding] = int(value)
    return states


def reports(
    patients: DataFrame, *, rng: np.random.Generator, versions: int = 1, mention: float = 0.5, describe: float = 0.5
) -> NDArray[np.object_]:
    """Write reports for a table of patients.

    Parameters
    ----------
    patients : DataFrame
        With columns of NAMES (1, 0, -1, missing) and, where known, ``<finding>_side``; as from `lib.data.thorax`.
    rng : numpy.random.Generator
    versions : int
        Reports of each patient, in other words.
    mention, describe
        As in `report`.

    Returns
    -------
    ndarray of str, shape (n, versions)

    Raises
    ------
    ValueError
        If no column is a finding, or ``versions`` is below 1; and as `report`.
    """
    known = [name for name in NAMES if name in patients.columns]
    if not known or versions < 1:
        raise ValueError(
            f"patients must have a column of {', '.join(NAMES)} and versions be >= 1, got {known} and {versions}"
        )
    placed = [name for name in known if f"{name}_side" in patients.columns]
    found = np.empty((len(patients), versions), dtype=object)
    for i, row in enumerate(patients.to_dict("records")):
        labels, sides = {name: row[name] for name in known}, {name: row[f"{name}_side"] for name in placed}
        for k in range(versions):
            found[i, k] = report(labels, rng=rng, sides=sides, mention=mention, describe=describe)
    return found


def prompts(finding: str, style: str) -> tuple[list[str], list[str]]:
    """What to ask for a finding: prompts that affirm it and prompts that do not.

    Parameters
    ----------
    finding : str
        A key of NAMES.
    style : {"label", "negated", "descriptors"}
        The name against "no findings", as Sourget et al. ask; the name against its denial; or every descriptor
        against its denial, as Xplainer asks.

    Returns
    -------
    (list of str, list of str)
        Equally long: one prompt each, or one for every descriptor.

    Raises
    ------
    ValueError
        For an unknown finding or style.

    Examples
    --------
    >>> prompts("effusion", "negated")
    (['pleural effusion'], ['no pleural effusion'])
    """
    if finding not in NAMES or style not in STYLES:
        raise ValueError(
            f"finding must be one of {', '.join(NAMES)} and style one of {', '.join(STYLES)}, "
            f"got {finding!r} and {style!r}"
        )
    name = NAMES[finding]
    if style == "label":
        return [f"chest {name}"], ["chest no findings"]
    if style == "negated":
        return [name], [f"no {name}"]
    marks = [f"{mark} indicating {name}" for mark in DESCRIPTORS[finding]]
    return [f"there is {mark}" for mark in marks], [f"there is no {mark}" for mark in marks]


def vocabulary() -> tuple[str, ...]:
    """All words and marks that reports and prompts can hold, sorted.

    Examples
    --------
    >>> {"no", "pneumothorax", "."} <= set(vocabulary())
    True
    """
    phrases: list[Sequence[str]] = [OPENINGS, HEALTHY, PRESENT, ABSENT, DOUBTFUL, tuple(NAMES.values())]
    phrases += [tuple(SIDES.values()), *DESCRIPTORS.values(), ("indicating",)]
    text = " ".join(phrase for group in phrases for phrase in group).replace("{what}", " ")
    return tuple(sorted(set(re.findall(r"[a-z]+|[^\sa-z]", text))))
