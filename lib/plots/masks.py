"""Mask samplers side by side in one figure: what they draw, where, at which frequencies, and how clustered.

Every row is a sampler, every column the same axis for all, so that rows can be compared by eye. Places are set in
inches: a row is as high for two samplers as for ten.
"""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from lib.plots.style import PALETTE, WIDTHS

NEEDED = {
    "table": ("sampler", "masks", "distinct", "exact_percent", "hidden_percent", "morans_i", "hidden_regions",
              "visible_regions", "distance_patches"),
    "spectra": ("sampler", "cycles_per_patch", "power"),
    "patches": ("sampler", "row", "column", "hidden_percent", "example_1"),
}  # fmt: skip
SIDE, PITCH, TOP, BOTTOM = 0.72, 0.93, 0.5, 0.62  # inches: a picture, a row, above and below the rows
CENTRE = (0.04 + SIDE / 2) / PITCH  # of a picture in its row, from above
FLOOR = 0.02  # power: less is drawn here, so that an exact zero has a place on the logarithmic axis
EVEN = 20.0  # percentage points around the mean that the colours of coverage span at least
SMALL, TEXT = 7.5, 8.5  # points
STRIPES = ("#F4F4F4", "#FFFFFF")


def portraits(table: pd.DataFrame, spectra: pd.DataFrame, patches: pd.DataFrame) -> Figure:
    """Draw mask samplers and their statistics, one row each.

    From left to right: name, share of masks with the exact count, how many masks differ; one or two masks (dark =
    hidden); how often each patch is hidden; the radial power spectrum, where 1 is random masking; Moran's I, with its
    expectation under random masking; the number of connected regions; the mean distance from a hidden patch to the
    nearest visible one.

    Parameters
    ----------
    table : DataFrame
        Of `lib.masks.portrait.table`, one row per sampler; its order is the order of the rows.
    spectra : DataFrame
        Of `lib.masks.portrait.spectra`, one row per sampler, mask and ring; masks are averaged.
    patches : DataFrame
        Of `lib.masks.portrait.patches`, one row per sampler and patch, with at least one example.

    Returns
    -------
    Figure
        9 inches wide, about 0.9 inches high per sampler. Powers under 0.02 are drawn at 0.02.

    Raises
    ------
    ValueError
        If a column is missing, or a sampler of ``table`` in one of the others.

    Examples
    --------
    ::

        plots.portraits(*masks.portrait.tables({"red": masks.red}, 14, ratio=0.75, generator=generator))
    """
    _check(table, spectra, patches)
    import matplotlib.pyplot as plt

    # no layout engine at all would turn into a constrained one after the first savefig
    names, height = list(table["sampler"]), TOP + PITCH * len(table) + BOTTOM
    fig = plt.figure(figsize=(WIDTHS["double"], height), layout=PlaceHolderLayoutEngine(True, False))
    for row in range(0, len(names), 2):
        low = 1 - (TOP + PITCH * (row + 1)) / height
        fig.add_artist(Rectangle((0, low), 1, PITCH / height, facecolor=STRIPES[0], linewidth=0, zorder=-2))
    _names(fig, table, patches)
    left = 1.2 + _masks(fig, names, patches) + 0.1
    _coverage(fig, names, patches, left)
    left += SIDE + 0.42
    width = WIDTHS["double"] - left - 3.42
    _spectra(fig, names, spectra, left, width)
    _scalars(fig, table, left + width + 0.12, tokens=int((patches["sampler"] == names[0]).sum()))
    return fig


def _check(table: pd.DataFrame, spectra: pd.DataFrame, patches: pd.DataFrame) -> None:
    given = {"table": table, "spectra": spectra, "patches": patches}
    for argument, frame in given.items():
        missing = [name for name in NEEDED[argument] if name not in frame]
        if missing:
            raise ValueError(
                f"{argument} must have the columns of lib.masks.portrait.{argument}, {', '.join(missing)} missing from "
                f"{', '.join(map(str, frame.columns))}; pass *lib.masks.portrait.tables(...)"
            )
        absent = sorted(set(table["sampler"]) - set(frame["sampler"]))
        if absent or not len(frame):
            raise ValueError(
                f"{argument} must describe every sampler of table, got none for {', '.join(absent) or 'any'}"
            )


