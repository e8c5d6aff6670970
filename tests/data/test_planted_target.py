"""A target on given columns: it follows its parents and nothing else, whatever the columns look like."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from lib.data.planted_target import planted_target

X = load_breast_cancer().data


def _planted(X: np.ndarray, seed: int = 0, **options: float):
    return planted_target(X, generator=np.random.default_rng(seed), **options)


def test_truth_is_told_three_times_alike() -> None:
    found = _planted(X, n_parents=4)
    assert found.relevant.size == 4
    np.testing.assert_array_equal(found.parents, found.relevant)
    assert [found.names[j] for j in found.relevant] == [f"relevant {i}" for i in range(4)]
    np.testing.assert_array_equal(np.sort(np.r_[found.relevant, found.redundant]), np.arange(30))
    assert found.children.size == 0


def test_only_the_parents_decide_y() -> None:
    found = _planted(X)
    other = X.copy()
    other[:, found.redundant] = np.random.default_rng(1).normal(size=(len(X), found.redundant.size))
    np.testing.assert_allclose(_planted(other).y, found.y)
    other = X.copy()
    other[:, found.relevant[0]] = np.random.default_rng(1).permutation(other[:, found.relevant[0]])
    assert np.abs(_planted(other).y - found.y).mean() > 0.1


def test_signal_and_noise_have_the_variances_promised() -> None:
    quiet, loud = _planted(X, noise=1e-6).y, _planted(X, noise=2.0).y
    assert quiet.std() == pytest.approx(1, abs=1e-4)
    assert (loud - quiet).std() == pytest.approx(2, rel=0.1)  # 569 rows: standard error 3 %


def test_units_do_not_matter_and_seeds_do() -> None:
    units = np.geomspace(1e-3, 1e3, 30)
    np.testing.assert_allclose(_planted(X * units + 5).y, _planted(X).y, atol=1e-9)
    assert not np.allclose(_planted(X, seed=1).y, _planted(X).y)


def test_columns_that_are_nearly_constant_are_no_trouble() -> None:
    flat = np.zeros((60, 3))
    flat[0, 1], flat[:, 2] = 1.0, np.arange(60)
    found = _planted(flat, n_parents=2)
    assert found.relevant.tolist() == [1, 2]
    assert np.isfinite(found.y).all()


@pytest.mark.parametrize("options", [{"n_parents": 0}, {"n_parents": 31}, {"noise": 0.0}])
def test_wrong_arguments_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="columns that vary, and noise > 0"):
        _planted(X, **options)
