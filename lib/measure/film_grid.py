"""The grid of training and test masks on films of an archive, split by split, beside its floors.

Paper: Sourget et al. 2024, arXiv:2412.04030. Differences: patients are split again and again, since an archive with
lung masks is small; the silhouette of a mask is laid on the film's format, because the black padding of a real film is
as visible as the mask; masks grow by pixels, since the millimetres of a pixel are not known; the variance over splits
that share their patients is corrected.

Conventions: hidden masks are bool (n, h, w), True = hidden; features come from `lib.models.cell_features`, heads from
`lib.measure.mask_grid`; an AUC of .5 = guessing, NaN = too few test films of a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib import stats
from lib.data.masked_films import MaskedFilms
from lib.masks import regions
from lib.measure import fairness, mask_grid
from lib.models.cell_features import cell_features

__all__ = ["ALL_FIVE", "OUTLINES", "WITHOUT", "corrected", "grown_views", "nine_masks", "one_split", "same_mask"]

ALL_FIVE = "all five"
WITHOUT = ("no lungs", "no box", "no fixed box", "no mean outline")
OUTLINES = ("lung outline", "bounding box", "film format")


def nine_masks(lungs: Tensor, reference: Tensor, *, covers: float) -> dict[str, Tensor]:
    """The paper's five masks and two controls, each hiding a region and each hiding all else.

    Parameters
    ----------
    lungs : Tensor
        bool (n, h, w).
    reference : Tensor
        bool (m, h, w), lungs of the training films, from which the controls come.
    covers : float in (0, 1]
        Share of training films that each side of the fixed box holds.

    Returns
    -------
    dict of str to Tensor
        bool (n, h, w) by name, True = hidden; a control is the same for every film.

    Examples
    --------
    >>> lungs = torch.zeros(2, 8, 8, dtype=torch.bool)
    >>> lungs[:, 2:5, 2:5] = True
    >>> len(nine_masks(lungs, lungs, covers=1.0))
    9
    """
    controls = {"fixed box": regions.fixed_box(reference, covers=covers)}
    controls["mean outline"] = regions.population_mask(reference)
    no = {f"no {name}": mask.expand_as(lungs) for name, mask in controls.items()}
    only = {f"only {name}": ~mask.expand_as(lungs) for name, mask in controls.items()}
    return regions.five_masks(lungs) | no | only


def one_split(
    films: MaskedFilms,
    train: np.ndarray,
    test: np.ndarray,
    *,
    covers: float,
    grid: int,
    penalty: float,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every training mask against every test mask and filling, and the floors.

    Parameters
    ----------
    films : MaskedFilms
    train, test : ndarray of int
        Rows of either side.
    covers, grid, penalty
        Of the fixed box, the features (`cell_features`) and the heads (`mask_grid.fit_heads`).
    rng : numpy.random.Generator
        Of the permuted labels.
    generator : torch.Generator
        Of the noise that fills.

    Returns
    -------
    cells : DataFrame
        task, train, test, auc, permuted, positives, negatives (films of the test side).
    floors : DataFrame
        task, floor, auc, positives, negatives. A floor named as a mask is its silhouette on the film's format; "table"
        is the table; OUTLINES are shapes by themselves.

    Raises
    ------
    ValueError
        If no training film has lungs, or a shape does not fit.
    """
    masks = nine_masks(films.lungs, films.lungs[train], covers=covers)
    views = {name: cell_features(regions.fill_zero(films.x, mask), grid=grid) for name, mask in masks.items()}
    filled = _filled(films, train, test, grid=grid, generator=generator)
    blind = _blind(films, masks, grid=grid)
    cells, floors = [], []
    for task, labels in films.labels.items():
        x, z = ({name: view[rows] for name, view in views.items()} for rows in (train, test))
        x[ALL_FIVE] = torch.cat([x[name] for name in regions.FIVE])
        known = labels[train], labels[test]
        grown = mask_grid.cross(x, z | filled, *known, penalty=penalty, rng=rng)
        cells.append(_guarded(grown, known[1], ["auc", mask_grid.PERMUTED]).assign(task=task))
        told = same_mask(blind | {"table": films.table[task]}, labels, train, test, penalty=penalty)
        floors.append(told.rename(columns={"name": "floor"}).assign(task=task))
    return pd.concat(cells, ignore_index=True), pd.concat(floors, ignore_index=True)


