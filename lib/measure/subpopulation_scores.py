"""What a trial of subpopulation shift says: accuracy of the worst cell and its rivals, choice of a model, agreement.

Yang et al. 2023 (arXiv:2302.12254): worst-group accuracy, adjusted accuracy (mean of the groups), calibration error;
models chosen by what validation patients say, with or without knowledge of groups; rank correlations between measures
over models. Differences: a cell with fewer than 20 test patients has no accuracy (NaN) and neither has the worst; the
average of validation patients is that of the training set's shares, from equally many validation patients per cell.

Conventions: one row = one model (seed, shift, method, epochs). A patient is called sick above one half. "As trained"
means in the shares of the training set. Accuracies and AUC are in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pandas import DataFrame
from torch import Tensor

from lib.data.subpopulations import ATTRIBUTES, CELLS, counts, rows_of, shares
from lib.measure.calibration_error import calibration_error
from lib.measure.cell_methods import METHODS
from lib.measure.fairness import MINIMUM, by_group, too_few
from lib.measure.subpopulation_trial import ARMS, lengths

__all__ = ["CRITERIA", "MEASURES", "agreement", "chosen", "trial_scores"]

# What a model is chosen by; the last one looks at the test patients and says what could have been had.
CRITERIA: Mapping[str, str] = {
    "average": "valid_average",
    "worst class": "valid_class",
    "worst group": "valid_group",
    "test (oracle)": "worst_group",
}
# What is held against worst-group accuracy; of the last one less is better.
MEASURES: Mapping[str, str] = {
    "worst-group AUC": "worst_auc",
    "adjusted accuracy": "adjusted",
    "accuracy as trained": "average",
    "calibration error as trained": "ece",
}
KEYS = ["seed", "shift", "method", "epochs"]
Floats = NDArray[np.float64]


def trial_scores(trial: Mapping[str, Tensor], *, seed: int, n_train: int, rare: float, epochs: int) -> DataFrame:
    """Scores of every model of a trial.

    Parameters
    ----------
    trial : mapping of str to Tensor
        From `lib.measure.subpopulation_trial.subpopulation_trial`.
    seed : int
        Name of the trial in the table.
    n_train, rare, epochs
        As in the trial.

    Returns
    -------
    DataFrame
        seed, shift, method, epochs; of test patients one accuracy per cell, worst_group (least of the cells), adjusted
        (their mean), average (as trained), worst_auc (least within an acquisition group), ece (as trained); of
        validation patients of cells met in training valid_average (as trained), valid_class (the worse label, as
        trained) and valid_group (least of the cells).
    """
    cell = {part: trial[f"cell {part}"].numpy() for part in ("valid", "test")}
    rows = []
    for a, shift in enumerate(ARMS):
        weight = shares(shift, rare=rare).to_numpy().ravel()
        like = _as_trained(shift, cell["test"], rare=rare)
        for m, method in enumerate(METHODS):
            for k, length in enumerate(lengths(epochs)):
                logits = {part: trial[part][a, m, k] for part in cell}
                if bool(logits["test"].isnan().any()):
                    continue
                row: dict[str, str | float] = dict(zip(KEYS, (seed, shift, method, length), strict=True))
                row.update(_tested(logits["test"], cell["test"], weight, like))
                row.update(_validated(logits["valid"], cell["valid"], weight))
                rows.append(row)
    return DataFrame(rows)


def chosen(scores: DataFrame) -> DataFrame:
    """For every seed and shift the model that each criterion picks.

    Parameters
    ----------
    scores : DataFrame
        From `trial_scores`.

    Returns
    -------
    DataFrame
        seed, shift, criterion (of CRITERIA), method, epochs, worst_group. Of equal models the first is taken. Without a
        finite value of the criterion there is no model: method "none", worst_group NaN.
    """
    rows = []
    for (seed, shift), part in scores.groupby(["seed", "shift"], sort=False):
        for criterion, column in CRITERIA.items():
            row = {"seed": seed, "shift": shift, "criterion": criterion, "method": "none", "worst_group": math.nan}
            if part[column].notna().any():
                best = part.iloc[int(part[column].fillna(-1).argmax())]
                row.update({name: best[name] for name in ("method", "epochs", "worst_group")})
            rows.append(row)
    return DataFrame(rows, columns=["seed", "shift", "criterion", "method", "epochs", "worst_group"])


def agreement(scores: DataFrame) -> DataFrame:
    """Spearman's correlation of every other measure with worst-group accuracy, over the models of a seed and shift.

    Parameters
    ----------
    scores : DataFrame
        From `trial_scores`.

    Returns
    -------
    DataFrame
        seed, shift, measure (of MEASURES), correlation in [-1, 1]; 1 = the same order of models. A positive one of the
        calibration error says that models with a better worst group are worse calibrated. NaN if either is constant.

    Examples
    --------
    >>> same = {name: [0.1, 0.2, 0.3] for name in ("worst_group", *MEASURES.values())}
    >>> agreement(DataFrame({"seed": 0, "shift": "a", **same}))["correlation"].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    rows = []
    for (seed, shift), part in scores.groupby(["seed", "shift"], sort=False):
        ranks = part[["worst_group", *MEASURES.values()]].rank()
        for measure, column in MEASURES.items():
            value = math.nan
            if ranks["worst_group"].nunique() > 1 and ranks[column].nunique() > 1:
                value = float(ranks["worst_group"].corr(ranks[column]))
            rows.append({"seed": seed, "shift": shift, "measure": measure, "correlation": value})
    return DataFrame(rows)


