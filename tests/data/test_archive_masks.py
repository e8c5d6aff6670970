"""Run-length codes, drain labels and boxes, from small files of the published layout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.data import DataError, archive_masks


def runs(mask):
    """The published code, written out pixel by pixel."""
    code, start = [], None
    flat = [*mask.flatten().tolist(), False]
    for place, inside in enumerate(flat):
        if inside and start is None:
            start = place
        if not inside and start is not None:
            code += [start + 1, place - start]
            start = None
    return " ".join(map(str, code))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_a_code_gives_its_mask_back(share):
    mask = np.random.default_rng(0).random((7, 5)) < share
    np.testing.assert_array_equal(archive_masks.from_runs(runs(mask), 7, 5), mask)


@pytest.mark.parametrize(("code", "words"), [("1", "pairs"), ("34 3", "within 7 x 5"), ("0 2", "within 7 x 5")])
def test_a_code_of_another_film_is_refused(code, words):
    with pytest.raises(DataError, match=words):
        archive_masks.from_runs(code, 7, 5)


@pytest.fixture
def table(tmp_path):
    lung = np.zeros((40, 30), dtype=bool)
    lung[10:30, 5:15] = True
    rows = {"image_id": ["a", "b", "c"], "Dice RCA (Max)": 0.9, "Dice RCA (Mean)": [0.9, 0.6, 0.8], "Landmarks": "",
            "Left Lung": runs(lung), "Right Lung": [runs(~lung), "", ""], "Heart": "", "Height": 40,
            "Width": 30}  # fmt: skip
    path = tmp_path / "chexmask.csv.gz"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_masks_lie_where_the_film_does(table):
    masks, dice = archive_masks.chexmask(table, ["c", "none", "a", "b"], side=20)
    assert set(masks) == {"lung_left", "lung_right", "heart"} and masks["heart"].sum() == 0
    assert dice.tolist()[::2] == [0.8, 0.9] and np.isnan(dice["none"]) and dice["b"] == 0.6
    left = masks["lung_left"]
    expected = np.zeros((20, 20), dtype=bool)
    expected[5:15, 4:10] = True  # 40 x 30 becomes 20 x 15 with two columns of black on the left; 2.5 rounds out
    assert np.abs(left[0].numpy().sum() - 50) <= 10 and (left[0].numpy() & ~expected).sum() == 0
    assert left[1].sum() == 0 and left[3].sum() == 0, "not in the table, and not good enough"
    right = masks["lung_right"][2].numpy()
    assert not right[:, :2].any() and not right[:, 17:].any() and right[0, 2:17].all()


def test_another_table_of_masks_is_refused(table, tmp_path):
    with pytest.raises(DataError, match=r"got none named \['dicom_id'\]"):
        archive_masks.chexmask(table, ["a"], side=20, id_column="dicom_id")
    with pytest.raises(DataError, match="chexmask-cxr-segmentation-data"):
        archive_masks.chexmask(tmp_path / "none.csv", ["a"], side=20)


def test_drains(tmp_path):
    path = tmp_path / "drains.csv"
    pd.DataFrame({"Image Index": ["a", "b", "b", "c"], "Drain": [1, 0, 0, np.nan]}).to_csv(path, index=False)
    found = archive_masks.drain_labels(path)
    assert found.to_dict() == {"a": 1.0, "b": 0.0} and found.name == "drain"
    pd.DataFrame({"Image Index": ["b", "b"], "Drain": [1, 0]}).to_csv(path, index=False)
    with pytest.raises(DataError, match="got both for b"):
        archive_masks.drain_labels(path)
    pd.DataFrame({"Image Index": ["b"], "Drain": ["maybe"]}).to_csv(path, index=False)
    with pytest.raises(DataError, match="must be 0 or 1, got .*maybe"):
        archive_masks.drain_labels(path)
    with pytest.raises(DataError, match="must have the columns .* got .*Drain"):
        archive_masks.drain_labels(path, id_column="image")


def test_boxes_of_films_without_one_are_left_out(tmp_path):
    (tmp_path / "annotations").mkdir()
    rows = {"image_id": ["a", "b"], "class_name": ["Nodule/Mass", "No finding"], "rad_id": ["R1", "R2"],
            "x_min": [1.0, np.nan], "y_min": [2.0, np.nan], "x_max": [3.0, np.nan], "y_max": [5.0, np.nan]}  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "annotations" / "annotations_train.csv", index=False)
    boxes = archive_masks.vindr_boxes(tmp_path)
    assert boxes.to_dict("records") == [
        {"image_id": "a", "reader": "R1", "finding": "Nodule/Mass", "x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 5.0}
    ]
    with pytest.raises(DataError, match="vindr-cxr"):
        archive_masks.vindr_boxes(tmp_path, part="test")
