"""Panels of curves: shared scale, marks where they belong, one legend, and legible as a figure of a report."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.plots import legible
from lib.plots.curve_panels import curve_panels


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    keys = [(p, h, m, s) for p in ("12 mm", "20 mm") for h in ("seen", "floor") for m in (0, 5, 10) for s in range(4)]
    return pd.DataFrame(keys, columns=["size", "what", "mm", "seed"]).assign(auc=rng.uniform(0.5, 0.9, len(keys)))


def drawn(data: pd.DataFrame, **more):
    axes = {"xlabel": "mm", "ylabel": "AUC", "limits": (0.4, 1.0)}
    return curve_panels(data, by="size", x="mm", y="auc", hue="what", **axes, **more)


def test_panels_share_the_scale_and_the_lines_are_the_means(tmp_path):
    data = table()
    fig = drawn(data, marks={"20 mm": 7.0}, level=0.5)
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["12 mm", "20 mm"]
    assert {ax.get_ylim() for ax in fig.axes} == {(0.4, 1.0)}
    first = data[(data["size"] == "12 mm") & (data["what"] == "seen")].groupby("mm")["auc"].mean()
    assert np.allclose(fig.axes[0].lines[0].get_ydata(), first)
    upright = [[line for line in ax.lines if list(line.get_xdata()) == [7.0, 7.0]] for ax in fig.axes]
    assert [len(found) for found in upright] == [0, 1]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["seen", "floor"]
    fig.savefig(tmp_path / "curves.png")  # settles the layout
    legible.check(fig, "curves")
    plt.close(fig)


def test_one_panel_or_different_lines_are_refused():
    data = table()
    for part in (data[data["size"] == "12 mm"], data[(data["size"] == "12 mm") | (data["what"] == "seen")]):
        with pytest.raises(ValueError, match="at least two values of 'size'"):
            drawn(part)
