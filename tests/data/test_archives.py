"""Archives the user has: small folders of the same layout, read back; what is missing or wrong is named."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lib.data import DataError, archive_films, archives, patient_split

NAMES = archives.CHEXPERT_FINDINGS


def film(path, shape=(40, 30), seed=0, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(seed).integers(0, 256, shape)
    image = Image.fromarray(drawn.astype(np.uint8)) if mode == "L" else Image.fromarray((drawn * 100).astype(np.uint16))
    image.save(path)


@pytest.fixture
def chexpert_folder(tmp_path):
    labels = {name: [np.nan, 0.0, 1.0] for name in NAMES} | {"Edema": [-1.0, 1.0, np.nan]}
    paths = [f"CheXpert-v1.0-small/train/{p}" for p in ("patient00001/study1/view1_frontal.jpg",
             "patient00001/study2/view1_lateral.jpg", "patient00002/study1/view1_frontal.jpg")]  # fmt: skip
    rows = {"Path": paths, "Sex": ["Male", "Male", "Unknown"], "Age": [61, 62, 0],
            "Frontal/Lateral": ["Frontal", "Lateral", "Frontal"], "AP/PA": ["AP", np.nan, "PA"]}  # fmt: skip
    pd.DataFrame(rows | labels).to_csv(tmp_path / "train.csv", index=False)
    for number, path in enumerate(paths):
        film(tmp_path / path.split("/", 1)[1], seed=number)
    return tmp_path


@pytest.fixture
def mimic_folder(tmp_path):
    stem = "mimic-cxr-2.0.0-"
    films = {"dicom_id": ["d1", "d2", "d3"], "subject_id": [10000032, 10000032, 10999999], "study_id": [5, 6, 7],
             "ViewPosition": ["PA", "LATERAL", None], "StudyDate": [21800506, 21830101, 21500303]}  # fmt: skip
    pd.DataFrame(films).to_csv(tmp_path / f"{stem}metadata.csv.gz", index=False)
    labels = {"subject_id": [10000032, 10000032], "study_id": [5, 6]} | {name: [1.0, np.nan] for name in NAMES}
    pd.DataFrame(labels).to_csv(tmp_path / f"{stem}chexpert.csv.gz", index=False)
    split = {"dicom_id": ["d3", "d2", "d1"], "split": ["test", "train", "train"]}
    pd.DataFrame(split).to_csv(tmp_path / f"{stem}split.csv.gz", index=False)
    people = {"subject_id": [10000032], "gender": ["F"], "anchor_age": [52], "anchor_year": [2180]}
    pd.DataFrame(people).to_csv(tmp_path / "patients.csv.gz", index=False)
    return tmp_path


@pytest.fixture
def padchest_folder(tmp_path):
    rows = {
        "ImageID": ["a.png", "b.png", "c.png", "d.png"], "PatientID": ["p1", "p1", "p2", "p3"],
        "PatientBirth": [1950, 1950, 1980, 1990], "PatientSex_DICOM": ["M", "M", "F", None],
        "Projection": ["PA", "AP_horizontal", "L", "PA"], "StudyDate_DICOM": [20140915, 20150101, 20100101, 20100101],
        "Labels": ["['normal']", "['cardiomegaly', ' pleural effusion']", "['nodule', 'unchanged']", None],
    }  # fmt: skip
    name = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
    pd.DataFrame(rows).to_csv(tmp_path / name, index=False)
    film(tmp_path / "images" / "a.png", mode="16")
    return tmp_path


def test_chexpert_keeps_all_four_kinds_of_label(chexpert_folder):
    found = archives.chexpert(chexpert_folder)
    assert found.findings["Edema"].tolist()[:2] == [-1.0, 1.0] and np.isnan(found.findings["Edema"][2])
    assert np.isnan(found.findings["Cardiomegaly"][0]) and list(found.findings) == list(NAMES)
    assert found.patients["patient_id"].tolist() == ["patient00001", "patient00001", "patient00002"]
    assert found.patients["view"].tolist() == ["AP", "lateral", "PA"]
    assert found.patients["sex"].tolist()[:2] == ["M", "M"] and found.patients["sex"].isna()[2]
    assert found.patients["age_years"].tolist()[:2] == [61, 62] and np.isnan(found.patients["age_years"][2])


def test_films_are_in_the_order_asked_for_and_keep_their_shape(chexpert_folder):
    found = archives.chexpert(chexpert_folder)
    films = found.films([2, 0], side=20)
    assert films.x.shape == (2, 1, 20, 20) and films.x.dtype == torch.float32
    assert films.x.min() >= 0 and films.x.max() <= 1
    assert films.patients["image_id"].tolist() == found.patients["image_id"].iloc[[2, 0]].tolist()
    assert films.findings["Edema"].isna().tolist() == [True, False]
    assert (films.x[:, 0, :, :2] == 0).all() and (films.x[:, 0, :, 3] > 0).any()  # 40 x 30 becomes 20 x 15, padded
    raw = np.asarray(Image.open(found.folder / found.patients["path"][0]).convert("L"), dtype=np.float32) / 255
    assert float(films.x[1, 0, :, 2:17].mean()) == pytest.approx(float(raw.mean()), abs=0.02)


def test_patients_stay_together(chexpert_folder):
    patients = archives.chexpert(chexpert_folder).patients
    train, test = patient_split(patients, test_share=0.4, seed=0)
    assert not set(patients["patient_id"][train]) & set(patients["patient_id"][test])


def test_mimic_joins_its_tables(mimic_folder):
    found = archives.mimic(mimic_folder, demographics=mimic_folder / "patients.csv.gz")
    first = found.patients.iloc[0]
    assert first["path"] == "files/p10/p10000032/s5/d1.jpg" and first["split"] == "train" and first["sex"] == "F"
    assert found.patients["age_years"].tolist()[:2] == [52, 55] and np.isnan(found.patients["age_years"][2])
    assert found.patients["view"].tolist()[:2] == ["PA", "lateral"]
    assert found.findings["Edema"].tolist()[0] == 1 and found.findings.iloc[2].isna().all()
    assert archives.mimic(mimic_folder).patients[["sex", "age_years"]].isna().all().all()


def test_padchest_leaves_out_what_was_not_looked_at_afresh(padchest_folder):
    found = archives.padchest(padchest_folder)
    assert found.patients["image_id"].tolist() == ["a.png", "b.png"]
    assert found.findings["No Finding"].tolist() == [1, 0] and found.findings["Pleural Effusion"].tolist() == [0, 1]
    assert found.patients["age_years"].tolist() == [64, 65] and found.patients["view"].tolist() == ["PA", "AP"]
    assert float(found.films([0], side=16).x.max()) > 0.5  # sixteen bits, over their own maximum


def test_vindr_counts_votes(tmp_path):
    rows = {"image_id": ["x"] * 3 + ["y"] * 2, "rad_id": ["R1", "R2", "R3", "R1", "R2"],
            "Cardiomegaly": [1, 1, 0, 1, 0], "No finding": [0, 0, 0, 0, 0]}  # fmt: skip
    (tmp_path / "annotations").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "annotations" / "image_labels_train.csv", index=False)
    found = archives.vindr(tmp_path)
    assert found.findings["Cardiomegaly"].tolist() == [1.0, -1.0] and found.findings["No Finding"].tolist() == [0, 0]
    assert found.patients["patient_id"].tolist() == ["x", "y"] and found.patients["path"][0] == "png/x.png"


def test_chest_xray14_takes_the_films_that_are_there(tmp_path):
    rows = {"Image Index": ["1.png", "2.png", "3.png"], "Finding Labels": ["Effusion|Nodule", "No Finding", "Mass"],
            "Patient ID": [1, 2, 3], "Patient Age": [50, 60, 70], "Patient Gender": ["M", "F", "F"],
            "View Position": ["PA", "AP", "PA"]}  # fmt: skip
    with gzip.open(tmp_path / "Data_Entry_2017_v2020.csv.gz", "wt") as stream:
        pd.DataFrame(rows).to_csv(stream, index=False)
    with pytest.raises(DataError, match=r"no film .*nihcc\.app\.box\.com"):
        archives.chest_xray14(tmp_path)
    film(tmp_path / "images_001" / "images" / "1.png")
    film(tmp_path / "images_002" / "images" / "2.png")
    (tmp_path / "test_list.txt").write_text("2.png\n", encoding="utf-8")
    found = archives.chest_xray14(tmp_path)
    assert found.patients["image_id"].tolist() == ["1.png", "2.png"]
    assert found.patients["split"].tolist() == ["train", "test"]
    assert found.findings[["Effusion", "Nodule", "No Finding"]].to_numpy().tolist() == [[1, 1, 0], [0, 0, 1]]
    assert found.films([1, 0], side=32).x.shape == (2, 1, 32, 32)


@pytest.mark.parametrize(
    ("reader", "archive"),
    [(archives.chexpert, "CheXpert"), (archives.mimic, "MIMIC-CXR-JPG"), (archives.padchest, "PadChest"),
     (archives.vindr, "VinDr-CXR"), (archives.chest_xray14, "ChestX-ray14")],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_empty_folder_says_where_to_ask(tmp_path, reader, archive):
    with pytest.raises(DataError, match="got nothing there") as raised:
        reader(tmp_path)
    assert archive in str(raised.value) and archive_films.ACCESS[archive] in str(raised.value)


def test_another_table_is_refused(chexpert_folder):
    raw = pd.read_csv(chexpert_folder / "train.csv")
    raw.drop(columns="Edema").to_csv(chexpert_folder / "train.csv", index=False)
    with pytest.raises(DataError, match=r"columns of CheXpert, got none named \['Edema'\]"):
        archives.chexpert(chexpert_folder)
    raw.assign(Edema=[2.0, 0.0, 1.0]).to_csv(chexpert_folder / "train.csv", index=False)
    with pytest.raises(DataError, match=r"must be 1, 0, -1 or missing, got others in \['Edema'\]"):
        archives.chexpert(chexpert_folder)
    pd.concat([raw, raw]).to_csv(chexpert_folder / "train.csv", index=False)
    with pytest.raises(DataError, match="image_id of CheXpert must be unique"):
        archives.chexpert(chexpert_folder)
    with pytest.raises(ValueError, match="part must be"):
        archives.chexpert(chexpert_folder, part="test")


def test_a_missing_or_empty_film_is_named(chexpert_folder):
    found = archives.chexpert(chexpert_folder)
    path = chexpert_folder / found.patients["path"][0]
    Image.new("L", (30, 30), 7).save(path)
    with pytest.raises(DataError, match="must show something"):
        found.films([0], side=16)
    path.unlink()
    with pytest.raises(DataError, match=r"no such file; register at"):
        found.films([0], side=16)
    for rows, side in (([3], 16), ([-1], 16), ([], 16), ([0], 8)):
        with pytest.raises(ValueError, match=r"rows must name films in 0\.\.2"):
            found.films(rows, side=side)


@pytest.mark.parametrize("values", [[-1024.0, 1024.0], [0.0, np.nan], [0.0, 255.0]], ids=["xrv", "nan", "8-bit"])
def test_films_of_another_range_are_refused(values):
    x = np.zeros((2, 1, 2, 2), dtype=np.float32)
    x[0, 0, 0, 0] = 0.5
    x[1, 0, 0] = values
    with pytest.raises(DataError, match=r"film second must lie in \[0, 1\]"):
        archive_films.check_films(x, ["first", "second"])
    with pytest.raises(DataError, match="one name per film"):
        archive_films.check_films(x, ["first"])
