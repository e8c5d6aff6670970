"""AUC by group against the fairness measures; the closing weight by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from lib.measure import fairness
from lib.measure.levelling import at_weights, by_names, closing_weights


def rows(n=200):
    rng = np.random.default_rng(0)
    y, groups = rng.integers(0, 2, n), rng.integers(0, 2, n)
    return y * (1 + groups) + rng.normal(size=n), y, groups


def test_names_get_the_auc_of_their_group():
    score, y, groups = rows()
    found = by_names(score, y, groups, ["A", "B"])
    alone = [fairness.auc(score[groups == code], y[groups == code]) for code in (0, 1)]
    assert [found["A"], found["B"]] == pytest.approx(alone)
    assert (found["best"], found["worst"]) == (max(alone), min(alone))
    assert found["gap"] == pytest.approx(alone[0] - alone[1])
    assert found["worst"] <= found["best"]


def test_a_small_group_has_no_number():
    score, y, groups = rows(200)
    groups = (np.arange(200) < 10).astype(int)
    found = by_names(score, y, groups, ["A", "B"])
    assert math.isnan(found["B"]) and math.isnan(found["worst"]) and math.isnan(found["gap"])
    assert np.isfinite(found["A"])
    with pytest.raises(ValueError, match="codes into at least two names"):
        by_names(score, y, groups + 1, ["A", "B"])


def test_a_seed_has_no_part_in_its_weight():
    gaps = pd.DataFrame(np.full((4, 3), 0.1), columns=[0.0, 1.0, 10.0])
    gaps[10.0] = 0.01
    assert closing_weights(gaps, tolerance=0.02).tolist() == [10.0] * 4
    gaps.loc[0] = 0.0
    gaps.loc[1:, 1.0] = 0.019
    assert closing_weights(gaps, tolerance=0.02).tolist() == [1.0] * 4
    gaps.loc[0, 1.0] = 5.0  # only the others see it
    assert closing_weights(gaps, tolerance=0.02).tolist() == [1.0, 10.0, 10.0, 10.0]


def test_signs_cancel_and_an_open_gap_gets_its_smallest():
    gaps = pd.DataFrame([[0.3, -0.1], [0.3, -0.1], [0.3, -0.1]], columns=[0.0, 1.0])
    assert closing_weights(gaps, tolerance=0.02).tolist() == [1.0] * 3
    with pytest.raises(ValueError, match="sort the columns"):
        closing_weights(gaps[[1.0, 0.0]], tolerance=0.02)


def test_values_are_read_at_each_seeds_weight():
    values = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=[7, 9], columns=[0.0, 1.0])
    assert at_weights(values, pd.Series([1.0, 0.0], index=[7, 9])).tolist() == [2.0, 3.0]
