"""Pictures in a table's rows, made smaller by averaging areas.

No paper: every new pixel is the mean of the old picture over its own area, old pixels that it cuts counting by the
share of them that it covers. So the mean brightness stays, and it does not matter whether rows or columns of the
picture come first in the table. COIL-20 is 32 x 32 in scikit-feature and 20 x 20 where networks select its pixels.

Conventions: one picture in one row, square; values keep their unit.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["coarse_pixels", "coverage"]


def coverage(old: int, new: int) -> np.ndarray:
    """How much of each new cell of a line the old cells cover.

    Parameters
    ----------
    old, new : int, >= 1
        Cells that divide one line, evenly.

    Returns
    -------
    ndarray of shape (new, old), float64, in [0, 1]
        Rows sum to 1.

    Examples
    --------
    >>> coverage(3, 2).round(3).tolist()
    [[0.667, 0.333, 0.0], [0.0, 0.333, 0.667]]
    """
    starts, width = np.arange(new)[:, None] * old / new, old / new
    left = np.maximum(starts, np.arange(old))
    right = np.minimum(starts + width, np.arange(old) + 1)
    return np.clip(right - left, 0.0, None) / width


def coarse_pixels(X: np.ndarray, *, side: int) -> np.ndarray:
    """Shrink square pictures.

    Parameters
    ----------
    X : ndarray of shape (n, p * p)
        One picture per row.
    side : int in 1..p
        Pixels along an edge of the new pictures.

    Returns
    -------
    ndarray of shape (n, side * side), float64
        In the order of the old pixels: row by row or column by column.

    Raises
    ------
    ValueError
        If the rows hold no square pictures, or ``side`` is out of range.

    Examples
    --------
    >>> coarse_pixels(np.arange(16.0)[None], side=2).tolist()
    [[2.5, 4.5, 10.5, 12.5]]
    """
    edge = math.isqrt(X.shape[1])
    if edge * edge != X.shape[1]:
        raise ValueError(
            f"X must hold square pictures, got {X.shape[1]} pixels in a row; cut the pictures square first"
        )
    if not 1 <= side <= edge:
        raise ValueError(
            f"side must be in 1..{edge}, the edge of the pictures, got {side}; averaging only makes smaller"
        )
    share = coverage(edge, side)
    pictures = np.asarray(X, dtype=np.float64).reshape(-1, edge, edge)
    return (share @ pictures @ share.T).reshape(len(pictures), side * side)
