"""How sure: closed forms, library oracles, invariances and errors of lib.stats."""

import math
import pickle

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lib import resampling, stats


def rng(seed=0):
    return np.random.default_rng(seed)


def test_paired_is_the_t_interval_of_scipy():
    values = rng().normal(0.3, 1, 12)
    ours, peer = stats.paired(values), scipy_stats.ttest_1samp(values, 0)
    interval = peer.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert ours.p == pytest.approx(peer.pvalue, rel=1e-12)
    assert ours.p_greater(0.2) == pytest.approx(scipy_stats.ttest_1samp(values, 0.2, alternative="greater").pvalue)
    assert ours.p_less(0.2) == pytest.approx(1 - ours.p_greater(0.2))


@pytest.mark.parametrize("side", ["p_greater", "p_less"])
def test_interval_and_tail_say_the_same(side):
    ours = stats.paired(rng(1).normal(1, 1, 9))
    end = ours.low if side == "p_greater" else ours.high
    assert getattr(ours, side)(end) == pytest.approx(0.025, abs=1e-9)


def test_equivalence_is_two_one_sided_t_tests_of_statsmodels():
    from statsmodels.stats.weightstats import DescrStatsW

    values = rng(2).normal(0.05, 0.2, 15)
    p, _, _ = DescrStatsW(values).ttost_mean(-0.2, 0.2)
    assert stats.equivalence(values, margin=0.2).p == pytest.approx(p, rel=1e-9)


def test_corrected_resampled_variance_by_hand():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    ours = stats.corrected_resampled(values, test_fraction=0.25)
    error = math.sqrt((1 / 5 + 0.25) * 2.5)  # sample variance of 1..5 is 2.5
    assert ours.high - 3 == pytest.approx(error * scipy_stats.t.ppf(0.975, 4))
    assert ours.high - ours.low > stats.paired(values).high - stats.paired(values).low


def test_page_is_scipy_and_rho_is_spearman():
    table = rng(3).normal(size=(6, 4)) + np.arange(4)
    ours = stats.page_trend(table)
    assert ours.p == pytest.approx(scipy_stats.page_trend_test(table).pvalue)
    rho = [scipy_stats.spearmanr(row, np.arange(4)).statistic for row in table]
    assert ours.estimate == pytest.approx(np.mean(rho))
    falling = stats.page_trend(table[:, ::-1])
    assert falling.estimate == pytest.approx(-ours.estimate)
    assert falling.p_less(0) == pytest.approx(ours.p_greater(0))


def test_page_on_ties_and_on_a_perfect_rise():
    assert stats.page_trend(np.ones((5, 3))).estimate == 0
    perfect = stats.page_trend(np.tile(np.arange(4.0), (5, 1)))
    assert (perfect.estimate, perfect.low, perfect.high) == pytest.approx((1, 1, 1), abs=1e-12)
    assert perfect.p_greater(0.5) == pytest.approx((1 / math.factorial(4)) ** 5)  # exact: one order out of 4! per block


def test_exact_binomial_against_closed_forms():
    sure = stats.exact_binomial(30, 30, chance=0.5)
    assert sure.low + 0.5 == pytest.approx(0.025 ** (1 / 30))  # Clopper-Pearson with only successes
    assert sure.p_greater(0.0) == pytest.approx(0.5**30)
    assert sure.p_less(0.0) == 1
    some = stats.exact_binomial(18, 30, chance=0.5)
    assert some.p_greater(some.low) == pytest.approx(0.025, abs=1e-6)  # root finding of the interval
    assert some.p_greater(-0.9) <= 1e-12  # a threshold below every share


def test_holm_is_statsmodels_and_a_missing_p_stays_in_the_family():
    from statsmodels.stats.multitest import multipletests

    p = rng(4).uniform(0, 0.1, 7)
    np.testing.assert_allclose(stats.holm(p), multipletests(p, method="holm")[1])
    with_missing = stats.holm([0.01, math.nan, 0.02])
    assert with_missing[0] == pytest.approx(0.03)
    assert math.isnan(with_missing[1])
    assert stats.holm([]).size == 0


def test_clustered_mean_of_singletons_has_the_t_width():
    values = rng(5).normal(2, 3, 60)
    ours = stats.clustered(lambda rows: float(values[rows].mean()), np.arange(60), n_boot=4000, generator=rng())
    t = stats.paired(values)
    assert ours.estimate == pytest.approx(t.estimate)
    # the Monte Carlo error of a .975 quantile from 4,000 draws is about 4 % of the half width
    assert ours.high - ours.low == pytest.approx(t.high - t.low, rel=0.1)


def test_clustered_does_not_gain_from_copies_of_a_patient():
    values = rng(6).normal(size=40)
    copies, patients = np.repeat(values, 5), np.repeat(np.arange(40), 5)

    def width(rows_of, ids):
        estimate = stats.clustered(lambda rows: float(rows_of[rows].mean()), ids, n_boot=500, generator=rng())
        return estimate.high - estimate.low

    assert width(copies, patients) == pytest.approx(width(values, np.arange(40)), rel=1e-9)
    assert width(copies, np.arange(200)) < 0.6 * width(copies, patients)  # sqrt(1 / 5) = .45 if the ids are ignored


