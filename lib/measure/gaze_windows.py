"""What a window cut by gaze leaves to be found, beside what the window itself tells.

Paper: I-AI, WACV 2024, arXiv:2309.13550: a heat map of gaze masks the film and a classifier sees the rest. The question
of the house is added: what do place and shape of the window tell without a grey value? Differences: gaze is drawn
around the place where the nodule is or would be (`lib.masks.gaze`), and the model is a linear head on fixed features.

Four laws of where a window lies: *lesion*, around the place, for everybody alike; *random*, around any pixel of the
lungs; *lesion-free*, the same but never over the place; *search*, around the lesion for the sick, and spread over the
lungs for the healthy, who have nothing that would hold a gaze. Under the first three the window says nothing about the
label. A window is shown in place, or as a crop around its centre, black outside in both.

Conventions: every window shows equally many pixels; scores float64 (n,), higher = more likely a nodule.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lib.data import thorax_places
from lib.data.radiographs import Radiographs
from lib.masks.gaze import centres, crops, fixations, random_pixels, window
from lib.masks.regions import fill_zero, silhouette
from lib.measure.mask_grid import fit_heads
from lib.models.cell_features import cell_features

__all__ = ["LAWS", "READINGS", "VIEWS", "gaze_answers", "gaze_windows", "view"]

LAWS = ("lesion", "random", "lesion-free", "search")
VIEWS = ("crop", "in place")
READINGS = ("films", "silhouette", "table", "permuted labels")
FIXATIONS = 4
BLUR = 2.5  # pixels, around a fixation
CLEAR_MM = 10.0  # kept free around a lesion's rim by a lesion-free window
GRIDS = {"crop": 8, "in place": 16}


def gaze_windows(films: Radiographs, law: str, *, shown: float, scatter_mm: float, rng: np.random.Generator) -> Tensor:
    """Draw a window for each film.

    Parameters
    ----------
    films : Radiographs
        Of `lib.data.bone_free.lesion_patients`, with masks of the lungs.
    law : str
        One of LAWS.
    shown : float in (0, 1)
        Share of a film's pixels that a window shows.
    scatter_mm : float
        Standard deviation of fixations around their point, on the detector.
    rng : numpy.random.Generator

    Returns
    -------
    Tensor
        bool (n, h, w), True = shown, equally many in each film.

    Raises
    ------
    ValueError
        For an unknown law; as `lib.masks.gaze.window`.
    """
    if law not in LAWS:
        raise ValueError(f"law must be one of {', '.join(LAWS)}, got {law!r}; choose one of these")
    size, table = films.x.shape[-1], films.patients
    distance = thorax_places.place_distance(table, size=size)
    at = distance.flatten(1).argmin(1)
    point = torch.stack([at // size, at % size], 1).double()
    lungs = films.masks["lung_left"] | films.masks["lung_right"]
    never = None
    if law == "lesion-free":
        reach = 10 * torch.tensor(table["nodule_radius_cm"].to_numpy())[:, None, None] + CLEAR_MM
        never = distance <= reach
        lungs = lungs & ~never
    if law in ("random", "lesion-free"):
        point = random_pixels(lungs, 1, rng=rng)[:, 0]
    pixel_mm = thorax_places.pixel_mm(table, size=size)
    points = fixations(point, FIXATIONS, scatter=scatter_mm / pixel_mm, rng=rng)
    if law == "search":
        healthy = torch.tensor((table["nodule"] == 0).to_numpy())
        points[healthy] = random_pixels(lungs, FIXATIONS, rng=rng)[healthy]
    return window(points, (size, size), pixels=round(shown * size**2), blur=BLUR, never=never)


def view(images: Tensor, shown: Tensor, how: str) -> Tensor:
    """The film behind its window.

    Parameters
    ----------
    images : Tensor
        float32 (n, 1, h, w).
    shown : Tensor
        bool (n, h, w), from `gaze_windows`.
    how : str
        One of VIEWS: "in place" keeps the size of the film, "crop" cuts a square of three eighths of it.

    Returns
    -------
    Tensor
        float32 (n, 1, h, w) or (n, 1, side, side), 0 outside of the window.
    """
    masked = fill_zero(images, ~shown)
    return masked if how == "in place" else crops(masked, centres(shown), side=3 * images.shape[-1] // 8)


def gaze_answers(
    train: Radiographs,
    test: Radiographs,
    *,
    shown: float,
    scatter_mm: float,
    penalty: float,
    rng: np.random.Generator,
) -> Tensor:
    """Scores for a nodule under every law, in every view, and of three floors.

    Parameters
    ----------
    train, test : Radiographs
        Other patients; with masks.
    shown, scatter_mm
        As `gaze_windows`.
    penalty : float
        As `lib.measure.mask_grid.fit_heads`.
    rng : numpy.random.Generator
        Of windows and permutation.

    Returns
    -------
    Tensor
        float64 (laws, views, readings, m) in the order of LAWS, VIEWS and READINGS: a head on the films behind their
        windows, one on the windows as images, one on their place (two numbers) and area, one fitted to permuted labels.
    """
    label = torch.tensor(train.patients["nodule"].to_numpy())[:, None]
    mixed = label[torch.from_numpy(rng.permutation(len(label)))]
    answers = []
    for law in LAWS:
        pair = [gaze_windows(films, law, shown=shown, scatter_mm=scatter_mm, rng=rng) for films in (train, test)]
        place = [torch.cat([centres(each), each.double().sum((1, 2))[:, None]], 1) for each in pair]
        for how in VIEWS:
            seen, asked = _described(train, pair[0], how), _described(test, pair[1], how)
            readings = (("films", label), ("silhouette", label), ("table", label), ("films", mixed))
            seen["table"], asked["table"] = place
            answers += [fit_heads(seen[k], goal, penalty=penalty)(asked[k])[:, 0] for k, goal in readings]
    return torch.stack(answers).view(len(LAWS), len(VIEWS), len(READINGS), -1)


def _described(films: Radiographs, shown: Tensor, how: str) -> dict[str, Tensor]:
    """Features of the films behind their windows and of the windows as images, float32 (n, d)."""
    blank = silhouette(torch.zeros_like(shown))  # white films
    images = {"films": films.x, "silhouette": blank}
    return {name: cell_features(view(each, shown, how), grid=GRIDS[how]) for name, each in images.items()}
