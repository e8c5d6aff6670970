"""Accuracy over the number of kept columns, one panel per table, with the two controls behind the methods.

What a reader should see at once: whether a method's line leaves the grey band that random columns of the same number
fill, and whether it reaches the dashed line of all columns. Tufte 1990, *Envisioning Information*, calls such rows of
equal pictures small multiples.

Conventions: accuracy in percent; the horizontal axis is logarithmic; every panel has its own vertical range, since
tables differ in difficulty, and the last cell of the grid holds the legend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from lib.plots.style import MARKERS, PALETTE, figure

CONTROLS = ("random", "all")
_BAND, _LINE = "#CFCFCF", "#6B6B6B"


def size_panels(
    grids: Mapping[str, pd.DataFrame], *, columns: int = 3, panel_height: float = 2.1
) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel per table.

    Parameters
    ----------
    grids : mapping of str to DataFrame
        Title of the panel to a table with ``method, size, draw, accuracy`` (in [0, 1]); the methods "random" (several
        draws) and "all" are the controls.
    columns : int, >= 2
        Panels per row, the legend's cell included.
    panel_height : float
        Inches.

    Returns
    -------
    Figure, DataFrame
        The figure, and the numbers in it: ``table, method, size, draw, accuracy_percent``, means over splits.

    Raises
    ------
    ValueError
        If there is no table, or fewer than two columns of panels.
    """
    if not grids or columns < 2:
        raise ValueError(
            f"grids must hold a table and columns be at least 2, got {len(grids)} and {columns}; "
            "one cell is the legend's"
        )
    parts = []
    for name, grid in grids.items():
        part = grid.groupby(["method", "size", "draw"], sort=False, as_index=False)["accuracy"].mean()
        part.insert(0, "table", name)
        parts.append(part.assign(accuracy_percent=100 * part["accuracy"]).drop(columns="accuracy"))
    shown = pd.concat(parts, ignore_index=True)
    methods = [name for name in pd.unique(shown["method"]) if name not in CONTROLS]
    rows = -(-(len(grids) + 1) // columns)
    fig, axes = figure(width="double", height=panel_height * rows + 0.3, rows=rows, columns=columns)
    cells = np.ravel(axes)
    handles: dict[str, Any] = {}
    for ax, (name, part) in zip(cells, shown.groupby("table", sort=False), strict=False):
        handles |= _panel(ax, part, methods)
        ax.set_title(str(name))
    for number, ax in enumerate(cells[: len(grids)]):
        if number % columns == 0:
            ax.set_ylabel("accuracy (percent)")
        if number + columns >= len(grids):  # no panel below
            ax.set_xlabel("columns kept (log scale)")
    for ax in cells[len(grids) :]:
        ax.axis("off")
    names = sorted(handles, key=lambda name: methods.index(name) if name in methods else len(methods))
    cells[len(grids)].legend([handles[name] for name in names], names, loc="center left", bbox_to_anchor=(0.05, 0.5))
    return fig, shown


def _panel(ax: Axes, part: pd.DataFrame, methods: list[str]) -> dict[str, Any]:
    """Controls first, methods above them; the handles for the legend by name."""
    handles: dict[str, Any] = {}
    for place, method in enumerate(methods):
        line = part[part["method"] == method].sort_values("size")
        if line.empty:
            continue
        colour, marker = PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]
        (handles[method],) = ax.plot(line["size"], line["accuracy_percent"], color=colour, marker=marker, zorder=3)
    draws = part[part["method"] == "random"].pivot_table(index="size", columns="draw", values="accuracy_percent")
    if len(draws):
        low, high = draws.min(axis=1), draws.max(axis=1)
        (handles["random columns"],) = ax.plot(draws.index, draws.mean(axis=1), color=_LINE, linestyle=":", zorder=2)
        handles["range of the draws"] = ax.fill_between(draws.index, low, high, color=_BAND, linewidth=0, zorder=1)
    level = part.loc[part["method"] == "all", "accuracy_percent"]
    if len(level):
        handles["all columns"] = ax.axhline(level.mean(), color="#222222", linestyle="--", linewidth=1.2, zorder=2)
    sizes = sorted(part.loc[part["method"] != "all", "size"].unique())
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sizes))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([str(size) for size in sizes])
    ax.yaxis.set_major_locator(MaxNLocator(5))
    return handles
