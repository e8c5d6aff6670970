"""Means with their intervals in panels side by side: the same categories in each, one legend below all.

Conventions: as `lib.plots.series.dots`; panels share both axes and stand in the order of the table.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from lib.plots.series import dots
from lib.plots.style import figure

__all__ = ["dot_panels"]


def dot_panels(
    data: pd.DataFrame,
    *,
    by: str,
    x: str,
    y: str,
    hue: str | None = None,
    unit: str | None = "seed",
    xlabel: str = "",
    height: float = 3.0,
    references: dict[str, float] | None = None,
) -> Figure:
    """Draw one panel of dots for each value of a column, across a full page.

    Parameters
    ----------
    data : DataFrame
        One row = one measurement.
    by : str
        Column whose values are the panels and their titles.
    x, y, hue, unit
        As in `lib.plots.series.dots`.
    xlabel : str
        Below the whole figure, with the unit.
    height : float
        Inches.
    references : dict of str to float, optional
        By panel, where a dashed vertical line stands; default 0 everywhere.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        Without a second panel: use `lib.plots.series.dots` then.
    """
    panels = list(data.groupby(by, sort=False))
    if len(panels) < 2:
        raise ValueError(f"data must hold at least two values of {by!r} for panels, got {len(panels)}; use plots.dots")
    fig, axes = figure(width="double", height=height, columns=len(panels))
    for ax, (name, part) in zip(axes, panels, strict=True):
        dots(part, x=x, y=y, hue=hue, unit=unit, ax=ax)
        ax.set(title=str(name), xlabel="")
        ax.axvline((references or {}).get(str(name), 0.0), color="#444444", linewidth=1, linestyle="--", zorder=1)
        ax.sharex(axes[0])
        ax.tick_params(labelleft=ax is axes[0])
        if ax.get_legend() is not None:
            ax.get_legend().remove()
    axes[0].autoscale()
    axes[0].set_ylim(data[y].nunique() - 0.5, -0.5)
    for ax in axes[1:]:
        ax.sharey(axes[0])
    fig.supxlabel(xlabel, fontsize="medium")
    if hue is not None:
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return fig
