"""Perturbation designs: range, enumeration, reference interpolation, independence of how they are cut."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from lib.masks import designs


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_masks_lie_in_the_unit_interval_and_differ():
    masks = designs.rise(50, (28, 21), generator=generator(), grid=7)
    assert masks.shape == (50, 28, 21)
    assert masks.dtype == torch.float32
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert len(masks.flatten(1).unique(dim=0)) == 50
    assert not torch.equal(masks, designs.rise(50, (28, 21), generator=generator(1), grid=7))


@pytest.mark.parametrize(("size", "grid"), [((12, 12), 3), ((10, 7), 4), ((28, 28), 7)])
def test_agrees_with_enlarging_and_cropping(size, grid):
    design = designs.rise_design(6, size, generator=generator(), grid=grid)
    cells = [math.ceil(edge / grid) for edge in size]
    large = F.interpolate(
        design.cells[:, None], size=[(grid + 1) * cell for cell in cells], mode="bilinear", align_corners=False
    )[:, 0]
    for mask, whole, (down, right) in zip(design.render(0, 6), large, design.offsets.tolist(), strict=True):
        torch.testing.assert_close(mask, whole[down : down + size[0], right : right + size[1]], atol=1e-5, rtol=0)


def test_agrees_with_scikit_image_where_no_border_is_near():
    from skimage.transform import resize

    size, grid = (28, 21), 7
    design = designs.rise_design(5, size, generator=generator(), grid=grid)
    edges = [(grid + 1) * math.ceil(edge / grid) for edge in size]
    rims = [math.ceil(edge / grid / 2) for edge in edges]  # half a cell: what lies beyond depends on the border's rule
    for mask, cells, (down, right) in zip(design.render(0, 5), design.cells, design.offsets.tolist(), strict=True):
        whole = torch.from_numpy(resize(cells.numpy(), edges, order=1, mode="reflect", anti_aliasing=False))
        ours = torch.full(edges, torch.nan)
        ours[down : down + size[0], right : right + size[1]] = mask
        inner = tuple(slice(rim, edge - rim) for rim, edge in zip(rims, edges, strict=True))
        seen = ~ours[inner].isnan()
        assert seen.float().mean() > 0.7
        torch.testing.assert_close(ours[inner][seen], whole[inner][seen].float(), atol=1e-6, rtol=0)


def test_rendering_in_pieces_changes_nothing():
    design = designs.rise_design(10, (9, 9), generator=generator(), grid=3)
    assert torch.equal(torch.cat([design.render(0, 3), design.render(3, 10)]), design.render(0, 10))


def test_kept_share_is_the_probability():
    masks = designs.rise(4000, (14, 14), generator=generator(), grid=7, keep=0.3)
    # mean of 4000 masks with a standard deviation below .5: three standard errors are .024
    assert (masks.mean(0) - 0.3).abs().max() < 0.03


def test_enumeration_holds_every_grid_and_shift_once():
    design = designs.all_grids((4, 6), grid=2)
    assert len(design) == 2**4 * 2 * 3
    rows = torch.cat([design.cells.flatten(1), design.offsets], 1)
    assert len(rows.unique(dim=0)) == len(design)
    torch.testing.assert_close(design.render(0, len(design)).mean(0), torch.full((4, 6), 0.5))


def test_sliding_hides_one_square_and_covers_all():
    masks = designs.sliding((7, 5), window=3, stride=2)
    assert torch.equal((1 - masks).sum((1, 2)), torch.full((len(masks),), 9.0))
    assert (masks.min(0).values == 0).all()
    assert torch.equal(designs.sliding((2, 2), window=1, stride=1).sum(0), torch.full((2, 2), 3.0))


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match=r"keep must be in \(0, 1\), got 50"):
        designs.rise(3, (8, 8), generator=generator(), keep=50)
    with pytest.raises(ValueError, match="coarser grid"):
        designs.rise(3, (4, 4), generator=generator(), grid=7)
    with pytest.raises(ValueError, match="use grid=2 or 3"):
        designs.all_grids((28, 28), grid=5)
    with pytest.raises(ValueError, match="leaves gaps"):
        designs.sliding((8, 8), window=2, stride=3)
    with pytest.raises(ValueError, match="larger design"):
        designs.rise_design(3, (8, 8), generator=generator(), grid=2).render(0, 4)
    with pytest.raises(ValueError, match="n and grid must be at least 1"):
        designs.rise(0, (8, 8), generator=generator(), grid=2)
