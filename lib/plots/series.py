"""Means with their intervals, along a line or beside categories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats as scipy_stats

from lib.plots.style import MARKERS, PALETTE, figure


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % t interval of independent measurements; the interval is NaN with fewer than two.

    Examples
    --------
    >>> [round(v, 2) for v in interval([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if len(known) < 2:
        return (float(known.mean()) if len(known) else float("nan"), float("nan"), float("nan"))
    half = scipy_stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return float(known.mean()), float(known.mean() - half), float(known.mean() + half)


def _series(data: pd.DataFrame, hue: str | None) -> Iterator[tuple[int, str, pd.DataFrame]]:
    if hue is None:
        yield 0, "", data
        return
    for index, name in enumerate(pd.unique(data[hue])):
        yield index, str(name), data[data[hue] == name]


def _intervals(data: pd.DataFrame, x: str, y: str, unit: str | None) -> pd.DataFrame:
    """One mean and interval per value of ``x``; rows of one unit are averaged first."""
    if unit and unit in data:
        data = data.groupby([x, unit], sort=False)[y].mean().reset_index()
    rows = [(value, *interval(group[y].to_numpy())) for value, group in data.groupby(x, sort=False)]
    return pd.DataFrame(rows, columns=[x, "mean", "low", "high"])


def curve(
    data: pd.DataFrame, *, x: str, y: str, hue: str | None = None, unit: str | None = "seed", ax: Axes | None = None
) -> Axes:
    """Mean line with a band of 95 % t intervals over units, one line for each value of ``hue``.

    Parameters
    ----------
    data : DataFrame
        One row = one measurement.
    x, y, hue : str
        Column names; ``x`` is numeric.
    unit : str, optional
        Column of the independent unit, averaged within before the interval is taken.
    ax : Axes, optional
        A new single-width figure by default.
    """
    ax = ax if ax is not None else figure()[1]
    for index, name, rows in _series(data, hue):
        summary = _intervals(rows, x, y, unit).sort_values(x)
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        ax.plot(summary[x], summary["mean"], color=colour, marker=marker, label=name or None)
        ax.fill_between(summary[x], summary["low"], summary["high"], color=colour, alpha=0.18, linewidth=0)
    ax.set(xlabel=x, ylabel=y)
    if hue is not None:
        ax.legend(title=hue)
    return ax


def dots(
    data: pd.DataFrame, *, x: str, y: str, hue: str | None = None, unit: str | None = "seed", ax: Axes | None = None
) -> Axes:
    """Means with 95 % t intervals, categories on the vertical axis in the order of the table.

    Parameters
    ----------
    data : DataFrame
        One row = one measurement.
    x : str
        Numeric column, drawn along the horizontal axis.
    y : str
        Category column.
    hue, unit, ax
        As in :func:`curve`.
    """
    ax = ax if ax is not None else figure()[1]
    categories = [str(value) for value in pd.unique(data[y])]
    groups = list(_series(data, hue))
    for index, name, rows in groups:
        summary = _intervals(rows, y, x, unit)
        shift = (index - (len(groups) - 1) / 2) * 0.7 / max(len(groups), 1)
        height = np.array([categories.index(str(value)) for value in summary[y]]) + shift
        error = np.abs(np.stack([summary["mean"] - summary["low"], summary["high"] - summary["mean"]]))
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        ax.errorbar(summary["mean"], height, xerr=error, fmt=marker, color=colour, label=name or None, elinewidth=1.6)
    ax.set_yticks(range(len(categories)), categories)
    ax.invert_yaxis()
    ax.set_xlabel(x)
    if hue is not None:
        ax.legend(title=hue)
    return ax
