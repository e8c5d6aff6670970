"""Several tables as colours on one scale, so that the same colour is the same number in every panel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.plots.style import figure

DARK = 0.47  # share of the scale above which black on cividis has more contrast than white: at least 4.5 to 1 each


def shared_heat(
    tables: Mapping[str, pd.DataFrame],
    *,
    limits: tuple[float, float],
    unit_label: str,
    xlabel: str,
    ylabel: str,
    height: float = 3.8,
) -> Figure:
    """Draw tables side by side with their numbers and one colour bar.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By title, one row and column order for all; NaN is left white without a number.
    limits : pair of float
        Values of the darkest and the brightest colour; beyond them the colour stays, the number is written.
    unit_label, xlabel, ylabel : str
        Of the colour bar and the axes.
    height : float
        Inches; the width is that of a page.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no table, the tables differ in rows or columns, or the limits are not increasing.

    Examples
    --------
    >>> one = pd.DataFrame([[0.5, 1.0]], index=["a"], columns=["b", "c"])
    >>> fig = shared_heat({"left": one, "right": one}, limits=(0, 1), unit_label="AUC", xlabel="x", ylabel="y")
    >>> [ax.get_title(loc="left") for ax in fig.axes[:2]]
    ['left', 'right']
    """
    if not tables:
        raise ValueError("tables must hold at least one table, got none; pass them by title")
    first = next(iter(tables.values()))
    if any(not (t.index.equals(first.index) and t.columns.equals(first.columns)) for t in tables.values()):
        raise ValueError("tables must have the same rows and columns in the same order; reindex them with .loc")
    low, high = limits
    if not low < high:
        raise ValueError(f"limits must be increasing, got {limits}; pass (darkest, brightest)")
    fig, axes = figure(width="double", height=height, columns=len(tables))
    drawn = np.atleast_1d(axes)
    for ax, (title, table) in zip(drawn, tables.items(), strict=True):
        values = table.to_numpy(dtype=float)
        picture = ax.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "black" if (value - low) / (high - low) > DARK else "white"
                ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
        ax.set_xticks(range(len(table.columns)), [str(name) for name in table.columns], rotation=35, ha="right")
        ax.set_yticks(range(len(table)), [str(name) for name in table.index] if ax is drawn[0] else [])
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel if ax is drawn[0] else "")
        ax.grid(False)
    fig.colorbar(picture, ax=list(drawn), label=unit_label, shrink=0.9)
    return fig
