"""Films of an archive whose region is known, ready to be hidden: smaller, with labels, and with what a table knows.

Sourget et al. 2024 (arXiv:2412.04030) keep the films that have a lung mask of good quality and lay a table of birth
year, sex and view beside them. Differences: no label is guessed, a film without sex or view is left out; the table also
knows whether the age was recorded, who drew the mask, and under which licence the film came, which says where it came
from; and the part of the square that holds the film is kept, because black padding tells the film's format.

Conventions: row i of every part belongs to film i; 1 = woman, 1 = AP; lengths are in pixels, the millimetres of a pixel
are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from lib.data.radiographs import Radiographs

__all__ = ["TASKS", "MaskedFilms", "masked_films"]

TASKS = ("sex", "view")
VIEWS = {"PA": "PA", "AP": "AP", "AP Supine": "AP"}


@dataclass(frozen=True)
class MaskedFilms:
    """Films with a region, a sex and a frontal view.

    Attributes
    ----------
    x : Tensor, float32 (n, 1, side, side)
        Intensities in [0, 1].
    lungs, inside : Tensor, bool (n, side, side)
        The region (any part of a pixel counts), and the square less its black rim.
    patients : DataFrame, n rows
        image_id, patient_id, sex ("F"/"M") and view ("AP"/"PA").
    labels : dict of ndarray, int64 (n,)
        By TASKS: 1 = woman, 1 = AP.
    table : dict of Tensor, float64 (n, columns)
        By TASKS, what is known without a film: the other attribute, age, whether it was recorded, which of the regions
        was taken, and the licence.
    """

    x: Tensor
    lungs: Tensor
    inside: Tensor
    patients: pd.DataFrame
    labels: dict[str, np.ndarray]
    table: dict[str, Tensor]


def masked_films(films: Radiographs, *, regions: Sequence[str], side: int) -> MaskedFilms:
    """Keep the films that have a region and both labels, and make them smaller.

    Parameters
    ----------
    films : Radiographs
        With the columns sex, view, age_years and, where films differ in it, licence.
    regions : sequence of str
        Names of masks, the preferred one first: each film is given the first of them that it has.
    side : int
        Height and width wanted, pixels; it divides that of the films.

    Returns
    -------
    MaskedFilms
        In the order of the films; AP and AP supine are both AP, a lateral film is left out.

    Raises
    ------
    ValueError
        For an unknown region or none, a side that does not divide the films', or if no film is left.

    Examples
    --------
    >>> from lib import data
    >>> found = masked_films(data.radiographs("covid-cxr256-twin", n=8), regions=["lung"], side=32)
    >>> found.x.shape, sorted(found.labels)
    (torch.Size([8, 1, 32, 32]), ['sex', 'view'])
    """
    import torch
    from torch.nn.functional import avg_pool2d, max_pool2d

    if not regions or set(regions) - set(films.masks):
        raise ValueError(
            f"regions must be among {', '.join(films.masks) or 'none'}, got {list(regions)}; load a masked set"
        )
    times, left = divmod(films.x.shape[-1], side)
    if left or not times:
        raise ValueError(f"side must divide {films.x.shape[-1]}, got {side}; pass e.g. {films.x.shape[-1] // 4}")
    people = films.patients
    known = people["sex"].isin(["F", "M"]) & people["view"].isin(list(VIEWS))
    has = np.stack([films.masks[name].flatten(1).any(1).numpy() for name in regions])  # (regions, n)
    rows = np.flatnonzero(known.to_numpy() & has.any(0))
    if not rows.size:
        raise ValueError(f"films must hold one with {list(regions)}, sex and view, got none; choose another set")
    drawn = has[:, rows].argmax(0)  # the first region that a film has
    lungs = torch.stack([films.masks[regions[which]][row] for which, row in zip(drawn, rows, strict=True)])
    x, kept = films.x[rows], people.iloc[rows].reset_index(drop=True).assign(drawn=drawn)
    kept["view"] = kept["view"].map(VIEWS)
    labels = {"sex": kept["sex"].eq("F").to_numpy(np.int64), "view": kept["view"].eq("AP").to_numpy(np.int64)}
    return MaskedFilms(
        x=avg_pool2d(x, times),
        lungs=max_pool2d(lungs[:, None].float(), times)[:, 0] > 0,
        inside=max_pool2d(_inside(x).float(), times)[:, 0] > 0,
        patients=kept[["image_id", "patient_id", "sex", "view"]],
        labels=labels,
        table={task: _columns(kept, labels, task) for task in TASKS},
    )


def _inside(x: Tensor) -> Tensor:
    """From the first row and column that is not black to the last: float (n, 1, h, w) -> bool (n, 1, h, w)."""
    lit = x[:, 0] > 0
    rows, columns = lit.any(2), lit.any(1)
    spans = [(line.cumsum(1) > 0) & (line.flip(1).cumsum(1).flip(1) > 0) for line in (rows, columns)]
    return (spans[0][:, :, None] & spans[1][:, None, :])[:, None]


def _columns(kept: pd.DataFrame, labels: dict[str, np.ndarray], task: str) -> Tensor:
    """The table for one question, float64 (n, columns); where no age was recorded stands the mean of the others."""
    import torch

    age = kept["age_years"].astype(float)
    columns = [labels[other] for other in TASKS if other != task]
    columns += [age.fillna(age.mean()).fillna(0.0).to_numpy(), age.notna().to_numpy(), kept["drawn"].to_numpy()]
    if "licence" in kept:
        columns += [kept["licence"].eq(value).to_numpy() for value in sorted(kept["licence"].unique())]
    return torch.from_numpy(np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1))
