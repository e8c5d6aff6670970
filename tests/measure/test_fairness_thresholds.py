"""Errors at a threshold: brute force over all thresholds, fairlearn where it is right, and by name where it is not."""

import math
from functools import partial

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate, true_positive_rate
from sklearn.metrics import f1_score

from lib.measure import fairness_thresholds as ft
from lib.measure.fairness_summaries import gap


def films(n=400, seed=0):
    g = np.random.default_rng(seed)
    groups = g.choice(["A", "B", "C"], n)
    positive = (g.random(n) < np.where(groups == "A", 0.5, 0.3)).astype(int)
    return np.round(positive + g.normal(size=n), 1), positive, groups


@pytest.mark.parametrize("seed", range(4))
def test_max_f1_is_the_best_of_all_thresholds(seed):
    score, positive, _ = films(60, seed)
    every = {cut: f1_score(positive, score >= cut) for cut in np.unique(score)}
    ours = ft.max_f1(score, positive)
    assert every[ours] == pytest.approx(max(every.values()))
    assert ours == max(cut for cut, f1 in every.items() if f1 > max(every.values()) - 1e-12)


@pytest.mark.parametrize("target", [0.0, 0.05, 0.2, 1.0])
def test_at_fpr_is_the_lowest_that_keeps_the_target(target):
    score, positive, _ = films(60)
    allowed = [cut for cut in np.unique(score) if (score[positive == 0] >= cut).mean() <= target]
    assert ft.at_fpr(score, positive, fpr=target) == min(allowed, default=math.inf)


def test_no_score_is_high_enough():
    assert ft.at_fpr([1.0, 2.0], [1, 0], fpr=0.5) == math.inf
    assert math.isnan(ft.at_fpr([1.0], [1], fpr=0.5)) and math.isnan(ft.max_f1([1.0], [0]))


def test_weights_stand_for_repeated_rows():
    score, positive, groups = films(80)
    times = np.random.default_rng(1).integers(0, 4, 80)
    again = [np.repeat(each, times) for each in (score, positive, groups)]
    assert ft.max_f1(score, positive, weights=times) == ft.max_f1(*again[:2])
    assert ft.at_fpr(score, positive, fpr=0.2, weights=times) == ft.at_fpr(*again[:2], fpr=0.2)
    ours = ft.rates(score, positive, groups, threshold=0.4, minimum=1, weights=times)
    peer = ft.rates(*again, threshold=0.4, minimum=1)
    np.testing.assert_allclose(ours[["tpr", "fnr", "fpr"]], peer[["tpr", "fnr", "fpr"]], atol=1e-12)


def frame(score, positive, groups, cut):
    metrics = {"tpr": true_positive_rate, "fnr": false_negative_rate, "fpr": false_positive_rate}
    called = (score >= cut).astype(int)
    return MetricFrame(metrics=metrics, y_true=positive, y_pred=called, sensitive_features=groups)


def test_rates_and_gaps_are_fairlearns():
    score, positive, groups = films()
    peer = frame(score, positive, groups, 0.5)
    ours = ft.rates(score, positive, groups, threshold=0.5).set_index("group")
    for name in ("tpr", "fnr", "fpr"):
        np.testing.assert_allclose(ours[name], peer.by_group[name].astype(float), atol=1e-12)
        assert gap(ours[name]) == pytest.approx(peer.difference()[name], abs=1e-12)


def test_fairlearn_says_no_miss_where_there_was_nobody_to_miss():
    """A group without positives has no false negative rate; fairlearn gives it 0, which then makes the gap."""
    score, positive, groups = films()
    positive[groups == "C"] = 0
    peer = frame(score, positive, groups, 0.5)
    ours = ft.rates(score, positive, groups, threshold=0.5).set_index("group")
    assert peer.by_group["fnr"]["C"] == 0.0 and peer.by_group["tpr"]["C"] == 0.0
    assert math.isnan(ours["fnr"]["C"]) and math.isnan(ours["tpr"]["C"]) and ours["positives"]["C"] == 0
    known = abs(peer.by_group["fnr"]["A"] - peer.by_group["fnr"]["B"])
    assert gap(ours["fnr"]) == pytest.approx(known) and peer.difference()["fnr"] > known + 0.1
    assert ours["fpr"]["C"] == pytest.approx(peer.by_group["fpr"]["C"])  # its negatives are enough


def test_fairlearn_lets_three_patients_make_the_gap():
    """A group of three positives decides fairlearn's gap; here it has its counts and no rate."""
    score, positive, groups = films()
    few = np.flatnonzero((groups == "C") & (positive == 1))
    groups[few[3:]] = "B"
    score[few[:3]] = 9.0
    peer = frame(score, positive, groups, 0.5)
    ours = ft.rates(score, positive, groups, threshold=0.5).set_index("group")
    assert peer.by_group["fnr"]["C"] == 0.0 and math.isnan(ours["fnr"]["C"]) and ours["positives"]["C"] == 3
    assert gap(ours["fnr"]) < peer.difference()["fnr"]


def test_each_group_may_have_its_own_threshold():
    score, positive, groups = films()
    cuts = ft.per_group(partial(ft.at_fpr, fpr=0.2), score, positive, groups)
    ours = ft.rates(score, positive, groups, threshold=cuts).set_index("group")
    for name, cut in cuts.items():
        inside = groups == name
        assert cut == ft.at_fpr(score[inside], positive[inside], fpr=0.2)
        assert ours["fpr"][name] <= 0.2 and ours["threshold"][name] == cut


def test_a_small_group_has_no_threshold_and_no_rates():
    score, positive, groups = films()
    groups = np.where(np.arange(400) < 10, "tiny", groups)
    cuts = ft.per_group(ft.max_f1, score, positive, groups)
    row = ft.rates(score, positive, groups, threshold=cuts, minimum=1).set_index("group").loc["tiny"]
    assert math.isnan(cuts["tiny"]) and np.isnan(row[["tpr", "fnr", "fpr"]].astype(float)).all() and row["n"] == 10


def test_missing_groups_are_left_out():
    score, positive, groups = films()
    named = groups.astype(object)
    named[groups == "C"] = None
    ours = ft.rates(score, positive, named, threshold=0.5)
    assert ours["group"].tolist() == ["A", "B"] and ours["n"].sum() == (groups != "C").sum()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, y, g: ft.at_fpr(s, y, fpr=20), "write 20 % as 0.2"),
        (lambda s, y, g: ft.max_f1(s, y * 2), "0 and 1 only"),
        (lambda s, y, g: ft.max_f1(s * math.nan, y), "finite"),
        (lambda s, y, g: ft.max_f1(s, y, weights=-np.ones(len(y))), "at least 0"),
        (lambda s, y, g: ft.max_f1(s[:-1], y), "equally long"),
        (lambda s, y, g: ft.rates(s, y, g[:-1], threshold=0.5), "one group per row"),
        (lambda s, y, g: ft.rates(s, y, g, threshold={"A": 0.5}), "none for B"),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call(*films())
