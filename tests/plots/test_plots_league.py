"""The league: what stands in which cell, in which colour, and where a method stands between quality and price."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from lib.plots import PALETTE
from lib.plots.league import GREY, league, trade
from lib.plots.series import interval
from lib.plots.style import figure

VALUES = pd.DataFrame({"error": [0.1, 0.25, 9.0], "size": [1234.0, 50.0, 7.0]}, index=["a", "b", "control"])
RANKS = pd.DataFrame({"error": [1.0, 2.0, np.nan], "size": [2.0, 1.0, np.nan]}, index=VALUES.index)


def test_cells_hold_values_and_ranks_colour_them():
    beside = pd.DataFrame({"passes": [2.0, 256.0, np.nan]}, index=VALUES.index)
    ax = league(VALUES, RANKS, beside=beside)
    written = [text.get_text() for text in ax.texts]
    assert written == ["0.1", "1,234", "2", "0.25", "50", "256", "9", "7", ""]
    shades = ax.images[0].get_array()
    assert np.array_equal(np.ma.getmaskarray(shades), [[0, 0, 1], [0, 0, 1], [1, 1, 1]])
    assert shades[0, 0] == shades[1, 1] == 1 and shades[0, 1] == 2
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["error", "size", "passes"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "control"]


def test_dark_cells_have_white_numbers():
    ax = league(VALUES, RANKS)
    colours = {text.get_text(): to_hex(text.get_color()) for text in ax.texts}
    assert colours["0.1"] == "#000000" and colours["0.25"] == "#ffffff" and colours["9"] == "#000000"


def test_league_errors():
    with pytest.raises(ValueError, match="same rows and columns"):
        league(VALUES, RANKS[["size", "error"]])
    with pytest.raises(ValueError, match="beside must have the rows"):
        league(VALUES, RANKS, beside=VALUES.iloc[::-1])


def points(ax):
    """Place and colour of each point by its label."""
    return {
        found.get_label(): (*(float(each[0]) for each in found.lines[0].get_data()), to_hex(found.lines[0].get_color()))
        for found in ax.containers
    }


def test_points_stand_at_their_means_with_intervals():
    rng = np.random.default_rng(0)
    names = ["a", "b", "c"]
    data = pd.DataFrame([(s, m, p, rng.random()) for s in range(5) for m, p in zip(names, (2, 2.02, 300), strict=True)])
    data.columns = ["seed", "method", "passes", "rank"]
    ax = trade(data, x="passes", y="rank", hue="method", named=["b"], ax=figure()[1])
    found = points(ax)
    assert list(found) == names and ax.get_xscale() == "log"
    assert found["c"][0] == pytest.approx(300) and found["a"][0] < 2 < found["b"][0] < 2.2
    assert [found[name][2] for name in names] == [GREY.lower(), PALETTE[0].lower(), GREY.lower()]
    for name, container in zip(names, ax.containers, strict=True):
        mean, low, high = interval(data[data["method"] == name]["rank"].to_numpy())
        assert found[name][1] == pytest.approx(mean)
        ends = container.lines[2][0].get_segments()[0][:, 1]
        assert ends == pytest.approx([low, high])
