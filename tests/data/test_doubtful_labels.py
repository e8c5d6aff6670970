"""Uncertain labels with a known truth: exact counts, the odds of being doubted, nesting, graded findings."""

import numpy as np
import pytest

from lib.data import thorax
from lib.data.doubtful_labels import SIZES, UNCERTAIN, doubt, graded_patients, resemblance, severity


def rng(seed=0):
    return np.random.default_rng(seed)


def cohort(n=200):
    truth = np.arange(n) % 2
    return truth, rng(5).random(n)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_counts_are_exact_and_other_labels_stay_true(share):
    truth, mild = cohort()
    found = doubt(truth, mild, rate=0.3, positive_share=share, steepness=3, rng=rng())
    unsure = found == UNCERTAIN
    assert unsure.sum() == 60
    assert truth[unsure].sum() == round(60 * share)
    np.testing.assert_array_equal(found[~unsure], truth[~unsure])


def test_who_is_doubted_first_follows_the_softmax_of_mildness():
    mild, steepness, n = np.array([0.0, 0.4, 1.0]), 2.0, 6000
    first = [
        doubt([1, 1, 1], mild, rate=1 / 3, positive_share=1, steepness=steepness, rng=g).argmin()
        for g in map(rng, range(n))
    ]
    weight = np.exp(steepness * mild)
    # 4 standard errors of a share of 6,000 draws
    np.testing.assert_allclose(np.bincount(first, minlength=3) / n, weight / weight.sum(), atol=4 * 0.5 / n**0.5)


def test_doubt_is_blind_to_severity_at_steepness_zero_only():
    truth, mild = np.ones(4000, int), rng(1).random(4000)
    means = {
        s: mild[doubt(truth, mild, rate=0.3, positive_share=1, steepness=s, rng=rng()) == UNCERTAIN].mean()
        for s in (0, 3)
    }
    assert means[0] == pytest.approx(0.5, abs=4 * 0.29 / 1200**0.5)  # 4 standard errors of a uniform mean
    assert means[3] > 0.6


def test_the_extreme_steepness_takes_the_mildest():
    truth, mild = cohort()
    found = doubt(truth, mild, rate=0.2, positive_share=1, steepness=1e9, rng=rng())
    sick = np.flatnonzero(truth)
    assert set(np.flatnonzero(found == UNCERTAIN)) == set(sick[np.argsort(-mild[sick])[:40]])


def test_arms_and_rates_are_nested_and_seeds_differ():
    truth, mild = cohort()

    def unsure(share, rate=0.3, seed=0):
        found = doubt(truth, mild, rate=rate, positive_share=share, steepness=2, rng=rng(seed))
        return found == UNCERTAIN

    sick = truth == 1
    assert (unsure(0.1)[sick] <= unsure(0.9)[sick]).all()
    assert (unsure(0.9)[~sick] <= unsure(0.1)[~sick]).all()
    assert (unsure(0.5, rate=0.1) <= unsure(0.5)).all()
    assert (unsure(0.5) != unsure(0.5, seed=1)).any()
    np.testing.assert_array_equal(unsure(0.5), unsure(0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 30}, "rate must be a share"),
        ({"positive_share": -0.1}, "positive_share must be a share"),
        ({"steepness": -1}, "steepness must be at least 0"),
        ({"rate": 0.8, "positive_share": 1.0}, "160 uncertain labels of truth 1, there are 100"),
        ({"truth": np.full(200, -1)}, "truth must hold 0 and 1"),
        ({"mildness": np.full(200, np.nan)}, "mildness must be finite"),
        ({"mildness": np.zeros(3)}, "equally long"),
    ],
)
def test_errors_say_what_is_wrong(changes, message):
    truth, mild = cohort()
    options = {"truth": truth, "mildness": mild, "rate": 0.3, "positive_share": 0.5, "steepness": 1.0} | changes
    with pytest.raises(ValueError, match=message):
        doubt(options.pop("truth"), options.pop("mildness"), rng=rng(), **options)


def test_graded_patients_fill_the_whole_range_and_stay_independent():
    people = graded_patients(3000, rng=rng(), prevalence=0.4)
    for finding in SIZES:
        grade = severity(people, finding)
        assert 0 <= grade.min() < 0.01 < 0.99 < grade.max() <= 1
        assert people[finding].mean() == pytest.approx(0.4, abs=4 * (0.24 / 3000) ** 0.5)
        assert abs(np.corrcoef(grade, people[finding])[0, 1]) < 4 / 3000**0.5
    assert people["pneumothorax"].mean() < 0.15
    again = graded_patients(3000, rng=rng(), prevalence=0.4)
    np.testing.assert_array_equal(people["edema_gain"], again["edema_gain"])


def test_graded_patients_can_be_rendered():
    people = graded_patients(2, rng=rng())
    assert thorax.render(people, size=32).x.shape == (2, 1, 32, 32)


def test_resemblance_is_the_width_of_the_heart_and_known_for_cardiomegaly_only():
    people = graded_patients(200, rng=rng())
    alike = resemblance(people, "cardiomegaly")
    assert alike.min() >= 0
    assert alike.max() <= 1
    np.testing.assert_array_equal(np.argsort(alike, kind="stable"), np.argsort(people["ctr"], kind="stable"))
    assert not resemblance(people, "edema").any()
    for ask in (severity, resemblance):
        with pytest.raises(ValueError, match="finding must be one of cardiomegaly"):
            ask(people, "nodule")
