"""Films and projections: the film is the generator's, each ingredient does what it says, and averages are exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.data import projections as pr
from lib.data import thorax, thorax_anatomy, thorax_findings


@pytest.fixture(scope="module")
def people():
    return pr.small_and_large(6, rng=np.random.default_rng(3))


def made(table, recipe, size=32):
    return pr.pictures(table, {"one": recipe}, size=size)[0]["one"]


def depth(table, **how):
    """Optical depth as the linear scale shows it."""
    return made(table, replace(pr.projection(voxel_mm=0.0, threshold=False), **how)) * pr.LINEAR_RANGE


def test_the_film_is_the_generators(people):
    films = thorax.render(people, size=32)
    shown, lungs = pr.pictures(people, {"film": pr.FILM}, size=32, batch=4)
    assert torch.allclose(shown["film"], films.x, atol=1e-6)  # the same operations, batched otherwise
    assert torch.equal(lungs, films.masks["lung_right"] | films.masks["lung_left"])


def test_a_projection_is_the_optical_depth(people):
    s = thorax_anatomy.scene(people, size=32)
    exposure = thorax_findings.expose(s, people)
    expected = exposure.anatomy + exposure.devices
    assert torch.allclose(depth(people, parallel=False)[:, 0], expected.clamp(max=pr.LINEAR_RANGE), atol=1e-4)


def test_parallel_rays_do_not_magnify(people):
    wide = people.assign(view="AP", cardiomegaly=1)
    near, far = depth(wide, parallel=False), depth(wide)
    assert (near - far).abs().max() > 0.05
    s = thorax_anatomy.scene(wide, size=32)
    s.p["source"] = torch.full_like(s.p["source"], pr.PARALLEL_CM)
    assert torch.allclose(s.at(5.0)[0], s.x, rtol=1e-4)


def test_ingredients_change_only_themselves(people):
    healthy = thorax.twin(people.assign(group="A"), "group", "C")
    for recipe in (replace(pr.FILM, noise=False), pr.projection(voxel_mm=5.0, threshold=True)):
        assert torch.equal(made(healthy, recipe), made(healthy.assign(seed=healthy["seed"]), recipe))
    assert not torch.equal(made(healthy, pr.FILM), made(healthy, replace(pr.FILM, noise=False)))
    assert made(people, replace(pr.FILM, scatter=False)).std() > made(people, pr.FILM).std()  # contrast comes back
    blurred = made(people, replace(pr.FILM, blur_mm=6.0))
    sharp = made(people, pr.FILM)
    assert (blurred.diff(dim=3).abs().mean()) < sharp.diff(dim=3).abs().mean()


def test_blur_keeps_flat_maps_and_is_nothing_when_narrow():
    maps, pixel = torch.rand(2, 9, 9), torch.full((2, 1, 1), 6.0)
    assert torch.allclose(pr._blurred(torch.ones_like(maps), pixel_mm=pixel, sigma_mm=5.0), torch.ones_like(maps))
    assert torch.allclose(pr._blurred(maps, pixel_mm=pixel, sigma_mm=0.1), maps, atol=0.05)


def test_below_the_threshold_density_does_not_show(people):
    table = people.assign(consolidation=1, consolidation_fill=0.2)
    denser = thorax.twin(table, "consolidation_fill", 0.5)
    assert torch.allclose(depth(table, threshold=True), depth(denser, threshold=True), atol=1e-5)  # sums are rounded
    assert (depth(denser) - depth(table)).max() > 0.1
    solid = thorax.twin(table, "consolidation_fill", 0.95)
    assert (depth(solid, threshold=True) - depth(table, threshold=True)).max() > 0.1


def test_what_is_dense_survives_the_threshold(people):
    for finding in ("nodule", "effusion"):
        table = people.assign(**dict.fromkeys(thorax.FINDINGS, 0), nodule_radius_cm=1.5, effusion_ml=500.0)
        sick = thorax.twin(table, finding, 1)
        gain = (depth(sick, threshold=True) - depth(table, threshold=True)).amax((1, 2, 3))
        assert (gain >= 0.9 * (depth(sick) - depth(table)).amax((1, 2, 3))).all()  # more, without lung behind it


def test_the_aerated_depth_is_that_of_lung(people, monkeypatch):
    """Without nodule and consolidation, lung of no density at all leaves what the threshold leaves."""
    table = people.assign(nodule=0, consolidation=0)
    s = thorax_anatomy.scene(table, size=32)
    left = thorax_findings.expose(s, table).anatomy - pr.aerated_depth(s, table)
    monkeypatch.setitem(thorax_findings.MU, "lung", 0.0)
    empty = thorax_findings.expose(s, table).anatomy
    assert (left - empty).abs().max() < 0.12  # vessels take the place of a little lung, whose density varies
    assert (left - empty).abs().mean() < 0.01


def test_voxels_average_by_area():
    maps = torch.rand(2, 6, 6)
    pixel = torch.ones(2, 1, 1)
    assert torch.allclose(pr.voxel_average(maps, pixel_mm=pixel, voxel_mm=1.0), maps)
    halves = maps.view(2, 3, 2, 3, 2).mean((2, 4)).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.allclose(pr.voxel_average(maps, pixel_mm=pixel, voxel_mm=2.0), halves, atol=1e-6)
    whole = pr.voxel_average(maps, pixel_mm=pixel, voxel_mm=50.0)
    assert torch.allclose(whole, maps.mean((1, 2), keepdim=True).expand_as(maps), atol=1e-6)
    flat = pr.voxel_average(torch.ones(2, 6, 6), pixel_mm=torch.tensor([1.0, 1.3])[:, None, None], voxel_mm=1.7)
    assert torch.allclose(flat, torch.ones(2, 6, 6), atol=1e-6)


def test_patients(people):
    many = pr.small_and_large(800, rng=np.random.default_rng(0))
    assert all(many[name].between(*limits).all() for name, limits in pr.SIZES.items())
    assert many[list(pr.FINDINGS)].mean().between(0.44, 0.56).all()  # three standard errors
    assert many["edema"].sum() == 0 and many["marker"].sum() == 0
    assert not pr.small_and_large(6, rng=np.random.default_rng(4))["seed"].equals(people["seed"])


def test_errors(people):
    with pytest.raises(ValueError, match="need recipes"):
        pr.pictures(people, {})
    with pytest.raises(ValueError, match="voxel_mm must be > 0"):
        pr.voxel_average(torch.ones(1, 4, 4), pixel_mm=torch.ones(1, 1, 1), voxel_mm=0.0)
