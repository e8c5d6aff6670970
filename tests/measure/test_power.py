"""What a power analysis promises is what simulated studies find."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lib.measure import power


def test_half_width_is_that_of_a_t_interval():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=7), rng.normal(size=7)
    found = stats.ttest_ind(a, b).confidence_interval(0.95)
    pooled = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert power.half_width(pooled, 7) == pytest.approx((found.high - found.low) / 2)
    assert math.isnan(power.half_width(1.0, 1))
    assert [round(power.half_width(1.0, n), 2) for n in (3, 5, 8)] == [2.27, 1.46, 1.07]


def test_seeds_needed_find_the_effect_four_times_in_five():
    n, rng = power.seeds_needed(1.0, 0.8), np.random.default_rng(1)
    a, b = rng.normal(0.8, 1, (2000, n)), rng.normal(0, 1, (2000, n))
    found = (stats.ttest_ind(a, b, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.03)  # binomial deviation 0.009, and t for the normal approximation
    assert power.seeds_needed(1.0, -0.8) == n
    assert power.seeds_needed(0.01, 5.0) == 2
    with pytest.raises(ValueError, match="effect must not be 0"):
        power.seeds_needed(1.0, 0.0)


def test_plan_has_a_row_for_each_measure():
    table = power.plan({"a": [1.0, 2.0, 3.0], "b": [4.0]}, effects={"the paper's": 0.5, "one point": 1.0})
    assert table["measure"].tolist() == ["a", "b"]
    assert table["sd"].tolist()[0] == 1.0
    assert table["seeds for one point"].tolist()[0] == power.seeds_needed(1.0, 1.0)
    assert table.iloc[1, 2:].isna().all()
