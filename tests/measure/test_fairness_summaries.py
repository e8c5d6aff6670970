"""Gaps, worst groups, levelling down, precision and calibration: closed forms, brute force, fairlearn by name."""

import math

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from sklearn.metrics import average_precision_score, roc_auc_score

from lib import stats
from lib.measure import fairness
from lib.measure import fairness_summaries as fs

NAN = math.nan


def rng(seed=0):
    return np.random.default_rng(seed)


def test_gap_and_worst_group_skip_the_unknown():
    values = {"A": 0.9, "B": 0.7, "C": NAN}
    assert fs.gap(values) == pytest.approx(0.2) and fs.worst_group(values) == ("B", 0.7)
    assert fs.worst_group(values, higher_is_better=False) == ("A", 0.9)
    assert math.isnan(fs.gap({"A": 0.9, "C": NAN})) and fs.worst_group({"C": NAN})[0] is None


def test_fairlearn_drops_a_group_without_a_word():
    """With one group left, fairlearn's AUC gap is 0, which looks perfectly fair; here it is unknown."""
    g = rng()
    groups = np.repeat(["A", "B"], 60)
    positive = np.where(groups == "A", g.random(120) < 0.5, 0).astype(int)
    score = g.normal(size=120)

    def auc(truth, guess):
        return roc_auc_score(truth, guess) if 0 < np.sum(truth) < len(truth) else NAN

    peer = MetricFrame(metrics=auc, y_true=positive, y_pred=score, sensitive_features=groups)
    assert peer.difference() == 0
    assert math.isnan(fs.gap(fairness.by_group(score, positive, groups).set_index("group")["auc"]))


def test_intersections_are_fairlearns_cells():
    g = rng()
    sex, view = g.choice(["F", "M"], 80), g.choice(["AP", "PA"], 80)
    value = g.random(80)
    names = fs.intersections(sex, view)
    peer = MetricFrame(
        metrics=lambda truth, guess: float(np.mean(guess)), y_true=value, y_pred=value,
        sensitive_features=pd.DataFrame({"sex": sex, "view": view}),
    )  # fmt: skip
    for (one, two), mean in peer.by_group.items():
        assert value[names == f"{one} & {two}"].mean() == pytest.approx(mean)
    with pytest.raises(ValueError, match="equally long"):
        fs.intersections(sex, view[:-1])


@pytest.mark.parametrize(
    ("after", "down"),
    [
        ({"A": 0.75, "B": 0.70}, True),  # the best falls to the worst
        ({"A": 0.70, "B": 0.65}, True),  # everyone falls, the best more
        ({"A": 0.90, "B": 0.80}, False),  # the worst gains
        ({"A": 0.85, "B": 0.75}, False),  # the best pays and the worst gains
        ({"A": 0.95, "B": 0.70}, False),  # the gap grows
        ({"A": 0.80, "B": 0.60}, False),  # everyone falls alike
    ],
)
def test_levelling_down(after, down):
    found = fs.levelling_down({"A": 0.9, "B": 0.7, "C": 0.1}, after | {"C": NAN})
    assert found.down is down and found.gap_before == pytest.approx(0.2)
    errors = fs.levelling_down({"A": 0.1, "B": 0.3}, {name: 1 - value for name, value in after.items()},
                               higher_is_better=False)  # fmt: skip
    assert errors.down is down and errors.worst_change == pytest.approx(found.worst_change)


def test_levelling_needs_two_groups():
    assert fs.levelling_down({"A": 0.9}, {"A": 0.8}).down is False
    assert math.isnan(fs.levelling_down({"A": 0.9}, {"A": 0.8}).gap_before)


def test_adjusted_auprc_is_the_formula_and_has_its_ends():
    g = rng()
    positive = (g.random(4000) < 0.2).astype(int)
    score = positive + g.normal(size=4000)
    ap = average_precision_score(positive, score)
    assert fs.adjusted_auprc(score, positive) == pytest.approx(1 - math.log(ap) / math.log(positive.mean()))
    assert fs.adjusted_auprc(positive, positive) == 1.0
    assert fs.adjusted_auprc(np.zeros(4000), positive) == pytest.approx(0.0)  # ties: AP = prevalence
    assert fs.adjusted_auprc(-score, positive) < 0
    assert math.isnan(fs.adjusted_auprc(score[:40], np.arange(40) < 3))


