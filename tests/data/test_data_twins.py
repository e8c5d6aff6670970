"""Twins have what their sets declare, follow their seed, and can be learnt from."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler

from lib.data import entry, ids, images, nih_metadata, patient_split, radiographs, table


def of_kind(kind):
    return [id for id in ids() if entry(id).kind == kind]


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("BLINDSPOT_OFFLINE", "1")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DATA_MIRROR", raising=False)


@pytest.mark.parametrize("id", of_kind("images"))
def test_image_twin_has_shape_type_range_and_classes(id):
    found, twin = entry(id), images(f"{id}-twin", n=60)
    assert twin.x.shape == (60, *found.shape)
    assert (twin.x.dtype, twin.y.dtype, twin.classes) == (torch.float32, torch.int64, found.classes)
    assert 0 <= float(twin.x.min()) < float(twin.x.max()) <= 1
    assert len(twin.y.unique()) == len(found.classes)
    assert (twin.boxes is not None) == bool(found.facts.get("boxes"))
    assert twin.source == f"synthetic twin of {id}"


def test_image_twin_boxes_hold_the_strokes():
    twin = images("tiny-imagenet-50-twin", n=20)
    height, width = twin.x.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    bright = twin.x.amax(1) > 0.45  # the ground stays below 0.15 + 0.15 + noise
    for lit, (x0, y0, x1, y1) in zip(bright, twin.boxes, strict=True):
        inside = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
        assert lit[inside].float().mean() > 0.01
        assert lit[~inside].float().mean() < 0.001


def test_image_twin_follows_seed_and_split_and_can_be_learnt():
    same, again, other = (images("fashion-mnist-twin", n=300, seed=s) for s in (0, 0, 1))
    test = images("fashion-mnist-twin", split="test", n=200)
    assert torch.equal(same.x, again.x)
    assert not torch.equal(same.x, other.x)
    assert not torch.equal(same.x[:200], test.x)
    model = RidgeClassifier(alpha=10).fit(same.x.flatten(1), same.y)
    assert model.score(test.x.flatten(1), test.y) > 0.5  # chance is 0.1


@pytest.mark.parametrize("id", of_kind("table"))
def test_table_twin_has_columns_classes_and_types(id):
    found, twin = entry(id), table(f"{id}-twin")
    assert twin.X.shape == (len(twin.y), len(found.names))
    assert len(twin.y) <= max(200, found.rows[0])
    assert (twin.X.dtype, twin.y.dtype) == (np.float64, np.int64)
    assert (twin.names, twin.classes) == (found.names, found.classes)
    assert set(twin.y) == set(range(len(found.classes)))
    assert np.isfinite(twin.X).all()


@pytest.mark.parametrize("id", ["colon-twin", "madelon-twin", "adult-twin", "iris-twin"])
def test_table_twin_can_be_learnt(id):
    twin = table(id)
    X = StandardScaler().fit_transform(twin.X)
    score = cross_val_score(LogisticRegression(C=0.05), X, twin.y, cv=3).mean()
    assert score > 1 / len(twin.classes) + 0.1


def test_indicator_columns_of_a_twin_sum_to_one():
    twin = table("compas-twin")
    race = [place for place, name in enumerate(twin.names) if name.startswith("race=")]
    assert twin.X[:, race].sum(axis=1).tolist() == [1] * len(twin.y)


def test_mouse_of_a_twin_has_one_class():
    twin = table("mice-protein-twin")
    assert all(len(set(twin.y[twin.groups == group])) == 1 for group in np.unique(twin.groups))
    assert len(np.unique(twin.groups)) >= len(twin.classes)


@pytest.mark.parametrize("id", of_kind("radiographs"))
def test_film_twin_has_findings_patients_and_masks(id):
    found, twin = entry(id), radiographs(f"{id}-twin", n=12)
    assert twin.x.shape == (12, *found.shape)
    assert twin.x.dtype == torch.float32
    assert 0 <= float(twin.x.min()) < float(twin.x.max()) <= 1
    assert tuple(twin.findings.columns) == found.findings
    assert set(np.unique(twin.findings)) <= {0.0, 1.0}
    own = ["image_id", "patient_id", "sex", "age_years", "view", *found.facts["extras"]]
    assert list(twin.patients.columns) == own + [f"has_{name}" for name in found.masks]
    assert tuple(twin.masks) == found.masks
    assert all(mask.dtype == torch.bool and mask.flatten(1).any(1).all() for mask in twin.masks.values())


def test_film_twin_shows_its_findings_across_patients():
    twin = radiographs("nih-1000-twin", n=600, seed=0)
    train, test = patient_split(twin.patients, test_share=0.3, seed=0)
    x, y = twin.x.flatten(1).numpy(), twin.findings["Effusion"].to_numpy()
    model = RidgeClassifier(alpha=10, class_weight="balanced").fit(x[train], y[train])
    hit = model.predict(x[test]) == y[test]
    assert (hit[y[test] == 1].mean() + hit[y[test] == 0].mean()) / 2 > 0.75  # chance is 0.5
    assert not torch.equal(twin.x, radiographs("nih-1000-twin", n=600, seed=1).x)


def test_metadata_twin_has_the_columns_and_keeps_patients_in_one_split():
    frame = nih_metadata("nih-metadata-twin")
    findings = list(entry("nih-metadata").findings)
    assert list(frame.columns[7:]) == findings
    assert set(frame["sex"]) == {"F", "M"}
    assert (frame.groupby("patient_id")["split"].nunique() == 1).all()
    assert (frame["No Finding"] == (frame[findings[:-1]].sum(axis=1) == 0)).all()
    assert frame["image_id"].is_unique
