"""Curves with their bands in panels side by side: one vertical scale, one legend, a mark where the truth lies.

Conventions: as `lib.plots.series.curve`; panels share the vertical axis and stand in the order of the table.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from lib.plots.series import curve
from lib.plots.style import figure

__all__ = ["curve_panels"]


def curve_panels(
    data: pd.DataFrame,
    *,
    by: str,
    x: str,
    y: str,
    hue: str,
    xlabel: str,
    ylabel: str,
    limits: tuple[float, float],
    marks: Mapping[str, float] | None = None,
    level: float | None = None,
    height: float = 3.4,
) -> Figure:
    """Draw one panel of curves for each value of a column, across a full page.

    Parameters
    ----------
    data : DataFrame
        One row = one measurement, with the column seed.
    by : str
        Column whose values are the panels and their titles.
    x, y, hue : str
        As in `lib.plots.series.curve`; every panel has the same values of ``hue``, in the same order.
    xlabel, ylabel : str
        With the unit.
    limits : pair of float
        Of the vertical axis.
    marks : mapping of str to float, optional
        By panel, where a dashed vertical line stands.
    level : float, optional
        Where a thin horizontal line stands in every panel.
    height : float
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        Without a second panel, or if panels differ in ``hue``: one legend would name the wrong lines.
    """
    panels = [(str(name), part) for name, part in data.groupby(by, sort=False)]
    series = [list(pd.unique(part[hue])) for _, part in panels]
    if len(panels) < 2 or any(each != series[0] for each in series):
        raise ValueError(
            f"data must hold at least two values of {by!r}, each with the same {hue!r} in the same order, "
            f"got {len(panels)} with {series}; sort or filter the rows"
        )
    fig, axes = figure(width="double", height=height, columns=len(panels))
    for ax, (name, part) in zip(axes, panels, strict=True):
        curve(part, x=x, y=y, hue=hue, ax=ax)
        ax.set(title=name, xlabel="", ylabel=ylabel if ax is axes[0] else "", ylim=limits)
        ax.tick_params(labelleft=ax is axes[0])
        ax.get_legend().remove()
        if level is not None:
            ax.axhline(level, color="#444444", linewidth=0.8, zorder=1)
        if marks and name in marks:
            ax.axvline(marks[name], color="#444444", linewidth=1.2, linestyle="--", zorder=1)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.supxlabel(xlabel, fontsize="medium")
    fig.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 6))
    return fig
