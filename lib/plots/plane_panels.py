"""Two-dimensional pictures of one embedding side by side, the points marked by one attribute at a time.

Panels show planes in rows and attributes in columns, so that the eye can look for clusters where a reader of a paper
would. Conventions: a plane has no unit and no direction, so its axes carry no ticks; a kind has a colour and a marker;
the drawing order of points is that of the table, not that of the kinds, so no kind hides another.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path

from lib.plots.style import MARKERS, PALETTE, figure

__all__ = ["plane_panels"]

COLUMNS = ("plane", "attribute", "kind", "x", "y")


def plane_panels(points: pd.DataFrame, *, panel_height: float = 2.1) -> Figure:
    """Draw one panel for each plane and attribute.

    Parameters
    ----------
    points : DataFrame
        Columns plane, attribute, kind (at most eight per attribute), x, y; one row = one point of one panel.
    panel_height : float
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or the table is empty.

    Examples
    --------
    >>> points = pd.DataFrame({"plane": ["PCA"] * 2, "attribute": "sex", "kind": ["F", "M"], "x": [0, 1], "y": [1, 0]})
    >>> len(plane_panels(points).axes)
    1
    """
    missing = [name for name in COLUMNS if name not in points.columns]
    if missing or points.empty:
        raise ValueError(f"points must have rows and the columns {', '.join(COLUMNS)}, got {list(points.columns)}")
    planes, attributes = points["plane"].unique(), points["attribute"].unique()
    fig, grid = figure(
        width="double", height=panel_height * len(planes) + 0.5, rows=len(planes), columns=len(attributes)
    )
    axes = [grid] if len(planes) * len(attributes) == 1 else list(grid.ravel())
    for k, ax in enumerate(axes):
        row, column = divmod(k, len(attributes))
        part = points[(points["plane"] == planes[row]) & (points["attribute"] == attributes[column])]
        kinds = list(points.loc[points["attribute"] == attributes[column], "kind"].unique())
        places = [kinds.index(kind) for kind in part["kind"]]
        drawn = ax.scatter(part["x"], part["y"], c=[PALETTE[i] for i in places], s=11, alpha=0.75, linewidths=0)
        drawn.set_paths([_shape(i) for i in places])
        ax.set(xticks=[], yticks=[], ylabel=str(planes[row]) if column == 0 else "")
        if row == 0:
            for i, kind in enumerate(kinds):
                ax.scatter([], [], color=PALETTE[i], marker=MARKERS[i], s=18, label=str(kind))
            ax.legend(
                loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(kinds), handletextpad=0.1, columnspacing=0.8
            )
    return fig


def _shape(place: int) -> Path:
    """Outline of the marker of a kind."""
    marker = MarkerStyle(MARKERS[place])
    return marker.get_path().transformed(marker.get_transform())
