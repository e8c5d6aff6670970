"""Judging attributions by features: against known indices and against a known place.

Saltelli et al. 2008, Global Sensitivity Analysis: The Primer, for one-at-a-time measures and their blind spots; Böhle
et al. 2021 (arXiv:2104.00032) for mosaics of images of several classes, in which the class explained has one place.

Differences: a mosaic is judged by ranks, the share of the highest cells that lie in the right part, so that unsigned,
signed and uncentred maps compare.

Conventions: see `lib.explain`; `lib.explain.truths` holds the functions with known indices. One value per image.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from lib.explain import sobol, truths
from lib.explain.sampling import Points


def index_errors(
    known: truths.Known,
    *,
    sizes: Sequence[int],
    points: Points,
    seed: int,
    estimators: Sequence[sobol.Estimator] = ("jansen",),
) -> pd.DataFrame:
    """Errors of estimated total indices, one new design for every size.

    Parameters
    ----------
    known : Known
        A function with known indices.
    sizes : sequence of int
        Rows of A; a design asks ``rows * (d + 2)`` queries.
    points : {"sobol", "halton", "lhs", "mc"}
    seed : int
        Size number k is drawn from the seed ``seed * len(sizes) + k``.
    estimators : sequence of str
        All read the same scores.

    Returns
    -------
    DataFrame
        ``function, points, estimator, rows, seed``, ``error`` = root mean square over features, ``bias`` = mean over
        features, estimate minus truth.
    """
    image, features = truths.row(len(known.total))
    rows = []
    for number, size in enumerate(sizes):
        design = sobol.pick_freeze(size, len(known.total), points=points, seed=seed * len(sizes) + number)
        scores = sobol.answers(known.score, image, 0, design, features=features, max_batch=4096)
        for estimator in estimators:
            off = sobol.estimate(scores, estimator=estimator) - known.total
            errors = float(off.square().mean().sqrt()), float(off.mean())
            rows.append((known.name, points, estimator, size, seed, *errors))
    return pd.DataFrame(rows, columns=["function", "points", "estimator", "rows", "seed", "error", "bias"])


def one_at_a_time(known: truths.Known) -> pd.DataFrame:
    """What moving one input at a time says about the point where all inputs are 1, beside the known indices.

    Returns
    -------
    DataFrame, one row per input
        ``function, input``; ``hide one`` = fall of the score when the input goes from 1 to 0; ``show one`` = rise when
        it alone goes from 0 to 1; ``first order`` and ``total`` = indices.

    Examples
    --------
    >>> print(one_at_a_time(truths.logical(spare=0)[1]).round(2).to_string(index=False))
    function  input  hide one  show one  first order  total
          OR      0       0.0       1.0         0.43   0.57
          OR      1       0.0       1.0         0.43   0.57
    """
    d = len(known.total)
    all_on, alone = torch.ones(1, 1, 1, d), torch.eye(d).view(d, 1, 1, d)
    hide = known.score(all_on) - known.score(1 - alone)
    show = known.score(alone) - known.score(0 * all_on)
    columns = {"hide one": hide[:, 0], "show one": show[:, 0], "first order": known.first, "total": known.total}
    table = pd.DataFrame({name: values.double().numpy() for name, values in columns.items()})
    table.insert(0, "function", known.name)
    table.insert(1, "input", range(d))
    return table


def mosaics(images: Tensor) -> Tensor:
    """Every four images as the quarters of one, (n, c, h, w) to (n / 4, c, 2 h, 2 w), in reading order.

    Raises
    ------
    ValueError
        If the number of images is no multiple of 4.

    Examples
    --------
    >>> mosaics(torch.arange(4.0).view(4, 1, 1, 1))[0, 0]
    tensor([[0., 1.],
            [2., 3.]])
    """
    if len(images) % 4 or not len(images):
        raise ValueError(f"images must come in fours, got {len(images)}; drop or add some")
    four = images.unflatten(0, (-1, 2, 2))  # (n / 4, 2, 2, c, h, w)
    return four.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def share_in_quarter(cell_maps: Tensor, quarter: Tensor) -> Tensor:
    """Share of the highest quarter of the cells that lies in the right quarter of a mosaic, float64 (n,).

    Parameters
    ----------
    cell_maps : Tensor (n, g, g)
        One value per cell, g even; ties keep reading order.
    quarter : Tensor, int64 (n,)
        0 to 3 in reading order.

    Returns
    -------
    Tensor, [0, 1]
        1 = all of them; 1/4 on average for a random map.

    Raises
    ------
    ValueError
        If the cells cannot be halved.

    Source
    ------
    Böhle et al. 2021, arXiv:2104.00032, with ranks in the place of positive mass.
    """
    n, rows, columns = cell_maps.shape
    if rows % 2 or columns % 2:
        raise ValueError(f"cell_maps must have even edges, got {rows} x {columns}; use an even grid")
    chosen = cell_maps.flatten(1).argsort(dim=1, descending=True, stable=True)[:, : rows * columns // 4]
    part = 2 * (chosen // columns >= rows // 2) + (chosen % columns >= columns // 2).long()
    return (part == quarter[:, None]).double().mean(1)
