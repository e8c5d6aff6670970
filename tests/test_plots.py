"""House figures: the numbers drawn are the numbers given, and the output is reproducible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lib import plots

DATA = pd.DataFrame(
    {
        "ratio": [0.5, 0.5, 0.75, 0.75] * 2,
        "accuracy": [1.0, 3.0, 5.0, 5.0] * 2,
        "seed": [0, 1] * 4,
        "arm": list("aaaabbbb"),
    }
)


@pytest.fixture(autouse=True)
def _closed():
    plots.house_style()
    yield
    plt.close("all")


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
    assert plots._intervals(doubled, "ratio", "accuracy", "seed")["low"][0] == pytest.approx(
        plots.interval([1.0, 3.0])[1]
    )


def test_dots_keep_the_tables_order():
    ax = plots.dots(DATA.iloc[::-1], x="accuracy", y="arm")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]


def test_forest_and_heat():
    rows = pd.DataFrame({"label": ["x"], "estimate": [1.0], "low": [0.0], "high": [2.0], "verdict": ["supported"]})
    assert plots.forest(rows).lines[0].get_xdata() == pytest.approx([0.0, 2.0])
    ax = plots.heat(pd.DataFrame([[1.0, 2.0]], index=["r"], columns=["a", "b"]))
    assert [text.get_text() for text in ax.texts] == ["1.00", "2.00"]


def test_images_in_all_shapes():
    for shape in ((5, 4, 4), (5, 1, 4, 4), (5, 3, 4, 4)):
        assert sum(bool(ax.images) for ax in plots.images(np.zeros(shape), columns=3).axes) == 5
    with pytest.raises(ValueError, match="pictures must have shape"):
        plots.images(np.zeros((4, 4)))


def test_unknown_width():
    with pytest.raises(ValueError, match="width must be one of single, double"):
        plots.figure(width="wide")


def test_the_same_figure_gives_the_same_svg(tmp_path):
    for name in ("a", "b"):
        fig = plots.curve(DATA, x="ratio", y="accuracy", hue="arm").figure
        fig.savefig(tmp_path / f"{name}.svg", metadata={"Date": None, "Creator": None})
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
