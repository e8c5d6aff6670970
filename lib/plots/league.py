"""Many methods beside many measures: a table coloured by rank with the prices at its edge, and quality against price.

Measures have units and directions of their own, so colours show ranks and the numbers written in show values. Demšar
2006, Statistical Comparisons of Classifiers over Multiple Data Sets (JMLR 7), compares methods by such mean ranks.

Conventions: rank 1 is best and bright; a price grows to the right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from lib.plots.series import interval
from lib.plots.style import MARKERS, PALETTE, figure

GREY = "#6B6B6B"


def league(
    values: pd.DataFrame,
    ranks: pd.DataFrame,
    *,
    beside: pd.DataFrame | None = None,
    unit_label: str = "mean rank (1 = best)",
    ax: Axes | None = None,
) -> Axes:
    """A table of values whose cells are coloured by their rank.

    Parameters
    ----------
    values : DataFrame (methods, measures)
        What is written into the cells, with three digits, or whole from a thousand; nothing for NaN.
    ranks : DataFrame (methods, measures)
        What colours them; NaN = a control, which is not ranked and stays white.
    beside : DataFrame (methods, prices), optional
        More columns at the right, written without colour.
    unit_label : str
        Of the colour bar.
    ax : Axes, optional

    Raises
    ------
    ValueError
        If the tables have different rows, or values and ranks different columns.

    Examples
    --------
    >>> table = pd.DataFrame({"error": [0.1, 0.2]}, index=["ours", "theirs"])
    >>> [text.get_text() for text in league(table, table.rank()).texts]
    ['0.1', '0.2']
    """
    extra = values.iloc[:, :0] if beside is None else beside
    if not (values.index.equals(ranks.index) and values.columns.equals(ranks.columns)):
        raise ValueError("values and ranks must have the same rows and columns; reindex one like the other")
    if not values.index.equals(extra.index):
        raise ValueError("beside must have the rows of values; reindex it with values.index")
    ax = ax if ax is not None else figure(width="double", height=0.34 * len(values) + 1.0)[1]
    written = pd.concat([values, extra], axis=1)
    shades = np.full(written.shape, np.nan)
    shades[:, : values.shape[1]] = ranks.to_numpy(dtype=float)
    worst = float(np.nanmax(shades, initial=2.0))
    drawn = ax.imshow(np.ma.masked_invalid(shades), cmap="cividis_r", vmin=1, vmax=worst, aspect="auto")
    for (row, column), value in np.ndenumerate(written.to_numpy(dtype=float)):
        dark = shades[row, column] > (1 + worst) / 2
        text = "" if np.isnan(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        ax.text(column, row, text, ha="center", va="center", color="white" if dark else "black", fontsize=8)
    ax.set_xticks(range(written.shape[1]), [str(name) for name in written.columns])
    ax.set_yticks(range(len(written)), [str(name) for name in written.index])
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    ax.axvline(values.shape[1] - 0.5, color="black", linewidth=1)
    ax.grid(False)
    ax.figure.colorbar(drawn, ax=ax, label=unit_label, pad=0.02)
    return ax


def trade(
    data: pd.DataFrame,
    *,
    x: str,
    y: str,
    hue: str,
    named: Sequence[str] = (),
    unit: str = "seed",
    ax: Axes | None = None,
) -> Axes:
    """Quality against price on a logarithmic axis, one point with a 95 % t interval for each method.

    Parameters
    ----------
    data : DataFrame
        One row = one method in one unit.
    x, y, hue, unit : str
        Columns: price, above 0 and averaged; quality; method; independent unit.
    named : sequence of str
        Methods in colour; all others are grey and differ by their markers.
    ax : Axes, optional

    Returns
    -------
    Axes
        Legend at the right, outside. Methods whose prices differ by less than a fiftieth stand side by side, a tenth
        apart and the cheapest first, so that their intervals do not cover each other.
    """
    ax = ax if ax is not None else figure(width="double", height=3.4)[1]
    methods = list(pd.unique(data[hue]))
    price = data.groupby(hue)[x].mean()
    for index, name in enumerate(methods):
        alike = [other for other in methods if abs(np.log(price[other] / price[name])) < np.log(1.02)]
        alike.sort(key=lambda other: price[other])
        aside = 1.1 ** (alike.index(name) - (len(alike) - 1) / 2)
        mean, low, high = interval(data[data[hue] == name].groupby(unit)[y].mean().to_numpy())
        colour = PALETTE[list(named).index(name)] if name in named else GREY
        ax.errorbar(
            price[name] * aside, mean, yerr=[[mean - low], [high - mean]], fmt=MARKERS[index % len(MARKERS)],
            color=colour, markersize=7 if name in named else 5.5, elinewidth=1.4, label=str(name),
            markerfacecolor=colour if index < len(MARKERS) else "white",
        )  # fmt: skip
    ax.set(xscale="log", xlabel=x, ylabel=y)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax
