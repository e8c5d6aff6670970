"""Panels of dots: order, shared axes, one legend, reference lines."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib.plots.dot_panels import dot_panels


@pytest.fixture
def table():
    rows = [
        {"panel": p, "name": name, "kind": kind, "seed": s, "value": i + s}
        for i, p in enumerate(["later", "earlier"])
        for name in "abc"
        for kind in ("x", "y")
        for s in range(3)
    ]
    yield pd.DataFrame(rows)
    plt.close("all")


def test_panels_keep_their_order_and_share_their_axes(table):
    axes = dot_panels(table, by="panel", x="value", y="name", hue="kind").axes
    assert [ax.get_title(loc="left") or ax.get_title() for ax in axes] == ["later", "earlier"]
    assert axes[0].get_xlim() == axes[1].get_xlim()
    low, high = axes[0].get_xlim()
    assert low < 0
    assert high > 3  # the second panel's values lie within the shared axis
    assert axes[0].get_ylim() == axes[1].get_ylim() == (2.5, -0.5)
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["a", "b", "c"]


def test_one_legend_for_all_panels(table):
    fig = dot_panels(table, by="panel", x="value", y="name", hue="kind")
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["x", "y"]
    assert all(ax.get_legend() is None for ax in fig.axes)
    assert not dot_panels(table, by="panel", x="value", y="name").legends


def test_reference_lines_stand_where_they_are_asked_for(table):
    axes = dot_panels(table, by="panel", x="value", y="name", references={"earlier": 1.5}).axes
    places = [
        line.get_xdata()[0]
        for ax in axes
        for line in ax.lines
        if line.get_linestyle() == "--" and len(line.get_xdata()) == 2
    ]
    assert places == [0.0, 1.5]


def test_one_panel_is_no_panel(table):
    with pytest.raises(ValueError, match="at least two values of 'seed'"):
        dot_panels(table[table["seed"] == 0], by="seed", x="value", y="name")