def test_resample_rows_keeps_clusters_whole():
    patients = np.array([7, 3, 7, 9, 3, 7])
    for rows in resampling.resample_rows(patients, n_boot=30, generator=rng()):
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[2] == counts[5]
        assert counts[1] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3


def test_clustered_with_an_undefined_statistic_is_untested():
    never = stats.clustered(lambda rows: math.nan, np.arange(30), n_boot=20, generator=rng())
    assert "undefined on these rows" in never.reason
    once = stats.clustered(lambda rows: 1.0 if 0 in rows else math.nan, np.arange(30), n_boot=50, generator=rng())
    assert "of 50 resamples" in once.reason
    assert math.isnan(once.low)


def test_hierarchical_error_against_the_closed_form():
    seeds = [rng(10 + i).normal(0.2 * i, 1, 400) for i in range(6)]
    ours = stats.hierarchical(seeds, n_boot=4000, generator=rng())
    between = np.var([each.mean() for each in seeds])
    within = np.mean([each.var() / each.size for each in seeds])
    error = math.sqrt((between + within) / 6 * 6 / 5)
    # relative Monte Carlo error of a standard deviation from 4,000 draws: 1 / sqrt(8000) = 1.1 %
    assert ours.high - ours.estimate == pytest.approx(error * scipy_stats.t.ppf(0.975, 5), rel=0.05)


def test_hierarchical_keeps_the_error_of_shared_patients():
    patients = rng(7).normal(size=30)  # the same patients' effects in every seed
    seeds = [patients + rng(20 + i).normal(0, 0.01, 30) for i in range(5)]
    ids = [np.arange(30)] * 5
    crossed = stats.hierarchical(seeds, clusters=ids, n_boot=4000, generator=rng())
    nested = stats.hierarchical(seeds, clusters=[np.arange(30) + 100 * i for i in range(5)], generator=rng())
    error = patients.std() / math.sqrt(30) * math.sqrt(5 / 4)
    # 5 %: Monte Carlo error of 4,000 draws (1.1 %) and the seeds' own small noise
    assert crossed.high - crossed.estimate == pytest.approx(error * scipy_stats.t.ppf(0.975, 4), rel=0.05)
    assert crossed.high - crossed.low > 1.8 * (nested.high - nested.low)


def test_hierarchical_does_not_depend_on_blocks_of_memory(monkeypatch):
    seeds = [rng(i).normal(size=50) for i in range(5)]
    whole = stats.hierarchical(seeds, n_boot=300, generator=rng())
    monkeypatch.setattr(resampling, "CELLS", 900)
    assert stats.hierarchical(seeds, n_boot=300, generator=rng()).high == whole.high


def test_same_seed_same_interval_another_seed_differs():
    values = rng(8).normal(size=50)

    def low(seed):
        return stats.clustered(lambda r: float(values[r].mean()), np.arange(50), n_boot=99, generator=rng(seed)).low

    assert low(1) == low(1)
    assert low(1) != low(2)


def test_units_that_are_too_few_or_missing_are_untested():
    assert stats.paired([1.0, 2.0]).reason == "2 seeds, fewer than 5"
    assert stats.paired([1.0] * 5 + [math.nan]).reason == "1 of 6 seeds have no finite value"
    assert stats.hierarchical([[1.0], [2.0]], generator=rng()).reason == "2 seeds, fewer than 5"
    assert stats.page_trend(np.zeros((4, 3))).reason == "4 seeds, fewer than 5"
    assert stats.exact_binomial(3, 9, chance=0.5).reason == "9 draws, fewer than 20"
    assert stats.clustered(lambda r: 0.0, np.arange(19), generator=rng()).reason == "19 patients, fewer than 20"
    assert math.isnan(stats.paired([1.0]).p_greater(0))


def test_no_spread_is_a_point_and_estimates_travel():
    sure = stats.paired([2.0] * 5)
    assert (sure.low, sure.high) == (2, 2)
    assert (sure.p_greater(1), sure.p_greater(2), sure.p_less(3)) == (0, 1, 0)
    again = pickle.loads(pickle.dumps(stats.page_trend(rng().normal(size=(5, 4)))))
    assert again.p_greater(0.1) == stats.page_trend(rng().normal(size=(5, 4))).p_greater(0.1)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: stats.paired([[1.0, 2.0]]), "differences must be one-dimensional"),
        (lambda: stats.equivalence([1.0] * 5, margin=0), "margin must be > 0"),
        (lambda: stats.corrected_resampled([1.0] * 5, test_fraction=-1), "n_test / n_train"),
        (lambda: stats.page_trend([[1.0, 2.0]]), "put seeds in rows"),
        (lambda: stats.exact_binomial(5, 4, chance=0.5), "pass counts"),
        (lambda: stats.exact_binomial(5, 40, chance=50), "not percent"),
        (lambda: stats.clustered(lambda r: 0.0, [], generator=rng()), "one id per row"),
        (lambda: stats.hierarchical([[1.0], []] * 5, generator=rng()), "drop empty seeds"),
        (lambda: stats.hierarchical([[1.0]] * 5, clusters=[[1, 2]] * 5, generator=rng()), "one id per value"),
    ],
)
def test_errors_name_the_argument_and_the_next_step(call, match):
    with pytest.raises(ValueError, match=match):
        call()