def same_mask(
    features: Mapping[str, Tensor], labels: np.ndarray, train: np.ndarray, test: np.ndarray, *, penalty: float
) -> pd.DataFrame:
    """AUC of heads trained and tested on the same kind of features.

    Parameters
    ----------
    features : mapping of str to Tensor
        float (n, d), by name.
    labels : ndarray of 0/1, (n,)
    train, test : ndarray of int
    penalty : float
        See `mask_grid.fit_heads`.

    Returns
    -------
    DataFrame
        name, auc, positives, negatives; NaN with fewer than 20 test films of either label.

    Examples
    --------
    >>> labels, rows = np.arange(80) % 2, np.arange(80)
    >>> same_mask({"itself": torch.tensor(labels)[:, None]}, labels, rows[:40], rows[40:], penalty=0.1)["auc"].item()
    1.0
    """
    x, z = ({name: view[rows] for name, view in features.items()} for rows in (train, test))
    found = mask_grid.floors(x, z, labels[train], labels[test], penalty=penalty)
    return _guarded(found.rename(columns={"floor": "name"}), labels[test], ["auc"])


def grown_views(films: MaskedFilms, *, pixels: Sequence[int], grid: int) -> dict[str, Tensor]:
    """Features of films without lungs, and of the silhouettes, as the hidden region grows.

    Parameters
    ----------
    films : MaskedFilms
    pixels : sequence of int, >= 0
        Distances from the lungs that are hidden too, in pixels.
    grid : int
        See `cell_features`.

    Returns
    -------
    dict of str to Tensor
        "film, <pixels>" and "silhouette, <pixels>", float (n, d).
    """
    found = {}
    for step in pixels:
        hidden = regions.dilate(films.lungs, step, pixel_mm=1.0)
        found[f"film, {step}"] = cell_features(regions.fill_zero(films.x, hidden), grid=grid)
        found[f"silhouette, {step}"] = cell_features(regions.silhouette(hidden | ~films.inside), grid=grid)
    return found


def corrected(
    rows: pd.DataFrame, by: Sequence[str], *, test_fraction: float, value: str = "auc", min_n: int = 2
) -> pd.DataFrame:
    """Mean over splits with the corrected 95 % interval, group by group.

    Parameters
    ----------
    rows : DataFrame
        One row per group and split.
    by : sequence of str
        Columns that name a group; the order of the rows is kept.
    test_fraction : float
        Test rows over training rows, see `stats.corrected_resampled`.
    value : str
        Column to average.
    min_n : int
        Fewer splits have no interval.

    Returns
    -------
    DataFrame
        The columns of ``by``, estimate, low, high, splits; NaN where a value is missing.

    Examples
    --------
    >>> rows = pd.DataFrame({"mask": "a", "auc": [0.6, 0.8]})
    >>> corrected(rows, ["mask"], test_fraction=1.0)["estimate"].round(2).tolist()
    [0.7]
    """
    found = []
    for key, part in rows.groupby(list(by), sort=False):
        made = stats.corrected_resampled(part[value].to_numpy(), test_fraction=test_fraction, min_n=min_n)
        found.append((*key, made.estimate, made.low, made.high, made.n))
    return pd.DataFrame(found, columns=[*by, "estimate", "low", "high", "splits"])


def _filled(
    films: MaskedFilms, train: np.ndarray, test: np.ndarray, *, grid: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Test films whose lungs, or all else, are filled with what the training films are like: float (m, d) by name."""
    seen, x, lungs = films.x[train], films.x[test], films.lungs[test]
    found: dict[str, Tensor] = {}
    for name, hidden in (("no lungs", lungs), ("only lungs", ~lungs)):
        mean = regions.fill_mean(x, hidden, mean=seen.mean(0))
        spread = {"mean": float(seen.mean()), "deviation": float(seen.std())}
        noise = regions.fill_noise(x, hidden, generator=generator, **spread)
        found |= {f"{name}, mean": cell_features(mean, grid=grid), f"{name}, noise": cell_features(noise, grid=grid)}
    return found


def _blind(films: MaskedFilms, masks: Mapping[str, Tensor], *, grid: int) -> dict[str, Tensor]:
    """Features of shapes alone: silhouettes on the film's format by mask, and OUTLINES."""
    shapes = {name: masks[name] | ~films.inside for name in WITHOUT}
    shapes |= dict(zip(OUTLINES, (masks["no lungs"], masks["no box"], ~films.inside), strict=True))
    return {name: cell_features(regions.silhouette(hidden), grid=grid) for name, hidden in shapes.items()}


def _guarded(found: pd.DataFrame, labels: np.ndarray, columns: Iterable[str]) -> pd.DataFrame:
    """Add how many test films have each label; with too few of one, the AUC is NaN."""
    found = found.assign(positives=int(labels.sum()), negatives=int(labels.size - labels.sum()))
    if fairness.too_few(labels):
        found[list(columns)] = np.nan
    return found
