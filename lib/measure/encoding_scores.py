"""Tables of a trial of encoding against use: what probes find, what a flip of the group moves, what explanations see.

Glocker et al. 2023 (arXiv:2110.14755) for the probe, Stanley et al. 2025 (PMC11700256) for the question whether what is
encoded is used. A trial is that of `lib.measure.encoding_trial.encoding_trial`.

Conventions: every table has the columns seed and strength (share of group B among those with the finding in training).
An AUC of .5 = guessing; with fewer than 20 of either kind it is NaN. Probabilities are those of the finding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor

from lib.measure.encoding_trial import ERASURES
from lib.measure.fairness import auc, too_few

__all__ = ["FLOORS", "GUESSES", "TESTS", "audit_table", "finding_table", "patient_table", "probe_table"]

FLOORS = ("table", "silhouette", "permuted labels")
TESTS = ("as in training", "unrelated", "turned round")
GUESSES = {"mass": "saliency inside the changed region", "first order": "gradient times change"}
Trial = dict[str, Tensor]


def _auc(score: ArrayLike, positive: ArrayLike) -> float:
    return math.nan if too_few(positive) else auc(score, positive)


def probe_table(trial: Trial, *, strengths: Sequence[float], seed: int) -> pd.DataFrame:
    """How well the group of a film is found.

    Parameters
    ----------
    trial : dict of Tensor
    strengths : sequence of float
        Those of the trial, in its order.
    seed : int
        Name of the trial.

    Returns
    -------
    DataFrame
        seed, strength, what, auc; ``what`` is "trained network", "untrained network", one of FLOORS, or "after" and the
        name of an erasure. What no training can change is repeated at every strength.
    """
    group, rows = trial["shown"].numpy(), []
    for level, strength in enumerate(strengths):
        found = {"trained network": trial["probe"][level], "untrained network": trial["untrained"]}
        found |= {"table": trial["table"], "silhouette": trial["silhouette"]}
        found |= {"permuted labels": trial["permuted"][level]}
        found |= {f"after {name}": trial["probe erased"][level, i] for i, name in enumerate(ERASURES)}
        rows += [(seed, strength, what, _auc(score.numpy(), group)) for what, score in found.items()]
    return pd.DataFrame(rows, columns=["seed", "strength", "what", "auc"])


def patient_table(trial: Trial, *, strengths: Sequence[float], seed: int) -> pd.DataFrame:
    """What the twins and the erasures move, patient by patient.

    Parameters
    ----------
    trial, strengths, seed
        As in `probe_table`.

    Returns
    -------
    DataFrame
        One row per strength and patient: seed, strength, patient; flip, the probability on the film of B minus that on
        the film of A; size, its magnitude; for each erasure "moved by ..." the magnitude of the change of the
        probability on the shown film, and "size after ..." what is left of the size of the flip; and in logits
        "logit size" of the flip, with both GUESSES, of which "first order" as a magnitude.
    """
    shown, tables = trial["shown"].numpy(), []
    rows = np.arange(shown.size)
    for level, strength in enumerate(strengths):
        logit = trial["logit"][level].numpy()
        before, after = _probability(logit), _probability(trial["erased"][level].numpy())
        columns = {"seed": seed, "strength": strength, "patient": rows, "flip": before[1] - before[0]}
        columns["size"] = np.abs(before[1] - before[0])
        for i, name in enumerate(ERASURES):
            columns[f"moved by {name}"] = np.abs(after[i][shown, rows] - before[shown, rows])
            columns[f"size after {name}"] = np.abs(after[i][1] - after[i][0])
        columns["logit size"] = np.abs(logit[1] - logit[0])
        columns |= {name: np.abs(trial[name][level].numpy()) for name in GUESSES}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def finding_table(trial: Trial, *, strengths: Sequence[float], seed: int) -> pd.DataFrame:
    """How well the finding is found in test films whose groups go with it as in training, not at all, or turned round.

    Parameters
    ----------
    trial, strengths, seed
        As in `probe_table`.

    Returns
    -------
    DataFrame
        seed, strength, test (one of TESTS), auc. At strength 0.5 all three tests are without an association.
    """
    positive, place = trial["positive"].numpy(), trial["place"].numpy()
    patients, rows = np.arange(positive.size), []
    for level, strength in enumerate(strengths):
        for test, share in zip(TESTS, (strength, 0.5, 1 - strength), strict=True):
            group = (place < np.where(positive == 1, share, 1 - share)).astype(int)
            rows.append((seed, strength, test, _auc(trial["logit"][level].numpy()[group, patients], positive)))
    return pd.DataFrame(rows, columns=["seed", "strength", "test", "auc"])


def audit_table(patients: pd.DataFrame) -> pd.DataFrame:
    """Does an explanation rank films by how far their twin moves the logit?

    Parameters
    ----------
    patients : DataFrame
        From `patient_table`, any number of seeds.

    Returns
    -------
    DataFrame
        seed, strength, guess (a value of GUESSES), rho: Spearman's correlation over films of the guess and the size of
        the flip in logits; 1 = the same order, 0 = the explanation knows nothing of it.
    """
    rows = [
        (seed, strength, text, float(stats.spearmanr(part[name], part["logit size"]).statistic))
        for (seed, strength), part in patients.groupby(["seed", "strength"], sort=False)
        for name, text in GUESSES.items()
    ]
    return pd.DataFrame(rows, columns=["seed", "strength", "guess", "rho"])


def _probability(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))
