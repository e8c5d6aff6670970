"""Places and sizes of lesions: the distance agrees with the rendered lesion, and sizes share everything else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.data import thorax, thorax_places

SIZE = 48


def people(n: int, seed: int = 0):
    shares = {"nodule": 0.5, "effusion": 0.0, "pneumothorax": 0.0}
    table = thorax.sample_patients(n, rng=np.random.default_rng(seed), prevalence=shares)
    return thorax_places.central_places(table)


def test_distance_tells_where_the_rendered_lesion_is():
    table = people(12).assign(nodule=1, nodule_radius_cm=2.0)
    film = thorax.render(table, size=SIZE)
    distance = thorax_places.place_distance(table, size=SIZE)
    reach = np.hypot(20, 0.5 * thorax_places.pixel_mm(table, size=SIZE))[:, None, None]  # softened by half a pixel
    inside = (distance < 0.98 * torch.tensor(reach)) & ~film.masks["heart"]
    assert torch.equal(distance < torch.tensor(reach), (distance < torch.tensor(reach)) | film.masks["nodule"])
    assert float(film.masks["nodule"][inside].float().mean()) > 0.97


def test_distance_grows_by_one_pixel_per_pixel():
    table = people(6)
    distance = thorax_places.place_distance(table, size=SIZE)
    side = thorax_places.pixel_mm(table, size=SIZE)
    column = distance.flatten(1).argmin(1) % SIZE
    for film, mm, x in zip(distance, side, column, strict=True):
        steps = film[:, x].diff()
        assert steps[-5:].numpy() == pytest.approx(mm, rel=0.1)  # far below the place, straight down
        assert film.min() < mm


def test_the_other_side_is_never_near_and_presence_does_not_matter():
    table = people(6)
    distance = thorax_places.place_distance(table, size=SIZE)
    assert torch.isinf(distance[:, :, -4:]).all()  # the patient's left is on the right of the film
    other = thorax_places.place_distance(table.assign(nodule=1 - table["nodule"]), size=SIZE)
    assert torch.equal(distance, other)


def test_pixel_side_times_size_is_the_field():
    table = people(9)
    small, large = (thorax_places.pixel_mm(table, size=size) for size in (32, 64))
    assert np.allclose(small, 2 * large)
    assert (32 * small > 300).all()
    assert (32 * small < 480).all()


def test_sizes_are_what_render_makes_of_each():
    table = people(10)
    films = thorax_places.sized_lesions(table, (8.0, 25.0), size=SIZE)
    assert list(films) == [8.0, 25.0]
    for radius, film in films.items():
        whole = thorax.render(table.assign(nodule_radius_cm=radius / 10), size=SIZE)
        assert torch.allclose(film.x, whole.x, atol=1e-6)
        assert torch.equal(film.masks["nodule"], whole.masks["nodule"])
    healthy = torch.tensor((table["nodule"] == 0).to_numpy())
    assert torch.equal(films[8.0].x[healthy], films[25.0].x[healthy])
    assert (films[25.0].masks["nodule"].sum((1, 2)) >= films[8.0].masks["nodule"].sum((1, 2))).all()


def test_nobody_with_a_lesion_and_bad_radii():
    table = people(3).assign(nodule=0)
    films = thorax_places.sized_lesions(table, (8.0, 25.0), size=32)
    assert torch.equal(films[8.0].x, films[25.0].x)
    for radii in ((), (0.0, 5.0)):
        with pytest.raises(ValueError, match="radii_mm must hold radii > 0"):
            thorax_places.sized_lesions(table, radii, size=32)
