"""Pairs with and without bone: same masks, bones only take away, and the share of a place that lies behind ribs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.data import thorax, thorax_places
from lib.data.bone_free import ASKED, RADII_CM, bone_pair, lesion_patients, rib_share

SIZE = 48


@pytest.fixture(scope="module")
def pair():
    return bone_pair(lesion_patients(12, rng=np.random.default_rng(0)), size=SIZE)


def test_half_have_each_finding_and_they_are_independent():
    table = lesion_patients(4000, rng=np.random.default_rng(1))
    assert table[list(ASKED)].mean().between(0.46, 0.54).all()  # four standard errors
    assert np.abs(np.corrcoef(table[[*ASKED, "nodule_x"]].T) - np.eye(4)).max() < 0.07
    assert table["nodule_radius_cm"].between(*RADII_CM).all()
    other = lesion_patients(4000, rng=np.random.default_rng(2))
    assert not table["nodule_radius_cm"].equals(other["nodule_radius_cm"])


def test_bone_makes_films_denser_and_changes_nothing_else(pair):
    plain, bare = pair
    assert (plain.patients["bones"] == 1).all()
    assert (bare.patients["bones"] == 0).all()
    assert plain.patients.drop(columns="bones").equals(bare.patients.drop(columns="bones"))
    for name, mask in plain.masks.items():
        assert torch.equal(mask, bare.masks[name]), name
    taken = (plain.x - bare.x)[:, 0]
    lungs, ribs = plain.masks["lung_left"] | plain.masks["lung_right"], plain.masks["ribs"]
    assert taken[ribs & lungs].mean() > 1.2 * taken[~ribs & lungs].mean() > 0  # shoulder blades and clavicles too


def test_the_plain_film_is_the_generators_own(pair):
    assert torch.equal(pair[0].x, thorax.render(pair[0].patients, size=SIZE).x)


def test_rib_share_by_brute_force(pair):
    films, share = pair[0], rib_share(pair[0])
    distance = thorax_places.place_distance(films.patients, size=SIZE)
    for k in range(len(films.patients)):
        near = distance[k] <= 10 * films.patients["nodule_radius_cm"][k]
        assert share[k].item() == pytest.approx(films.masks["ribs"][k][near].double().mean().item())
    absent = bone_pair(films.patients.assign(nodule=0), size=SIZE)[0]
    assert torch.equal(rib_share(absent), share)  # a place exists without a nodule


def test_an_unknown_severity_is_named():
    with pytest.raises(ValueError, match="severity must be one of"):
        lesion_patients(3, rng=np.random.default_rng(0), severity="mild")
