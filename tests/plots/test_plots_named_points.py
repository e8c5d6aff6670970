"""Named points: every name is written once, upon no other name or mark, and the picture does not depend on luck."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.plots import figure
from lib.plots.named_points import named_points

NAMES = [f"selector {number}" for number in range(18)]
KINDS = {name: ("one", "two")[place % 2] for place, name in enumerate(NAMES)} | {"random": "control"}


def crowd(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = {"seconds": 10 ** rng.uniform(-3, 0.5, 18), "gain": rng.normal(size=18), "memory": rng.uniform(0, 30, 18)}
    return pd.DataFrame(rows, index=NAMES)


def boxes(ax: Any) -> list[tuple[float, float, float, float]]:
    ax.figure.draw_without_rendering()
    return [text.get_window_extent().extents for text in ax.texts]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_name_stands_once_inside_and_alone(seed: int) -> None:
    ax = figure(width="double", height=4.6)[1]
    ax.set(xscale="log", xlabel="seconds", ylabel="gain", title="title")
    named_points(crowd(seed), x="seconds", y="gain", size="memory", kinds=KINDS, ax=ax)
    assert sorted(text.get_text() for text in ax.texts) == sorted(NAMES)
    placed = boxes(ax)
    frame = ax.get_window_extent().extents
    for number, (x0, y0, x1, y1) in enumerate(placed):
        assert x0 >= frame[0] - 2 and y0 >= frame[1] - 2 and x1 <= frame[2] + 2 and y1 <= frame[3] + 2  # pixels
        for a0, b0, a1, b1 in placed[:number]:
            wide, high = min(x1, a1) - max(x0, a0), min(y1, b1) - max(y0, b0)
            assert wide <= 2 or high <= 2  # the layout settles anew when it is drawn


def test_points_at_one_place_get_names_at_different_places() -> None:
    same = pd.DataFrame({"x": [1.0, 1.0, 1.0], "y": [2.0, 2.0, 2.0]}, index=NAMES[:3])
    ax = named_points(same, x="x", y="y", kinds=KINDS)
    assert len({text.get_position() for text in ax.texts}) == 3


def test_the_same_data_give_the_same_places_and_missing_rows_are_left_out() -> None:
    table = crowd()
    table.loc["random"] = [np.nan, 0.0, np.nan]
    first, second = (named_points(table, x="seconds", y="gain", kinds=KINDS) for _ in range(2))
    assert [text.get_position() for text in first.texts] == [text.get_position() for text in second.texts]
    assert "random" not in {text.get_text() for text in first.texts}
    legend = first.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == ["one", "two"]


def test_marks_grow_with_the_size_column() -> None:
    ax: Any = named_points(crowd().assign(memory=np.arange(18.0)), x="gain", y="seconds", size="memory", kinds=KINDS)
    areas = np.concatenate([marks.get_sizes() for marks in ax.collections])
    assert areas.max() / areas.min() > 5 and np.unique(areas).size == 18


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        named_points(crowd().assign(gain=np.nan), x="seconds", y="gain", kinds=KINDS)
