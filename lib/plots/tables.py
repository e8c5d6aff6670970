"""Tables as figures: estimates with their intervals, and a matrix as colours."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from lib.plots.shared_heat import DARK
from lib.plots.style import PALETTE, VERDICT_COLOURS, figure


def forest(
    data: pd.DataFrame, *, label: str = "label", reference: float = 0.0, xlabel: str = "", ax: Axes | None = None
) -> Axes:
    """Estimates with their intervals, one row each, against a reference line.

    Parameters
    ----------
    data : DataFrame
        Columns ``label``, ``estimate``, ``low``, ``high`` and optionally ``verdict``, which sets the colour.
    reference : float
        Where "no effect" lies.
    """
    ax = ax if ax is not None else figure(height=0.35 * len(data) + 1.2)[1]
    for row, (_, entry) in enumerate(data.iterrows()):
        colour = VERDICT_COLOURS.get(str(entry.get("verdict", "")), PALETTE[0])
        ax.plot([entry["low"], entry["high"]], [row, row], color=colour, linewidth=2)
        ax.plot(entry["estimate"], row, "o", color=colour)
    ax.axvline(reference, color="#444444", linewidth=1, linestyle="--")
    ax.set_yticks(range(len(data)), [str(text) for text in data[label]])
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    return ax


def heat(matrix: pd.DataFrame, *, ax: Axes | None = None, unit_label: str = "", digits: int = 2) -> Axes:
    """A table as colours with its numbers written in; rows and columns keep their order and names."""
    import seaborn as sns

    ax = ax if ax is not None else figure(height=0.4 * len(matrix) + 1.4)[1]
    sns.heatmap(
        matrix, annot=True, fmt=f".{digits}f", cmap="cividis", ax=ax, cbar_kws={"label": unit_label}, linewidths=0.5
    )
    shares: Any = ax.collections[0].norm(matrix.to_numpy(dtype=float))
    for text in ax.texts:
        x, y = text.get_position()
        text.set_color("black" if shares[int(float(y)), int(float(x))] > DARK else "white")
    ax.tick_params(axis="y", rotation=0)
    ax.grid(False)
    return ax
