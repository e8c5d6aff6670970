"""Films with a region: what is left out, what a smaller mask covers, and what the table knows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from lib import data
from lib.data.masked_films import masked_films


@pytest.fixture(scope="module")
def archive():
    return data.radiographs("covid-cxr256-twin", n=20, seed=1)


def changed(archive, column, rows, value):
    people = archive.patients.copy()
    people.loc[rows, column] = value
    return dataclasses.replace(archive, patients=people)


def test_missing_labels_and_lateral_films_are_left_out(archive):
    films = changed(changed(archive, "sex", [0], None), "view", [1, 2], "L")
    found = masked_films(films, regions=["lung"], side=64)
    assert found.patients["image_id"].tolist() == archive.patients["image_id"].tolist()[3:]
    assert len(found.x) == len(found.lungs) == len(found.inside) == len(found.labels["sex"]) == 17


def test_a_film_without_region_is_left_out(archive):
    masks = {name: mask.clone() for name, mask in archive.masks.items()}
    masks["lung"][5] = False
    found = masked_films(dataclasses.replace(archive, masks=masks), regions=["lung"], side=64)
    assert archive.patients["image_id"][5] not in set(found.patients["image_id"])


def test_the_preferred_region_is_taken_and_the_table_knows_which():
    films = data.radiographs("covid-cxr256-twin", n=6, seed=1)
    masks = {name: torch.zeros_like(mask) for name, mask in films.masks.items()}
    masks["lung"][:4, 40:80, 40:80] = masks["lung_automatic"][2:, 120:160, 120:160] = True
    found = masked_films(dataclasses.replace(films, masks=masks), regions=["lung", "lung_automatic"], side=64)
    assert found.lungs[:4, 10:20, 10:20].all() and not found.lungs[:4, 30:40, 30:40].any()
    assert found.lungs[4:, 30:40, 30:40].all()
    assert found.table["sex"][:, 3].tolist() == [0, 0, 0, 0, 1, 1]


def test_supine_films_are_ap_and_labels_follow(archive):
    found = masked_films(changed(archive, "view", [0, 1], "AP Supine"), regions=["lung"], side=64)
    assert found.patients["view"][:2].tolist() == ["AP", "AP"]
    assert np.array_equal(found.labels["view"], found.patients["view"].eq("AP"))
    assert np.array_equal(found.labels["sex"], archive.patients["sex"].eq("F"))


def test_the_smaller_mask_covers_every_pixel_of_the_larger(archive):
    found = masked_films(archive, regions=["lung"], side=64)
    grown = found.lungs.repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert not (archive.masks["lung"] & ~grown).any()
    assert found.x.mean().item() == pytest.approx(archive.x.mean().item(), abs=1e-5)


def test_inside_is_the_film_without_its_padding(archive):
    x = archive.x.clone()
    x[0, 0, :16] = 0  # four rows at 64 px
    x[0, 0, :, -8:] = 0  # two columns
    x[0, 0, 100, 100] = 0  # black within the film stays inside
    found = masked_films(dataclasses.replace(archive, x=x), regions=["lung"], side=64)
    expected = torch.ones(64, 64, dtype=torch.bool)
    expected[:4], expected[:, -2:] = False, False
    assert torch.equal(found.inside[0], expected)


def test_the_table_never_holds_its_own_question(archive):
    found = masked_films(changed(archive, "age_years", slice(None), np.nan), regions=["lung"], side=64)
    assert np.array_equal(found.table["sex"][:, 0].numpy(), found.labels["view"])
    assert np.array_equal(found.table["view"][:, 0].numpy(), found.labels["sex"])
    assert torch.isfinite(found.table["sex"]).all() and not found.table["sex"][:, 2].any()


def test_the_licence_has_a_column_for_each_value(archive):
    two = masked_films(changed(archive, "licence", [0, 3], "other"), regions=["lung"], side=64).table["sex"]
    assert two.shape == (20, 6) and torch.equal(two[:, 4] + two[:, 5], torch.ones(20, dtype=torch.float64))


@pytest.mark.parametrize(
    ("how", "match"),
    [({"regions": []}, "regions must"), ({"regions": ["liver"]}, "regions must"), ({"side": 60}, "side must")],
)
def test_bad_arguments(archive, how, match):
    with pytest.raises(ValueError, match=match):
        masked_films(archive, **({"regions": ["lung"], "side": 64} | how))


def test_nothing_left(archive):
    with pytest.raises(ValueError, match="got none"):
        masked_films(changed(archive, "sex", slice(None), None), regions=["lung"], side=64)
