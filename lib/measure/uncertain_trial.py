"""One trial of CheXpert's policies: new patients, labels made uncertain in three ways, all heads, all scores.

Irvin et al. 2019 (arXiv:1901.07031). Films come from `lib.data.thorax`, doubt from `lib.data.doubtful_labels`, heads
from `lib.measure.uncertain_labels`. A trial is one independent unit: its patients, films and doubts belong to no other.

Conventions: an arm says what the uncertain labels hide; the same patients, films and luck serve all arms, so that
arms and policies are compared pairwise. Scores are held against the truth, never against uncertain labels.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.data import thorax
from lib.data.doubtful_labels import SIZES, doubt, graded_patients, resemblance, severity
from lib.measure.calibration_error import calibration_error, calibration_floor, error_by_group
from lib.measure.fairness import auc, too_few
from lib.measure.film_components import film_components
from lib.measure.uncertain_labels import POLICIES, train_head

__all__ = ["ARMS", "COLUMNS", "FINDINGS", "KNOWN", "arm_labels", "policy_trial", "trial_scores"]

FINDINGS = tuple(SIZES)
ARMS = ("mostly positive", "half", "mostly negative")
KNOWN = "truth known"  # the head that is told every label: no policy, what doubt costs is measured from it
COLUMNS = (*POLICIES, KNOWN)
GROUPS = tuple(thorax.GROUPS)


def arm_labels(
    patients: pd.DataFrame, finding: str, *, rate: float, lopsided: float, steepness: float, seed: int
) -> dict[str, np.ndarray]:
    """Labels of one finding in every arm.

    Parameters
    ----------
    patients : DataFrame
        From `lib.data.doubtful_labels.graded_patients`.
    finding : str
        One of FINDINGS.
    rate, steepness : float
        As in `lib.data.doubtful_labels.doubt`.
    lopsided : float in [0.5, 1]
        Share of positives among the uncertain where they are mostly positive; 1 - this where mostly negative.
    seed : int
        The luck of the doubt, the same in all arms.

    Returns
    -------
    dict of str to int64 ndarray (n,)
        By arm, in the order of ARMS; 1, 0 or -1.

    Raises
    ------
    ValueError
        If ``lopsided`` is out of range, and as `lib.data.doubtful_labels.doubt`.
    """
    if not 0.5 <= lopsided <= 1:
        raise ValueError(f"lopsided must be in [0.5, 1], got {lopsided}; it is the share in the mostly positive arm")
    truth = patients[finding].to_numpy()
    mildness = np.where(truth == 1, 1 - severity(patients, finding), resemblance(patients, finding))
    options = {"rate": rate, "steepness": steepness}
    shares = dict(zip(ARMS, (lopsided, 0.5, 1 - lopsided), strict=True))
    stream = [seed, FINDINGS.index(finding)]
    return {
        arm: doubt(truth, mildness, positive_share=share, rng=np.random.default_rng(stream), **options)
        for arm, share in shares.items()
    }


def policy_trial(
    *,
    seed: int,
    n_train: int,
    n_test: int,
    size: int,
    components: int,
    penalty: float,
    rate: float,
    lopsided: float,
    steepness: float,
    prevalence: float,
) -> dict[str, Tensor]:
    """Draw patients, render their films, and train and ask a head for every finding, arm and policy.

    Parameters
    ----------
    seed : int
        Everything random.
    n_train, n_test : int
        Patients, one film each; nobody is in both.
    size : int
        Side of a film, pixels.
    components, penalty
        See `lib.measure.film_components.film_components` and `lib.measure.uncertain_labels.train_head`.
    rate, lopsided, steepness
        See `arm_labels`.
    prevalence : float
        Share of patients with each finding.

    Returns
    -------
    dict of Tensor
        "probability" float64 (findings, arms, policies + 1, n_test), in the order of FINDINGS, ARMS and COLUMNS, the
        last column being the same in all arms; "positive" int64 and "severity" float64 (findings, n_test); "group"
        int64 (n_test,), position in A, B, C.
    """
    people = graded_patients(n_train + n_test, rng=np.random.default_rng([seed, 12]), prevalence=prevalence)
    films = thorax.render(people, size=size).x
    seen, asked = film_components(films[:n_train], films[n_train:], components=components)
    train, test = people.iloc[:n_train], people.iloc[n_train:]
    answers = torch.empty(len(FINDINGS), len(ARMS), len(COLUMNS), n_test, dtype=torch.float64)
    for f, finding in enumerate(FINDINGS):
        truth = torch.tensor(train[finding].to_numpy())
        answers[f, :, -1] = train_head(seen, truth, asked, policy="U-Ignore", penalty=penalty)
        labels = arm_labels(train, finding, rate=rate, lopsided=lopsided, steepness=steepness, seed=seed)
        for a, arm in enumerate(ARMS):
            given = torch.tensor(labels[arm])
            for p, policy in enumerate(POLICIES):
                answers[f, a, p] = train_head(seen, given, asked, policy=policy, penalty=penalty)
    return {
        "probability": answers,
        "positive": torch.tensor(np.stack([test[name].to_numpy() for name in FINDINGS])),
        "severity": torch.tensor(np.stack([severity(test, name) for name in FINDINGS])),
        "group": torch.tensor([GROUPS.index(name) for name in test["group"]]),
    }


def trial_scores(trial: dict[str, Tensor], *, seed: int) -> pd.DataFrame:
    """Scores of every head of a trial against the truth.

    Parameters
    ----------
    trial : dict of Tensor
        From `policy_trial`.
    seed : int
        Name of the trial in the table, and the draws of the floor.

    Returns
    -------
    DataFrame
        One row per finding, arm and policy (COLUMNS): seed, finding, arm, policy; auc of all, and auc_mild and
        auc_severe of the positives below and above the middle of the range of sizes against all negatives; ece, its
        floor ece_floor, and ece_A, ece_B, ece_C within the acquisition groups. NaN with fewer than 20 positives or
        negatives.
    """
    groups = np.array(GROUPS)[trial["group"].numpy()]
    rng = np.random.default_rng([seed, 16])
    rows = []
    for f, finding in enumerate(FINDINGS):
        positive, grade = trial["positive"][f].numpy(), trial["severity"][f].numpy()
        for a, arm in enumerate(ARMS):
            for p, policy in enumerate(COLUMNS):
                probability = trial["probability"][f, a, p].numpy()
                found = {"seed": seed, "finding": finding, "arm": arm, "policy": policy}
                found |= _aucs(probability, positive, grade) | _errors(probability, positive, groups, rng)
                rows.append(found)
    return pd.DataFrame(rows)


def _aucs(probability: np.ndarray, positive: np.ndarray, grade: np.ndarray) -> dict[str, float]:
    healthy = positive == 0
    parts = {
        "auc": np.ones(positive.size, bool),
        "auc_mild": healthy | (grade < 0.5),
        "auc_severe": healthy | (grade >= 0.5),
    }
    return {
        name: math.nan if too_few(positive[rows]) else auc(probability[rows], positive[rows])
        for name, rows in parts.items()
    }


def _errors(
    probability: np.ndarray, positive: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> dict[str, float]:
    inside = error_by_group(probability, positive, groups).set_index("group")["error"]
    enough = not too_few(positive)
    return {
        "ece": calibration_error(probability, positive) if enough else math.nan,
        "ece_floor": calibration_floor(probability, generator=rng, draws=20) if enough else math.nan,
    } | {f"ece_{name}": float(inside.get(name, math.nan)) for name in GROUPS}
