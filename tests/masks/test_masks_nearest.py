"""Distance to the nearest visible pixel: brute force, closed form, and what copying paints."""

import numpy as np
import pytest
import torch

from lib import masks
from lib.masks import describe, nearest


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("grid", "patch"), [((4, 4), 2), ((3, 5), 3), ((7, 7), 1)])
def test_distance_by_brute_force(grid, patch):
    """On the grid of pixels it is what `describe` finds between centres of patches."""
    mask = masks.cells(6, grid, ratio=0.6, generator=seeded(), cell=2)
    image = mask.view(6, *grid).repeat_interleave(patch, 1).repeat_interleave(patch, 2)
    expected = describe.visible_distance(image.flatten(1), (grid[0] * patch, grid[1] * patch))
    found = nearest.pixel_distance(mask, grid, patch=patch)
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-6)  # describe works in float32


def test_distance_in_closed_form():
    """Half of an image hidden: the distances are 1 .. width of the half."""
    mask = torch.tensor([[True, False]])
    assert nearest.pixel_distance(mask, (1, 2), patch=4).tolist() == [2.5]
    assert nearest.pixel_distance(mask, (1, 2), patch=1).tolist() == [1.0]


def test_larger_cells_and_higher_ratios_are_farther():
    def mean(cell, ratio):
        drawn = masks.cells(200, 8, ratio=ratio, generator=seeded(), cell=cell)
        return float(nearest.pixel_distance(drawn, 8, patch=4).mean())

    assert mean(1, 0.25) < mean(1, 0.75)
    assert mean(1, 0.5) < mean(2, 0.5) < mean(4, 0.5)


def test_copying_takes_a_nearest_visible_pixel():
    images = torch.rand(5, 3, 12, 12, generator=seeded())
    hidden = masks.random(5, 4, ratio=0.7, generator=seeded(1))
    painted = nearest.copied(images, hidden, patch=3)
    pixels = hidden.view(5, 4, 4).repeat_interleave(3, 1).repeat_interleave(3, 2)
    y, x = np.mgrid[:12, :12]
    for image, fill, gone in zip(images, painted, pixels.numpy(), strict=True):
        for place in zip(*np.nonzero(gone), strict=True):
            squared = np.where(gone, np.inf, (y - place[0]) ** 2 + (x - place[1]) ** 2)
            near = image[:, torch.from_numpy(squared == squared.min())]  # (3, ties)
            assert (near == fill[:, place[0], place[1], None]).all(dim=0).any()
        assert torch.equal(image[:, torch.from_numpy(~gone)], fill[:, torch.from_numpy(~gone)])


def test_copying_a_flat_image_is_perfect():
    hidden = masks.block(3, 4, ratio=0.5, generator=seeded())
    assert torch.equal(nearest.copied(torch.full((3, 1, 8, 8), 0.3), hidden, patch=2), torch.full((3, 1, 8, 8), 0.3))


def test_errors():
    everything = torch.ones(1, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="at least one token visible"):
        nearest.pixel_distance(everything, 2, patch=2)
    with pytest.raises(ValueError, match="at least one token visible"):
        nearest.copied(torch.zeros(1, 1, 4, 4), everything, patch=2)
    with pytest.raises(ValueError, match="hide at least one token"):
        nearest.pixel_distance(~everything, 2, patch=2)
    with pytest.raises(ValueError, match=r"mask must have shape \(n, 9\)"):
        nearest.pixel_distance(torch.tensor([[True, False]]), 3, patch=2)
