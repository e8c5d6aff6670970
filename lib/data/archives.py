"""Large archives of chest films that the user has obtained: CheXpert, MIMIC-CXR-JPG, PadChest, VinDr-CXR, ChestX-ray14.

Irvin et al. 2019 (arXiv:1901.07031), Johnson et al. 2019 (arXiv:1901.07042), Bustos et al. 2020 (arXiv:1901.07441),
Nguyen et al. 2022 (arXiv:2012.15029), Wang et al. 2017 (arXiv:1705.02315). None is downloaded here: each has terms that
its user accepts in person. A reader takes the folder of the archive as it was unpacked, reads the tables only, and says
where to ask when a file is missing; films are read when they are asked for.

Conventions: a finding is 1 present, 0 absent, -1 uncertain, NaN not mentioned; nothing is filled in, see
`lib.measure.uncertain_labels` for what to do with it. Sex is "F", "M" or missing, age is in years at the film, and a
view is one of VIEWS or missing. Several films belong to one patient: split with `lib.data.patient_split`.
"""

from __future__ import annotations

from ast import literal_eval
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.archive_films import ACCESS, Archive, archive, read_table
from lib.data.radiographs import NOTHING
from lib.data.registry import DataError

__all__ = ["CHEXPERT_FINDINGS", "PADCHEST_FINDINGS", "VIEWS", "chest_xray14", "chexpert", "mimic", "padchest", "vindr"]

VIEWS = ("PA", "AP", "lateral")
CHEXPERT_FINDINGS = (
    NOTHING, "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
PADCHEST_FINDINGS = {  # label in the table, and the name here
    "normal": NOTHING, "cardiomegaly": "Cardiomegaly", "pleural effusion": "Pleural Effusion",
    "pneumothorax": "Pneumothorax", "pneumonia": "Pneumonia", "atelectasis": "Atelectasis", "nodule": "Nodule",
    "consolidation": "Consolidation", "infiltrates": "Infiltration",
}  # fmt: skip
PADCHEST_LEFT_OUT = ("suboptimal study", "exclude", "unchanged")
_SEX = {"M": "M", "F": "F", "Male": "M", "Female": "F"}
_VIEW = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP", "LATERAL": "lateral", "LL": "lateral", "L": "lateral"}


def chexpert(folder: str | Path, *, part: str = "train") -> Archive:
    """Read CheXpert: `train.csv` or `valid.csv` beside the folders of the same names.

    Parameters
    ----------
    folder : path
        ``CheXpert-v1.0-small`` or ``CheXpert-v1.0``.
    part : {"train", "valid"}

    Returns
    -------
    Archive
        CHEXPERT_FINDINGS; an age of 0 stands for unknown there and is missing here.

    Raises
    ------
    DataError
        If the table is missing or is another one.
    """
    if part not in ("train", "valid"):
        raise ValueError(f"part must be 'train' or 'valid', got {part!r}")
    needed = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT_FINDINGS)
    raw = read_table(Path(folder), f"{part}.csv", needed, "CheXpert")
    parts = raw["Path"].str.split("/")
    frontal = raw["Frontal/Lateral"].eq("Frontal")
    patients = pd.DataFrame(
        {
            "image_id": parts.str[-3:].str.join("/"), "patient_id": parts.str[-3], "sex": raw["Sex"].map(_SEX),
            "age_years": raw["Age"].astype(float).where(raw["Age"] > 0),
            "view": raw["AP/PA"].map(_VIEW).where(frontal, "lateral"), "split": part,
            "path": parts.str[1:].str.join("/"),
        }
    )  # fmt: skip
    return archive("CheXpert", folder, patients, raw[list(CHEXPERT_FINDINGS)])


