"""Joint counts of two things under several conditions: small tables in a row, their colours on one scale.

Conventions: rows and columns are the same in every panel; an empty cell is hatched, so that "nobody" looks unlike
"few".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.plots.style import figure

__all__ = ["count_panels"]

_DARK = 0.55  # share of the scale above which black text is easier to read on cividis


def count_panels(tables: Mapping[str, pd.DataFrame], *, height: float = 2.4) -> Figure:
    """Draw tables of counts side by side, each number in its cell.

    Parameters
    ----------
    tables : mapping of str to DataFrame of int
        By title, which is broken after its first word; the names of index and columns are the labels of the axes.
    height : float
        Inches; the width is that of a page.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there are fewer than two tables, or they differ in rows or columns.

    Examples
    --------
    >>> one = pd.DataFrame([[3, 0]], index=["a"], columns=["b", "c"])
    >>> fig = count_panels({"left side": one, "right side": one})
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['3', '0']
    """
    panels = list(tables.items())
    if len(panels) < 2 or any(
        not (table.index.equals(panels[0][1].index) and table.columns.equals(panels[0][1].columns))
        for _, table in panels
    ):
        raise ValueError(f"tables must be two or more with the same rows and columns, got {len(panels)}; reindex them")
    most = max(float(table.to_numpy().max()) for _, table in panels)
    fig, axes = figure(width="double", height=height, columns=len(panels))
    for ax, (title, table) in zip(axes, panels, strict=True):
        ax.imshow(table.to_numpy(dtype=float), cmap="cividis", vmin=0, vmax=most, aspect="auto")
        for (row, column), count in np.ndenumerate(table.to_numpy()):
            if count == 0:
                ax.add_patch(
                    Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="white", edgecolor="#999999", hatch="///")
                )
            colour = "black" if count == 0 or count / most > _DARK else "white"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if count == 0 else None
            ax.text(column, row, str(int(count)), ha="center", va="center", color=colour, bbox=box)
        ax.set_xticks(range(table.shape[1]), [str(name) for name in table.columns])
        ax.set_yticks(range(len(table)), [str(name) for name in table.index])
        ax.set_title(title.replace(" ", "\n", 1))
        ax.set_ylabel(str(table.index.name or "") if ax is axes[0] else "")
        ax.grid(False)
    return fig
