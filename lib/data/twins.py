"""Synthetic twins: data with the columns, classes and shapes of a registered set, made from a seed in a moment.

A twin is for trying code, never for a verdict, but a model can learn from it: image classes are drawn as different
strokes, table classes are shifted along a few columns of a correlated matrix, findings are opacities at their own place
in a chest. What a class looks like is fixed by the set's name; the samples come from the seed.

Conventions: as in the loaders; everything here is numpy, the loaders make tensors.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lib.data.registry import TWIN, Entry

if TYPE_CHECKING:
    import pandas as pd

N_STROKES = 3
THICKNESS = 0.05  # of a stroke, share of the side
TABLE_ROWS = 200
INFORMATIVE = 10  # columns that tell classes apart
SHIFT = 1.5  # of a class mean along an informative column, standard deviations


def _fixed(found: Entry, salt: str = "") -> np.random.Generator:
    """Return the generator that fixes what a set's classes look like, the same for every seed."""
    return np.random.default_rng(zlib.crc32(f"{found.id.removesuffix(TWIN)} {salt}".encode()))


def twin_images(found: Entry, *, n: int, seed: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Draw images of class-dependent strokes on a smooth background.

    Parameters
    ----------
    found : Entry
        Gives the shape (channels, height, width), the classes and whether there are boxes.
    n : int
        Number of images; classes take turns, so each has its share.
    seed : int or sequence of int
        Another seed draws other images of the same classes.

    Returns
    -------
    x : ndarray, float32, (n, channels, height, width), in [0, 1]
    y : ndarray, int64, (n,)
    boxes : ndarray, float64, (n, 4) or None
        x0, y0, x1, y1 in pixels, half open, around the strokes.
    """
    rng = np.random.default_rng(seed)
    channels, height, width = found.shape
    boxed = bool(found.facts.get("boxes"))
    y = rng.permutation(np.arange(n) % len(found.classes))
    fixed = _fixed(found)
    ends = fixed.uniform(0.1, 0.9, (len(found.classes), N_STROKES, 2, 2))  # (class, stroke, end, xy) in the unit square
    colours = fixed.uniform(0.4, 1.0, (len(found.classes), channels))
    scale = rng.uniform(0.45, 0.75, (n, 1)) if boxed else rng.uniform(0.85, 1.0, (n, 1))
    corner = rng.uniform(0, 1, (n, 2)) * (1 - scale)  # top left of the object, unit square
    jittered = ends[y] + rng.normal(0, 0.02, (n, N_STROKES, 2, 2))
    placed = corner[:, None, None] + scale[:, None, None] * np.clip(jittered, 0.05, 0.95)
    ink = np.stack([_strokes(one, height, width, thickness=THICKNESS) for one in placed])  # (n, h, w)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    slope = rng.uniform(-0.15, 0.15, (n, channels, 2, 1, 1))
    ground = 0.15 + slope[:, :, 0] * (rows - 0.5) + slope[:, :, 1] * (columns - 0.5)  # (n, c, h, w)
    bright = (colours[y] * rng.uniform(0.8, 1.0, (n, 1)))[:, :, None, None]
    x = ground * (1 - ink[:, None]) + bright * ink[:, None] + rng.normal(0, 0.03, (n, channels, height, width))
    size = np.array([width, height, width, height])
    reach = 1.5 * THICKNESS  # where the ink ends
    edges = np.concatenate([placed.min((1, 2)) - reach, placed.max((1, 2)) + reach], axis=1)  # (n, x0 y0 x1 y1)
    boxes = np.clip(edges * size, 0, size).round() if boxed else None
    return np.clip(x, 0, 1).astype(np.float32), y.astype(np.int64), boxes


def _strokes(ends: np.ndarray, height: int, width: int, *, thickness: float) -> np.ndarray:
    """Return the ink (height, width) in [0, 1] of line segments with ends (strokes, 2, xy) in the unit square."""
    grid = np.stack(np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height), axis=-1)
    start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    to_pixel = grid[None] - start[:, None, None]  # (strokes, h, w, xy)
    share = (to_pixel * along[:, None, None]).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)[:, None, None]
    nearest = to_pixel - np.clip(share, 0, 1)[..., None] * along[:, None, None]
    distance = np.sqrt((nearest**2).sum(-1)).min(0)
    return np.clip(1.5 - distance / thickness, 0, 1)


def twin_table(found: Entry) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Draw a table whose classes differ in the means of a few columns.

    Neighbouring columns are correlated (0.5); at most 10 columns, evenly spread, carry the class. Columns named
    ``column=value`` are 0/1 with one 1 per column, drawn at the same odds in every class.

    Parameters
    ----------
    found : Entry
        Gives the column names, the classes and the number of rows (at most 200 are made).

    Returns
    -------
    X : ndarray, float64, (n, d)
    y : ndarray, int64, (n,)
    groups : ndarray, int64, (n,) or None
        Where the original has individuals, about 15 rows each.
    """
    rng = _fixed(found)
    n, d, k = min(found.rows[0], TABLE_ROWS), len(found.names), len(found.classes)
    n = max(n, 2 * k)
    y = rng.permutation(np.arange(n) % k)
    noise = rng.normal(size=(n, d + 1))
    X = (noise[:, 1:] + noise[:, :-1]) / np.sqrt(2)
    numeric = np.array([place for place, name in enumerate(found.names) if "=" not in name])
    spread = np.linspace(0, len(numeric) - 1, min(INFORMATIVE, len(numeric)))
    informative = numeric[spread.round().astype(int)]
    X[:, informative] += rng.normal(0, SHIFT, (k, len(informative)))[y]
    for column in dict.fromkeys(name.partition("=")[0] for name in found.names if "=" in name):
        places = np.array([place for place, name in enumerate(found.names) if name.startswith(f"{column}=")])
        X[:, places] = np.eye(len(places))[rng.integers(len(places), size=n)]
    groups = None
    if found.facts.get("reader") == "mice":
        order = np.argsort(y, kind="stable")  # a mouse has one class
        X, y, groups = X[order], y[order], np.empty(n, np.int64)
        groups[:] = y * n + (np.arange(n) - np.searchsorted(y, y)) // 15
        groups = np.unique(groups, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return X, y.astype(np.int64), groups


def twin_metadata(found: Entry, *, n: int, seed: int) -> pd.DataFrame:
    """Draw metadata of films: several per patient, findings that depend on age, sex and view.

    Returns
    -------
    DataFrame, n rows
        The columns of ``nih_metadata``.
    """
    import pandas as pd

    patients, findings = _people(found, n, np.random.default_rng([seed, 1]))
    train = patients["patient_id"] % 5 != 0  # by patient, as the official split
    patients["split"] = np.where(train, "train", "test")
    columns = ["image_id", "patient_id", "sex", "age_years", "view", "follow_up", "split"]
    return pd.concat([patients[columns], findings.astype(np.int64)], axis=1)


def twin_radiographs(
    found: Entry, *, n: int, seed: int
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]:
    """Draw chest films: bright body, dark lungs, a heart, and an opacity per finding at the finding's own place.

    Sex changes the soft tissue, age the brightness, view the size of the heart; films of one patient share an anatomy.

    Returns
    -------
    x : ndarray, float32, (n, height, width), in [0, 1]
    findings : DataFrame, n rows of 0.0 or 1.0
    patients : DataFrame, n rows
    masks : dict of ndarray, bool, (n, height, width)
    """
    rng = np.random.default_rng([seed, 2])
    patients, findings = _people(found, n, rng)
    side = found.shape[-1]
    build = np.random.default_rng([seed, 3]).normal(0, 0.02, (int(patients["patient_id"].max()) + 1, 3))
    own = build[patients["patient_id"].to_numpy()]  # (n, 3): lung height, lung width, heart size
    heart_size = 0.13 + own[:, 2] + 0.03 * (patients["view"] != "PA").to_numpy()
    lungs = [_ellipse(side, centre, 0.5, 0.15 + own[:, 1] / 2, 0.32 + own[:, 0]) for centre in (0.32, 0.68)]
    heart = _ellipse(side, 0.55, 0.62, heart_size, heart_size)
    x = 0.75 - 0.45 * np.maximum(*lungs) + 0.25 * heart
    x += (
        0.08
        * (patients["sex"] == "F").to_numpy()[:, None, None]
        * np.maximum(_ellipse(side, 0.3, 0.75, 0.15, 0.1), _ellipse(side, 0.7, 0.75, 0.15, 0.1))
    )
    x -= 0.001 * (patients["age_years"].to_numpy() - 50)[:, None, None]
    for name in findings.columns.drop("No Finding", errors="ignore"):
        across, down, radius = _fixed(found, name).uniform((0.25, 0.3, 0.05), (0.75, 0.75, 0.1))
        x += 0.25 * findings[name].to_numpy()[:, None, None] * _ellipse(side, across, down, radius, radius)
    x += rng.normal(0, 0.03, x.shape)
    masks = {}
    for name in found.masks:
        across, down, radius = _fixed(found, name).uniform((0.3, 0.3, 0.04), (0.7, 0.7, 0.1))
        known = {"left_lung": lungs[1], "right_lung": lungs[0], "cardiomediastinum": heart}
        region = np.maximum(*lungs) if name.startswith("lung") else known.get(name)
        masks[name] = (_ellipse(side, across, down, radius, radius) if region is None else region) > 0.5
        masks[name] = np.broadcast_to(masks[name], x.shape).copy()
        patients[f"has_{name}"] = True
    extras = [*found.facts.get("extras", ()), *(f"has_{name}" for name in found.masks)]
    columns = ["image_id", "patient_id", "sex", "age_years", "view", *extras]
    return np.clip(x, 0, 1).astype(np.float32), findings, patients[columns], masks


def _ellipse(side: int, across: float, down: float, wide: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Return soft ellipses (n or 1, side, side) in [0, 1]; centre and half axes in shares of the side."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    wide, high = (np.atleast_1d(half)[:, None, None] for half in (wide, high))
    return np.clip(4 * (1 - ((columns - across) / wide) ** 2 - ((rows - down) / high) ** 2), 0, 1)


def _people(found: Entry, n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw n films of about n / 3 patients, and findings that become more frequent with age and at the bedside."""
    import pandas as pd

    n_patients = max(2, n // 3)
    who = np.sort(np.concatenate([np.arange(n_patients), rng.integers(n_patients, size=max(0, n - n_patients))])[:n])
    sex = np.array(["F", "M"])[rng.integers(2, size=n_patients)][who]
    age = np.clip(rng.normal(50, 16, n_patients), 18, 95).round()[who]
    bedside = rng.uniform(size=n) < 0.4
    visit = np.arange(n) - np.searchsorted(who, who)
    patients = pd.DataFrame(
        {
            "image_id": [f"{person:08d}_{count:03d}.png" for person, count in zip(who, visit, strict=True)],
            "patient_id": who,
            "sex": sex,
            "age_years": age,
            "view": np.where(bedside, "AP", "PA"),
            "follow_up": visit,
            "offset_days": visit.astype(float),
            "split": np.where(who % 5 != 0, "train", "test"),
            "licence": "synthetic",
        }
    )
    named = [name for name in found.findings if name != "No Finding"]
    odds = 1.5 / max(len(named), 3) * (0.6 + 0.4 * (age > 50) + 0.4 * bedside)
    present = (rng.uniform(size=(n, len(named))) < odds[:, None]).astype(float)
    findings = pd.DataFrame(present, columns=named)
    if "No Finding" in found.findings:
        findings["No Finding"] = (present.sum(axis=1) == 0).astype(float)
    return patients, findings[list(found.findings)]
