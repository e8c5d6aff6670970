"""What a representation tells about each known factor of a patient: one linear probe per space and factor.

After the evaluation of Louiset et al. 2024, SepCLR (arXiv:2402.11928): probes learn from training targets and are asked
about test targets. Differences: every factor is scored by an AUC, so that one scale serves a whole matrix; severity is
asked within a subtype, since it means another change in each.

Conventions: labels are int64 (n,), -1 = this patient is not asked; an AUC of 0.5 = the space does not tell; NaN = fewer
than 20 patients of some class among the asked.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from pandas import DataFrame
from torch import Tensor

from lib.data.one_finding import ATTRIBUTES, SUBTYPES, two_kinds
from lib.measure.fairness import auc, too_few
from lib.measure.probes import logistic

__all__ = ["FACTORS", "factor_aucs", "factor_labels", "probe", "shuffled_labels"]

FACTORS = ("subtype", "severity", *ATTRIBUTES, "target")
Labels = dict[str, NDArray[np.int64]]


def factor_labels(people: DataFrame) -> Labels:
    """Labels of every factor, from a table of `lib.data.one_finding.one_finding_patients`.

    Parameters
    ----------
    people : DataFrame
        n patients.

    Returns
    -------
    dict of str to int64 array (n,)
        "subtype" (0, 1, 2), "severity of <subtype>" (1 = the more severe half of the range) and the four attributes,
        for targets; "target" (0/1), for all.
    """
    target = people["target"].to_numpy() == 1
    kind = people["kind"].to_numpy()
    found = {"subtype": np.where(target, kind, -1)}
    for k, name in enumerate(SUBTYPES):
        severe = (people["severity"].to_numpy() > 0.5).astype(np.int64)
        found[f"severity of {name}"] = np.where(target & (kind == k), severe, -1)
    found |= {name: np.where(target, column, -1) for name, column in zip(ATTRIBUTES, two_kinds(people).T, strict=True)}
    return found | {"target": target.astype(np.int64)}


def shuffled_labels(labels: Labels, *, rng: np.random.Generator) -> Labels:
    """The same labels in random order among those who are asked: the floor of permuted labels."""
    mixed = {}
    for name, values in labels.items():
        asked = values >= 0
        mixed[name] = values.copy()
        mixed[name][asked] = rng.permutation(values[asked])
    return mixed


def probe(
    seen: Tensor, labels: NDArray[np.int64], asked: Tensor, truth: NDArray[np.int64], *, penalty: float
) -> tuple[float, float]:
    """Fit one probe and score it.

    Parameters
    ----------
    seen, asked : Tensor (n, d), (m, d)
    labels, truth : int64 (n,), (m,)
        Classes 0, 1, …, and -1 = left out.
    penalty : float
        As `lib.measure.probes.logistic`.

    Returns
    -------
    float, float
        Mean over classes of the AUC of a class against the rest (with two classes: the AUC); balanced accuracy.

    Raises
    ------
    ValueError
        If rows and labels do not fit.

    Examples
    --------
    >>> rows, labels = torch.arange(60.0)[:, None], np.repeat([0, 1, -1], 20)
    >>> probe(rows, labels, rows, labels, penalty=1e-3)
    (1.0, 1.0)
    """
    if len(seen) != len(labels) or len(asked) != len(truth):
        sizes = (len(seen), len(labels), len(asked), len(truth))
        raise ValueError(f"rows and labels must pair up, got {sizes}; pass one label for each row, -1 to leave it out")
    known, wanted = labels >= 0, truth >= 0
    classes = int(truth.max()) + 1
    goal = truth[wanted]
    if classes < 2 or any(too_few(goal == k) for k in range(classes)) or len(set(labels[known])) < classes:
        return math.nan, math.nan
    logits = logistic(
        seen[torch.tensor(known)], torch.tensor(labels[known]), asked[torch.tensor(wanted)], classes=classes,
        penalty=penalty,
    )  # fmt: skip
    share = torch.log_softmax(logits, dim=1)
    others = torch.log1p(-share.exp().clamp_max(1 - 1e-12))
    ranks = (share - others).numpy()  # log odds of a class against all others
    chosen = logits.argmax(dim=1).numpy()
    recall = [float((chosen[goal == k] == k).mean()) for k in range(classes)]
    return float(np.mean([auc(ranks[:, k], goal == k) for k in range(classes)])), float(np.mean(recall))


def factor_aucs(
    seen: Tensor, labels: Labels, asked: Tensor, truth: Labels, *, penalty: float, left_out: tuple[str, ...] = ()
) -> tuple[list[float], float]:
    """All factors of one space.

    Parameters
    ----------
    seen, asked : Tensor (n, d), (m, d)
    labels, truth : dict
        From `factor_labels`, of training and test patients.
    penalty : float
    left_out : tuple of str
        Factors that are not asked of this space.

    Returns
    -------
    list of float, float
        AUC by FACTORS, "severity" as the mean over subtypes; balanced accuracy of the subtype.
    """
    found = {
        name: probe(seen, labels[name], asked, truth[name], penalty=penalty) for name in truth if name not in left_out
    }
    severe = [value[0] for name, value in found.items() if name.startswith("severity of ")]
    aucs = {name: value[0] for name, value in found.items()} | {"severity": float(np.mean(severe))}
    return [aucs.get(name, math.nan) for name in FACTORS], found["subtype"][1]
