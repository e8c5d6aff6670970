"""The house style: colours, markers, widths, and a figure in one of them.

Colours are the Okabe-Ito palette, distinguishable with every common colour vision; series differ in marker as well.

Source: Okabe & Ito (2008), Color Universal Design.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

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