def _names(fig: Figure, table: pd.DataFrame, patches: pd.DataFrame) -> None:
    """Names with the counts under them, at the left edge; what is common to all above."""
    height, width = patches["row"].max() + 1, patches["column"].max() + 1
    _heading(fig, 0.08, f"{table['hidden_percent'].mean():.3g} % hidden", f"{height} x {width} patches")
    for row, (_, entry) in enumerate(table.iterrows()):
        name = textwrap.wrap(str(entry["sampler"]).replace("_", " "), 14, max_lines=2, placeholder=" …")
        counts = [f"{entry['exact_percent']:.3g} % exact count", f"{entry['distinct']:,} of {entry['masks']:,} differ"]
        x, y = _place(fig, 0.08, TOP + PITCH * (row + CENTRE))
        fig.text(x, y, "\n".join(name), fontsize=TEXT, fontweight="bold", va="bottom")
        fig.text(x, y, "\n".join(counts), fontsize=6.5, va="top", color="#444444", linespacing=1.35)


def _masks(fig: Figure, names: list[str], patches: pd.DataFrame) -> float:
    """One or two masks per row; gives the width taken."""
    shown = [column for column in ("example_1", "example_2") if column in patches]
    step = SIDE + 0.06
    for row, name in enumerate(names):
        for index, column in enumerate(shown):
            ax = _picture_axes(fig, 1.2 + index * step, row)
            ax.imshow(1 - _image(patches, name, column), cmap="gray", vmin=-0.2, vmax=1, interpolation="nearest")
    _heading(fig, 1.2, "masks" if len(shown) > 1 else "mask", "dark = hidden")
    return step * len(shown)


def _coverage(fig: Figure, names: list[str], patches: pd.DataFrame, left: float) -> None:
    """How often each patch is hidden, in colours that all rows share; the range in words."""
    often = patches[patches["sampler"].isin(names)]["hidden_percent"]
    low = max(min(often.min(), often.mean() - EVEN), 0)
    high = min(max(often.max(), often.mean() + EVEN), 100)
    for row, name in enumerate(names):
        ax = _picture_axes(fig, left, row)
        picture = _image(patches, name, "hidden_percent")
        drawn = ax.imshow(picture, cmap="cividis_r", vmin=low, vmax=high, interpolation="nearest")
        span = f"{picture.min():.0f} to {picture.max():.0f} %"
        fig.text(
            *_place(fig, left + SIDE / 2, TOP + PITCH * row + SIDE + 0.06), span, fontsize=6.5, ha="center", va="top"
        )
    place = _axes(fig, left, TOP + PITCH * len(names) + 0.06, SIDE, 0.1)
    bar = fig.colorbar(drawn, cax=place, orientation="horizontal")
    bar.set_ticks([round(low + 0.5), round(high - 0.5)])
    bar.ax.tick_params(labelsize=SMALL, length=2)
    bar.set_label("hidden (%)", fontsize=SMALL)
    _heading(fig, left, "coverage", "over all masks")


def _spectra(fig: Figure, names: list[str], spectra: pd.DataFrame, left: float, width: float) -> None:
    """Mean power in rings of frequency; above and below random masking in two shades."""
    mean = spectra.groupby(["sampler", "cycles_per_patch"])["power"].mean().clip(lower=FLOOR)
    top = 2 * max(mean[names].max(), 5.0)
    for row, name in enumerate(names):
        ax = _axes(fig, left, TOP + PITCH * row + 0.04, width, SIDE + 0.06)
        rings, power = mean[name].index.to_numpy(dtype=float), np.log10(mean[name].to_numpy())
        fine = np.linspace(rings[0], rings[-1], 300)  # shaded as drawn: straight on the logarithmic axis
        for colour, limit in ((PALETTE[0], np.maximum), (PALETTE[1], np.minimum)):
            ends = 10 ** limit(np.interp(fine, rings, power), 0)
            ax.fill_between(fine, ends, 1, color=colour, alpha=0.22, linewidth=0)
        ax.plot(rings, 10**power, color="#222222", linewidth=1.3)
        ax.axhline(1, color="#444444", linewidth=0.8, linestyle="--")
        ax.set(yscale="log", xlim=(0, 0.75), ylim=(FLOOR / 1.3, top), yticks=[0.1, 1, 10])
        ax.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_xticks([0, 0.25, 0.5, 0.75], ["0", ".25", ".5", ""])
        ax.tick_params(labelsize=SMALL, length=2, labelbottom=row == len(names) - 1)
    ax.set_xlabel("cycles per patch", fontsize=SMALL)
    _heading(fig, left, "power", "random masking = 1")


