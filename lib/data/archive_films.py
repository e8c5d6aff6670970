"""An archive of chest films on the user's disk: its tables, and its films when they are asked for.

The readers of the archives are in `lib.data.archives`; a new one ends with :func:`archive` and has a line in ACCESS.

Conventions: as `lib.data.archives`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib.data.radiographs import Radiographs, to_square
from lib.data.registry import DataError

__all__ = ["ACCESS", "Archive", "archive", "check_films", "read_table"]

ACCESS = {
    "CheXpert": "register at https://aimi.stanford.edu/datasets/chexpert-chest-x-rays (research only) and unpack it",
    "MIMIC-CXR-JPG": "get credentialed access at https://physionet.org/content/mimic-cxr-jpg/ and keep its folders",
    "PadChest": "fill in the form at https://bimcv.cipf.es/bimcv-projects/padchest/ (research only)",
    "VinDr-CXR": "get credentialed access at https://physionet.org/content/vindr-cxr/ and convert DICOM to PNG",
    "ChestX-ray14": "download from https://nihcc.app.box.com/v/ChestXray-NIHCC (no restrictions; cite the NIH)",
}


@dataclass(frozen=True)
class Archive:
    """The tables of an archive; row i of each belongs to film i.

    Attributes
    ----------
    name : str
        Key of ACCESS.
    folder : Path
        Where the films lie.
    patients : DataFrame
        image_id (unique), patient_id, sex, age_years, view, split (missing where the archive has none), path (from
        ``folder``).
    findings : DataFrame
        One column per finding: 1, 0, -1 or NaN.
    """

    name: str
    folder: Path
    patients: pd.DataFrame
    findings: pd.DataFrame

    def films(self, rows: Sequence[int] | np.ndarray, *, side: int = 224) -> Radiographs:
        """Read films, scale their longest side to ``side`` and pad them with black to a square.

        Parameters
        ----------
        rows : sequence of int
            Row numbers, in the order wanted.
        side : int
            Pixels, 16 or more.

        Returns
        -------
        Radiographs
            x float32 (len(rows), 1, side, side) in [0, 1]: 8-bit films over 255, others over their own maximum.

        Raises
        ------
        DataError
            If a film is missing or shows nothing.
        ValueError
            If a row or the side is out of range.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        if side < 16 or chosen.size == 0 or chosen.min() < 0 or chosen.max() >= len(self.patients):
            raise ValueError(
                f"rows must name films in 0..{len(self.patients) - 1} and side be at least 16, got {chosen.size} rows "
                f"and side {side}"
            )
        patients = self.patients.iloc[chosen].reset_index(drop=True)
        x = np.stack([_film(self.folder / path, side, self.name) for path in patients["path"]])[:, None]
        check_films(x, patients["image_id"])
        findings = self.findings.iloc[chosen].reset_index(drop=True)
        return Radiographs(torch.from_numpy(x), findings, patients, {}, f"{self.name}, {len(chosen):,} films")


def check_films(x: np.ndarray, names: Sequence[str] | pd.Series) -> None:
    """Refuse films outside [0, 1] or without anything on them; weights of other toolkits expect other ranges.

    Parameters
    ----------
    x : ndarray, (n, 1, height, width)
    names : sequence of str, n
        For the message.

    Raises
    ------
    DataError
        Naming the first such film.
    """
    if len(x) != len(names):
        raise DataError(f"there must be one name per film, got {len(names)} names and {len(x)} films; align them")
    for film, name in zip(x, names, strict=True):
        low, high = float(film.min()), float(film.max())
        if not (0 <= low <= high <= 1):  # NaN fails too
            raise DataError(f"film {name} must lie in [0, 1], got [{low:g}, {high:g}]; scale it (255 for 8 bits)")
        if low == high:
            raise DataError(f"film {name} must show something, got {low:g} everywhere; is the file whole?")


def read_table(folder: Path, name: str, needed: Sequence[str], archive: str) -> pd.DataFrame:
    """Table ``name`` or ``name.gz`` of a folder; `DataError` if it is missing or lacks a column."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            frame = pd.read_csv(path, low_memory=False)
            lacking = [column for column in needed if column not in frame]
            if lacking:
                raise DataError(
                    f"{path} must have the columns of {archive}, got none named {lacking}; is it another file?"
                )
            return frame
    raise DataError(f"{archive} needs {name} in {folder}, got nothing there; {ACCESS[archive]}")


def archive(name: str, folder: str | Path, patients: pd.DataFrame, findings: pd.DataFrame) -> Archive:
    """The tables as an `Archive`; `DataError` if a finding is none of 1, 0, -1, NaN, or a film stands there twice."""
    findings = findings.astype(float).reset_index(drop=True)
    strange = ~(findings.isin([-1.0, 0.0, 1.0]) | findings.isna()).all()
    if strange.any():
        raise DataError(
            f"findings of {name} must be 1, 0, -1 or missing, got others in {list(findings.columns[strange])}"
        )
    twice = patients["image_id"][patients["image_id"].duplicated()]
    if len(twice):
        raise DataError(f"image_id of {name} must be unique, got {twice.iloc[0]!r} twice; is the table joined twice?")
    return Archive(name, Path(folder), patients.reset_index(drop=True), findings)


def _film(path: Path, side: int, archive: str) -> np.ndarray:
    """Gray film (side, side), float32 in [0, 1]."""
    from PIL import Image

    if not path.is_file():
        raise DataError(f"{archive} lists the film {path}, got no such file; {ACCESS[archive]}")
    with Image.open(path) as image:
        eight = image.mode in ("L", "P", "RGB", "RGBA", "LA")
        gray = np.asarray(image.convert("L") if eight else image, dtype=np.float32)
    gray = gray / (255.0 if eight else max(float(gray.max()), 1.0))
    scale = side / max(gray.shape)
    height, width = (max(1, round(length * scale)) for length in gray.shape)
    scaled = np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BILINEAR))
    return to_square(np.clip(scaled, 0.0, 1.0), side)
