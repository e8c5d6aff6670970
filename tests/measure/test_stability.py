"""Stability of choices: closed forms, Kuncheva's index as the oracle, coverage of the interval."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from lib.measure.stability import agreement, half_samples, kuncheva, nogueira, resampled_supports
from lib.select import FTest, RandomSelector


def drawn(rng: np.random.Generator, n: int, share: np.ndarray) -> np.ndarray:
    return rng.random((n, share.size)) < share


def test_the_same_columns_every_time_are_one() -> None:
    result = nogueira(np.tile([1, 0, 1, 0, 0], (6, 1)))
    assert (result.estimate, result.low, result.high) == (1.0, 1.0, 1.0)
    assert (result.n_choices, result.mean_size) == (6, 2.0)


def test_two_disjoint_halves_are_minus_one() -> None:
    assert nogueira(np.array([[1, 1, 0, 0], [0, 0, 1, 1]])).estimate == pytest.approx(-1.0)


def test_equal_sizes_give_the_mean_kuncheva_index() -> None:
    rng = np.random.default_rng(0)
    choices = np.array([np.isin(np.arange(20), rng.choice(20, 7, replace=False)) for _ in range(9)])
    assert nogueira(choices).estimate == pytest.approx(kuncheva(choices), abs=1e-12)


def test_random_columns_are_zero_on_average() -> None:
    rng = np.random.default_rng(1)
    values = [nogueira(drawn(rng, 20, np.full(50, 0.3))).estimate for _ in range(200)]
    # four standard errors of the mean of 200 draws
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)


def test_it_does_not_depend_on_the_order_and_is_symmetric_in_the_complement() -> None:
    rng = np.random.default_rng(2)
    choices = drawn(rng, 10, rng.random(15))
    value = nogueira(choices)
    shuffled = nogueira(choices[rng.permutation(10)][:, rng.permutation(15)])
    assert value.estimate == pytest.approx(shuffled.estimate)
    assert value.high == pytest.approx(shuffled.high)
    assert value.estimate == pytest.approx(nogueira(~choices).estimate)


def test_the_interval_holds_the_population_value_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    share = rng.beta(0.5, 0.5, 40)
    truth = 1 - np.mean(share * (1 - share)) / (share.mean() * (1 - share.mean()))
    held = [r.low <= truth <= r.high for r in (nogueira(drawn(rng, 60, share)) for _ in range(300))]
    # asymptotic 95 % at M = 60; .90 is four binomial standard errors below .95
    assert np.mean(held) > 0.90


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (np.ones((1, 4)), "at least 2 choices"),
        (np.full((3, 4), 2), "only 0 and 1"),
        (np.ones((3, 4)), "undefined"),
        (np.zeros((3, 4)), "undefined"),
    ],
)
def test_what_has_no_stability_is_refused(choices: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nogueira(choices)


def test_agreement_equals_scipy_and_counts_common_top_columns() -> None:
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=30), rng.integers(0, 5, size=30).astype(float)
    found = agreement(first, second, top=10)
    assert found["spearman"] == pytest.approx(spearmanr(first, second).statistic, abs=1e-9)
    assert found["overlap"] == np.isin(np.argsort(-first)[:10], np.argsort(-second, kind="stable")[:10]).mean()


def test_agreement_takes_rounding_noise_for_ties() -> None:
    first = np.array([1.0, 1.0, 0.5, 2.0])
    assert agreement(first, first * (1 + 1e-13 * np.array([1, 5, 3, 2])), top=2) == {"spearman": 1.0, "overlap": 1.0}
    assert np.isnan(agreement(first, np.ones(4), top=2)["spearman"])
    with pytest.raises(ValueError, match=r"top must be in 1\.\.4"):
        agreement(first, first, top=5)


def test_kuncheva_refuses_unequal_sizes() -> None:
    with pytest.raises(ValueError, match="one size, got 1 to 2"):
        kuncheva(np.array([[1, 0, 0], [1, 1, 0]]))


def test_half_samples_keep_the_classes_and_change_with_the_seed() -> None:
    y = np.repeat([0, 1, 2], [20, 10, 3])
    samples = half_samples(y, n_resamples=4, generator=np.random.default_rng(0))
    for rows in samples:
        assert np.bincount(y[rows]).tolist() == [10, 5, 2]
        assert np.unique(rows).size == rows.size
    other = half_samples(y, n_resamples=4, generator=np.random.default_rng(1))
    assert any((a != b).any() for a, b in zip(samples, other, strict=True))
    with pytest.raises(ValueError, match="fraction must be"):
        half_samples(y, n_resamples=1, fraction=1.0, generator=np.random.default_rng(0))


def test_supports_are_refitted_on_each_sample() -> None:
    rng = np.random.default_rng(4)
    y = np.repeat([0, 1], 20)
    X = rng.normal(size=(40, 30))
    X[:, 2] += 5 * y
    samples = half_samples(y, n_resamples=8, generator=rng)
    supports = resampled_supports(FTest(3), X, y, samples, generator=rng)
    assert supports.shape == (8, 30)
    assert (supports.sum(axis=1) == 3).all()
    assert supports[:, 2].all()
    np.testing.assert_array_equal(supports[0], FTest(3).fit(X[samples[0]], y[samples[0]]).get_support())
    control = resampled_supports(RandomSelector(3, random_state=0), X, y, samples, generator=rng)
    assert len(np.unique(control, axis=0)) > 1  # a fresh seed each time
