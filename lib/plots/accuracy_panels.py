"""Accuracy of two groups against each other on probit axes, one panel per condition, with a line and a parabola.

What a reader should see at once: whether the cloud of models follows the straight dashed line or the curve, and how far
it lies below the diagonal on which both groups are served alike. After the scatter plots of Miller et al. 2021
(arXiv:2107.04649).

Conventions: one dot = one model; axes are spaced by probits and labelled in percent; all panels share both axes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.measure.accuracy_line import fit, probit
from lib.plots.style import MARKERS, PALETTE, figure

__all__ = ["accuracy_panels"]

_TICKS, _SPARSE = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98), (0.02, 0.1, 0.5, 0.9, 0.98)
_WIDE = 2.5  # probits: on a wider axis the labels of _TICKS would touch
_MANY = 10**9  # films behind a tick: no clipping


def accuracy_panels(
    data: pd.DataFrame, *, by: str, hue: str, names: tuple[str, str] = ("majority", "minority"), height: float = 3.0
) -> Figure:
    """Draw one panel for each value of a column, across a full page.

    Parameters
    ----------
    data : DataFrame
        One row per model, with ``majority`` and ``minority`` (shares) and ``films`` (behind each).
    by, hue : str
        Columns whose values are the panels and the colours.
    names : pair of str
        Groups along the horizontal and the vertical axis.
    height : float
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        Without a second panel.
    """
    panels = list(data.groupby(by, sort=False))
    if len(panels) < 2:
        raise ValueError(f"data must hold at least two values of {by!r} for panels, got {len(panels)}; add conditions")
    fig, axes = figure(width="double", height=height, columns=len(panels))
    points = _probits(data)
    reach = [float(points.min()) - 0.15, float(points.max()) + 0.15]
    choice = _SPARSE if reach[1] - reach[0] > _WIDE else _TICKS
    ticks = [t for t in choice if reach[0] <= float(probit(t, _MANY)) <= reach[1]]
    for ax, (name, part) in zip(axes, panels, strict=True):
        ax.plot(reach, reach, color="#BBBBBB", linewidth=1, label="served alike", zorder=1)
        for k, kind in enumerate(pd.unique(data[hue])):
            x, y = _probits(part[part[hue] == kind])
            colour, marker = PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)]
            ax.scatter(x, y, s=9, color=colour, marker=marker, alpha=0.45, linewidths=0, label=str(kind), zorder=2)
        x, y = _probits(part)
        along = np.linspace(x.min(), x.max(), 60)
        ax.plot(along, fit(x, y, degree=1).at(along), color="#222222", linestyle="--", linewidth=1.2, label="line")
        ax.plot(along, fit(x, y, degree=2).at(along), color="#222222", linewidth=1.8, label="parabola")
        ax.set(title=str(name), xlim=reach, ylim=reach, aspect="equal")
        places, labels = probit(ticks, _MANY), [f"{100 * t:g}" for t in ticks]
        ax.set_xticks(places, labels)
        ax.set_yticks(places, labels if ax is axes[0] else [""] * len(ticks))
    axes[0].set_ylabel(f"{names[1]}, % right")
    fig.supxlabel(f"{names[0]}, % right", fontsize="medium")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return fig


def _probits(data: pd.DataFrame) -> np.ndarray:
    """Both accuracies on the probit scale, (2, models)."""
    films = int(data["films"].iloc[0]) if len(data) else 1
    return np.stack([probit(data[name].to_numpy(), films) for name in ("majority", "minority")])
