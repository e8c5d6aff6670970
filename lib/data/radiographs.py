"""Chest films with findings, patient, sex, age, view and masks; NIH's metadata; a split that keeps patients together.

ChestX-ray14 (Wang et al. 2017) as 112,120 rows of metadata and 1,000 films at 64 px; the Hannover and the ieee8023
COVID-19 collections and the films with radiologists' organ masks, at 256 px; and synthetic twins of each.

Conventions: films are gray in [0, 1], padded with black to a square; a finding is 1, 0 or NaN (not labelled); sex is
"F", "M" or missing; age is in years; a film without a mask has an empty one and ``patients["has_<mask>"]`` is False.
Several films belong to one patient: split with ``patient_split``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.data.fetch import fetch, file_path
from lib.data.registry import DataError, Entry, expect

if TYPE_CHECKING:
    import pandas as pd
    import torch

NOTHING = "No Finding"
NIH_SIDE = 1024  # px, side of the released films that the boxes refer to
_MASK_FOLDERS = {"lung": "masks_v7", "lung_automatic": "masks_lungvae"}
_NIH_NAMES = {
    "Image Index": "image_id",
    "Patient ID": "patient_id",
    "Patient Gender": "sex",
    "Patient Age": "age_years",
    "View Position": "view",
    "Follow-up #": "follow_up",
}


@dataclass(frozen=True)
class Radiographs:
    """Chest films, row i of every part belonging to film i.

    Attributes
    ----------
    x : Tensor, float32, (n, 1, height, width)
        Intensities in [0, 1].
    findings : DataFrame, n rows
        One column per finding: 1 present, 0 absent, NaN not labelled; -1 uncertain, in archives (`lib.data.archives`).
    patients : DataFrame, n rows
        image_id, patient_id, sex ("F"/"M"), age_years, view, and columns that only this set has.
    masks : dict of Tensor, bool, (n, height, width)
        Regions by name; True = inside.
    source : str
        What a report says the films are.
    """

    x: torch.Tensor
    findings: pd.DataFrame
    patients: pd.DataFrame
    masks: dict[str, torch.Tensor]
    source: str


def radiographs(id: str, *, n: int | None = None, seed: int = 0) -> Radiographs:
    """Load chest films.

    Parameters
    ----------
    id : str
        "nih-1000", "hannover", "covid-cxr256", "covid-organs", or one of these with ``-twin``.
    n : int, optional
        How many films: the first ``n`` of a shuffle by ``seed``. None: all in the order of the file (a twin: 200).
    seed : int
        Seed of the shuffle (of a twin: of the films drawn).

    Returns
    -------
    Radiographs

    Raises
    ------
    DataError
        If the set is unknown, of another kind or not to be had.
    ValueError
        If ``n`` is out of range.
    """
    import torch

    found = expect(id, "radiographs", "lib.data.radiographs")
    total = found.rows[0]
    if n is not None and (n < 1 or (n > total and not found.is_twin)):
        raise ValueError(f"n must be in 1..{total:,} for {id!r}, got {n}; None loads all")
    if found.is_twin:
        from lib.data.twins import twin_radiographs

        x, findings, patients, masks = twin_radiographs(found, n=n or 200, seed=seed)
    else:
        x, findings, patients, masks = _nih_films(found) if found.facts["reader"] == "nih" else _folder(found)
        if n is not None:
            rows = np.random.default_rng(seed).permutation(total)[:n]
            x, masks = x[rows], {name: mask[rows] for name, mask in masks.items()}
            findings, patients = (frame.iloc[rows].reset_index(drop=True) for frame in (findings, patients))
    scale = 255.0 if x.dtype == np.uint8 else 1.0
    tensors = {name: torch.from_numpy(mask) for name, mask in masks.items()}
    films = torch.from_numpy(x[:, None]).to(torch.float32) / scale  # (n, 1, h, w)
    return Radiographs(x=films, findings=findings, patients=patients, masks=tensors, source=found.source)


def nih_metadata(id: str = "nih-metadata") -> pd.DataFrame:
    """Load the metadata of all films of ChestX-ray14.

    Parameters
    ----------
    id : str
        "nih-metadata" (112,120 rows) or "nih-metadata-twin" (2,000 rows).

    Returns
    -------
    DataFrame
        image_id, patient_id, sex, age_years, view ("PA"/"AP"), follow_up, split ("train"/"test", the official one), and
        one 0/1 column per finding, "No Finding" last.
    """
    import pandas as pd

    found = expect(id, "metadata", "lib.data.nih_metadata")
    if found.is_twin:
        from lib.data.twins import twin_metadata

        return twin_metadata(found, n=2000, seed=0)
    raw = pd.read_csv(file_path(id, "Data_Entry_2017_v2020.csv.gz"))
    frame = raw[list(_NIH_NAMES)].rename(columns=_NIH_NAMES)
    frame = frame[["image_id", "patient_id", "sex", "age_years", "view", "follow_up"]]
    held_out = pd.read_csv(file_path(id, "test_list.txt.gz"), header=None)[0]
    frame["split"] = np.where(frame["image_id"].isin(held_out), "test", "train")
    return pd.concat([frame, _label_columns(raw["Finding Labels"], found.findings)], axis=1)


def nih_boxes() -> pd.DataFrame:
    """Load the 984 hand-drawn boxes of ChestX-ray14.

    Returns
    -------
    DataFrame
        image_id, finding, and x0, y0, x1, y1 in pixels of the 1024 px film, half open.
    """
    import pandas as pd

    raw = pd.read_csv(file_path("nih-metadata", "BBox_List_2017.csv.gz"))
    x0, y0, width, height = (raw.iloc[:, place].to_numpy(np.float64) for place in range(2, 6))
    return pd.DataFrame(
        {
            "image_id": raw["Image Index"],
            "finding": raw["Finding Label"].replace({"Infiltrate": "Infiltration"}),
            "x0": x0,
            "y0": y0,
            "x1": x0 + width,
            "y1": y0 + height,
        }
    )


def patient_split(patients: pd.DataFrame, *, test_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split rows so that no patient is on both sides.

    Patients are shuffled and go to the test side for as long as that brings its share of rows closer to ``test_share``;
    at least one patient stays on either side.

    Parameters
    ----------
    patients : DataFrame, n rows
        With a column ``patient_id``.
    test_share : float in (0, 1)
        Wanted share of rows (not of patients) on the test side.
    seed : int
        Another seed gives another split.

    Returns
    -------
    train, test : ndarray, int64
        Row numbers in increasing order; together every row once.

    Raises
    ------
    ValueError
        If ``test_share`` is out of range, or there are fewer than two patients.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must be in (0, 1), got {test_share}; 0.3 puts 30 % of the rows to the test side")
    ids = patients["patient_id"].to_numpy()
    unique, codes, sizes = np.unique(ids, return_inverse=True, return_counts=True)
    if len(unique) < 2:
        raise ValueError(f"patients must hold at least 2 patients to split, got {len(unique)}; load more rows")
    order = np.random.default_rng(seed).permutation(len(unique))
    reached = np.cumsum(sizes[order])
    n_test = 1 + int(np.argmin(np.abs(reached[:-1] - test_share * len(ids))))
    in_test = np.isin(codes, order[:n_test])
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


def to_square(image: np.ndarray, side: int) -> np.ndarray:
    """Pad a gray image (h, w) with zeros to (side, side), centred.

    Raises
    ------
    DataError
        If the image is larger than the square.
    """
    height, width = image.shape
    if height > side or width > side:
        raise DataError(f"film must fit {side} x {side} pixels, got {height} x {width}; resize its longest side")
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), image.dtype)
    square[top : top + height, left : left + width] = image
    return square


def _label_columns(labels: pd.Series, findings: Sequence[str]) -> pd.DataFrame:
    """Turn "A|B" into one 0/1 column per finding."""
    import pandas as pd

    listed = labels.str.get_dummies("|")
    strange = set(listed.columns) - set(findings)
    if strange:
        raise DataError(f"findings must be among {', '.join(findings)}, got {sorted(strange)}; check the label file")
    return pd.DataFrame({name: listed.get(name, 0) for name in findings}, index=labels.index)


def _nih_films(found: Entry) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]:
    import pandas as pd

    raw = pd.read_csv(file_path(found.id, "metadata.csv"))
    with np.load(file_path(found.id, "images64.npz"), allow_pickle=False) as arrays:
        x = arrays["image"]
    patients = raw[[*_NIH_NAMES, "split"]].rename(columns=_NIH_NAMES)
    patients = patients[["image_id", "patient_id", "sex", "age_years", "view", *found.facts["extras"]]]
    return x, _label_columns(raw["Finding Labels"], found.findings), patients, {}


def _folder(found: Entry) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]:
    """Read films and masks from folders of small files, rows as in metadata.csv."""
    import pandas as pd

    folder = fetch(found.id)
    raw = pd.read_csv(folder / "metadata.csv")
    reader = {"hannover": _hannover, "covid": _covid, "organs": _organs}[found.facts["reader"]]
    patients, findings = reader(raw)
    side = found.shape[-1]
    stems = [Path(name).stem for name in patients["image_id"]]
    x = np.stack([to_square(_gray(folder / "images" / f"{stem}.jpg"), side) for stem in stems])
    masks = {}
    for name in found.masks:
        paths = [_mask_path(folder, stem, name) for stem in stems]
        empty = np.zeros((side, side), bool)
        masks[name] = np.stack([to_square(_gray(path) == 1, side) if path.is_file() else empty for path in paths])
        patients[f"has_{name}"] = [path.is_file() for path in paths]
    columns = ["image_id", "patient_id", "sex", "age_years", "view", *found.facts["extras"]]
    return x, findings[list(found.findings)], patients[columns + [f"has_{name}" for name in found.masks]], masks


def _gray(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image if image.mode in ("L", "P") else image.convert("L"))


def _mask_path(folder: Path, stem: str, name: str) -> Path:
    if name in _MASK_FOLDERS:
        return folder / _MASK_FOLDERS[name] / f"{stem}.png"
    return folder / "masks" / f"{stem}_{name}.png"


def _hannover(raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    patients = pd.DataFrame(
        {
            "image_id": raw["image_id"].astype(str),
            "patient_id": raw["patient_id"].astype(str),
            "sex": raw["sex"].str.upper(),
            "age_years": raw["age"].astype(float),
            "view": raw["projection"].str.upper(),
            "offset_days": raw["admission_offset"].astype(float),
        }
    )
    stay = {"ICU": raw["icu_admission_offset"].notna(), "Death": raw["death_offset"].notna()}
    return patients, pd.DataFrame({"COVID-19": 1.0, **{name: known.astype(float) for name, known in stay.items()}})


def _covid(raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    patients, findings = _organs(raw)
    patients["patient_id"] = raw["patientid"].astype(str)
    patients["offset_days"] = pd.to_numeric(raw["offset"], errors="coerce")  # some read "10+" or "?"
    return patients, findings


def _organs(raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    patients = pd.DataFrame(
        {
            "image_id": raw["file"].astype(str),
            "patient_id": raw["url"].fillna(raw["file"]).astype(str),  # one case page = one patient
            "sex": raw["sex"],
            "age_years": raw["age"].astype(float),
            "view": raw["view"].replace({"?": None}),
            "licence": raw["license"].astype(str),
        }
    )
    label = raw["finding"].astype(str)
    unknown = label == "todo"
    present = {
        "COVID-19": label.str.contains("COVID-19").astype(float),
        "Pneumonia": (label != NOTHING).astype(float).mask(label == "ARDS"),
        NOTHING: (label == NOTHING).astype(float),
    }
    return patients, pd.DataFrame({name: values.mask(unknown) for name, values in present.items()})
