"""One trial of bones and gaze: shapes, what the control of equal change must satisfy, and the tables of AUC."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.data.bone_free import ASKED
from lib.measure.bone_trial import FLOORS, KINDS, bone_scores, bone_trial, gaze_scores
from lib.measure.fairness import auc
from lib.measure.gaze_windows import LAWS, READINGS, VIEWS

SMALL = {"n_bone": 8, "n_train": 24, "n_test": 60, "size": 32, "epochs": 1, "penalty": 0.1}
SMALL |= {"shown": 0.04, "scatter_mm": 10.0}


@pytest.fixture(scope="module")
def trial():
    return bone_trial(seed=3, **SMALL)


def test_shapes_and_changes(trial):
    assert trial["bones"].shape == (len(KINDS) + len(FLOORS), 60, 3)
    assert trial["gaze"].shape == (len(LAWS), len(VIEWS), len(READINGS), 60)
    moved, left = trial["change"][:, 0], trial["change"][:, 1]
    true, low = KINDS.index("true removal"), KINDS.index("low-pass")
    assert moved[0] == 0
    assert left[true] == 0
    assert moved[true] == left[0]
    assert moved[low].item() == pytest.approx(moved[true].item(), rel=0.35)  # set on 8 other patients
    assert left[low] > 0


def test_scores_are_the_aucs_of_the_answers(trial):
    table = bone_scores(trial, seed=3).set_index(["finding", "bones", "film"])["auc"]
    assert len(table) == (len(ASKED) + 2) * (len(KINDS) + len(FLOORS))
    labels = trial["labels"].numpy()
    assert table["effusion", "all", "true removal"] == auc(trial["bones"][1, :, 1].numpy(), labels[:, 1])
    more = (trial["ribs"] > trial["middle"]).numpy()
    counts = bone_scores(trial, seed=3).query("film == 'plain'").set_index(["finding", "bones"])["positives"]
    assert counts["nodule", "more rib"] == labels[more, 0].sum()
    assert counts["nodule", "more rib"] + counts["nodule", "less rib"] == counts["nodule", "all"]
    seen = gaze_scores(trial, seed=3).set_index(["law", "view", "what"])["auc"]
    assert len(seen) == len(LAWS) * len(VIEWS) * len(READINGS)
    last = trial["gaze"][LAWS.index("search"), VIEWS.index("crop"), READINGS.index("table")]
    assert seen["search", "crop", "table"] == auc(last.numpy(), labels[:, 0])


def test_too_few_are_no_number(trial):
    few = dict(trial, labels=torch.zeros_like(trial["labels"]))
    few["labels"][:5] = 1
    assert bone_scores(few, seed=0)["auc"].isna().all()
    assert gaze_scores(few, seed=0)["auc"].isna().all()


def test_seeds_repeat_and_differ():
    few = SMALL | {"n_bone": 4, "n_train": 12, "n_test": 12, "size": 24}
    one, again, other = (bone_trial(seed=seed, **few) for seed in (3, 3, 4))
    for name, value in one.items():
        assert torch.equal(value, again[name]), name
    assert not np.array_equal(one["bones"], other["bones"])
