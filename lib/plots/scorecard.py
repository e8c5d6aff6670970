"""Many methods over many data sets: one row per method, one panel per measure, and the diagram of their mean ranks.

Demšar 2006 (JMLR 7, section 3.2) draws mean ranks on a line and joins methods that no test tells apart. Twenty names do
not fit beside one line, so the diagram is turned: one row per method, best on top, and the bars stand upright at the
right, one for each group.

Conventions: faint points are single data sets, a dark mark their mean, a line the 95 % t interval over data sets;
colour and marker say the kind of a method, and controls are hollow. A panel in ``log`` shows medians, without interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.plots.series import interval
from lib.plots.style import MARKERS, PALETTE, WIDTHS

_ROW = 0.235  # inches of a method's row
_CONTROL = "control"


def looks(kinds: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Colour, marker and fill of every kind, in the order of their first appearance.

    Parameters
    ----------
    kinds : mapping of str to str
        Method to kind; "control" is grey and hollow.

    Returns
    -------
    dict of str to dict
        Keyword arguments of ``Axes.plot``: ``color, marker, markerfacecolor``.

    Examples
    --------
    >>> looks({"a": "graph", "random": "control"})["control"]["markerfacecolor"]
    'white'
    """
    found: dict[str, dict[str, str]] = {}
    for place, kind in enumerate(name for name in dict.fromkeys(kinds.values()) if name != _CONTROL):
        colour, marker = PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]
        found[kind] = {"color": colour, "marker": marker, "markerfacecolor": colour}
    if _CONTROL in kinds.values():
        found[_CONTROL] = {"color": "#444444", "marker": "X", "markerfacecolor": "white"}
    return found


def scorecard(
    panels: Mapping[str, pd.DataFrame], *, kinds: Mapping[str, str], log: Sequence[str] = (), zero: Sequence[str] = ()
) -> Figure:
    """Panels side by side that share their rows.

    Parameters
    ----------
    panels : mapping of str to DataFrame (methods, data sets)
        Label of the axis to the values; all with the methods of the first, in its order; NaN is left out.
    kinds : mapping of str to str
        Method to kind, see :func:`looks`.
    log : sequence of str
        Labels of the panels on a logarithmic axis.
    zero : sequence of str
        Labels of the panels with a line at zero.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no panel, or the panels have different methods.
    """
    import matplotlib.pyplot as plt

    tables = list(panels.values())
    if not tables or any(not tables[0].index.equals(other.index) for other in tables):
        raise ValueError("panels must be tables with the same methods in the same order; reindex them like the first")
    size = (WIDTHS["double"], _ROW * len(tables[0]) + 1.5)
    fig, axes = plt.subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
    for ax, (label, values) in zip(axes[0], panels.items(), strict=True):
        if label in log:
            ax.set_xscale("log")
        if label in zero:
            ax.axvline(0, color="#444444", linewidth=1)
        rows(ax, values, kinds=kinds, centre=np.nanmedian if label in log else None)
        ax.set_xlabel(label)
    _legend(fig, kinds)
    return fig


def rows(ax: Axes, values: pd.DataFrame, *, kinds: Mapping[str, str], centre: object = None) -> None:
    """One method per row: its data sets as faint points, and their mean with its interval, or another centre without.

    Parameters
    ----------
    ax : Axes
    values : DataFrame (methods, data sets)
    kinds : mapping of str to str
    centre : callable, optional
        Of the values, instead of mean and interval.
    """
    styles = looks(kinds)
    for height, (method, line) in enumerate(values.iterrows()):
        known = line.to_numpy(dtype=float)
        known = known[np.isfinite(known)]
        if known.size == 0:
            continue
        style = styles[kinds[str(method)]]
        ax.plot(known, np.full(known.size, height), "o", color=style["color"], alpha=0.25, markersize=3, zorder=2)
        middle, low, high = interval(known)
        if callable(centre):
            middle = float(centre(known))
        elif np.isfinite(low):
            ax.plot([low, high], [height, height], color=style["color"], linewidth=1.6, zorder=3)
        ax.plot([middle], [height], **style, linestyle="none", markersize=6, zorder=4)  # type: ignore[arg-type]
    ax.set_yticks(range(len(values)), [str(name) for name in values.index])
    ax.set_ylim(len(values) - 0.5, -0.5)


def rank_diagram(
    ranks: pd.DataFrame, groups: Sequence[Sequence[str]], *, kinds: Mapping[str, str], distance: float, title: str = ""
) -> Figure:
    """Mean ranks, the critical difference, and the groups that the test does not tell apart.

    Parameters
    ----------
    ranks : DataFrame (methods, data sets)
        1 = best; the methods in the order of their mean rank.
    groups : sequence of sequences of str
        As `lib.measure.critical_difference.CriticalDifference.groups`: neighbours in rank.
    kinds : mapping of str to str
        Method to kind.
    distance : float, ranks
        Critical difference, drawn as a bar of its length; NaN draws none.
    title : str

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a group names a method that has no row.
    """
    import matplotlib.pyplot as plt

    names = [str(name) for name in ranks.index]
    strangers = sorted({name for group in groups for name in group} - set(names))
    if strangers:
        raise ValueError(f"groups must name methods of ranks, got {strangers}; take both from one comparison")
    size = (WIDTHS["double"], _ROW * (len(names) + 3) + 1.5)
    fig, (ax, bars) = plt.subplots(1, 2, figsize=size, sharey=True, width_ratios=(5, 1))
    rows(ax, ranks, kinds=kinds)
    if np.isfinite(distance):
        ax.plot([1, 1 + distance], [-1.1, -1.1], color="black", linewidth=2.5, marker="|", markersize=9)
        ax.text(1, -1.8, f"critical difference {distance:.1f}", va="center")
    ax.set(xlabel="rank on a data set (faint), mean rank and 95 % interval (1 = best)", title=title)
    ax.set(xlim=(0, len(names) + 1), ylim=(len(names) - 0.5, -2.5))  # intervals of few data sets reach beyond ranks
    ax.set_xticks([1, *range(5, len(names) + 1, 5)])
    for place, group in enumerate(groups):
        first, last = names.index(group[0]), names.index(group[-1])
        bars.plot([place, place], [first - 0.15, last + 0.15], color="#444444", linewidth=3.5, solid_capstyle="butt")
    bars.set(xlim=(-0.6, max(len(groups), 2) - 0.4), xticks=[], xlabel="joined: not\ntold apart")
    bars.tick_params(axis="y", length=0)
    bars.grid(False)
    bars.spines[:].set_visible(False)
    _legend(fig, kinds)
    return fig


def handles(kinds: Mapping[str, str]) -> list[Line2D]:
    """Marks of all kinds for a legend, of one size."""
    return [Line2D([], [], linestyle="none", label=kind, **style) for kind, style in looks(kinds).items()]  # type: ignore[arg-type]


def _legend(fig: Figure, kinds: Mapping[str, str]) -> None:
    fig.legend(handles=handles(kinds), loc="outside lower center", ncols=len(set(kinds.values())))
