"""Panels share their axes, ticks stand at the probits of their labels, and the curve is the fitted one."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from lib.plots.accuracy_panels import accuracy_panels


def crowd():
    x = np.linspace(-0.5, 1.5, 12)
    tables = []
    for p, bent in ((0.5, 0.0), (0.9, 0.4)):
        tables.append(pd.DataFrame({"p": f"p = {p}", "majority": norm.cdf(x), "minority": norm.cdf(x * (1 - bent))}))
    return pd.concat(tables, ignore_index=True).assign(films=1000, head=["a", "b"] * 12)


def test_panels_share_axes_and_draw_every_model():
    fig = accuracy_panels(crowd(), by="p", hue="head")
    assert [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes] == ["p = 0.5", "p = 0.9"]
    assert len({ax.get_xlim() for ax in fig.axes} | {ax.get_ylim() for ax in fig.axes}) == 1
    assert all(sum(len(dots.get_offsets()) for dots in ax.collections) == 12 for ax in fig.axes)


def test_ticks_stand_at_the_probits_of_their_labels():
    ax = accuracy_panels(crowd(), by="p", hue="head").axes[0]
    shares = [float(label.get_text()) / 100 for label in ax.get_xticklabels()]
    np.testing.assert_allclose(ax.get_xticks(), norm.ppf(shares), atol=1e-9)


def test_the_parabola_runs_through_points_on_a_line():
    ax = accuracy_panels(crowd(), by="p", hue="head").axes[1]
    x, y = next(line.get_data() for line in ax.lines if line.get_label() == "parabola")
    np.testing.assert_allclose(y, 0.6 * x, atol=1e-9)


def test_one_panel_is_refused():
    with pytest.raises(ValueError, match="at least two values of 'p'"):
        accuracy_panels(crowd().iloc[:12], by="p", hue="head")
