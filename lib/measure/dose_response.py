"""Dose and response of a mask: the AUC as the mask grows, and the size at which nothing is left above the floors.

Papers: Sourget et al. 2024, arXiv:2412.04030, and the same group's films of the eye, where a mask is dilated step by
step and a model that was trained on one mask is probed with all of them. Differences: beside the probed model stands
one that is trained anew for every size, since a model that never met a mask may fail for its strangeness; a response is
measured as AUC above the best of three floors, and the size at which it ends is read off in millimetres.

Conventions: doses in mm in ascending order; features float (n, d); targets 0/1 (n,); an AUC of .5 = guessing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lib.measure import mask_grid
from lib.measure.mask_grid import FLOORS

RETRAINED, PROBED = "trained anew", "probed"
PROTOCOLS = (PROBED, RETRAINED)


@dataclass(frozen=True)
class Views:
    """What can be had from the same patients at every size of a mask.

    Attributes
    ----------
    shown : mapping of float to Tensor
        By mm, features of the masked films, float (n, d).
    blind : mapping of float to Tensor
        By mm, features of the mask itself as an image, float (n, d).
    table : Tensor
        Columns that need no film, float (n, k).
    """

    shown: Mapping[float, Tensor]
    blind: Mapping[float, Tensor]
    table: Tensor


def curves(
    train: Views,
    test: Views,
    labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    penalty: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """AUC at every size of the mask, by both protocols, and the three floors beside it.

    Parameters
    ----------
    train, test : Views
        With the same sizes; the first one is where the probed model is trained.
    labels, test_labels : ndarray of 0/1, (n,) and (m,)
    penalty : float
        Of the linear heads, see `lib.measure.mask_grid.fit_heads`.
    rng : numpy.random.Generator
        Of the permuted training labels.

    Returns
    -------
    DataFrame
        mm, what, auc; ``what`` is one of PROTOCOLS or of FLOORS. At the first size both protocols are the same head.

    Raises
    ------
    ValueError
        If the sizes of the four mappings differ, or as `fit_heads`.
    """
    sizes = [list(views) for views in (train.shown, test.shown, train.blind, test.blind)]
    if not sizes[0] or any(each != sizes[0] for each in sizes):
        raise ValueError(f"train and test must hold the same sizes in shown and blind, got {sizes}; hide all of them")
    names = {f"{mm:g}": mm for mm in sizes[0]}
    z = {name: test.shown[mm] for name, mm in names.items()}
    first = next(iter(names))
    probed = mask_grid.cross({first: train.shown[names[first]]}, z, labels, test_labels, penalty=penalty, rng=rng)
    rows = [(names[name], PROBED, auc) for name, auc in zip(probed["test"], probed["auc"], strict=True)]
    x = {name: train.shown[mm] for name, mm in names.items()}
    anew = diagonal(x, z, labels, test_labels, penalty=penalty, rng=rng)
    for what, column in ((RETRAINED, "auc"), (FLOORS[2], mask_grid.PERMUTED)):
        rows += [(names[name], what, auc) for name, auc in zip(anew["mask"], anew[column], strict=True)]
    x, z = ({f"{mm:g}": views.blind[mm] for mm in sizes[0]} | {"table": views.table} for views in (train, test))
    found = mask_grid.floors(x, z, labels, test_labels, penalty=penalty).set_index("floor")["auc"]
    for name, mm in names.items():
        rows += [(mm, FLOORS[0], found[name]), (mm, FLOORS[1], found["table"])]
    return pd.DataFrame(rows, columns=["mm", "what", "auc"])


def diagonal(
    train: Mapping[str, Tensor],
    test: Mapping[str, Tensor],
    labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    penalty: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """AUC where training and test mask agree: the cells of `lib.measure.mask_grid.cross` that need no other mask.

    Parameters
    ----------
    train, test : mapping of str to Tensor
        Features by mask, float (n, d) and (m, d); each mask may have its own d.
    labels, test_labels, penalty, rng
        As in `curves`; the labels are permuted once for each mask.

    Returns
    -------
    DataFrame
        mask, auc, permuted.
    """
    cells = [
        mask_grid.cross({name: x}, {name: test[name]}, labels, test_labels, penalty=penalty, rng=rng)
        for name, x in train.items()
    ]
    return pd.concat(cells, ignore_index=True).rename(columns={"train": "mask"}).drop(columns="test")


def above_floor(levels: pd.DataFrame, *, what: str) -> pd.DataFrame:
    """AUC minus the best floor, size by size.

    Parameters
    ----------
    levels : DataFrame
        Rows of `curves` with the column seed added, of one question and one kind of mask.
    what : str
        Which curve.

    Returns
    -------
    DataFrame
        Rows seed, columns mm, AUC above the floor. The floor of a size is the highest of the three means over seeds:
        the highest of each seed would count chance among the floors.

    Raises
    ------
    ValueError
        If the curve or a floor is missing.

    Examples
    --------
    >>> rows = [("probed", 0.9), ("silhouette", 0.6), ("table", 0.5), ("permuted labels", 0.4)]
    >>> levels = pd.DataFrame(rows, columns=["what", "auc"]).assign(mm=0.0, seed=7)
    >>> float(above_floor(levels, what="probed").loc[7, 0.0].round(3))
    0.3
    """
    missing = {what, *FLOORS} - set(levels["what"])
    if missing:
        raise ValueError(f"levels must hold the rows {sorted(missing)} of what, got none; see curves")
    wide = levels.pivot_table(index=["seed", "mm"], columns="what", values="auc")
    best = wide[list(FLOORS)].groupby("mm").mean().max(axis=1)
    return wide[what].unstack("mm") - best


def meets_floor(excess: pd.DataFrame, *, margin: float) -> NDArray[np.float64]:
    """Size of the mask at which the AUC first comes within a margin of its floor.

    Parameters
    ----------
    excess : DataFrame
        From `above_floor`.
    margin : float
        What counts as nothing, >= 0.

    Returns
    -------
    ndarray
        float (seeds,), mm, between two sizes by a straight line. The first size where the AUC starts there; the last
        size where it never comes down, which is then too small and never too large.

    Raises
    ------
    ValueError
        If the margin is negative or the sizes do not ascend.

    Examples
    --------
    >>> meets_floor(pd.DataFrame([[0.4, 0.2, 0.0]], columns=[0.0, 10.0, 20.0]), margin=0.05).round(6).tolist()
    [17.5]
    """
    mm = excess.columns.to_numpy(np.float64)
    if margin < 0 or (np.diff(mm) <= 0).any():
        raise ValueError(f"margin must be >= 0 and sizes ascend, got {margin} and {mm.tolist()}; sort the sizes")
    ends = np.full(len(excess), mm[-1])
    for row, values in enumerate(excess.to_numpy() - margin):
        low = np.flatnonzero(values <= 0)
        if not len(low):
            continue
        here = low[0]
        share = values[here - 1] / (values[here - 1] - values[here]) if here else 0.0
        ends[row] = mm[here - 1] + share * (mm[here] - mm[here - 1]) if here else mm[0]
    return ends


def slope(excess: pd.DataFrame, *, until: float) -> NDArray[np.float64]:
    """AUC lost for each 10 mm: least-squares slope over the sizes up to ``until`` (mm), float (seeds,).

    Negative = the AUC falls; NaN with fewer than two sizes up to there.

    Examples
    --------
    >>> slope(pd.DataFrame([[0.4, 0.2, 0.0, 0.0]], columns=[0.0, 10.0, 20.0, 30.0]), until=20).round(6).tolist()
    [-0.2]
    """
    mm = excess.columns.to_numpy(np.float64)
    kept = mm <= until
    if kept.sum() < 2:
        return np.full(len(excess), np.nan)
    centred = mm[kept] - mm[kept].mean()
    return np.asarray(10 * excess.to_numpy()[:, kept] @ centred / (centred @ centred), dtype=np.float64)


def relative_error(found: ArrayLike, true: float) -> NDArray[np.float64]:
    """Found over true size minus one: 0 = right, .15 = read off 15 % too large; ``true`` > 0."""
    if not true > 0:
        raise ValueError(f"true must be > 0, got {true}; an error relative to zero does not exist")
    return np.asarray(found, dtype=np.float64) / true - 1
