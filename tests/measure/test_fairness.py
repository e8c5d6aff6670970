"""Who is served how well: scikit-learn and fairlearn as oracles, closed forms, patients as units, too few rows."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lib import stats
from lib.measure import fairness


def rng(seed=0):
    return np.random.default_rng(seed)


def films(n=400, seed=0):
    g = rng(seed)
    groups = g.choice(["F", "M"], n)
    positive = (g.random(n) < np.where(groups == "F", 0.4, 0.2)).astype(int)
    score = np.round(positive * np.where(groups == "F", 1.0, 0.3) + g.normal(size=n), 1)  # rounded: many ties
    return score, positive, groups, np.arange(n) // 2


def test_auc_is_scikit_learns_with_ties_and_repeated_rows():
    score, positive, _, _ = films()
    rows = rng(1).integers(0, 400, 300)
    ours = fairness.auc_of_rows(score, positive)(rows)
    assert ours == pytest.approx(roc_auc_score(positive[rows], score[rows]), abs=1e-12)


def test_auc_counts_pairs():
    score, positive = np.array([3.0, 1.0, 2.0, 2.0, 0.0]), np.array([1, 0, 1, 0, 1])
    pairs = [(p > n) + 0.5 * (p == n) for p in score[positive == 1] for n in score[positive == 0]]
    assert fairness.auc(score, positive) == pytest.approx(np.mean(pairs))
    assert fairness.auc(-score, positive) == pytest.approx(1 - np.mean(pairs))
    assert math.isnan(fairness.auc(score, np.ones(5)))


def test_auc_depends_on_order_only():
    score, positive, _, _ = films()
    assert fairness.auc(np.exp(3 * score), positive) == fairness.auc(score, positive)


def test_by_group_and_gap_are_fairlearns():
    from fairlearn.metrics import MetricFrame, count, selection_rate

    score, positive, groups, _ = films()
    peer = MetricFrame(
        metrics={"auc": roc_auc_score, "n": count}, y_true=positive, y_pred=score, sensitive_features=groups
    )
    share = MetricFrame(metrics=selection_rate, y_true=positive, y_pred=positive, sensitive_features=groups)
    ours = fairness.by_group(score, positive, groups).set_index("group")
    np.testing.assert_allclose(ours["auc"], peer.by_group["auc"].astype(float), atol=1e-12)
    np.testing.assert_array_equal(ours["n"], peer.by_group["n"])
    np.testing.assert_allclose(ours["prevalence"], share.by_group.astype(float))
    assert fairness.auc_gap(score, positive, groups) == pytest.approx(peer.difference()["auc"])


def test_gap_interval_has_the_point_of_fairlearn_and_a_sign():
    score, positive, groups, patients = films()
    names = {"first": "F", "second": "M"}
    ours = fairness.auc_gap_interval(score, positive, groups, patients, **names, generator=rng(), n_boot=300)
    assert ours.estimate == pytest.approx(fairness.auc_gap(score, positive, groups))  # F is served better
    assert ours.low < ours.estimate < ours.high
    turned = fairness.auc_gap_interval(
        score, positive, groups, patients, first="M", second="F", generator=rng(), n_boot=300
    )
    assert (turned.estimate, turned.low) == pytest.approx((-ours.estimate, -ours.high))


def test_gap_interval_ignores_rows_of_other_groups():
    score, positive, groups, patients = films()
    more = [np.concatenate([a, b]) for a, b in ((score, score + 9), (positive, positive), (patients, patients + 999))]
    wide = np.concatenate([groups, np.full(400, "X")])
    names = {"first": "F", "second": "M", "n_boot": 50}
    alone = fairness.auc_gap_interval(score, positive, groups, patients, **names, generator=rng())
    among = fairness.auc_gap_interval(more[0], more[1], wide, more[2], **names, generator=rng())
    assert (among.estimate, among.low, among.n) == (alone.estimate, alone.low, alone.n)


def test_auc_interval_is_wider_when_films_of_a_patient_are_copies():
    score, positive, _, _ = films(200)
    copies = [np.repeat(each, 6) for each in (score, positive, np.arange(200))]
    honest = fairness.auc_interval(*copies, generator=rng(), n_boot=300)
    naive = fairness.auc_interval(copies[0], copies[1], np.arange(1200), generator=rng(), n_boot=300)
    # six copies of each film: ignoring patients shrinks the interval by sqrt(6) = 2.4; 2 leaves room for 300 draws
    assert honest.high - honest.low > 2 * (naive.high - naive.low)
    assert honest.n == 200


def test_auc_interval_matches_the_closed_form_of_the_null():
    g = rng(3)
    score, positive = g.normal(size=600), np.repeat([0, 1], 300)
    ours = fairness.auc_interval(score, positive, np.arange(600), generator=g, n_boot=1000)
    error = math.sqrt((600 + 1) / (12 * 300 * 300))  # Mann-Whitney under the null
    # 15 %: Monte Carlo error of 1,000 draws (3 %) and that of estimating the variance from one sample
    assert ours.high - ours.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_reference_shifts_and_the_method_is_clustered():
    score, positive, _, patients = films()
    half = fairness.auc_interval(score, positive, patients, generator=rng(), n_boot=40)
    floor = fairness.auc_interval(score, positive, patients, generator=rng(), n_boot=40, reference=0.6)
    assert floor.low == pytest.approx(half.low - 0.1)
    assert half.method == stats.clustered.__name__


def test_too_few_positives_give_no_number():
    score, positive, groups, patients = films()
    rare = np.where(groups == "F", 0, positive)
    rare[np.flatnonzero(groups == "F")[:19]] = 1
    found = fairness.by_group(score, rare, groups).set_index("group")
    assert math.isnan(found.loc["F", "auc"])
    assert found.loc["F", "positives"] == 19
    assert np.isfinite(found.loc["M", "auc"])
    assert math.isnan(fairness.auc_gap(score, rare, groups))
    gap = fairness.auc_gap_interval(score, rare, groups, patients, first="M", second="F", generator=rng())
    assert gap.reason.startswith("F: 19 positives")
    few = fairness.auc_interval(score[:30], positive[:30], patients[:30], generator=rng())
    assert "at least 20 of each" in few.reason


def test_missing_groups_are_left_out():
    score, positive, groups, patients = films()
    holes = groups.astype(object)
    holes[:100] = None
    assert fairness.by_group(score, positive, holes)["n"].sum() == 300
    assert fairness.prevalence(positive, holes, patients)["n"].sum() == 300


def test_prevalence_with_one_film_each_is_the_textbook_interval():
    positive = np.repeat([1, 0], [30, 70])
    row = fairness.prevalence(positive, np.full(100, "all"), np.arange(100)).iloc[0]
    t = stats.paired(positive)
    assert (row.prevalence, row.low, row.high) == pytest.approx((t.estimate, t.low, t.high))


def test_prevalence_counts_patients():
    positive = np.repeat([1, 0], [30, 70])
    once = fairness.prevalence(positive, np.full(100, "all"), np.arange(100)).iloc[0]
    often = fairness.prevalence(np.repeat(positive, 4), np.full(400, "all"), np.repeat(np.arange(100), 4)).iloc[0]
    assert (often.low, often.patients) == (pytest.approx(once.low), 100)
    assert often.n == 400


def test_another_seed_gives_another_interval():
    score, positive, _, patients = films()
    one = fairness.auc_interval(score, positive, patients, generator=rng(1), n_boot=40)
    two = fairness.auc_interval(score, positive, patients, generator=rng(2), n_boot=40)
    assert one.estimate == two.estimate
    assert one.low != two.low


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fairness.auc([1.0, 2.0], [1]), "equally long"),
        (lambda: fairness.auc([1.0, math.nan], [1, 0]), "score must be finite, got 1"),
        (lambda: fairness.auc([1.0, 2.0], [1, math.nan]), "drop rows without a label"),
        (
            lambda: fairness.auc_gap_interval(*films(), first="F", second="D", generator=rng()),
            "group 'D' has no rows; groups are",
        ),
    ],
)
def test_errors_name_the_next_step(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_groups_may_be_categories_of_a_frame():
    score, positive, _, _ = films()
    bands = pd.cut(rng(2).uniform(0, 90, 400), [0, 40, 90], right=False, labels=["under 40", "40 and over"])
    assert fairness.by_group(score, positive, bands)["n"].sum() == 400
