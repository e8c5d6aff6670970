"""Scores by hand: accuracies of cells, their weighting, the choice of a model, and agreement of measures."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lib.data.subpopulations import CELLS, SHIFTS, shares
from lib.measure.cell_methods import METHODS
from lib.measure.subpopulation_scores import CRITERIA, MEASURES, agreement, chosen, trial_scores
from lib.measure.subpopulation_trial import ARMS

OPTIONS: dict[str, Any] = {"seed": 3, "n_train": 100, "rare": 0.05, "epochs": 8}
WRONG = (0, 2, 4, 6, 8, 10)  # test patients of 20 in each cell who are answered wrongly


def trial(per_cell: int = 20) -> dict[str, torch.Tensor]:
    """Sure answers with known mistakes, of all models alike."""
    cell = torch.arange(6).repeat_interleave(per_cell)
    score = torch.where(cell % 2 == 1, 2.0, -2.0)
    for code, wrong in enumerate(WRONG):
        rows = torch.nonzero(cell == code)[:wrong, 0]
        score[rows] = -score[rows]
    answers = score.repeat(len(ARMS), len(METHODS), 2, 1)
    answers[0, 1:] = math.nan
    return {"valid": answers, "test": answers, "cell valid": cell, "cell test": cell}


def test_measures_by_hand():
    scores = trial_scores(trial(), **OPTIONS)
    assert len(scores) == 2 + 2 * len(METHODS) * len(SHIFTS)
    accuracy = 1 - np.array(WRONG) / 20
    row = scores[(scores["shift"] == SHIFTS[0]) & (scores["method"] == "ERM")].iloc[0]
    np.testing.assert_allclose(row[list(CELLS)].to_numpy(float), accuracy)
    assert row["worst_group"] == pytest.approx(0.5) and row["adjusted"] == pytest.approx(accuracy.mean())
    weight = shares(SHIFTS[0], rare=0.05).to_numpy().ravel()
    assert row["average"] == pytest.approx(accuracy @ weight) == pytest.approx(row["valid_average"])
    sick = accuracy[1::2] @ weight[1::2] / weight[1::2].sum()
    healthy = accuracy[::2] @ weight[::2] / weight[::2].sum()
    assert row["valid_class"] == pytest.approx(min(sick, healthy))
    # group C: 12 of 20 healthy and 10 of 20 sick are right, two distinct scores
    assert row["worst_auc"] == pytest.approx((12 / 20 + 10 / 20) / 2)


def test_a_group_that_was_not_met_counts_in_the_test_and_not_in_validation():
    row = trial_scores(trial(), **OPTIONS).query("shift == @SHIFTS[3]").iloc[0]
    assert row["worst_group"] == pytest.approx(0.5)
    assert row["valid_group"] == pytest.approx(1 - WRONG[3] / 20)


def test_calibration_error_is_that_of_patients_as_trained():
    found = trial()
    cell = found["cell test"]
    sure = torch.where(cell % 2 == 1, 50.0, -50.0).repeat(len(ARMS), len(METHODS), 2, 1)
    assert trial_scores(found | {"test": sure}, **OPTIONS)["ece"].dropna().max() == pytest.approx(0, abs=1e-12)


def test_small_cells_are_nan_and_never_zero():
    scores = trial_scores(trial(12), **OPTIONS)
    assert scores[["worst_group", "adjusted", "average", "worst_auc"]].isna().all().all()
    picked = chosen(scores)
    assert (picked.loc[picked["criterion"] == "test (oracle)", "method"] == "none").all()
    assert agreement(scores)["correlation"].isna().all()


def test_choice_and_agreement():
    table = pd.DataFrame({"seed": 0, "shift": "a", "method": ["x", "y", "z"], "epochs": 4})
    table = table.assign(worst_group=[0.1, 0.3, 0.2], valid_average=[0.9, 0.8, 0.7], valid_class=[0.5, 0.5, 0.4])
    table = table.assign(valid_group=[0.1, 0.2, 0.3], worst_auc=[0.1, 0.3, 0.2], adjusted=[0.3, 0.1, 0.2])
    table = table.assign(average=0.5, ece=[0.1, 0.2, 0.3])
    picked = chosen(table).set_index("criterion")
    assert picked["method"].to_dict() == dict(zip(CRITERIA, ("x", "x", "z", "y"), strict=True))
    assert picked.loc["worst group", "worst_group"] == 0.2
    found = agreement(table).set_index("measure")["correlation"]
    np.testing.assert_allclose(found[list(MEASURES)], [1, -1, np.nan, 0.5])
