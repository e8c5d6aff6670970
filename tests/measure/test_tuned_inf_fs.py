"""The mixing weight is chosen on the training rows and nothing else changes."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.utils.estimator_checks import check_estimator

from lib.measure.tuned_inf_fs import TunedInfFS, inner_accuracies, preferred
from lib.select import InfFS

ALPHAS = (0.0, 0.5, 1.0)


@pytest.fixture
def spread_matters() -> tuple[np.ndarray, np.ndarray]:
    """Only the columns of large spread carry the classes."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 30)
    X = rng.normal(size=(60, 20))
    X[:, :2] = 10 * (X[:, :2] + 3 * y[:, None])  # alike, so dissimilarity dislikes them
    return X, y


def test_check_estimator_has_no_failure() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skipped array-API checks announce themselves
        results = check_estimator(TunedInfFS(alphas=(0.5, 1.0), sizes=(1,), n_splits=2), on_fail=None)
    assert [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")] == []


def test_one_weight_on_offer_is_plain_inf_fs() -> None:
    X, y = load_wine(return_X_y=True)
    tuned = TunedInfFS(3, alphas=(0.25,), sizes=(3,), random_state=0).fit(X, y)
    plain = InfFS(3, alpha=0.25).fit(X)
    assert tuned.alpha_ == 0.25
    np.testing.assert_array_equal(tuned.ranking_, plain.ranking_)


def test_the_weight_that_serves_the_classes_is_found(spread_matters: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = spread_matters
    tuned = TunedInfFS(2, alphas=ALPHAS, sizes=(2,), random_state=0).fit(X, y)
    means = tuned.accuracies_.mean(axis=1)
    assert means[ALPHAS.index(tuned.alpha_)] == means.max()
    assert means[0] < means.max()  # dissimilarity alone picks noise
    assert set(np.flatnonzero(tuned.get_support())) == {0, 1}


def test_same_seed_same_folds_other_seed_others(spread_matters: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = spread_matters
    rng = np.random.default_rng(2)
    y = rng.permutation(y)
    runs = [
        inner_accuracies(X, y, alphas=ALPHAS, sizes=(3, 50), generator=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert runs[0].shape == (3, 3)
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_ties_go_to_the_middle_then_to_the_smaller() -> None:
    flat = np.full((4, 3), 0.7)
    assert preferred((0.0, 0.25, 0.75, 1.0), flat) == 0.25
    flat[3] = 0.8
    assert preferred((0.0, 0.25, 0.75, 1.0), flat) == 1.0


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        TunedInfFS(1).fit(np.eye(4), np.zeros(4, dtype=int))
