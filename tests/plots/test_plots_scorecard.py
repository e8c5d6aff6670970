"""Scorecards: what is drawn is the mean of what came in, groups join their rows, and controls stay hollow."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.plots import legible
from lib.plots.scorecard import handles, looks, rank_diagram, scorecard

KINDS = {"a": "one", "b": "two", "c": "two", "random": "control"}


def values(seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).uniform(1, 4, (4, 6)), index=list(KINDS))


def test_kinds_differ_in_colour_and_marker_and_only_controls_are_hollow() -> None:
    found = looks(KINDS)
    assert list(found) == ["one", "two", "control"]
    assert len({style["color"] for style in found.values()}) == len({style["marker"] for style in found.values()}) == 3
    assert [style["markerfacecolor"] == "white" for style in found.values()] == [False, False, True]
    assert [mark.get_label() for mark in handles(KINDS)] == ["one", "two", "control"]


def test_marks_are_means_on_a_plain_and_medians_on_a_logarithmic_axis() -> None:
    shown = values()
    fig = scorecard({"points": shown, "seconds": shown}, kinds=KINDS, log=["seconds"], zero=["points"])
    plain, log = fig.axes
    assert (plain.get_xscale(), log.get_xscale()) == ("linear", "log")
    for ax, middle in ((plain, shown.mean(axis=1)), (log, shown.median(axis=1))):
        drawn = sorted(
            (np.asarray(line.get_ydata())[0], np.asarray(line.get_xdata())[0])
            for line in ax.lines
            if line.get_markersize() == 6
        )
        marks = [place for height, place in drawn if len(ax.lines) and height == int(height)]
        for expected in middle:
            assert np.isclose(marks, expected).any()
    assert [text.get_text() for text in plain.get_yticklabels()] == list(KINDS)


def test_a_method_without_values_keeps_its_row() -> None:
    shown = values()
    shown.loc["random"] = np.nan
    ax = scorecard({"stability": shown}, kinds=KINDS).axes[0]
    heights = {float(height) for line in ax.lines for height in np.asarray(line.get_ydata())}
    assert heights == {0.0, 1.0, 2.0} and len(ax.get_yticks()) == 4


def test_groups_join_their_rows_and_the_bar_has_the_length_of_the_distance() -> None:
    ranks = values().rank(axis=0)
    fig = rank_diagram(ranks, [("a", "b"), ("b", "c", "random")], kinds=KINDS, distance=1.7, title="ranks")
    main, bars = fig.axes
    spans = [tuple(np.round(np.asarray(line.get_ydata())).astype(int)) for line in bars.lines]
    assert spans == [(0, 1), (1, 3)]
    rule = next(line for line in main.lines if np.allclose(np.asarray(line.get_ydata()), -1.1))
    assert np.ptp(rule.get_xdata()) == pytest.approx(1.7)
    assert not any(
        np.allclose(np.asarray(line.get_ydata()), -1.1)
        for line in rank_diagram(ranks, [], kinds=KINDS, distance=np.nan).axes[0].lines
    )


def test_twenty_methods_stay_legible(tmp_path: Path) -> None:
    names = [f"a method of long name {number}" for number in range(20)]
    kinds = dict.fromkeys(names, "one")
    table = pd.DataFrame(np.random.default_rng(1).random((20, 13)), index=names).rank(axis=0)
    fig = rank_diagram(table, [tuple(names[low : low + 9]) for low in range(11)], kinds=kinds, distance=8.7)
    fig.savefig(tmp_path / "ranks.png")
    legible.check(fig, "ranks")


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="same methods"):
        scorecard({"one": values(), "two": values().iloc[::-1]}, kinds=KINDS)
    with pytest.raises(ValueError, match="same methods"):
        scorecard({}, kinds=KINDS)
    with pytest.raises(ValueError, match="must name methods"):
        rank_diagram(values(), [("a", "stranger")], kinds=KINDS, distance=1.0)
