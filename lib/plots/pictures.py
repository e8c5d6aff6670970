"""Sheets of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.plots.style import WIDTHS, figure


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
