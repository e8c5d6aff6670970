"""Panels of given intervals: drawn as given, categories in order, a missing interval leaves the point."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.plots.interval_panels import interval_panels

LOOK = {"by": "task", "y": "mask", "hue": "what", "xlabel": "AUC"}


def table():
    rows = [
        (task, mask, what, e, e - 0.1, e + 0.2)
        for task in ("sex", "view")
        for mask, e in (("first", 0.6), ("second", 0.7))
        for what in ("film", "floor")
    ]
    return pd.DataFrame(rows, columns=["task", "mask", "what", "estimate", "low", "high"])


@pytest.fixture
def drawn():
    fig = interval_panels(table(), **LOOK, limits=(0.3, 1.0))
    yield fig
    plt.close(fig)


def test_one_panel_per_value_and_categories_downwards(drawn):
    assert [ax.get_title(loc="left") for ax in drawn.axes] == ["sex", "view"]
    for ax in drawn.axes:
        assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert [text.get_text() for text in drawn.axes[0].get_yticklabels()] == ["first", "second"]


def test_intervals_are_drawn_as_given(drawn):
    for ax in drawn.axes:
        for container in ax.containers:
            ends = np.array([segment[:, 0] for segment in container.lines[2][0].get_segments()])
            np.testing.assert_allclose(ends, [[0.5, 0.8], [0.6, 0.9]])


def test_a_missing_interval_leaves_the_point():
    rows = table()
    rows.loc[0, ["low", "high"]] = np.nan
    fig = interval_panels(rows, **LOOK)
    assert np.isfinite(fig.axes[0].containers[0].lines[0].get_xdata(orig=False)).all()
    plt.close(fig)


def test_one_legend_entry_for_each_mark(drawn):
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["film", "floor"]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="low"):
        interval_panels(table().drop(columns="low"), **LOOK)
