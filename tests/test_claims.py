"""The rule that decides: its table of cases, its calibration under the null, and its power."""

import functools
import json
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lib import claims, stats

SIMULATIONS = 1000
# the largest count that a true rate of 5 % exceeds in fewer than one test run in a thousand
MOST = int(scipy_stats.binom.ppf(0.999, SIMULATIONS, 0.05))


def claim(expected="> 0", smallest_effect=1.0, rule="paired", name="c"):
    return claims.Claim(name, "It rises.", "figure 1", "rise", "points", expected, smallest_effect, rule)


def around(center, spread=0.1):
    return stats.paired(center + spread * np.array([-1.0, -0.5, 0.0, 0.5, 1.0]))


@pytest.mark.parametrize(
    ("expected", "center", "spread", "verdict"),
    [
        ("> 0", 3.0, 0.1, "supported"),
        ("> 0", 1.05, 0.1, "inconclusive"),  # beyond zero, not beyond the smallest effect
        ("> 0", 3.0, 5.0, "inconclusive"),
        ("> 0", -3.0, 0.1, "contradicted"),
        ("> 0", 0.0, 0.1, "contradicted"),  # negligible by two one-sided tests
        ("> 0", -1.0, 0.1, "inconclusive"),  # wrong side of zero, neither beyond nor negligible
        ("< 0", -3.0, 0.1, "supported"),
        ("< 0", 3.0, 0.1, "contradicted"),
        ("< 0", 0.2, 0.1, "contradicted"),
        ("= 0", 0.2, 0.1, "supported"),
        ("= 0", 3.0, 0.1, "contradicted"),
        ("= 0", -3.0, 0.1, "contradicted"),
        ("= 0", 1.0, 0.1, "inconclusive"),
    ],
)
def test_table_of_cases(expected, center, spread, verdict):
    assert claims.judge(claim(expected), around(center, spread)).verdict == verdict


@pytest.mark.parametrize("center", [-3.0, -1.0, 0.0, 1.2, 3.0])
def test_a_mirrored_claim_on_mirrored_data_gets_the_same_verdict(center):
    up, down = claims.judge(claim("> 0"), around(center)), claims.judge(claim("< 0"), around(-center))
    assert up.verdict == down.verdict
    assert up.p_holm == pytest.approx(down.p_holm)


def test_untested_with_a_reason_and_still_in_the_family():
    few = stats.paired([3.0, 3.1])
    alone = claims.judge(claim(), few)
    assert (alone.verdict, alone.reason) == ("untested", "2 seeds, fewer than 5")
    assert math.isnan(alone.p_holm)
    both = claims.judge_all([(claim(), around(1.2)), (claim(name="d"), few)])
    assert both[0].p_holm == pytest.approx(2 * claims.judge(claim(), around(1.2)).p_holm)
    assert claims.judge(claim(), around(3.0), untested_reason="smoke profile").verdict == "untested"
    assert claims.judge_all([]) == []


def test_holm_takes_a_verdict_back_when_many_were_asked():
    marginal = around(1.15)
    assert claims.judge(claim(), marginal).verdict == "supported"
    family = [(claim(name=str(i)), around(3.0, 5.0)) for i in range(9)]
    crowded = claims.judge_all([(claim(), marginal), *family])[0]
    assert crowded.verdict == "inconclusive"
    assert "Holm" in crowded.reason


def test_record_is_json_and_nan_is_null():
    few = stats.paired([3.0])
    record = claims.judge(claim(), few).as_record(claim(), few, "arXiv:0000.00000")
    assert record["low"] is None
    assert record["p_holm"] is None
    assert record["paper_effect"] is None
    assert json.loads(json.dumps(record, allow_nan=False))["verdict"] == "untested"
    fields = "id statement paper where quantity expected smallest_effect rule estimate low high n unit p_holm verdict "
    assert set((fields + "reason paper_effect paper_effect_source").split()) <= set(record)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: claim(">0"), "mind the blank"),
        (lambda: claim(rule="bootstrap"), "names a function of lib.stats"),
        (lambda: claim(smallest_effect=-1.0), "direction belongs in `expected`"),
        (lambda: claim("= 0", smallest_effect=0), "> 0 for '= 0'"),
        (lambda: claims.judge(claim(rule="hierarchical"), around(1)), "must be estimated by stats.hierarchical"),
        (
            lambda: claims.judge(claim("= 0", rule="equivalence"), stats.equivalence([0.1] * 5, margin=2)),
            "pass the declared value",
        ),
    ],
)
def test_errors_name_what_disagrees(call, match):
    with pytest.raises(ValueError, match=match):
        call()


# Each rule on data whose true effect sits exactly on the border of what is claimed.


def _nulls_paired(g):
    return stats.paired(g.normal(1, 1, 6))


