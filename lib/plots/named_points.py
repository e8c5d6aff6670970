"""Points with their names beside them: where two dozen methods differ, a legend would be a riddle.

Each name is put at the first of several places around its point that covers no point and no other name; a name that
had to move away is joined to its point by a thin line. The places are tried in a fixed order, so the same data give
the same picture.

Conventions: colour and marker say the kind, as in `lib.plots.scorecard`; the area of a mark grows with ``size``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Text

from lib.plots.scorecard import handles, looks
from lib.plots.style import figure

__all__ = ["named_points"]

_FONT = 7.5  # points
_SMALL, _LARGE = 18.0, 210.0  # areas of the marks, square points


def named_points(
    data: pd.DataFrame, *, x: str, y: str, kinds: Mapping[str, str], size: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw one named mark per row.

    Call it last, when limits, scales and labels of the axes are as they will be: places are found in pixels.

    Parameters
    ----------
    data : DataFrame
        The index holds the names; rows with a missing x or y are left out.
    x, y : str
        Numeric columns.
    kinds : mapping of str to str
        Name to kind, see `lib.plots.scorecard.looks`.
    size : str, optional
        Numeric column, at least 0, shown by the marks' areas; NaN is drawn small.
    ax : Axes, optional
        Its limits are widened so that names have room.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If no row has both coordinates.
    """
    known = data[np.isfinite(data[x].astype(float)) & np.isfinite(data[y].astype(float))]
    if known.empty:
        raise ValueError(f"data must hold a row with finite {x} and {y}, got none; leave the figure out")
    ax = ax if ax is not None else figure(width="double", height=4.4)[1]
    areas = np.full(len(known), 45.0)
    if size is not None:
        weight = known[size].astype(float).fillna(0.0).to_numpy()
        areas = _SMALL + (_LARGE - _SMALL) * weight / max(float(weight.max()), 1e-12)
    for kind, style in looks(kinds).items():
        rows = np.array([kinds[str(name)] == kind for name in known.index])
        if rows.any():
            ax.scatter(
                known[x][rows], known[y][rows], s=areas[rows], marker=style["marker"], edgecolor=style["color"],
                facecolor=style["markerfacecolor"], alpha=0.85, zorder=3,
            )  # fmt: skip
    ax.margins(0.12)
    here = {str(name): kinds[str(name)] for name in known.index}
    ax.legend(
        handles=handles({name: kind for name, kind in kinds.items() if kind in here.values()}),
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
    )
    _name(ax, known[[x, y]], np.sqrt(areas) / 2, [looks(kinds)[kinds[str(name)]]["color"] for name in known.index])
    return ax


def _places(radius: float) -> Iterator[tuple[float, float, str, str]]:
    """Offsets of a text from its point, in points, with its alignment: right, left, above, below, then farther."""
    for away in (2.0, 9.0, 17.0, 26.0, 36.0):
        reach = radius + away
        yield reach, 0.0, "left", "center"
        yield -reach, 0.0, "right", "center"
        for side in (1.0, -1.0):
            yield 0.0, side * reach, "center", "bottom" if side > 0 else "top"
        for right in (1.0, -1.0):
            for side in (1.0, -1.0):
                yield 0.7 * right * reach, 0.8 * side * reach, "left" if right > 0 else "right", "center"


def _name(ax: Axes, points: pd.DataFrame, radii: np.ndarray, colours: list[str]) -> None:
    """Write the names of the points, each where it covers nothing."""
    fig = ax.get_figure(root=True)
    assert fig is not None
    fig.draw_without_rendering()  # settles the layout, so that pixels are final
    inches = fig.dpi / 72
    centres = ax.transData.transform(points.to_numpy(dtype=float))  # (n, 2)
    taken = [(cx - r, cy - r, cx + r, cy + r) for (cx, cy), r in zip(centres, radii * inches, strict=True)]
    frame = ax.get_window_extent()
    for name, centre, radius, colour in zip(points.index, centres, radii, colours, strict=True):
        best, least = None, np.inf
        for dx, dy, ha, va in _places(float(radius)):
            text = _text(ax, str(name), centre + np.array([dx, dy]) * inches, ha, va)
            box = text.get_window_extent()
            text.remove()
            corners = (box.x0, box.y0, box.x1, box.y1)
            outside = not (frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)
            cost = sum(_common(corners, other) for other in taken) + (1e6 if outside else 0.0)
            if cost < least:
                best, least = (dx, dy, ha, va, corners), cost
            if cost == 0:
                break
        assert best is not None
        dx, dy, ha, va, corners = best
        text = _text(ax, str(name), centre + np.array([dx, dy]) * inches, ha, va)
        taken.append(corners)
        if np.hypot(dx, dy) > radius + 8:
            ends = ax.transData.inverted().transform([centre, centre + 0.9 * np.array([dx, dy]) * inches])
            ax.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=0.6, zorder=1)


def _text(ax: Axes, name: str, place: np.ndarray, ha: str, va: str) -> Text:
    spot = ax.transData.inverted().transform(place)
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.3}  # lines do not strike names through
    return ax.text(spot[0], spot[1], name, ha=ha, va=va, fontsize=_FONT, color="#222222", zorder=2.5, bbox=behind)


def _common(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Area that two boxes share, square pixels."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
