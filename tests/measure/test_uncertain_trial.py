"""One trial of the policies: arms differ in their labels only, patients stay apart, scores are those of the parts."""

import numpy as np
import pytest
import torch

from lib.data.doubtful_labels import UNCERTAIN, graded_patients
from lib.measure.calibration_error import calibration_error
from lib.measure.fairness import auc
from lib.measure.uncertain_trial import ARMS, COLUMNS, FINDINGS, KNOWN, arm_labels, policy_trial, trial_scores

SMALL = {"n_train": 40, "n_test": 140, "size": 32, "components": 3, "penalty": 1e-2}
TINY = SMALL | {"n_test": 6}
DIALS = {"rate": 0.2, "lopsided": 0.9, "steepness": 3.0}


@pytest.fixture(scope="module")
def trial():
    return policy_trial(seed=1, prevalence=0.5, **SMALL, **DIALS)


def test_arms_share_their_luck_and_differ_in_what_doubt_hides():
    people = graded_patients(300, rng=np.random.default_rng(0))
    for finding in FINDINGS:
        labels, truth = arm_labels(people, finding, seed=0, **DIALS), people[finding].to_numpy()
        assert tuple(labels) == ARMS
        sick = [int(truth[labels[arm] == UNCERTAIN].sum()) for arm in ARMS]
        assert sick == [54, 30, 6]
        assert ((labels["half"] == UNCERTAIN) & (truth == 1) <= (labels["mostly positive"] == UNCERTAIN)).all()
    with pytest.raises(ValueError, match="lopsided must be in"):
        arm_labels(people, "edema", seed=0, **DIALS | {"lopsided": 0.2})


def test_shapes_ranges_and_the_known_truth_is_the_same_in_all_arms(trial):
    assert trial["probability"].shape == (len(FINDINGS), len(ARMS), len(COLUMNS), 140)
    assert bool(((trial["probability"] >= 0) & (trial["probability"] <= 1)).all())
    known = trial["probability"][:, :, COLUMNS.index(KNOWN)]
    assert torch.equal(known, known[:, :1].expand_as(known))
    assert trial["group"].unique().tolist() == [0, 1, 2]


def test_it_repeats_to_the_bit_and_another_seed_differs():
    first, again, other = (policy_trial(seed=s, prevalence=0.5, **TINY, **DIALS) for s in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["severity"], other["severity"])


def test_without_doubt_all_policies_agree_with_the_known_truth():
    free = policy_trial(seed=1, prevalence=0.5, **TINY, **DIALS | {"rate": 0.0})["probability"]
    torch.testing.assert_close(free, free[:, :, -1:].expand_as(free), rtol=0, atol=2e-3)  # the empty third class


def test_scores_are_those_of_the_parts(trial):
    table = trial_scores(trial, seed=1)
    assert len(table) == len(FINDINGS) * len(ARMS) * len(COLUMNS)
    row = table.query("finding == 'edema' and arm == 'half' and policy == 'U-Ones'").iloc[0]
    f, p = FINDINGS.index("edema"), COLUMNS.index("U-Ones")
    score, truth = trial["probability"][f, 1, p].numpy(), trial["positive"][f].numpy()
    assert row["auc"] == auc(score, truth)
    assert row["ece"] == calibration_error(score, truth)
    in_b = trial["group"].numpy() == 1
    assert row["ece_B"] == calibration_error(score[in_b], truth[in_b])
    mild = (truth == 0) | (trial["severity"][f].numpy() < 0.5)
    assert row["auc_mild"] == auc(score[mild], truth[mild])
    share = mild[truth == 1].mean()  # an AUC is a mean over the positives
    assert row["auc"] == pytest.approx(share * row["auc_mild"] + (1 - share) * row["auc_severe"])


def test_too_few_test_patients_give_no_number(trial):
    table = trial_scores({name: value[..., :45] for name, value in trial.items()}, seed=3)
    assert table[["ece_A", "ece_B", "ece_C"]].isna().all().all()