def mimic(folder: str | Path, *, demographics: str | Path | None = None) -> Archive:
    """Read MIMIC-CXR-JPG 2.x: its metadata, its CheXpert labels and its split.

    Parameters
    ----------
    folder : path
        Holds ``mimic-cxr-2.0.0-metadata.csv.gz`` and its companions, and ``files/``.
    demographics : path, optional
        ``patients.csv.gz`` of MIMIC-IV (subject_id, gender, anchor_age, anchor_year), which has sex and age; without
        it both are missing.

    Returns
    -------
    Archive
        CHEXPERT_FINDINGS; films without a report's labels have none. Age is the anchor age plus the years since.

    Raises
    ------
    DataError
        If a table is missing or is another one.
    """
    where, stem = Path(folder), "mimic-cxr-2.0.0-"
    keys = ("subject_id", "study_id")
    films = read_table(where, f"{stem}metadata.csv", ("dicom_id", *keys, "ViewPosition", "StudyDate"), "MIMIC-CXR-JPG")
    labels = read_table(where, f"{stem}chexpert.csv", (*keys, *CHEXPERT_FINDINGS), "MIMIC-CXR-JPG")
    split = read_table(where, f"{stem}split.csv", ("dicom_id", "split"), "MIMIC-CXR-JPG")
    all_ = films.merge(labels, on=list(keys), how="left", validate="many_to_one")
    all_ = all_.merge(split[["dicom_id", "split"]], on="dicom_id", how="left", validate="one_to_one")
    sex, age = pd.Series(None, index=all_.index, dtype=object), pd.Series(np.nan, index=all_.index)
    if demographics is not None:
        needed = ("subject_id", "gender", "anchor_age", "anchor_year")
        people = read_table(Path(demographics).parent, Path(demographics).name, needed, "MIMIC-CXR-JPG")
        person = all_[["subject_id"]].merge(people, on="subject_id", how="left", validate="many_to_one")
        sex = person["gender"].map(_SEX)
        age = person["anchor_age"] + all_["StudyDate"] // 10_000 - person["anchor_year"]
    subject, study = all_["subject_id"].astype(str), all_["study_id"].astype(str)
    path = "files/p" + subject.str[:2] + "/p" + subject + "/s" + study + "/" + all_["dicom_id"] + ".jpg"
    patients = pd.DataFrame(
        {"image_id": all_["dicom_id"], "patient_id": subject, "sex": sex, "age_years": age.astype(float),
         "view": all_["ViewPosition"].map(_VIEW), "split": all_["split"], "path": path}
    )  # fmt: skip
    return archive("MIMIC-CXR-JPG", where, patients, all_[list(CHEXPERT_FINDINGS)])


