"""Panels over sizes: the numbers drawn are the means, the controls are there, every panel has a place."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.plots.size_panels import size_panels


def grid(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    arms = [("F", 0), ("graph", 0), *[("random", draw) for draw in range(20)]]
    rows = [
        {"method": name, "draw": draw, "size": size, "fold": fold, "accuracy": rng.random()}
        for name, draw in arms
        for size in (3, 9, 27)
        for fold in range(2)
    ]
    rows += [{"method": "all", "draw": 0, "size": 60, "fold": fold, "accuracy": 0.8} for fold in range(2)]
    return pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_every_table_has_a_panel_and_the_legend_a_cell(count: int) -> None:
    fig, shown = size_panels({f"table {i}": grid(i) for i in range(count)})
    panels = [ax for ax in fig.axes if ax.axison]
    assert [ax.get_title(loc="left") or ax.get_title() for ax in panels] == [f"table {i}" for i in range(count)]
    legends = [legend for ax in fig.axes if (legend := ax.get_legend()) is not None]
    assert [text.get_text() for text in legends[0].get_texts()] == [
        "F", "graph", "random columns", "range of the draws", "all columns",
    ]  # fmt: skip
    assert len(legends) == 1
    assert len(shown) == count * (2 * 3 + 20 * 3 + 1)


def test_lines_are_means_over_splits_in_percent() -> None:
    one = grid(0)
    fig, shown = size_panels({"t": one})
    expected = 100 * one[one["method"] == "F"].groupby("size")["accuracy"].mean()
    np.testing.assert_allclose(np.asarray(fig.axes[0].lines[0].get_ydata(), dtype=float), expected)
    part = shown[(shown["method"] == "F")].set_index("size")["accuracy_percent"]
    np.testing.assert_allclose(part, expected)


def test_a_method_that_one_table_lacks_is_still_in_the_legend_with_its_own_colour() -> None:
    less = grid(1)
    fig, _ = size_panels({"both": grid(0), "one": less[less["method"] != "F"]})
    legend = fig.axes[2].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][:2] == ["F", "graph"]
    assert fig.axes[1].lines[0].get_color() == fig.axes[0].lines[1].get_color() != fig.axes[0].lines[0].get_color()


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="grids must hold a table"):
        size_panels({})
    with pytest.raises(ValueError, match="columns be at least 2"):
        size_panels({"t": grid(0)}, columns=1)
