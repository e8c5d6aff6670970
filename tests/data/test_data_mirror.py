"""The real files of DATA_MIRROR have the registered sums, sizes, classes and counts."""

import os

import numpy as np
import pytest

from lib.data import available, entry, fetch, ids, images, nih_boxes, nih_metadata, patient_split, radiographs, table

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.skipif(not os.environ.get("DATA_MIRROR"), reason="DATA_MIRROR is not set"),
]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("DATA_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("BLINDSPOT_OFFLINE", "1")


def present(kind):
    return [pytest.param(id, marks=pytest.mark.xdist_group(id)) for id in ids() if entry(id).kind == kind]


def need(id):
    if not available(id):
        pytest.skip(f"{id} is not in this mirror")


@pytest.mark.parametrize("id", present("images"))
def test_images(id):
    need(id)
    found, test = entry(id), images(id, split="test", n=100)
    assert test.x.shape == (100, *found.shape)
    assert len(test.y.unique()) == len(found.classes)
    if test.boxes is not None:
        side = found.shape[-1]
        assert (test.boxes[:, 2:] > test.boxes[:, :2]).all()
        assert 0 <= float(test.boxes.min()) <= float(test.boxes.max()) <= side


@pytest.mark.parametrize("id", present("table"))
def test_tables(id):
    need(id)
    found, loaded = entry(id), table(id)
    assert loaded.X.shape == (found.rows[0], len(found.names))
    assert set(loaded.y) == set(range(len(found.classes)))
    assert np.isfinite(loaded.X).all()


@pytest.mark.parametrize(("id", "counts"), [("colon", [40, 22]), ("german", [700, 300]), ("mice-protein", None)])
def test_known_counts(id, counts):
    need(id)
    loaded = table(id)
    if counts is not None:
        assert np.bincount(loaded.y).tolist() == counts
    else:
        assert np.bincount(loaded.groups).tolist() == [15] * 72
        assert np.isnan(table(id, missing="keep").X).sum() == 1396


def test_metadata():
    need("nih-metadata")
    frame = nih_metadata()
    assert (len(frame), frame["patient_id"].nunique(), (frame["split"] == "test").sum()) == (112_120, 30_805, 25_596)
    assert not set(frame.loc[frame["split"] == "test", "patient_id"]) & set(
        frame.loc[frame["split"] == "train", "patient_id"]
    )
    assert frame["No Finding"].sum() == 60_361
    assert len(nih_boxes()) == 984


@pytest.mark.parametrize("id", present("radiographs"))
def test_films(id):
    need(id)
    found, films = entry(id), radiographs(id)
    assert films.x.shape == (found.rows[0], *found.shape)
    assert set(films.patients["sex"].dropna()) == {"F", "M"}
    assert all(mask.shape == films.x[:, 0].shape for mask in films.masks.values())
    train, test = patient_split(films.patients, test_share=0.3, seed=0)
    assert abs(len(test) / len(films.x) - 0.3) < 0.05
    ids_ = films.patients["patient_id"].to_numpy()
    assert not set(ids_[train]) & set(ids_[test])


def test_a_file_of_the_mirror_is_used_in_place():
    need("colon")
    assert os.path.realpath(fetch("colon")).startswith(os.path.realpath(os.environ["DATA_MIRROR"]))
