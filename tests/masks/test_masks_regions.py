"""Regions: brute force on small films, complements, controls that do not depend on the film, fills."""

from __future__ import annotations

import pytest
import torch

from lib.masks import regions


def random_regions(n: int, side: int, *, seed: int = 0, share: float = 0.2) -> torch.Tensor:
    return torch.rand(n, side, side, generator=torch.Generator().manual_seed(seed)) < share


def brute_dilate(film: torch.Tensor, reach_px: float) -> torch.Tensor:
    places = torch.nonzero(film).double()
    out = torch.zeros_like(film)
    for y in range(film.shape[0]):
        for x in range(film.shape[1]):
            distance = (places - torch.tensor([y, x])).norm(dim=1)
            out[y, x] = bool(len(places)) and float(distance.min()) <= reach_px + 1e-9
    return out


def test_five_masks_are_the_region_the_box_and_their_complements():
    lungs = random_regions(6, 8)
    found = regions.five_masks(lungs)
    assert tuple(found) == regions.FIVE
    assert not found["full"].any()
    assert torch.equal(found["no lungs"], lungs)
    assert torch.equal(found["only lungs"], ~lungs)
    assert torch.equal(found["only box"], ~found["no box"])
    assert (found["no lungs"] <= found["no box"]).all()


def test_masks_are_new_tensors():
    lungs = random_regions(2, 8)
    regions.five_masks(lungs)["no lungs"].fill_(True)
    assert not lungs.all()


def test_box_against_loops():
    lungs = random_regions(20, 8, share=0.06)
    lungs[0] = False
    for film, boxed in zip(lungs, regions.box(lungs), strict=True):
        expected = torch.zeros_like(film)
        if film.any():
            rows, columns = torch.nonzero(film).T
            expected[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
        assert torch.equal(boxed, expected)


def test_fixed_box_covers_what_it_promises():
    lungs = random_regions(50, 16, share=0.008)
    lungs[3] = False  # a film without a region does not count
    known = lungs[lungs.flatten(1).any(1)]
    whole = regions.fixed_box(lungs)
    assert not (known & ~whole).any()
    assert torch.equal(whole[None], regions.box(known.any(0)[None]))
    smaller = regions.fixed_box(lungs, covers=0.7)
    assert smaller.sum() < whole.sum()
    for axis in (1, 2):
        line, kept = known.any(3 - axis), smaller.any(2 - axis)
        first, last = kept.int().argmax(), len(kept) - 1 - kept.flip(0).int().argmax()
        starts = line.int().argmax(1)
        ends = line.shape[1] - 1 - line.flip(1).int().argmax(1)
        assert (starts >= first).float().mean() >= 0.7
        assert (ends <= last).float().mean() >= 0.7


def test_population_mask_is_a_share_of_films():
    lungs = random_regions(40, 8, share=0.5)
    assert torch.equal(regions.population_mask(lungs), lungs.float().mean(0) >= 0.5)
    assert torch.equal(regions.population_mask(lungs, share=1.0), lungs.all(0))
    empty_too = torch.cat([lungs, torch.zeros(40, 8, 8, dtype=torch.bool)])
    assert torch.equal(regions.population_mask(empty_too), regions.population_mask(lungs))


@pytest.mark.parametrize("mm", [0.0, 2.0, 3.0, 4.5, 9.0])
def test_dilate_against_loops(mm):
    lungs = random_regions(4, 8, share=0.05)
    grown = regions.dilate(lungs, mm, pixel_mm=2.0)
    for film, found in zip(lungs, grown, strict=True):
        assert torch.equal(found, brute_dilate(film, mm / 2.0))


def test_millimetres_do_not_depend_on_the_pixel():
    film = torch.zeros(2, 9, 9, dtype=torch.bool)
    film[:, 4, 4] = True
    both = regions.dilate(film, 6.0, pixel_mm=[2.0, 3.0])
    assert torch.equal(both[0], regions.dilate(film[:1], 3.0, pixel_mm=1.0)[0])
    assert torch.equal(both[1], regions.dilate(film[:1], 2.0, pixel_mm=1.0)[0])


def test_erosion_is_the_complement_of_dilation_and_spares_the_border():
    lungs = random_regions(5, 8, share=0.8)
    assert torch.equal(regions.erode(lungs, 3.0, pixel_mm=2.0), ~regions.dilate(~lungs, 3.0, pixel_mm=2.0))
    full = torch.ones(1, 8, 8, dtype=torch.bool)
    assert regions.erode(full, 50.0, pixel_mm=1.0).all()
    assert not regions.dilate(~full, 50.0, pixel_mm=1.0).any()
    opened = regions.dilate(regions.erode(lungs, 2.0, pixel_mm=2.0), 2.0, pixel_mm=2.0)
    assert (opened <= lungs).all(), "an opening never leaves the region"


def test_fills_touch_hidden_pixels_only():
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before, hidden = images.clone(), random_regions(5, 8)
    noise = {"mean": 0.5, "deviation": 0.2, "generator": torch.Generator().manual_seed(2)}
    film = images.mean(0)
    filled = {
        "zero": regions.fill_zero(images, hidden),
        "mean": regions.fill_mean(images, hidden, mean=film),
        "noise": regions.fill_noise(images, hidden, **noise),
    }
    for each in filled.values():
        assert torch.equal(each[:, 0][~hidden], images[:, 0][~hidden])
    assert torch.equal(images, before)
    assert not filled["zero"][:, 0][hidden].any()
    assert torch.equal(filled["mean"][:, 0][hidden], film.expand(5, 8, 8)[hidden])
    assert filled["noise"].min() >= 0
    assert filled["noise"].max() <= 1


def test_what_is_hidden_leaves_no_trace():
    hidden, one, other = random_regions(3, 8), torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8)
    mixed = torch.where(hidden[:, None], other, one)
    make = {"mean": 0.4, "deviation": 0.1}
    same = [regions.fill_noise(x, hidden, **make, generator=torch.Generator().manual_seed(3)) for x in (one, mixed)]
    assert torch.equal(*same)
    assert torch.equal(regions.fill_zero(one, hidden), regions.fill_zero(mixed, hidden))


