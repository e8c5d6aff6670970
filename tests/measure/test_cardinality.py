"""Estimates of information against scikit-learn and permutations, areas by brute force, and rows in runs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score, roc_auc_score

from lib.measure.cardinality import (
    ESTIMATES,
    agreement_of,
    area_under_curve,
    beside_copies,
    draw_scores,
    information_scores,
    rows_in_runs,
)
from lib.select.discretised import category_codes
from lib.select.outrank import cardinality_information


@pytest.mark.parametrize(("n", "values", "classes"), [(300, 2, 2), (500, 40, 3), (200, 150, 2)])
def test_estimates_are_those_of_scikit_learn_and_outrank(n: int, values: int, classes: int) -> None:
    rng = np.random.default_rng(values)
    x, y = category_codes(rng.integers(values, size=n))[0], rng.integers(classes, size=n)
    found = information_scores(x, y)
    assert tuple(found) == ESTIMATES
    assert found["plain"] == pytest.approx(mutual_info_score(y, x), abs=1e-12)
    assert found["adjusted"] == pytest.approx(adjusted_mutual_info_score(y, x), abs=1e-10)
    assert found["background"] == cardinality_information(x, y)


def test_exact_expectation_is_the_mean_over_permutations() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(20, size=120), rng.integers(2, size=120)
    shuffled = [cardinality_information(x, rng.permutation(y), correction="none") for _ in range(4000)]
    found = information_scores(category_codes(x)[0], y)
    # the mean of 4,000 draws has a standard error of about sd / 63
    assert found["plain"] - found["exact"] == pytest.approx(
        float(np.mean(shuffled)), abs=4 * float(np.std(shuffled)) / 63
    )


def test_area_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    signal, noise = rng.integers(6, size=30) + 1.0, rng.integers(6, size=25) + 0.0
    pairs = (signal[:, None] > noise) + 0.5 * (signal[:, None] == noise)
    assert area_under_curve(signal, noise) == pytest.approx(pairs.mean())
    truth = np.r_[np.ones(30), np.zeros(25)]
    assert area_under_curve(signal, noise) == pytest.approx(roc_auc_score(truth, np.r_[signal, noise]))
    assert area_under_curve(signal, signal) == 0.5


def test_draws_plain_prefers_noise_and_corrections_do_not() -> None:
    found = draw_scores(1000, cardinalities=(2, 200), n_draws=25, generator=np.random.default_rng(2))
    mean = {(kind, name): float(part[name].mean()) for kind, part in found.groupby("column") for name in ESTIMATES}
    assert mean["identifier", "plain"] == pytest.approx(np.log(2), abs=2e-3)
    assert mean["noise of 200", "plain"] > 4 * mean["signal", "plain"]
    for name in ("background", "exact", "adjusted"):
        assert abs(mean["noise of 200", name]) < 0.5 * mean["signal", name]
        assert mean["identifier", name] == pytest.approx(0, abs=1e-9)
    assert mean["signal", "plain"] == pytest.approx(26 / 2000, rel=0.25)  # (strength^2 + 1) / 2n
    assert mean["spread signal", "exact"] == pytest.approx(mean["signal", "exact"], rel=0.4)
    again = draw_scores(1000, cardinalities=(2, 200), n_draws=1, generator=np.random.default_rng(2))
    np.testing.assert_array_equal(again[list(ESTIMATES)], found.loc[found["draw"] == 0, list(ESTIMATES)])


def test_copies_keep_the_values_and_lose_the_signal() -> None:
    rng = np.random.default_rng(6)
    y = np.repeat([0, 1], 400)  # sorted by class: the order is drawn first
    X = np.c_[y + 2 * rng.integers(5, size=800), np.zeros(800), np.arange(800)]
    found = beside_copies(X, y, generator=rng)
    assert found["number"].tolist() == [0, 0, 2, 2] and found["values"].tolist() == [10, 10, 800, 800]
    own, copy, unique, _ = found["background"]
    assert own > 0.5 > 0.05 > abs(copy) and unique == 0
    assert found["plain"].iloc[2] == found["plain"].iloc[3] == pytest.approx(np.log(2))


def test_runs_grow_with_their_length_and_keep_every_row() -> None:
    y = np.random.default_rng(3).integers(2, size=4000)
    changes = []
    for length in (1, 10, 100, 4000):
        order = rows_in_runs(y, length, np.random.default_rng(4))
        assert np.array_equal(np.sort(order), np.arange(4000))
        changes.append(int((np.diff(y[order]) != 0).sum()))
    assert abs(changes[0] - 2000) < 150 and changes[-1] == 1
    assert 1000 > changes[1] > 2 * changes[2] > 4 * changes[3]
    one, other = (rows_in_runs(y, 10, np.random.default_rng(seed)) for seed in (4, 5))
    assert (one != other).any()


def test_refusals() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="hold finite scores"):
        area_under_curve(np.array([]), np.array([1.0]))
    with pytest.raises(ValueError, match="take more rows"):
        agreement_of(50.0, 100)
    with pytest.raises(ValueError, match="even number"):
        draw_scores(100, spread=7, generator=rng)
    with pytest.raises(ValueError, match="same number of rows"):
        beside_copies(np.ones((3, 1)), np.ones(4), generator=rng)
    with pytest.raises(ValueError, match="length must be in 1..3"):
        rows_in_runs(np.array([0, 1, 0]), 4, rng)
