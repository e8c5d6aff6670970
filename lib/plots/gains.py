"""Differences between two methods on several tables: every table a dot, the mean with its interval, a band for small.

A mean over a handful of tables hides which of them carried it. Here each table stays visible beneath the mean, and the
band of differences that were declared too small to matter is drawn first, so that the eye compares against it and not
against zero alone. Source of the interval: `lib.plots.series.interval` (Student's t over tables).

Conventions: right of zero the first method of the pair is better; a table on which a pair does not exist (NaN) is left
out of its row.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from lib.plots.series import dots
from lib.plots.style import figure

__all__ = ["gains"]

_BELOW = 0.26  # rows that the tables' dots stand under the mean
_DOT, _BAND, _ZERO = "#7F7F7F", "#DDDDDD", "#444444"


def gains(points: pd.DataFrame, *, band: float, xlabel: str, title: str = "") -> tuple[Figure, pd.DataFrame]:
    """Draw one row per pair of methods.

    Parameters
    ----------
    points : DataFrame of shape (tables, pairs)
        Differences, in the unit of ``xlabel``; the index names the tables, the columns the pairs.
    band : float, > 0
        Differences up to this size are too small to matter.
    xlabel, title : str
        Of the axis, with its unit, and of the figure.

    Returns
    -------
    Figure, DataFrame
        The figure, and the numbers in it: ``table, pair, points``, one row per dot.

    Raises
    ------
    ValueError
        If ``band`` is not positive or there is nothing to draw.

    Examples
    --------
    >>> fig, shown = gains(pd.DataFrame({"ours - theirs": [1.0, 3.0]}, index=["a", "b"]), band=1, xlabel="points")
    >>> shown["points"].tolist()
    [1.0, 3.0]
    """
    if not band > 0:
        raise ValueError(f"band must be > 0, got {band}; give the smallest difference that matters")
    wide = points.rename_axis(index="table", columns=None)
    shown = wide.reset_index().melt(id_vars="table", var_name="pair", value_name="points").dropna(ignore_index=True)
    if shown.empty:
        raise ValueError("points must hold a finite difference, got none; are the methods' names spelt as in the grid?")
    pairs = [str(pair) for pair in pd.unique(shown["pair"])]
    fig, ax = figure(width="double", height=0.45 * len(pairs) + 1.2)
    ax.axvspan(-band, band, color=_BAND, zorder=0)
    ax.axvline(0, color=_ZERO, linewidth=1)
    dots(shown, x="points", y="pair", unit="table", ax=ax)
    heights = [pairs.index(str(pair)) + _BELOW for pair in shown["pair"]]
    ax.plot(shown["points"], heights, "o", color=_DOT, markersize=3)
    ax.set_ylim(len(pairs) - 0.45, -0.55)
    ax.set_xlabel(xlabel)
    ax.set_title(title)
    return fig, shown