def test_noise_has_the_moments_it_was_given_and_follows_its_generator():
    images, hidden = torch.zeros(4, 1, 64, 64), torch.ones(64, 64, dtype=torch.bool)
    draws = [
        regions.fill_noise(images, hidden, mean=0.5, deviation=0.05, generator=torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]
    assert abs(float(draws[0].mean()) - 0.5) < 0.002  # 16,384 draws: the standard error is 0.0004
    assert abs(float(draws[0].std()) - 0.05) < 0.002
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_silhouette_is_the_mask():
    hidden = random_regions(3, 8)
    image = regions.silhouette(hidden)
    assert image.shape == (3, 1, 8, 8)
    assert image.dtype == torch.float32
    assert torch.equal(image[:, 0] == 0, hidden)


def test_errors_name_the_argument():
    lungs = random_regions(2, 8)
    for call in (regions.box, regions.silhouette, regions.population_mask, regions.fixed_box):
        with pytest.raises(ValueError, match="region must be bool"):
            call(lungs.float())
    with pytest.raises(ValueError, match="reference must hold a region"):
        regions.fixed_box(torch.zeros(2, 8, 8, dtype=torch.bool))
    with pytest.raises(ValueError, match="covers must be in"):
        regions.fixed_box(lungs, covers=95)
    with pytest.raises(ValueError, match="share must be in"):
        regions.population_mask(lungs, share=0)
    with pytest.raises(ValueError, match="mm must be >= 0"):
        regions.dilate(lungs, -1, pixel_mm=1.0)
    with pytest.raises(ValueError, match="pixel_mm must be positive"):
        regions.erode(lungs, 1, pixel_mm=0.0)
    with pytest.raises(ValueError, match="images must be"):
        regions.fill_zero(torch.zeros(3, 1, 8, 8), lungs)
    with pytest.raises(ValueError, match="mean must be a number"):
        regions.fill_mean(torch.zeros(2, 1, 8, 8), lungs, mean=torch.zeros(8, 8))
    with pytest.raises(ValueError, match="deviation must be"):
        regions.fill_noise(torch.zeros(2, 1, 8, 8), lungs, mean=0.0, deviation=-1.0, generator=torch.Generator())
