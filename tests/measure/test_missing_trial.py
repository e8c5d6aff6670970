"""One trial of missing films: who is hidden, what each arm may see, and the arms that follow from others."""

import math

import numpy as np
import pytest
import torch

from lib.measure import missing_trial as mt
from lib.measure.fairness import auc
from lib.models.sequential_fusion import last_decision

SMALL = {"n_train": 60, "n_test": 60, "size": 32, "components": 3, "severity": "easy", "levels": 2, "most": 0.8}
SMALL |= {"epochs": 2, "batch_size": 30, "lr": 0.003}
NAMES = {"levels": 2, "most": 0.8}


@pytest.fixture(scope="module")
def trial():
    return mt.missing_trial(seed=3, **SMALL)


@pytest.fixture(scope="module")
def scores(trial):
    return mt.trial_scores(trial, seed=3, **NAMES)


def case(arm, hiding):
    return mt.trained_cases(**NAMES).index((arm, hiding))


def test_cases_and_tests_are_named_once():
    for levels in (1, 4):
        for names in (mt.trained_cases(levels, 0.8), mt.asked_hidings(levels, 0.8)):
            assert len(set(names)) == len(names)
    assert mt.shares(4, 0.8) == [0.2, 0.4, 0.6, 0.8]


def test_shapes_and_who_has_no_film(trial):
    tests, positive = mt.asked_hidings(**NAMES), trial["positive"].bool()
    assert trial["logits"].shape == (len(mt.trained_cases(**NAMES)), len(tests), 60, 3)
    absent = trial["logits"][case("sequential", ("none", 0.0)), :, :, 2].isnan()
    for t, (among, share) in enumerate(tests):
        expected = {"none": 0, "sick": share * positive.sum(), "healthy": share * (~positive).sum(), "all": share * 60}
        assert absent[t].sum() == round(float(expected[among]))
    assert not absent[tests.index(("healthy", 0.8))][positive].any()
    assert not absent[tests.index(("sick", 0.8))][~positive].any()


def test_the_shift_is_the_log_odds_that_hiding_moves(trial):
    shift, cases = trial["shift"], mt.trained_cases(**NAMES)
    assert shift[case("sequential", ("none", 0.0))] == 0
    # 60 of 120 patients are sick, about half of the 60 in training: rounding of a share of 30 films moves log .2
    assert abs(shift[case("sequential", ("sick", 0.8))].item() - math.log(0.2)) < 0.2
    for k, (_, hiding) in enumerate(cases):
        same = shift[case("parallel", hiding)]
        assert shift[k] == same


def test_arms_without_a_film_answer_alike_for_patients_of_equal_presence(trial):
    floor = trial["logits"][case(mt.FLOOR, ("none", 0.0))]
    torch.testing.assert_close(floor, floor[:1].expand_as(floor), equal_nan=True)
    told = last_decision(trial["logits"][case("indicator, no film", ("sick", 0.8))])
    tests = mt.asked_hidings(**NAMES)
    one, other = told[tests.index(("healthy", 0.4))], told[tests.index(("healthy", 0.8))]
    absent = trial["logits"][case("sequential", ("none", 0.0)), :, :, 2].isnan()
    changed = absent[tests.index(("healthy", 0.4))] != absent[tests.index(("healthy", 0.8))]
    torch.testing.assert_close(one[~changed], other[~changed])
    assert (one[changed] != other[changed]).all()


def test_with_film_a_sequential_answer_does_not_depend_on_other_patients_but_for_skipping_batches(trial):
    hiding, tests = ("sick", 0.8), mt.asked_hidings(**NAMES)
    absent = trial["logits"][case("sequential", hiding), :, :, 2].isnan()
    batchwise = trial["logits"][case("sequential, skips batches", hiding), :, :, 2].isnan()
    assert (absent <= batchwise).all() and bool((absent < batchwise).any())
    rows = trial["logits"][case("sequential", hiding)]
    t = tests.index(("healthy", 0.8))
    torch.testing.assert_close(rows[t][~absent[t]], rows[0][~absent[t]])


def test_scores_are_those_of_the_logits(trial, scores):
    positive = trial["positive"].numpy()
    found = scores.query("arm == 'film first' and hidden == 'sick' and share == 0.8 and test_hidden == 'healthy'")
    tests = mt.asked_hidings(**NAMES)
    for _, row in found.iterrows():
        logits = trial["logits"][case("film first", ("sick", 0.8)), tests.index(("healthy", row["test_share"]))]
        assert row["auc"] == auc(last_decision(logits).double().numpy(), positive)
    assert scores["auc"].notna().all()
    few = trial | {"positive": torch.zeros(60, dtype=torch.int64)}
    assert mt.trial_scores(few, seed=0, **NAMES)["auc"].isna().all()


def test_the_correction_moves_patients_with_a_film_only(trial, scores):
    of = scores.set_index(["arm", "hidden", "share", "test_hidden", "test_share"])["auc"]
    complete = ("sick", 0.8, "none", 0.0)
    assert of[("prior corrected", *complete)] == of[("sequential", *complete)]  # all have a film: order unchanged
    assert of[("Bayes' rule", "none", 0.0, "healthy", 0.8)] == of[("sequential", "none", 0.0, "healthy", 0.8)]
    k, t = case("sequential", ("sick", 0.8)), mt.asked_hidings(**NAMES).index(("healthy", 0.8))
    logits = trial["logits"][k, t].double()
    answer = torch.where(logits[:, 2].isnan(), logits[:, 1], logits[:, 2] - trial["shift"][k])
    by_hand = auc(answer.numpy(), trial["positive"].numpy())
    assert of[("prior corrected", "sick", 0.8, "healthy", 0.8)] == pytest.approx(by_hand, abs=2e-3)  # float32 ties


def test_step_means_are_of_the_complete_test(trial):
    means = mt.step_means(trial, seed=3, **NAMES)
    assert means["log_odds"].notna().all()
    assert set(means["step"]) == {"start", "attributes", "film"}
    start = means[means["step"] == "start"]
    assert (start["shift"] == 0).all()
    row = means.query("hidden == 'sick' and share == 0.8 and step == 'film'").iloc[0]
    logits, sick = trial["logits"][case("sequential", ("sick", 0.8)), 0, :, 2], trial["positive"] == 1
    assert row["log_odds"] == pytest.approx(np.mean([logits[sick].mean(), logits[~sick].mean()]), abs=1e-5)


def test_it_repeats_to_the_bit_and_another_seed_differs():
    tiny = SMALL | {"levels": 1, "epochs": 1, "n_train": 30, "n_test": 10}
    first, again, other = (mt.missing_trial(seed=s, **tiny)["logits"].nan_to_num(9.0) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