def test_average_precision_by_brute_force():
    score, positive = np.array([0.9, 0.8, 0.8, 0.3, 0.1]), np.array([1, 0, 1, 1, 0])
    ap, last = 0.0, 0.0
    for cut in sorted(set(score), reverse=True):
        called = score >= cut
        recall = (positive * called).sum() / 3
        ap, last = ap + (recall - last) * (positive * called).sum() / called.sum(), recall
    assert fs.adjusted_auprc(score, positive, minimum=2) == pytest.approx(1 - math.log(ap) / math.log(0.6))


def brute_ece(p, y, bins):
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, bins)
    return sum(len(k) / len(p) * abs(p[k].mean() - y[k].mean()) for k in parts)


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_ece_is_equal_count_bins(bins):
    g = rng()
    p = g.random(200)
    y = (g.random(200) < p**2).astype(int)
    assert fs.ece(p, y, bins=bins) == pytest.approx(brute_ece(p, y, bins))
    turn = g.permutation(200)
    assert fs.ece(p[turn], y[turn], bins=bins) == pytest.approx(fs.ece(p, y, bins=bins))


def test_ece_with_ties_and_ends():
    p = np.repeat([0.2, 0.8], 50)
    y = np.r_[np.arange(50) < 10, np.arange(50) < 40].astype(int)
    assert fs.ece(p, y) == pytest.approx(0)  # equal probabilities stay in one bin
    assert fs.ece(p, 1 - y) == pytest.approx(0.6)
    assert fs.ece(np.ones(30), np.zeros(30, int)) == 1 and math.isnan(fs.ece([0.5], [1]))
    with pytest.raises(ValueError, match="sigmoid"):
        fs.ece([2.0] * 30, [1] * 30)
    with pytest.raises(ValueError, match="at least 1"):
        fs.ece(p, y, bins=0)


def test_rows_of_a_gap_have_its_mean_and_its_error():
    g = rng()
    groups = g.choice(["F", "M", "X"], 900, p=[0.2, 0.6, 0.2])
    event = (g.random(900) < np.where(groups == "F", 0.5, 0.2)).astype(int)
    rows = fs.rate_gap_rows(event, groups, first="F", second="M")
    shares = {name: event[groups == name].mean() for name in "FM"}
    assert rows.size == (groups != "X").sum() and rows.mean() == pytest.approx(shares["F"] - shares["M"])
    variance = sum(share * (1 - share) / (groups == name).sum() for name, share in shares.items())
    assert rows.var() / rows.size == pytest.approx(variance)  # the binomial error of a difference of two shares


def test_rows_of_a_gap_need_rows():
    rows = fs.rate_gap_rows([0, 1] * 30, ["F"] * 5 + ["M"] * 55, first="F", second="M")
    assert np.isnan(rows).all() and rows.size == 60


def estimate(values):
    return stats.paired(np.asarray(values, float))


@pytest.mark.parametrize(
    ("fpr", "fnr", "word"),
    [
        ([0.1, 0.12, 0.09, 0.11, 0.1], [-0.1, -0.12, -0.09, -0.1, -0.1], "mirror"),
        ([0.1, 0.12, 0.09, 0.11, 0.1], [0.1, 0.12, 0.09, 0.1, 0.1], "same group pays twice"),
        ([0.1, 0.12, 0.09, 0.11, 0.1], [-1, 1, 0.5, -0.5, 0.1], "one error only"),
        ([0.1, -0.12, 0.09, -0.11, 0.1], [-1, 1, 0.5, -0.5, 0.1], "no gap seen"),
        ([0.1, 0.2], [-0.1, -0.2], "untested"),
    ],
)
def test_mirror(fpr, fnr, word):
    assert fs.mirror(estimate(fpr), estimate(fnr)) == word
