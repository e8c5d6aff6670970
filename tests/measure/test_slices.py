"""The error-aware mixture: brute force, scikit-learn as the oracle, an objective that never falls, planted slices."""

import itertools
import math

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from lib.measure.slices import Mixture, fit_slices, membership, rank_slices


def noise(n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.integers(0, 2, n), rng.random(n)


def planted(seed=0, n=100):
    """Three clouds; the model fails on the third alone."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1, 2], n)
    z = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])[truth] + 0.6 * rng.normal(size=(3 * n, 2))
    y = np.arange(3 * n) % 2
    good = np.where(y == 1, 0.9, 0.1)
    return z, y, np.where(truth == 2, 1 - good, good), truth


def by_hand(mixture, z, y, p):
    """Objective and memberships, row by row and slice by slice."""
    rows = []
    for i, k in itertools.product(range(len(z)), range(len(mixture.share))):
        density = mixture.share[k]
        for value, mean, variance in zip(z[i], mixture.mean[k], mixture.variance[k], strict=True):
            density *= math.exp(-((value - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        for part, chance in ((y[i], mixture.label[k]), (p[i], mixture.prediction[k])):
            density *= (chance**part * (1 - chance) ** (1 - part)) ** mixture.weight
        rows.append(density)
    joint = np.array(rows).reshape(len(z), -1)
    return np.log(joint.sum(1)).mean(), joint / joint.sum(1, keepdims=True)


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
def test_objective_and_membership_by_brute_force(weight):
    z, y, p = noise(8, 2)
    found = fit_slices(z, y, p, slices=2, weight=weight, generator=np.random.default_rng(1), restarts=1, steps=4)
    objective, belongs = by_hand(found, z, y, p)
    assert found.objective[-1] == pytest.approx(objective)
    np.testing.assert_allclose(membership(found, z, y, p), belongs, atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("weight", [0.0, 1.0, 10.0])
def test_no_step_lowers_the_objective(seed, weight):
    data = noise(seed=seed)
    found = fit_slices(
        *data, slices=5, weight=weight, generator=np.random.default_rng(seed), restarts=1, steps=60, tolerance=0.0
    )
    assert len(found.objective) > 3
    assert (np.diff(found.objective) > -1e-9).all()
    assert found.share.sum() == pytest.approx(1)


def test_one_slice_is_the_closed_form():
    z, y, p = noise()
    found = fit_slices(z, y, p, slices=1, generator=np.random.default_rng(0))
    np.testing.assert_allclose(found.mean[0], z.mean(0))
    np.testing.assert_allclose(found.variance[0], z.var(0))
    assert (found.label[0], found.prediction[0]) == pytest.approx((y.mean(), p.mean()))


def test_without_weight_it_is_scikit_learns_mixture():
    z, y, p, _ = planted()
    found = fit_slices(
        z, y, p, slices=3, weight=0.0, generator=np.random.default_rng(0), steps=400, tolerance=1e-10, restarts=5
    )
    peer = GaussianMixture(3, covariance_type="diag", means_init=found.mean, tol=1e-9, max_iter=500, reg_covar=0).fit(z)
    assert found.objective[-1] == pytest.approx(peer.score(z), abs=1e-5)
    np.testing.assert_allclose(found.mean, peer.means_, atol=1e-3)


def test_more_restarts_never_find_less():
    z, y, p, _ = planted()
    reached = [
        fit_slices(z, y, p, slices=4, generator=np.random.default_rng(3), restarts=r).objective[-1] for r in (1, 4)
    ]
    assert reached[1] >= reached[0]


@pytest.mark.parametrize("seed", range(3))
def test_planted_failures_are_found(seed):
    z, y, p, truth = planted(seed)
    found = fit_slices(z, y, p, slices=6, generator=np.random.default_rng(seed), weight=3.0)
    belongs = membership(found, z, y, p)
    worst = rank_slices(belongs, (p - y) ** 2)["slice"].iloc[0]
    chosen = belongs.argmax(1) == worst
    assert (truth[chosen] == 2).mean() > 0.95


def test_errors_split_what_features_do_not():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(200, 2)), np.ones(200)
    p = np.where(np.arange(200) < 60, 0.05, 0.95)
    found = fit_slices(z, y, p, slices=2, generator=rng, weight=10.0, restarts=5)
    assert sorted(found.prediction) == pytest.approx([0.05, 0.95], abs=0.02)
    assert sorted(found.share) == pytest.approx([0.3, 0.7], abs=0.02)


def test_membership_of_new_rows_is_a_distribution():
    z, y, p, _ = planted()
    found = fit_slices(z, y, p, slices=5, generator=np.random.default_rng(0))
    new = membership(found, z[:7] + 1, y[:7], p[:7])
    assert new.shape == (7, 5) and new.sum(1) == pytest.approx(1)
    assert (new >= 0).all()


def test_a_generator_decides():
    data = noise()
    first, again, other = (
        fit_slices(*data, slices=4, generator=np.random.default_rng(seed), restarts=1) for seed in (0, 0, 1)
    )
    assert np.array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)


def test_ranking_counts_only_the_rows_asked_for():
    belongs = np.eye(3)[[0, 0, 1, 1, 1, 2]]
    error, sick = [0.9, 0.1, 0.5, 0.7, 0.6, 1.0], [False, True, True, True, False, True]
    found = rank_slices(belongs, error, rows=sick, minimum=1)
    assert found["slice"].tolist() == [2, 1, 0]
    assert found["n"].tolist() == [1, 2, 1]
    assert found["error"].tolist() == pytest.approx([1.0, 0.6, 0.1])
    assert rank_slices(belongs, error, rows=sick, minimum=2)["slice"].tolist() == [1]
    assert rank_slices(belongs, error, rows=sick, minimum=9).empty


def test_errors_say_what_is_wrong():
    z, y, p = noise(10)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"slices must be in 1..10 for 10 rows, got 11"):
        fit_slices(z, y, p, slices=11, generator=rng)
    with pytest.raises(ValueError, match="pass probabilities, not logits"):
        fit_slices(z, y, 3 * p, slices=2, generator=rng)
    with pytest.raises(ValueError, match="features must be finite"):
        fit_slices(np.where(z > 0, np.nan, z), y, p, slices=2, generator=rng)
    with pytest.raises(ValueError, match="give one row per patient"):
        fit_slices(z, y[:5], p, slices=2, generator=rng)
    with pytest.raises(ValueError, match="weight at least 0"):
        fit_slices(z, y, p, slices=2, generator=rng, weight=-1.0)
    one = Mixture(*(np.ones(1), np.zeros((1, 2)), np.ones((1, 2))), np.ones(1), np.ones(1), 1.0, np.zeros(1))
    with pytest.raises(ValueError, match="must have 2 columns"):
        membership(one, z, y, p)
    with pytest.raises(ValueError, match="one row per patient"):
        rank_slices(np.eye(3), [0.1, 0.2])
