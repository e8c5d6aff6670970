"""Correlated blocks: variances, correlations and the planted importance are what the docstring promises."""

from typing import Any

import numpy as np
import pytest

from lib.data.planted_blocks import Blocks, correlated_blocks, ordered_pairs


def draw(n: int, seed: int = 0, **options: Any) -> Blocks:
    return correlated_blocks(n, generator=np.random.default_rng(seed), **options)


def test_columns_are_standard_and_correlated_within_blocks_only() -> None:
    found = draw(40_000, correlation=0.6)
    spread = np.corrcoef(found.X, rowvar=False)
    expected = np.where(found.groups[:, None] == found.groups, 0.6, 0.0)
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(spread, expected, atol=0.025)  # five standard errors of a correlation
    np.testing.assert_allclose(found.X.std(axis=0), 1, atol=0.02)


def test_log_odds_have_the_strength_and_each_block_its_share() -> None:
    found = draw(60_000, strength=2.0)
    assert found.log_odds.std() == pytest.approx(2.0, rel=0.02)
    means = found.X @ np.eye(9)[found.groups]
    signals = (means - means.mean(axis=0)) / means.std(axis=0)
    slopes = np.linalg.lstsq(signals, found.log_odds, rcond=None)[0]
    np.testing.assert_allclose(slopes, 2.0 * found.weights / np.linalg.norm(found.weights), atol=0.02)


def test_classes_follow_the_log_odds() -> None:
    found = draw(40_000)
    chance = 1 / (1 + np.exp(-found.log_odds))
    for low in (0.1, 0.4, 0.8):
        near = np.abs(chance - low) < 0.05
        assert found.y[near].mean() == pytest.approx(chance[near].mean(), abs=0.04)


def test_seeds_decide() -> None:
    np.testing.assert_array_equal(draw(20, 3).X, draw(20, 3).X)
    assert not np.array_equal(draw(20, 3).X, draw(20, 4).X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (1, 2), "weights": (1.0,)}, "one for each weight"),
        ({"sizes": (0,), "weights": (1.0,)}, "sizes >= 1"),
        ({"weights": (0.0,) * 9}, "one above 0"),
        ({"correlation": 1.0}, "correlation in"),
        ({"strength": 0.0}, "strength > 0"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(10, **options)


def test_pairs_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 3, size=8).astype(float), rng.integers(0, 5, size=8).astype(float)
    scores = [
        float(found[i] > found[j]) + 0.5 * float(found[i] == found[j])
        for i in range(8)
        for j in range(8)
        if truth[i] > truth[j]
    ]
    assert ordered_pairs(truth, found) == pytest.approx(np.mean(scores))
    assert ordered_pairs(truth, truth) == 1
    assert ordered_pairs(truth, -truth) == 0
    assert ordered_pairs(truth, np.zeros(8)) == 0.5


def test_pairs_refuse_what_has_no_order() -> None:
    with pytest.raises(ValueError, match="differ between blocks"):
        ordered_pairs(np.ones(3), np.arange(3.0))
    with pytest.raises(ValueError, match="one number per block"):
        ordered_pairs(np.ones(3), np.ones(4))