def _scalars(fig: Figure, table: pd.DataFrame, left: float, *, tokens: int) -> None:
    """Three panels of dots over all rows, with the numbers written beside the dots."""
    width, gap = 0.97, 0.13
    panels = [_panel(fig, left + index * (width + gap), width, len(table)) for index in range(3)]
    _dots(panels[0], table["morans_i"], digits=2)
    panels[0].axvline(-1 / (tokens - 1), color="#444444", linewidth=0.8, linestyle="--")
    panels[0].set_xlabel("Moran's I", fontsize=SMALL)
    panels[1].set_xscale("log")
    _dots(panels[1], table["hidden_regions"], digits=1)
    _dots(panels[1], table["visible_regions"], digits=1, hollow=True)
    panels[1].set_xlabel("count per mask", fontsize=SMALL)
    _dots(panels[2], table["distance_patches"], digits=2)
    panels[2].set_xlabel("patches", fontsize=SMALL)
    words = (
        ("clustering", "dashed: random"),
        ("regions", "\u25cf hidden  \u25cb visible"),
        ("distance", "hidden to visible"),
    )
    for ax, (text, detail) in zip(panels, words, strict=True):
        _pad(ax)
        _heading(fig, ax.get_position().x0 * WIDTHS["double"], text, detail)


def _panel(fig: Figure, left: float, width: float, rows: int) -> Axes:
    ax = _axes(fig, left, TOP, width, PITCH * rows)
    ax.set(ylim=(rows, 0), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.patch.set_alpha(0)
    ax.tick_params(labelsize=SMALL, length=2)
    return ax


def _dots(ax: Axes, values: pd.Series, *, digits: int, hollow: bool = False) -> None:
    """A dot in the middle of each row; its number above, or below where it is hollow."""
    for row, value in enumerate(values):
        face = "white" if hollow else PALETTE[0]
        ax.plot(value, row + CENTRE, "o", color=PALETTE[0], markerfacecolor=face, markersize=5.5)
        at, va = (0, -5) if hollow else (0, 5), "top" if hollow else "bottom"
        ax.annotate(
            f"{value:.{digits}f}".replace("-", "\u2212"), (value, row + CENTRE), at, textcoords="offset points",
            ha="center", va=va, fontsize=SMALL, bbox={"facecolor": STRIPES[row % 2], "linewidth": 0, "pad": 0.4},
        )  # fmt: skip


def _pad(ax: Axes) -> None:
    """Room for the numbers at both ends of an axis."""
    ends = np.array([line.get_xdata() for line in ax.lines if line.get_marker() == "o"], dtype=float)
    log = ax.get_xscale() == "log"
    low, high = (np.log10(ends) if log else ends).min(), (np.log10(ends) if log else ends).max()
    room = 0.25 * max(high - low, 0.5)
    low, high = low - room, high + room
    ax.set_xlim(10**low if log else low, 10**high if log else high)
    if log:
        ax.xaxis.set_minor_locator(NullLocator())
        marks = [mark for mark in (1, 3, 10, 30, 100, 300, 1000) if 10**low <= mark <= 10**high]
        ax.set_xticks(marks, [str(mark) for mark in marks])
    else:
        ax.locator_params(axis="x", nbins=3)


def _image(patches: pd.DataFrame, name: str, column: str) -> np.ndarray:
    return patches[patches["sampler"] == name].pivot(index="row", columns="column", values=column).to_numpy(dtype=float)


def _picture_axes(fig: Figure, left: float, row: int) -> Axes:
    ax = _axes(fig, left, TOP + PITCH * row + 0.04, SIDE, SIDE)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, color="#999999", linewidth=0.5)
    return ax


def _heading(fig: Figure, left: float, text: str, detail: str) -> None:
    x, y = _place(fig, left, TOP - 0.22)
    fig.text(x, y, text, fontsize=TEXT, fontweight="bold", va="bottom")
    fig.text(x, y, detail, fontsize=SMALL, va="top")


def _place(fig: Figure, left: float, top: float) -> tuple[float, float]:
    """Inches from the left and from the top as shares of the figure."""
    width, height = fig.get_size_inches()
    return left / width, 1 - top / height


def _axes(fig: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place in inches, from the left and from the top."""
    x, y = _place(fig, left, top + height)
    wide, high = fig.get_size_inches()
    return fig.add_axes((x, y, width / wide, height / high))
