"""Labels as a report gives them: present, absent or uncertain, with a known truth and a known reason for the doubt.

Irvin et al. 2019, CheXpert (arXiv:1901.07031), read 1, 0 and -1 (uncertain) out of reports; what the uncertain films
show is not known there. Here the share of positives among the uncertain is chosen, and which patients they are depends
on how far the finding has gone: the milder, the more often uncertain.

Differences: no report and no reader is simulated; doubt falls on patients by chance, with odds that depend on severity
alone. A negative film is doubted at random unless the caller says how much it resembles the finding.

Conventions: labels are int64, 1 = present, 0 = absent, -1 = uncertain; severity is the place of a finding's size in
the whole range of `thorax.SEVERITIES`, 0 = smallest "hard" size, 1 = largest "easy" size.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame

from lib.data import thorax

__all__ = ["SIZES", "UNCERTAIN", "doubt", "graded_patients", "resemblance", "severity"]

UNCERTAIN = -1
SIZES: Mapping[str, str] = MappingProxyType(
    {
        "cardiomegaly": "cardiomegaly_excess",
        "consolidation": "consolidation_fill",
        "edema": "edema_gain",
        "effusion": "effusion_ml",
    }
)
OTHERS = 0.1  # share of patients with each finding that is not asked about, and with a drain
CTR = (0.38, 0.495)  # range of the cardiothoracic ratio of hearts that are not enlarged, see thorax.sample_patients


def _range(finding: str) -> tuple[float, float]:
    if finding not in SIZES:
        raise ValueError(f"finding must be one of {', '.join(SIZES)}, got {finding!r}; the others have no graded size")
    column = SIZES[finding]
    return thorax.SEVERITIES["hard"][column][0], thorax.SEVERITIES["easy"][column][1]


def graded_patients(n: int, *, rng: np.random.Generator, prevalence: float = 0.5) -> DataFrame:
    """Draw patients whose findings are of any size, from barely visible to obvious.

    Parameters
    ----------
    n : int
        Patients.
    rng : numpy.random.Generator
    prevalence : float in [0, 1]
        Share with each finding of SIZES, independently; all other findings and drains are present in a tenth.

    Returns
    -------
    DataFrame
        As `thorax.sample_patients`, sizes uniform between the smallest "hard" and the largest "easy" one.

    Raises
    ------
    ValueError
        As `thorax.sample_patients`.

    Examples
    --------
    >>> people = graded_patients(50, rng=np.random.default_rng(0))
    >>> bool(people["effusion_ml"].between(50, 1500).all())
    True
    """
    rates = dict.fromkeys(thorax.FINDINGS, OTHERS) | dict.fromkeys(SIZES, prevalence)
    table = thorax.sample_patients(
        n, rng=rng, prevalence=rates, p_drain_given_pneumothorax=OTHERS, p_drain_given_none=OTHERS
    )
    for finding, column in SIZES.items():
        table[column] = rng.uniform(*_range(finding), n)
    return table


def severity(patients: DataFrame, finding: str) -> NDArray[np.float64]:
    """Place of a finding's size in its whole range, float64 (n,) in [0, 1].

    Parameters
    ----------
    patients : DataFrame
        From `graded_patients`.
    finding : str
        One of SIZES.

    Returns
    -------
    ndarray
        0 = barely visible, 1 = obvious; it means nothing for patients without the finding.

    Raises
    ------
    ValueError
        For a finding without a graded size.
    """
    low, high = _range(finding)
    return (patients[SIZES[finding]].to_numpy(float) - low) / (high - low)


def resemblance(patients: DataFrame, finding: str) -> NDArray[np.float64]:
    """How much a film without the finding looks like one with it, float64 (n,) in [0, 1].

    For cardiomegaly it is the width of the normal heart in the chest, so that borderline hearts are doubted; the
    generator knows no look-alikes of the other findings and answers 0.

    Parameters
    ----------
    patients, finding
        As in `severity`.

    Returns
    -------
    ndarray
        0 = unlike, 1 = the widest heart that is still normal.
    """
    _range(finding)
    if finding != "cardiomegaly":
        return np.zeros(len(patients))
    return np.clip((patients["ctr"].to_numpy(float) - CTR[0]) / (CTR[1] - CTR[0]), 0, 1)


def doubt(
    truth: ArrayLike,
    mildness: ArrayLike,
    *,
    rate: float,
    positive_share: float,
    steepness: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Make some labels uncertain, mostly those of borderline patients.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
        Who has the finding.
    mildness : array_like of float, shape (n,)
        How borderline a patient is: 1 - severity of those with the finding, resemblance of those without.
    rate : float in [0, 1]
        Share of all labels that become uncertain.
    positive_share : float in [0, 1]
        Share of the uncertain who have the finding: the dial. Both counts are rounded and then exact.
    steepness : float, >= 0
        Log odds of being drawn, mildness 1 against mildness 0; 0 = doubt is blind to severity.
    rng : numpy.random.Generator
        The same state at another ``positive_share`` or ``rate`` draws nested sets.

    Returns
    -------
    ndarray of int64, shape (n,)
        1, 0 or -1.

    Raises
    ------
    ValueError
        For shapes, labels or shares out of range, and where the truth holds too few patients of a kind.

    Source
    ------
    Adding Gumbel noise to log weights and keeping the largest draws without replacement in proportion to the weights
    (Yellott 1977, Journal of Mathematical Psychology 15).

    Examples
    --------
    >>> sick = np.repeat([1, 0], 10)
    >>> found = doubt(sick, 0 * sick, rate=0.5, positive_share=0.8, steepness=0, rng=np.random.default_rng(0))
    >>> [int((found[sick == k] == UNCERTAIN).sum()) for k in (1, 0)]
    [8, 2]
    """
    labels, lean = _checked(truth, mildness)
    for name, value in (("rate", rate), ("positive_share", positive_share)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be a share in [0, 1], got {value}; write a percentage as a fraction")
    if steepness < 0:
        raise ValueError(f"steepness must be at least 0, got {steepness}; 0 makes doubt blind to severity")
    key = steepness * lean + rng.gumbel(size=labels.size)
    total = round(rate * labels.size)
    sick = round(positive_share * total)
    found = labels.copy()
    for kind, count in ((1, sick), (0, total - sick)):
        rows = np.flatnonzero(labels == kind)
        if count > rows.size:
            raise ValueError(
                f"rate and positive_share ask for {count} uncertain labels of truth {kind}, there are {rows.size}; "
                "lower the rate or move the share"
            )
        found[rows[np.argsort(-key[rows], kind="stable")[:count]]] = UNCERTAIN
    return found


def _checked(truth: ArrayLike, mildness: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    labels, lean = np.asarray(truth), np.asarray(mildness, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != lean.shape:
        raise ValueError(
            f"truth and mildness must be one-dimensional and equally long, got {labels.shape} and {lean.shape}; "
            "pass one value per patient"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"truth must hold 0 and 1 only, got {np.unique(labels)[:5]}; drop rows without a truth")
    if not np.isfinite(lean).all():
        raise ValueError("mildness must be finite, got NaN or infinity; use 0 where nothing is known")
    return labels.astype(np.int64), lean
