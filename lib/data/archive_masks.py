"""What others have drawn on archives of chest films: CheXmask's organs, NEATX's drains, VinDr's boxes.

Gaggion et al. 2024, CheXmask (doi:10.1038/s41597-024-03358-1; open at PhysioNet, chexmask-cxr-segmentation-data);
NEATX drain labels (https://zenodo.org/records/14944064); Nguyen et al. 2022, VinDr-CXR (arXiv:2012.15029).

Conventions: a run-length code is "start length start length ...", starts counted from 1 along rows; boxes are half
open, in pixels of the original film.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib.data.radiographs import to_square
from lib.data.registry import DataError

__all__ = ["ORGANS", "chexmask", "drain_labels", "from_runs", "vindr_boxes"]

ORGANS = {"Left Lung": "lung_left", "Right Lung": "lung_right", "Heart": "heart"}
QUALITY = "Dice RCA (Mean)"


def from_runs(code: str, height: int, width: int) -> np.ndarray:
    """Mask of a run-length code.

    Parameters
    ----------
    code : str
        Starts from 1 and lengths, along rows; empty = nothing inside.
    height, width : int
        Pixels.

    Returns
    -------
    ndarray, bool, (height, width)

    Raises
    ------
    DataError
        If a run leaves the picture, or the numbers do not come in pairs.

    Examples
    --------
    >>> from_runs("2 2 6 1", 2, 3).astype(int).tolist()
    [[0, 1, 1], [0, 0, 1]]
    """
    numbers = np.array(code.split(), dtype=np.int64)
    if numbers.size % 2:
        raise DataError(f"a run-length code must hold pairs of start and length, got {numbers.size} numbers")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    if numbers.size and (starts.min() < 0 or lengths.min() < 0 or (starts + lengths).max() > height * width):
        raise DataError(f"runs must stay within {height} x {width} pixels; are height and width those of the film?")
    edges = np.zeros(height * width + 1, dtype=np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + lengths, -1)
    return (np.cumsum(edges[:-1]) > 0).reshape(height, width)


def chexmask(
    table: str | Path, image_ids: Sequence[str], *, side: int, id_column: str | None = None, least_dice: float = 0.7
) -> tuple[dict[str, torch.Tensor], pd.Series]:
    """Masks of lungs and heart for chosen films, in the frame of `lib.data.archive_films.Archive.films`.

    Parameters
    ----------
    table : path
        One of CheXmask's csv files of OriginalResolution, plain or .gz.
    image_ids : sequence of str
        Films, as the table names them.
    side : int
        Pixels of the square.
    id_column : str, optional
        Column with the films' names; the first one if left out.
    least_dice : float in [0, 1]
        A film whose estimated quality ("Dice RCA (Mean)") is not above it gets empty masks.

    Returns
    -------
    masks : dict of Tensor, bool, (n, side, side)
        lung_left, lung_right, heart; empty where the table has no film or not enough quality.
    dice : Series, n
        Estimated quality by film, NaN where the table has none.

    Raises
    ------
    DataError
        If the file is missing or lacks a column.
    """
    path = Path(table)
    needed = [*ORGANS, QUALITY, "Height", "Width"]
    chosen = [str(name) for name in image_ids]
    rows = _rows(path, needed, chosen, id_column)
    masks = {name: np.zeros((len(chosen), side, side), dtype=bool) for name in ORGANS.values()}
    dice = pd.Series(np.nan, index=chosen, name=QUALITY)
    table_of = rows.to_dict("index")
    for place, name in enumerate(chosen):
        row = table_of.get(name, {QUALITY: np.nan})
        dice.iloc[place] = float(row[QUALITY])
        if not dice.iloc[place] > least_dice:  # NaN too
            continue
        shape = int(row["Height"]), int(row["Width"])
        for column, organ in ORGANS.items():
            code = row[column] if isinstance(row[column], str) else ""
            masks[organ][place] = _scaled(from_runs(code, *shape), side)
    return {name: torch.from_numpy(mask) for name, mask in masks.items()}, dice


def drain_labels(table: str | Path, *, id_column: str = "Image Index", column: str = "Drain") -> pd.Series:
    """Chest drain in a film, 1 or 0, by image_id; a film that nobody looked at is not in it.

    Parameters
    ----------
    table : path
        NEATX's csv, from https://zenodo.org/records/14944064.
    id_column, column : str
        Names of its columns.

    Raises
    ------
    DataError
        If the file is missing, lacks a column, names a film twice with different labels, or holds another value.
    """
    path = Path(table)
    raw = _read(path, [id_column, column], "https://zenodo.org/records/14944064").dropna(subset=[column])
    label = pd.to_numeric(raw[column], errors="coerce")
    if not label.isin([0, 1]).all():
        raise DataError(f"{column} in {path} must be 0 or 1, got {sorted(set(raw[column][~label.isin([0, 1])]))[:3]}")
    found = label.astype(float).groupby(raw[id_column].astype(str)).agg(["min", "max"])
    unclear = found.index[found["min"] != found["max"]]
    if len(unclear):
        raise DataError(f"{path} must say one thing about each film, got both for {unclear[0]}; settle it first")
    return found["max"].rename("drain")


def vindr_boxes(folder: str | Path, *, part: str = "train") -> pd.DataFrame:
    """Boxes of VinDr-CXR: image_id, reader, finding, x0, y0, x1, y1; readers are not merged."""
    path = Path(folder) / "annotations" / f"annotations_{part}.csv"
    corners = {"x_min": "x0", "y_min": "y0", "x_max": "x1", "y_max": "y1"}
    raw = _read(path, ["image_id", "class_name", *corners], "https://physionet.org/content/vindr-cxr/")
    reader = next((raw[name] for name in ("rad_id", "rad_ID") if name in raw), pd.Series("consensus", index=raw.index))
    boxes = raw.assign(reader=reader).dropna(subset=list(corners)).rename(columns={"class_name": "finding", **corners})
    return boxes[["image_id", "reader", "finding", *corners.values()]].reset_index(drop=True)


def _read(path: Path, needed: Sequence[str], address: str) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path} is missing; it comes from {address}")
    frame = pd.read_csv(path, low_memory=False)
    lacking = [column for column in needed if column not in frame]
    if lacking:
        raise DataError(f"{path} must have the columns {list(needed)}, got {list(frame.columns)}; name them otherwise")
    return frame


def _rows(path: Path, needed: Sequence[str], chosen: Sequence[str], id_column: str | None) -> pd.DataFrame:
    """Rows of chosen films, read in parts: the tables hold gigabytes of codes."""
    if not path.is_file():
        raise DataError(f"{path} is missing; it comes from physionet.org, chexmask-cxr-segmentation-data")
    header = list(pd.read_csv(path, nrows=0).columns)
    key = header[0] if id_column is None else id_column
    lacking = [column for column in (key, *needed) if column not in header]
    if lacking:
        raise DataError(f"{path} must have the columns {[key, *needed]}, got none named {lacking}; is it CheXmask's?")
    parts = pd.read_csv(path, usecols=[key, *needed], dtype={key: str}, chunksize=2000)
    return pd.concat([part[part[key].isin(chosen)] for part in parts]).drop_duplicates(key).set_index(key)


def _scaled(mask: np.ndarray, side: int) -> np.ndarray:
    """Scale the longest side to ``side`` and pad, as the films; inside where at least half of a pixel is."""
    from PIL import Image

    scale = side / max(mask.shape)
    height, width = (max(1, round(length * scale)) for length in mask.shape)
    gray = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return to_square(np.asarray(gray) >= 0.5, side)
