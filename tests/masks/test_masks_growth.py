"""Growing masks: equal to dilation and erosion for every size, nested, and discs of the promised radius."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.masks import growth, regions


def drawn(n: int, side: int, *, share: float) -> torch.Tensor:
    return torch.rand(n, side, side, generator=torch.Generator().manual_seed(3)) < share


@pytest.mark.parametrize("mm", [0.0, 2.5, 5.0, 7.1, 12.0, 40.0])
def test_it_is_dilation_and_erosion(mm):
    region = torch.cat([drawn(6, 12, share=0.1), drawn(6, 12, share=0.9)])
    region[0], region[-1] = False, True
    sides = np.linspace(2.0, 6.0, 12)
    distance = growth.signed_distance(region, pixel_mm=sides)
    assert torch.equal(growth.grown(distance, mm), regions.dilate(region, mm, pixel_mm=sides))
    if mm:
        assert torch.equal(growth.grown(distance, -mm), regions.erode(region, mm, pixel_mm=sides))


def test_sizes_are_nested_and_the_sign_names_the_side():
    region = drawn(8, 16, share=0.4)
    distance = growth.signed_distance(region, pixel_mm=3.0)
    assert torch.equal(distance < 0, region)
    assert not (distance == 0).any()
    sizes = [growth.grown(distance, mm) for mm in (-9, -3, 0, 3, 9)]
    assert all((small <= large).all() for small, large in zip(sizes, sizes[1:], strict=False))


def test_distance_against_loops():
    region = drawn(1, 8, share=0.3)
    places = torch.stack(torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"), -1).double()
    apart = (places[:, :, None, None] - places).norm(dim=-1)  # (8, 8, 8, 8)
    expected = torch.where(
        region[0],
        -torch.where(region[0], torch.inf, apart).amin((2, 3)),
        torch.where(region[0], apart, torch.inf).amin((2, 3)),
    )
    assert torch.allclose(growth.signed_distance(region, pixel_mm=1.0)[0], expected)


def test_empty_and_full_stay_what_they_are():
    region = torch.zeros(2, 5, 5, dtype=torch.bool)
    region[1] = True
    distance = growth.signed_distance(region, pixel_mm=1.0)
    for mm in (-50.0, 0.0, 50.0):
        assert torch.equal(growth.grown(distance, mm), region)


@pytest.mark.parametrize(
    ("region", "side", "match"),
    [
        (torch.zeros(1, 4, 4), 1.0, "region must be bool"),
        (torch.zeros(4, 4, dtype=torch.bool), 1.0, "region must be bool"),
        (torch.zeros(1, 4, 4, dtype=torch.bool), 0.0, "pixel_mm must be positive"),
    ],
)
def test_errors_name_the_argument(region, side, match):
    with pytest.raises(ValueError, match=match):
        growth.signed_distance(region, pixel_mm=side)
