"""Accuracy over the number of kept columns, in one number: the area under the curve of a grid of sizes.

Papers on filters compare curves over a few sizes (10 to 200 columns, say) and often quote the best size or one size
that suits. The area under the whole curve leaves nothing to pick. Sizes are spaced evenly on a logarithmic axis, since
ten columns more mean much to ten and little to two hundred; the area is taken over that axis and divided by its
length, so it is a mean accuracy and has the unit of one.

Conventions: grids come from `lib.measure.selection_scores.score_grid`. A method's draws are averaged within a split
before anything else. The control that keeps all columns is a level line: its area is its accuracy.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.measure.selection_scores import ALL

__all__ = ["curve_areas", "log_area", "size_grid"]


def size_grid(n_columns: int, *, least: int = 10, largest: int = 200, n_sizes: int = 4) -> tuple[int, ...]:
    """Numbers of columns to keep, evenly spaced on a logarithmic axis.

    Parameters
    ----------
    n_columns : int, >= 4
        Columns of the table.
    least, largest : int, 1 <= least < largest
        Ends of the grid on a wide table. At most half of the columns are kept, so that there is something to leave
        out, and the least size is at most a fifth of the largest.
    n_sizes : int, >= 2
        Sizes; where rounding makes two equal, one is left.

    Returns
    -------
    tuple of int
        Rising.

    Raises
    ------
    ValueError
        If the table has fewer than four columns, or ``least``, ``largest`` and ``n_sizes`` leave no grid.

    Examples
    --------
    >>> size_grid(2000)
    (10, 27, 74, 200)
    >>> size_grid(30, n_sizes=3)
    (3, 7, 15)
    """
    if n_columns < 4:
        raise ValueError(f"n_columns must be at least 4, got {n_columns}; there is too little to choose between")
    if not 1 <= least < largest or n_sizes < 2:
        raise ValueError(
            f"a grid needs 1 <= least < largest and n_sizes >= 2, got {least}, {largest} and {n_sizes}; "
            "10, 200 and 4 are the defaults"
        )
    high = min(largest, n_columns // 2)
    low = min(least, max(1, high // 5))
    return tuple(int(size) for size in np.unique(np.geomspace(low, high, n_sizes).round().astype(int)))


def log_area(sizes: np.ndarray, values: np.ndarray) -> float:
    """Mean height of a curve over a logarithmic axis, by the trapezoidal rule.

    Parameters
    ----------
    sizes : ndarray of shape (k,), rising, > 0
        Where the curve is known.
    values : ndarray of shape (k,)
        Its heights.

    Returns
    -------
    float
        In the unit of ``values``: a level curve gives its height, a single size its value.

    Raises
    ------
    ValueError
        If the shapes differ, or the sizes do not rise or are not positive.

    Examples
    --------
    >>> log_area(np.array([10, 100, 1000]), np.array([0.5, 0.7, 0.9])).__round__(9)
    0.7
    """
    sizes, values = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if sizes.ndim != 1 or sizes.shape != values.shape or sizes.size == 0:
        raise ValueError(f"sizes and values must be two equally long vectors, got {sizes.shape} and {values.shape}")
    if sizes[0] <= 0 or (np.diff(sizes) <= 0).any():
        raise ValueError(f"sizes must be positive and rise, got {sizes.tolist()}; sort them and leave out doubles")
    if sizes.size == 1:
        return float(values[0])
    place = np.log(sizes)
    return float(np.trapezoid(values, place) / (place[-1] - place[0]))


def curve_areas(grid: pd.DataFrame, *, value: str = "accuracy") -> pd.DataFrame:
    """Area under the accuracy curve of every method and split.

    Parameters
    ----------
    grid : DataFrame
        From `lib.measure.selection_scores.score_grid`: ``method, repeat, fold, size`` and the value.
    value : str
        Column whose area is taken.

    Returns
    -------
    DataFrame
        ``method, repeat, fold, area``, methods in the order of the grid; rows of two methods pair by split.

    Raises
    ------
    ValueError
        If a column is missing, or a method lacks sizes that another has in the same split.
    """
    missing = {"method", "repeat", "fold", "size", value} - set(grid.columns)
    if missing:
        raise ValueError(f"grid must come from score_grid, got a table without {sorted(missing)}")
    means = grid.groupby(["method", "repeat", "fold", "size"], sort=False, as_index=False)[value].mean()
    rows = []
    for (method, repeat, fold), part in means.groupby(["method", "repeat", "fold"], sort=False):
        sizes = part["size"].to_numpy()
        order = np.argsort(sizes)
        area = log_area(sizes[order], part[value].to_numpy()[order])
        place = {"method": method, "repeat": repeat, "fold": fold}
        rows.append({**place, "sizes": tuple(sizes[order].tolist()), "area": area})
    areas = pd.DataFrame(rows)
    used = areas.loc[areas["method"] != ALL, "sizes"]
    if used.nunique() > 1:
        raise ValueError(f"methods must share their sizes, got {sorted(set(used))}; run them in one score_grid")
    return areas.drop(columns="sizes")
