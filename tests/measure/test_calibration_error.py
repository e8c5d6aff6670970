"""Calibration error: closed forms, brute force, the error that chance alone makes, groups."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from lib.measure.calibration_error import calibration_error, calibration_floor, error_by_group


def rng(seed=0):
    return np.random.default_rng(seed)


def test_one_bin_compares_means():
    p, y = rng().random(50), rng(1).integers(0, 2, 50)
    assert calibration_error(p, y, bins=1) == pytest.approx(abs(p.mean() - y.mean()))


@pytest.mark.parametrize("bins", [2, 5, 10])
def test_it_is_the_loop_over_bins(bins):
    p, y = np.append(rng().random(40), [0.0, 1.0, 0.5]), rng(1).integers(0, 2, 43)
    total = 0.0
    for k in range(bins):
        low, high = k / bins, (k + 1) / bins
        inside = (p >= low) & ((p < high) | (k == bins - 1))
        if inside.any():
            total += inside.mean() * abs(p[inside].mean() - y[inside].mean())
    assert calibration_error(p, y, bins=bins) == pytest.approx(total)


def test_extremes():
    y = np.array([0, 1, 1])
    assert calibration_error(y, y) == 0
    assert calibration_error(1 - y, y) == 1


def test_a_calibrated_score_shows_its_floor_and_the_floor_falls_with_the_root_of_n():
    small, large = (np.tile(np.linspace(0.05, 0.95, 10), k) for k in (20, 320))
    floors = [calibration_floor(p, generator=rng(), draws=200) for p in (small, large)]
    assert floors[0] / floors[1] == pytest.approx(4, rel=0.1)
    # mean absolute deviation of each bin's share, exactly
    counts = np.arange(21)[:, None]
    spread = (binom.pmf(counts, 20, small[:10]) * np.abs(counts / 20 - small[:10])).sum(axis=0).mean()
    assert floors[0] == pytest.approx(spread, rel=0.05)
    seen = [calibration_error(small, rng(s).random(200) < small) for s in range(200)]
    assert np.mean(seen) == pytest.approx(floors[0], rel=0.05)


def test_groups_are_measured_apart_and_small_ones_have_no_number():
    p, y = rng().random(300), np.arange(300) % 2
    groups = np.repeat(["B", "A", "C"], [130, 140, 30])
    found = error_by_group(p, y, groups).set_index("group")
    assert found.index.tolist() == ["A", "B", "C"]
    assert found.loc["A", "error"] == calibration_error(p[130:270], y[130:270])
    assert math.isnan(found.loc["C", "error"])
    assert found.loc["C", ["n", "positives"]].tolist() == [30, 15]


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="must lie in"):
        calibration_error([1.5, 0.0], [1, 0])
    with pytest.raises(ValueError, match="must hold 0 and 1"):
        calibration_error([0.5, 0.0], [-1, 0])
    with pytest.raises(ValueError, match="n > 0"):
        calibration_error([], [])
    with pytest.raises(ValueError, match="bins must be at least 1"):
        calibration_error([0.5], [1], bins=0)
    with pytest.raises(ValueError, match="draws must be at least 1"):
        calibration_floor([0.5], generator=rng(), draws=0)