def _tested(logits: Tensor, cell: NDArray[np.int64], weight: Floats, like: NDArray[np.int64]) -> dict[str, float]:
    """Measures of test patients; ``like`` are rows in the shares of the training set."""
    accuracy = _accuracies(logits, cell, minimum=MINIMUM)
    probability = torch.sigmoid(logits.double()).numpy()
    groups = by_group(logits.numpy(), cell % 2, np.asarray(ATTRIBUTES)[cell // 2])["auc"].to_numpy()
    known = accuracy[weight > 0]
    return dict(zip(CELLS, accuracy.tolist(), strict=True)) | {
        "worst_group": float(np.min(accuracy)),
        "adjusted": float(np.mean(accuracy)),
        "average": float(known @ weight[weight > 0]),
        "worst_auc": float(np.min(groups)),
        "ece": calibration_error(probability[like], cell[like] % 2) if not too_few(cell[like] % 2) else math.nan,
    }


def _validated(logits: Tensor, cell: NDArray[np.int64], weight: Floats) -> dict[str, float]:
    """What validation patients of cells met in training say; a criterion needs no minimum, it is not a result."""
    accuracy = _accuracies(logits, cell, minimum=1)
    met = weight > 0
    labels = [met & (np.arange(len(CELLS)) % 2 == label) for label in (0, 1)]
    classes = [float(np.average(accuracy[label], weights=weight[label])) for label in labels]
    return {
        "valid_average": float(np.average(accuracy[met], weights=weight[met])),
        "valid_class": min(classes),
        "valid_group": float(np.min(accuracy[met])),
    }


def _accuracies(logits: Tensor, cell: NDArray[np.int64], *, minimum: int) -> Floats:
    """Share of right answers in each cell, float (6,); NaN with fewer patients than the minimum."""
    right = (logits.numpy() > 0) == (cell % 2 == 1)
    sizes = np.bincount(cell, minlength=len(CELLS))
    hits = np.bincount(cell, weights=right, minlength=len(CELLS))
    return np.where(sizes >= minimum, hits / np.maximum(sizes, 1), np.nan)


def _as_trained(shift: str, cell: NDArray[np.int64], *, rare: float) -> NDArray[np.int64]:
    """Rows of the test patients in the shares of the training set, as many as there can be."""
    weight, have = shares(shift, rare=rare).to_numpy().ravel(), np.bincount(cell, minlength=len(CELLS))
    most = int(np.min(have[weight > 0] / weight[weight > 0]))
    table = counts(shift, most, rare=rare)
    return rows_of(cell, table.clip(upper=pd.DataFrame(have.reshape(table.shape), table.index, table.columns)))
