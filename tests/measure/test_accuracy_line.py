"""Lines and parabolas through models: statsmodels and numpy as oracles, closed forms, two cues in theory."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import norm

from lib.measure.accuracy_line import bend, bend_interval, fit, probit


def cloud(n=60, seed=0, curvature=0.4):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 2, n)
    return x, 0.1 + 0.5 * x + curvature * x**2 + 0.1 * rng.normal(size=n)


def test_probit_is_the_normal_quantile_and_stays_finite_at_the_ends():
    inner = np.array([0.01, 0.3, 0.5, 0.99])
    np.testing.assert_allclose(probit(inner, 1000), norm.ppf(inner))
    ends = probit([0.0, 1.0], 50)
    np.testing.assert_allclose(ends, norm.ppf([0.01, 0.99]))
    assert probit(1.0, 51) > probit(1.0, 50)


@pytest.mark.parametrize("degree", [1, 2])
def test_it_is_statsmodels_least_squares_and_criterion(degree):
    x, y = cloud()
    peer = sm.OLS(y, np.vander(x, degree + 1, increasing=True)).fit()
    ours = fit(x, y, degree=degree)
    np.testing.assert_allclose(ours.coefficients, peer.params, rtol=1e-9)
    assert ours.aic == pytest.approx(peer.aic, rel=1e-10)


def test_it_is_numpys_polynomial_far_from_zero():
    x, y = cloud()
    np.testing.assert_allclose(fit(x + 50, y, degree=2).coefficients[::-1], np.polyfit(x + 50, y, 2), rtol=1e-6)


def test_a_parabola_is_found_exactly():
    x = np.linspace(-1, 2, 9)
    found = bend(x, 0.25 * (x - 0.5) ** 2)
    low, high = np.quantile(x, [0.05, 0.95])
    assert found["curvature"] == pytest.approx(0.25)
    assert found["first_slope"] == pytest.approx(0.5 * (low - 0.5))
    assert found["last_slope"] == pytest.approx(0.5 * (high - 0.5))
    middle, chord = (low + high) / 2, 0.25 * ((low - 0.5) ** 2 + (high - 0.5) ** 2) / 2
    assert found["sag"] == pytest.approx(chord - 0.25 * (middle - 0.5) ** 2)


def test_curvature_scales_as_a_second_derivative_and_ignores_shifts():
    x, y = cloud()
    base = bend(x, y)["curvature"]
    assert bend(3 * x - 7, 2 * y + 1)["curvature"] == pytest.approx(base * 2 / 9)


def test_the_criterion_prefers_the_line_for_a_line_and_the_parabola_for_a_bend():
    gain = [bend(*cloud(seed=s, curvature=0.0))["delta_aic"] for s in range(200)]
    assert np.mean(np.array(gain) > 0) == pytest.approx(0.157, abs=0.08)  # chance of a chi-squared above 2, one degree
    assert min(gain) >= -2 - 1e-9  # one more coefficient never fits worse
    assert bend(*cloud())["delta_aic"] > 10


def test_two_cues_in_a_fixed_ratio_make_a_line_and_a_fading_shortcut_a_moon():
    core = np.linspace(0.2, 2.0, 40)
    fixed, fading = 0.8 * core, 0.8 * np.ones(40)
    assert bend(core + fixed, core - fixed)["curvature"] == pytest.approx(0, abs=1e-9)
    assert bend(core + fixed, core - fixed)["slope"] == pytest.approx(0.2 / 1.8)
    rising = np.minimum(core, 0.8)  # learnt first, then no more
    assert bend(core + rising, core - rising)["curvature"] > 0.1
    assert bend(core + fading, core - fading)["slope"] == pytest.approx(1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for s in range(60):
        x, y = cloud(seed=s)
        low, high = bend_interval(x, y, generator=np.random.default_rng(s), n_boot=150)
        hits += low <= 0.4 <= high
    assert hits >= 50  # 95 % of 60 is 57, percentile intervals are a little short


def test_resampled_curvatures_are_those_of_the_fit():
    x, y = cloud(12)
    low, high = bend_interval(x, y, generator=np.random.default_rng(3), n_boot=40)
    picks = np.random.default_rng(3).integers(0, 12, (40, 12))
    one_by_one = [fit(x[rows], y[rows], degree=2).coefficients[2] for rows in picks]
    np.testing.assert_allclose([low, high], np.quantile(one_by_one, [0.025, 0.975]), rtol=1e-8)


def test_it_repeats_and_another_generator_differs():
    x, y = cloud()
    one, again, other = (bend_interval(x, y, generator=np.random.default_rng(s), n_boot=50) for s in (1, 1, 2))
    assert one == again != other


def test_too_few_different_accuracies_give_no_number():
    found = bend([0.5, 0.5, 1.0], [0.1, 0.2, 0.3])
    assert math.isnan(found["curvature"])
    assert math.isnan(found["delta_aic"])
    assert math.isfinite(found["slope"])
    assert all(math.isnan(end) for end in bend_interval([1, 1, 1], [1, 2, 3], generator=np.random.default_rng(0)))


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match="percent as fractions"):
        probit([50.0], 100)
    with pytest.raises(ValueError, match="n must be at least 1"):
        probit([0.5], 0)
    with pytest.raises(ValueError, match="one value per model"):
        bend([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="must be finite"):
        fit([0, 1, np.nan], [1, 2, 3], degree=1)
    with pytest.raises(ValueError, match="degree must be at least 1"):
        fit([0, 1], [1, 2], degree=0)
    with pytest.raises(ValueError, match="n_boot"):
        bend_interval([0, 1, 2], [1, 2, 3], generator=np.random.default_rng(0), n_boot=0)
