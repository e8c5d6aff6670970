"""Films, metadata and the split by patient, on fabricated files."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib.data import DataError, nih_boxes, nih_metadata, patient_split, radiographs

FINDINGS = ["Effusion", "Mass", "No Finding"]
HEAD = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
ROWS = "1_0.png,Effusion|Mass,0,1,40,F,PA\n1_1.png,No Finding,1,1,41,F,AP\n2_0.png,Mass,0,2,70,M,PA\n"


def put(house, contents):
    for name, content in contents.items():
        house.put(house.cache / "set" / name, content)
    return [house.file(name, content) for name, content in contents.items()]


def put_metadata(house, rows=ROWS):
    boxes = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n1_0.png,Infiltrate,10,20,5,6,,,\n"
    contents = {
        "Data_Entry_2017_v2020.csv.gz": (HEAD + rows).encode(),
        "test_list.txt.gz": b"2_0.png\n",
        "BBox_List_2017.csv.gz": boxes.encode(),
    }
    files = put(house, {name: gzip.compress(content) for name, content in contents.items()})
    house.register("nih-metadata", kind="metadata", rows=3, findings=FINDINGS, files=files)


def test_metadata_has_one_column_per_finding_and_the_official_split(house):
    put_metadata(house)
    frame = nih_metadata()
    assert list(frame.columns[:7]) == ["image_id", "patient_id", "sex", "age_years", "view", "follow_up", "split"]
    assert frame[FINDINGS].to_numpy().tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert frame["split"].tolist() == ["train", "train", "test"]
    assert frame["age_years"].tolist() == [40, 41, 70]


def test_unknown_finding_is_an_error(house):
    put_metadata(house, ROWS + "3_0.png,Gossypiboma,0,3,50,F,PA\n")
    with pytest.raises(DataError, match="findings must be among Effusion, Mass, No Finding, got .'Gossypiboma'"):
        nih_metadata()


def test_boxes_are_corners(house):
    put_metadata(house)
    assert nih_boxes().to_dict("records") == [
        {"image_id": "1_0.png", "finding": "Infiltration", "x0": 10, "y0": 20, "x1": 15, "y1": 26}
    ]


def put_films(house):
    stream = io.BytesIO()
    np.savez(stream, image=np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4))
    frame = pd.read_csv(io.StringIO(HEAD + ROWS)).assign(split="train")
    files = put(house, {"images64.npz": stream.getvalue(), "metadata.csv": frame.to_csv(index=False).encode()})
    facts = {"rows": 3, "shape": [1, 4, 4], "findings": FINDINGS, "extras": ["follow_up", "split"], "files": files}
    house.register("films", kind="radiographs", reader="nih", **facts)


def test_nih_films_with_findings_and_patients(house):
    put_films(house)
    films = radiographs("films")
    assert films.x.shape == (3, 1, 4, 4)
    assert torch.allclose(films.x.flatten() * 255, torch.arange(48.0))  # float32 division, exact to 1e-5
    assert films.findings["Mass"].tolist() == [1, 0, 1]
    assert films.patients["patient_id"].tolist() == [1, 1, 2]
    assert films.masks == {}


def test_n_takes_rows_of_all_parts_together(house):
    put_films(house)
    films = radiographs("films", n=2, seed=1)
    first = (films.x[:, 0, 0, 0] * 255 / 16).round().long().tolist()
    all_ids = radiographs("films").patients["image_id"]
    assert films.patients["image_id"].tolist() == [all_ids[row] for row in first]
    assert list(films.findings.index) == [0, 1]
    with pytest.raises(ValueError, match=r"n must be in 1\.\.3"):
        radiographs("films", n=4)


def grey(pixels, mode):
    stream = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8)).save(stream, mode)
    return stream.getvalue()


def test_folder_of_films_is_padded_and_missing_masks_are_empty(house, monkeypatch):
    columns = ["file", "patientid", "sex", "age", "finding", "view", "url", "offset", "license"]
    rows = [
        ["a.jpg", 7, "F", 50, "COVID-19, ARDS", "PA", "u", "10+", "CC BY"],
        ["b.jpg", 8, None, None, "todo", "?", None, "3", "CC BY"],
        ["c.jpg", 8, "M", 60, "No Finding", "AP", None, None, "CC BY"],
    ]
    contents = {"metadata.csv": pd.DataFrame(rows, columns=columns).to_csv(index=False).encode()}
    contents |= {f"images/{name}.jpg": grey(np.full((4, 6), 200), "JPEG") for name in "abc"}
    contents |= {"masks_v7/a.png": grey(np.eye(4, 6), "PNG")}
    put(house, contents)
    facts = {"rows": 3, "shape": [1, 8, 8], "masks": ["lung", "lung_automatic"], "extras": ["offset_days", "licence"]}
    findings = ["COVID-19", "Pneumonia", "No Finding"]
    files = [house.file("metadata.csv", contents["metadata.csv"])]
    house.register("x", kind="radiographs", reader="covid", findings=findings, files=files, **facts)
    films = radiographs("x")
    assert films.x.shape == (3, 1, 8, 8)
    assert float(films.x[0, 0, :2].max()) == 0
    assert float(films.x[0, 0, 2:6, 1:7].min()) > 0.75
    assert torch.equal(films.masks["lung"][0, 2:6, 1:7], torch.eye(4, 6).bool())
    assert films.masks["lung"][1:].sum() == films.masks["lung_automatic"].sum() == 0
    assert films.patients["has_lung"].tolist() == [True, False, False]
    assert films.findings.iloc[[0, 2]].to_numpy().tolist() == [[1, 1, 0], [0, 0, 1]]
    assert films.findings.iloc[1].isna().all()
    assert films.patients["view"].isna().tolist() == [False, True, False]
    assert films.patients["offset_days"].tolist()[1] == 3


def test_film_larger_than_its_square_is_an_error(data_module):
    with pytest.raises(DataError, match="film must fit 4 x 4 pixels, got 5 x 3"):
        data_module("radiographs").to_square(np.zeros((5, 3)), 4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.floats(0.05, 0.95), st.integers(0, 99))
def test_no_patient_is_on_both_sides_and_every_row_is_on_one(ids, share, seed):
    patients = pd.DataFrame({"patient_id": ids})
    if len(set(ids)) < 2:
        with pytest.raises(ValueError, match="at least 2 patients"):
            patient_split(patients, test_share=share, seed=seed)
        return
    train, test = patient_split(patients, test_share=share, seed=seed)
    assert sorted([*train, *test]) == list(range(len(ids)))
    assert min(len(train), len(test)) >= 1
    assert not set(np.array(ids)[train]) & set(np.array(ids)[test])


def test_split_comes_close_to_the_share_and_follows_the_seed():
    patients = pd.DataFrame({"patient_id": np.repeat(np.arange(100), 3)})
    train, test = patient_split(patients, test_share=0.3, seed=0)
    assert len(test) == 90  # patients of equal size: the share is met exactly
    again, other = (patient_split(patients, test_share=0.3, seed=s)[1] for s in (0, 1))
    assert np.array_equal(test, again)
    assert not np.array_equal(test, other)


@pytest.mark.parametrize("share", [0, 1, 30])
def test_share_out_of_range(share):
    with pytest.raises(ValueError, match=r"test_share must be in \(0, 1\)"):
        patient_split(pd.DataFrame({"patient_id": [1, 2]}), test_share=share, seed=0)
