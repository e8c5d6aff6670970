"""The means and intervals drawn are those of the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib import plots
from lib.plots.series import _intervals

DATA = pd.DataFrame(
    {
        "ratio": [0.5, 0.5, 0.75, 0.75] * 2,
        "accuracy": [1.0, 3.0, 5.0, 5.0] * 2,
        "seed": [0, 1] * 4,
        "arm": list("aaaabbbb"),
    }
)


def test_interval_against_scipy():
    from scipy import stats

    values = np.array([1.0, 4.0, 2.0, 8.0])
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert plots.interval(values)[1:] == pytest.approx((expected.low, expected.high))
    assert np.isnan(plots.interval([1.0])[1])


def test_curve_draws_means_and_bands():
    ax = plots.curve(DATA, x="ratio", y="accuracy", hue="arm")
    assert len(ax.lines) == 2
    assert ax.lines[0].get_ydata() == pytest.approx([2.0, 5.0])
    assert len({line.get_marker() for line in ax.lines}) == 2, "series differ in more than colour"
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(plots.interval([1.0, 3.0])[2])


def test_rows_of_one_unit_are_averaged_first():
    doubled = pd.concat([DATA[DATA["arm"] == "a"]] * 3)
    assert _intervals(doubled, "ratio", "accuracy", "seed")["low"][0] == pytest.approx(plots.interval([1.0, 3.0])[1])


def test_dots_keep_the_tables_order():
    ax = plots.dots(DATA.iloc[::-1], x="accuracy", y="arm")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
