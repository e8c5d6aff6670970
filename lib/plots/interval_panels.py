"""Estimates with intervals that were computed before, in panels side by side, one legend below all.

`lib.plots.dots` takes intervals over independent units; repeated splits of one archive are not independent, so their
intervals are corrected first and only drawn here.

Conventions: panels share both axes; categories stand from top to bottom in the order of the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.plots.style import MARKERS, PALETTE, figure

__all__ = ["interval_panels"]


def interval_panels(
    data: pd.DataFrame,
    *,
    by: str,
    y: str,
    hue: str,
    xlabel: str,
    limits: tuple[float, float] | None = None,
    reference: float = 0.5,
    ylabel: str = "",
    height: float = 3.4,
) -> Figure:
    """Draw one panel of points and intervals for each value of a column, across a full page.

    Parameters
    ----------
    data : DataFrame
        One row per point, with estimate, low and high; a missing interval leaves the bare point.
    by, y, hue : str
        Columns: the panels and their titles, the categories, the marks.
    xlabel, ylabel : str
        With units.
    limits : pair of float, optional
        Of the horizontal axis.
    reference : float
        Where a vertical line stands.
    height : float
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        For a missing column, or no rows.
    """
    needed = [by, y, hue, "estimate", "low", "high"]
    missing = [name for name in needed if name not in data]
    if missing or data.empty:
        raise ValueError(f"data must hold rows with {', '.join(needed)}, missing {missing}; compute the intervals")
    panels = list(data.groupby(by, sort=False))
    categories, hues = ([str(value) for value in pd.unique(data[name])] for name in (y, hue))
    fig, axes = figure(width="double", height=height, columns=len(panels))
    for ax, (name, part) in zip(np.atleast_1d(axes), panels, strict=True):
        _points(ax, part, y=y, hue=hue, categories=categories, hues=hues)
        ax.axvline(reference, color="black", linewidth=0.8, zorder=1)
        ax.set(title=str(name), xlabel=xlabel, ylim=(len(categories) - 0.5, -0.5))
        ax.set_yticks(range(len(categories)), categories)
        ax.tick_params(labelleft=name == panels[0][0])
        if limits is not None:
            ax.set_xlim(*limits)
    first = np.atleast_1d(axes)[0]
    first.set_ylabel(ylabel)
    fig.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(hues), 5))
    return fig


def _points(ax: Axes, part: pd.DataFrame, *, y: str, hue: str, categories: Sequence[str], hues: Sequence[str]) -> None:
    for index, name in enumerate(hues):
        rows = part[part[hue].astype(str) == name]
        shift = (index - (len(hues) - 1) / 2) * 0.7 / len(hues)
        places = np.array([categories.index(str(value)) for value in rows[y]], dtype=float) + shift
        reach = np.abs(np.stack([rows["estimate"] - rows["low"], rows["high"] - rows["estimate"]])).astype(float)
        reach = np.nan_to_num(reach)
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        ax.errorbar(rows["estimate"], places, xerr=reach, fmt=marker, color=colour, label=name, elinewidth=1.6)
