"""The plain forms of distance correlation, by the sums of the definition, and their agreement with the fast ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lib.measure.distance_references import (
    KINDS,
    centred_distance_correlation,
    fast_against_naive,
    recomputed_scores,
    updated_against_recomputed,
)
from lib.select.distance_correlation import distance_correlation


def _by_sums(x: np.ndarray, y: np.ndarray) -> float:
    """Squared distance correlation as three sums over pairs and triples of rows (Székely et al. 2007, theorem 1)."""
    n = len(x)

    def covariance(u: np.ndarray, v: np.ndarray) -> float:
        a, b = ([[float(np.linalg.norm(p - q)) for q in one] for p in one] for one in (u, v))
        pairs = list(itertools.product(range(n), repeat=2))
        first = sum(a[i][j] * b[i][j] for i, j in pairs) / n**2
        second = sum(a[i][j] for i, j in pairs) * sum(b[i][j] for i, j in pairs) / n**4
        third = sum(a[i][j] * b[i][k] for i, j, k in itertools.product(range(n), repeat=3)) / n**3
        return first + second - 2 * third

    return covariance(x, y) / np.sqrt(covariance(x, x) * covariance(y, y))


def test_definition_by_sums_over_triples() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(7, 1))
    assert centred_distance_correlation(x, y) == pytest.approx(_by_sums(x, y), abs=1e-12)


def test_constants_rotations_and_scales() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert centred_distance_correlation(x, np.ones(40)) == 0.0
    assert centred_distance_correlation(x, 3 * x @ turn + 5) == pytest.approx(1.0)
    assert centred_distance_correlation(x @ turn, y) == pytest.approx(centred_distance_correlation(x, y))


@pytest.mark.parametrize("k", [0, 1, 4])
def test_recomputed_scores_are_the_whitened_ones(k: int) -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(50, k + 3)) @ rng.normal(size=(k + 3, k + 3))
    y = rng.integers(2, size=50).astype(float)
    wanted = [distance_correlation(X[:, [*range(k), one]], y) for one in range(k, k + 3)]
    found = recomputed_scores(X[:, :k], X[:, k:], y)
    white = [distance_correlation(X[:, [*range(k), one]], y[:, None], affine_invariant=True) for one in range(k, k + 3)]
    np.testing.assert_allclose(found, white, atol=1e-12)  # two classes: whitening y is a change of scale
    assert k == 0 or np.abs(found - wanted).max() > 1e-4, "whitening matters where columns are correlated"


def test_fast_and_naive_agree_on_every_kind() -> None:
    found = fast_against_naive(120, generator=np.random.default_rng(3))
    assert found["kind"].tolist() == list(KINDS)
    assert (found["difference"] < 1e-10).all() and (found["rows"] == 120).all()
    assert (found[["fast_s", "naive_s"]] >= 0).all(axis=None)


def test_comparisons_tell_a_wrong_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.measure.distance_references.marginal_scores", lambda X, y, *, target: np.array([0.5]))
    monkeypatch.setattr("lib.measure.distance_references.joint_scores", lambda S, C, y: np.zeros(C.shape[1]))
    assert fast_against_naive(60, generator=np.random.default_rng(4))["difference"].min() > 1e-3
    wrong = updated_against_recomputed(60, selected=2, generator=np.random.default_rng(4))
    assert wrong["difference"].item() > 1e-3


@pytest.mark.parametrize("selected", [0, 3, 9])
def test_updated_and_recomputed_agree(selected: int) -> None:
    found = updated_against_recomputed(90, selected=selected, generator=np.random.default_rng(5))
    assert found["difference"].item() < 1e-10 and found["selected"].item() == selected


def test_wrong_input_is_refused() -> None:
    rng = np.random.default_rng(6)
    with pytest.raises(ValueError, match="same number of rows"):
        centred_distance_correlation(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="n must be an int >= 4"):
        fast_against_naive(3, generator=rng)
    with pytest.raises(ValueError, match="n > selected"):
        updated_against_recomputed(5, selected=4, generator=rng)
    with pytest.raises(np.linalg.LinAlgError):
        recomputed_scores(np.ones((9, 1)), rng.normal(size=(9, 1)), rng.normal(size=9))