def padchest(
    folder: str | Path, *, table: str = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", films: str = "images"
) -> Archive:
    """Read PadChest: films with labels, without those marked as unusable or as unchanged since the last film.

    Parameters
    ----------
    folder : path
    table : str
        Name of the table of labels, with or without ``.gz``.
    films : str
        Folder of the films within ``folder``, "" for the folder itself.

    Returns
    -------
    Archive
        PADCHEST_FINDINGS, 0 where a label is not listed: PadChest lists what is there. Age is the year of the study
        minus the year of birth.

    Raises
    ------
    DataError
        If the table is missing or is another one.
    """
    needed = ("ImageID", "PatientID", "PatientBirth", "PatientSex_DICOM", "Projection", "StudyDate_DICOM", "Labels")
    raw = read_table(Path(folder), table, needed, "PadChest").dropna(subset=["Labels"]).reset_index(drop=True)
    labels = [{str(label).strip().lower() for label in literal_eval(text)} for text in raw["Labels"]]
    usable = [not listed & set(PADCHEST_LEFT_OUT) for listed in labels]
    raw, labels = raw[usable].reset_index(drop=True), [one for one, good in zip(labels, usable, strict=True) if good]
    patients = pd.DataFrame(
        {
            "image_id": raw["ImageID"].astype(str), "patient_id": raw["PatientID"].astype(str),
            "sex": raw["PatientSex_DICOM"].map(_SEX),
            "age_years": (raw["StudyDate_DICOM"] // 10_000 - raw["PatientBirth"]).astype(float),
            "view": raw["Projection"].map(_VIEW), "split": None,
            "path": [str(Path(films) / name) for name in raw["ImageID"].astype(str)],
        }
    )  # fmt: skip
    found = {name: [float(label in listed) for listed in labels] for label, name in PADCHEST_FINDINGS.items()}
    return archive("PadChest", folder, patients, pd.DataFrame(found, index=patients.index))


def vindr(folder: str | Path, *, part: str = "train", films: str = "png") -> Archive:
    """Read VinDr-CXR: what most radiologists of a film say, and -1 where as many say yes as no.

    Parameters
    ----------
    folder : path
        Holds ``annotations/image_labels_<part>.csv``.
    part : {"train", "test"}
        Three radiologists per film in training, one consensus in the test set.
    films : str
        Folder with ``<image_id>.png``, which the user has converted from DICOM.

    Returns
    -------
    Archive
        The release names no patients, so each film counts as a patient of its own: two films of one patient may lie
        on both sides of a split. Sex, age and view are in the DICOM headers and missing here.

    Raises
    ------
    DataError
        If the table is missing or is another one.
    """
    if part not in ("train", "test"):
        raise ValueError(f"part must be 'train' or 'test', got {part!r}")
    raw = read_table(Path(folder) / "annotations", f"image_labels_{part}.csv", ("image_id", "No finding"), "VinDr-CXR")
    voted = raw.drop(columns=[name for name in ("rad_id", "rad_ID") if name in raw]).groupby("image_id").mean()
    most = voted.gt(0.5).astype(float).mask(voted.eq(0.5), -1.0)
    findings = most.rename(columns={"No finding": NOTHING})
    ids = voted.index.astype(str)
    patients = pd.DataFrame(
        {"image_id": ids, "patient_id": ids, "sex": None, "age_years": np.nan, "view": None, "split": part,
         "path": [str(Path(films) / f"{name}.png") for name in ids]}
    )  # fmt: skip
    return archive("VinDr-CXR", folder, patients, findings)


def chest_xray14(folder: str | Path, *, table: str = "Data_Entry_2017_v2020.csv") -> Archive:
    """Read the full ChestX-ray14, or a repack of it at fewer pixels, from the user's folder.

    Parameters
    ----------
    folder : path
        Holds the table and, anywhere below, the films; films that are not there are left out.
    table : str
        Name of the table, with or without ``.gz``.

    Returns
    -------
    Archive
        The fourteen findings and No Finding, 0 where not listed. ``split`` follows ``test_list.txt`` where it lies in
        the folder.

    Raises
    ------
    DataError
        If the table is missing or is another one, or no film is there.
    """
    where = Path(folder)
    needed = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
    raw = read_table(where, table, needed, "ChestX-ray14")
    paths = {path.name: str(path.relative_to(where)) for kind in ("png", "jpg") for path in where.rglob(f"*.{kind}")}
    raw = raw[raw["Image Index"].isin(paths.keys())].reset_index(drop=True)
    if raw.empty:
        raise DataError(f"no film of {table} lies below {where}; {ACCESS['ChestX-ray14']}")
    held_out = where / "test_list.txt"
    tested = raw["Image Index"].isin(held_out.read_text(encoding="utf-8").split()) if held_out.is_file() else None
    patients = pd.DataFrame(
        {
            "image_id": raw["Image Index"], "patient_id": raw["Patient ID"].astype(str),
            "sex": raw["Patient Gender"].map(_SEX), "age_years": raw["Patient Age"].astype(float),
            "view": raw["View Position"].map(_VIEW),
            "split": None if tested is None else np.where(tested, "test", "train"),
            "path": raw["Image Index"].map(paths),
        }
    )  # fmt: skip
    return archive("ChestX-ray14", where, patients, raw["Finding Labels"].str.get_dummies("|"))