def _nulls_corrected(g):  # splits of one data set share its error: correlation f / (1 + f), f = n_test / n_train
    f, n = 0.25, 6
    shared = g.normal(0, math.sqrt(f / (1 + f)))
    return stats.corrected_resampled(1 + shared + g.normal(0, math.sqrt(1 / (1 + f)), n), test_fraction=f)


def _nulls_hierarchical(g):
    seeds = 1 + g.normal(0, 1, (5, 1)) + g.normal(0, 2, (5, 12))
    return stats.hierarchical(list(seeds), n_boot=200, generator=g)


def _nulls_hierarchical_crossed(g):
    seeds = 1 + g.normal(0, 1, (5, 1)) + g.normal(0, 3, (1, 20)) + g.normal(0, 1, (5, 20))
    return stats.hierarchical(list(seeds), clusters=[np.arange(20)] * 5, n_boot=200, generator=g)


def _nulls_clustered(g):
    patients = np.repeat(np.arange(24), 2)
    values = 1 + g.normal(size=24)[patients] + g.normal(size=48)
    return stats.clustered(lambda rows: values[rows].sum() / rows.size, patients, n_boot=99, generator=g)


def _nulls_page(g):
    return stats.page_trend(g.normal(size=(6, 4)))


@functools.cache
def _binomial(successes):
    return stats.exact_binomial(successes, 40, chance=0.5)


def _nulls_binomial(g):
    return _binomial(int(g.binomial(40, 0.7)))


def _nulls_equivalence(g):
    return stats.equivalence(g.normal(1, 0.4, 8), margin=1.0)


NULLS = {
    "paired": (_nulls_paired, "> 0", 1.0),
    "corrected_resampled": (_nulls_corrected, "> 0", 1.0),
    "hierarchical": (_nulls_hierarchical, "> 0", 1.0),
    "hierarchical crossed": (_nulls_hierarchical_crossed, "> 0", 1.0),
    "clustered": (_nulls_clustered, "> 0", 1.0),
    "page_trend": (_nulls_page, "> 0", 0.0),
    "exact_binomial": (_nulls_binomial, "> 0", 0.2),
    "equivalence": (_nulls_equivalence, "= 0", 1.0),
}


@pytest.mark.parametrize("name", NULLS)
def test_supported_in_at_most_five_percent_of_nulls(name):
    simulate, expected, smallest = NULLS[name]
    g = np.random.default_rng(11)
    declared = claim(expected, smallest, name.split()[0])
    wrong = sum(claims.judge(declared, simulate(g)).verdict == "supported" for _ in range(SIMULATIONS))
    assert wrong <= MOST


def test_contradicted_in_at_most_five_percent_where_the_claim_holds():
    g = np.random.default_rng(12)
    wrong = sum(
        claims.judge(claim("> 0"), stats.paired(g.normal(1, 0.3, 6))).verdict == "contradicted"
        for _ in range(SIMULATIONS)
    )
    assert wrong <= MOST


def test_holm_holds_a_family_of_true_nulls():
    g = np.random.default_rng(13)
    families = (
        claims.judge_all([(claim(name=str(i)), stats.paired(g.normal(1, 1, 6))) for i in range(5)])
        for _ in range(SIMULATIONS // 2)
    )
    wrong = sum(any(v.verdict == "supported" for v in verdicts) for verdicts in families)
    assert wrong <= scipy_stats.binom.ppf(0.999, SIMULATIONS // 2, 0.05)


@pytest.mark.parametrize("effect", [1.8, 2.5])
def test_planted_effects_are_found_as_often_as_the_sample_size_predicts(effect):
    n, g = 8, np.random.default_rng(14)
    critical = scipy_stats.t.ppf(0.975, n - 1)
    power = scipy_stats.nct.sf(critical, n - 1, (effect - 1) * math.sqrt(n))  # non-central t
    found = sum(
        claims.judge(claim(), stats.paired(g.normal(effect, 1, n))).verdict == "supported" for _ in range(SIMULATIONS)
    )
    # 3.3 standard errors of a share of 1,000: wrong in fewer than one run in a thousand
    assert found / SIMULATIONS == pytest.approx(power, abs=3.3 * math.sqrt(power * (1 - power) / SIMULATIONS))


@pytest.mark.parametrize("rule", ["hierarchical", "clustered"])
def test_the_bootstraps_find_a_large_effect(rule):
    g = np.random.default_rng(15)

    def planted():
        if rule == "clustered":
            values = g.normal(1 + 1.2, 1, 40)  # 7.6 standard errors beyond the smallest effect
            return stats.clustered(lambda r: values[r].sum() / r.size, np.arange(40), n_boot=99, generator=g)
        seeds = 4 + g.normal(0, 0.5, (5, 1)) + g.normal(0, 1, (5, 20))  # 12 standard errors beyond it
        return stats.hierarchical(list(seeds), n_boot=200, generator=g)

    found = [claims.judge(claim(rule=rule), planted()).verdict == "supported" for _ in range(200)]
    assert np.mean(found) > 0.97
