"""A forest and a heat map show the numbers given."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from lib import plots


def test_forest_and_heat():
    rows = pd.DataFrame({"label": ["x"], "estimate": [1.0], "low": [0.0], "high": [2.0], "verdict": ["supported"]})
    assert plots.forest(rows).lines[0].get_xdata() == pytest.approx([0.0, 2.0])
    ax = plots.heat(pd.DataFrame([[1.0, 2.0]], index=["r"], columns=["a", "b"]))
    assert [text.get_text() for text in ax.texts] == ["1.00", "2.00"]


def test_numbers_of_a_heat_map_stand_out_from_their_cells():
    """Contrast of WCAG, at least 4.5 to 1, over the whole scale; an empty cell has no number and shifts none."""
    table = pd.DataFrame([[0.0, float("nan"), 0.3], [0.4, 0.46, 0.48], [0.7, 0.8, 1.0]])
    ax = plots.heat(table)
    values = [value for value in table.to_numpy().flat if value == value]  # without the empty cell
    for value, text in zip(values, ax.texts, strict=True):
        light, dark = sorted((luminance(ax.collections[0].cmap(value)), luminance(text.get_color())), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, value


def luminance(colour: object) -> float:
    """Relative luminance of sRGB, as WCAG 2 has it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
