"""What a person sees: the house style and the figures that recur in every notebook.

Colours are the Okabe-Ito palette, distinguishable with every common colour vision; series differ in marker as well.
Every plotting function takes a tidy table (one row = one measurement), draws on given axes and returns them. Widths
are in inches: ``single`` suits half a page and a phone, ``double`` a full page.

Source: Okabe & Ito (2008), Color Universal Design.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats as scipy_stats

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C6D31", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
VERDICT_COLOURS = {"supported": "#0072B2", "contradicted": "#D55E00", "inconclusive": "#6B6B6B", "untested": "#8F8F8F"}
WIDTHS = {"single": 5.2, "double": 9.0}


def house_style() -> None:
    """Set the house style for all figures of this process, with reproducible SVG output."""
    mpl.rcParams.update(
        {
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "font.family": "DejaVu Sans",
            "font.size": 9,
            "grid.color": "#E3E3E3",
            "grid.linewidth": 0.7,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "savefig.dpi": 150,
            "svg.fonttype": "path",
            "svg.hashsalt": "blindspot",
        }
    )


def figure(*, width: str = "single", height: float = 3.0, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """Make a figure in one of the two house widths.

    Parameters
    ----------
    width : {"single", "double"}
    height : float
        Inches.
    rows, columns : int
        Grid of axes.

    Returns
    -------
    Figure, and Axes or an array of Axes of shape (columns,), (rows,) or (rows, columns)

    Raises
    ------
    ValueError
        For another width.
    """
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(WIDTHS)}, got {width!r}")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(rows, columns, figsize=(WIDTHS[width], height))
    return fig, axes


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % t interval of independent measurements; the interval is NaN with fewer than two.

    Examples
    --------
    >>> [round(v, 2) for v in interval([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if len(known) < 2:
        return (float(known.mean()) if len(known) else float("nan"), float("nan"), float("nan"))
    half = scipy_stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return float(known.mean()), float(known.mean() - half), float(known.mean() + half)


def _series(data: pd.DataFrame, hue: str | None) -> Iterator[tuple[int, str, pd.DataFrame]]:
    if hue is None:
        yield 0, "", data
        return
    for index, name in enumerate(pd.unique(data[hue])):
        yield index, str(name), data[data[hue] == name]


def _intervals(data: pd.DataFrame, x: str, y: str, unit: str | None) -> pd.DataFrame:
    """One mean and interval per value of ``x``; rows of one unit are averaged first."""
    if unit and unit in data:
        data = data.groupby([x, unit], sort=False)[y].mean().reset_index()
    rows = [(value, *interval(group[y].to_numpy())) for value, group in data.groupby(x, sort=False)]
    return pd.DataFrame(rows, columns=[x, "mean", "low", "high"])


def curve(
    data: pd.DataFrame, *, x: str, y: str, hue: str | None = None, unit: str | None = "seed", ax: Axes | None = None
) -> Axes:
    """Mean line with a band of 95 % t intervals over units, one line for each value of ``hue``.

    Parameters
    ----------
    data : DataFrame
        One row = one measurement.
    x, y, hue : str
        Column names; ``x`` is numeric.
    unit : str, optional
        Column of the independent unit, averaged within before the interval is taken.
    ax : Axes, optional
        A new single-width figure by default.
    """
    ax = ax if ax is not None else figure()[1]
    for index, name, rows in _series(data, hue):
        summary = _intervals(rows, x, y, unit).sort_values(x)
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        ax.plot(summary[x], summary["mean"], color=colour, marker=marker, label=name or None)
        ax.fill_between(summary[x], summary["low"], summary["high"], color=colour, alpha=0.18, linewidth=0)
    ax.set(xlabel=x, ylabel=y)
    if hue is not None:
        ax.legend(title=hue)
    return ax


def dots(
    data: pd.DataFrame, *, x: str, y: str, hue: str | None = None, unit: str | None = "seed", ax: Axes | None = None
) -> Axes:
    """Means with 95 % t intervals, categories on the vertical axis in the order of the table.

    Parameters
    ----------
    data : DataFrame
        One row = one measurement.
    x : str
        Numeric column, drawn along the horizontal axis.
    y : str
        Category column.
    hue, unit, ax
        As in :func:`curve`.
    """
    ax = ax if ax is not None else figure()[1]
    categories = [str(value) for value in pd.unique(data[y])]
    groups = list(_series(data, hue))
    for index, name, rows in groups:
        summary = _intervals(rows, y, x, unit)
        shift = (index - (len(groups) - 1) / 2) * 0.7 / max(len(groups), 1)
        height = np.array([categories.index(str(value)) for value in summary[y]]) + shift
        error = np.abs(np.stack([summary["mean"] - summary["low"], summary["high"] - summary["mean"]]))
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        ax.errorbar(summary["mean"], height, xerr=error, fmt=marker, color=colour, label=name or None, elinewidth=1.6)
    ax.set_yticks(range(len(categories)), categories)
    ax.invert_yaxis()
    ax.set_xlabel(x)
    if hue is not None:
        ax.legend(title=hue)
    return ax


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
    ax.tick_params(axis="y", rotation=0)
    ax.grid(False)
    return ax


def images(
    pictures: Any,
    *,
    titles: Sequence[str] | None = None,
    columns: int = 8,
    cmap: str = "gray",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """A sheet of small pictures.

    Parameters
    ----------
    pictures : Tensor or ndarray of shape (n, h, w) or (n, 1 or 3, h, w)
        Values in [0, 1] for colour pictures.
    titles : sequence of str, optional
        One above each picture.
    columns : int
        Pictures in a row.
    limits : pair of float, optional
        Values drawn as black and white, shared by all; each picture's own range by default.
    """
    array = np.asarray(pictures, dtype=float)
    if array.ndim not in (3, 4):
        raise ValueError(f"pictures must have shape (n, h, w) or (n, c, h, w), got {array.shape}")
    if array.ndim == 4:
        array = array[:, 0] if array.shape[1] == 1 else array.transpose(0, 2, 3, 1)
    columns = min(columns, len(array))
    rows = -(-len(array) // columns)
    cell = WIDTHS["double"] / columns
    fig, axes = figure(width="double", height=rows * (cell + (0.22 if titles else 0.0)), rows=rows, columns=columns)
    for index, ax in enumerate(np.atleast_1d(axes).ravel()):
        ax.axis("off")
        if index < len(array):
            low, high = limits if limits is not None else (None, None)
            ax.imshow(array[index], cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
            if titles is not None:
                ax.set_title(titles[index], fontsize=8, fontweight="normal", loc="center")
    return fig
