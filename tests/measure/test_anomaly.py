"""Measures of defect detection: PRO against its definition by brute force, AUROC against counting pairs."""

import numpy as np
import pytest
import torch

from lib.measure import anomaly


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def regions_by_flood(mask):
    """8-connected regions of one image as lists of pixels, by flood fill."""
    left, found = {(int(r), int(c)) for r, c in np.argwhere(mask)}, []
    while left:
        front, region = [left.pop()], []
        while front:
            row, column = front.pop()
            region.append((row, column))
            near = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            front += [place for place in near if place in left]
            left -= set(near)
        found.append(region)
    return found


def pro_by_definition(maps, masks, limit):
    """Threshold after threshold, region after region; the area by many thin slices of the straight-line curve."""
    regions = [(image, region) for image, mask in enumerate(masks) for region in regions_by_flood(mask)]
    curve = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        named = maps >= threshold
        fpr = (named & ~masks).sum() / (~masks).sum()
        overlap = np.mean([np.mean([named[image][place] for place in region]) for image, region in regions])
        curve.append((fpr, overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in zip(curve, curve[1:], strict=False):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + y_end) / 2
    return curve, area / limit, len(regions)


def random_case(seed, *, levels):
    generator = seeded(seed)
    maps = torch.rand(5, 8, 8, generator=generator)
    masks = torch.rand(5, 8, 8, generator=generator) < 0.15
    masks[0] = False
    maps = maps + 0.3 * masks
    return (maps * levels).floor() / levels if levels else maps, masks


@pytest.mark.parametrize("levels", [0, 4, 12])
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_pro_by_brute_force(seed, limit, levels):
    maps, masks = random_case(seed, levels=levels)
    found = anomaly.per_region_overlap(maps, masks, limit=limit)
    curve, area, regions = pro_by_definition(maps.double().numpy(), masks.numpy(), limit)
    assert found.regions == regions
    np.testing.assert_allclose(np.stack([found.fpr, found.overlap], 1), curve, atol=1e-12)
    assert found.area == pytest.approx(area, abs=1e-12)


def test_pro_where_the_limit_meets_a_vertical_step():
    maps = torch.tensor([[[0.9, 0.8, 0.7, 0.6]], [[0.5, 0.4, 0.3, 0.2]]])  # normal, normal, defect, …
    masks = torch.tensor([[[False, True, False, True]], [[False] * 4]])
    found = anomaly.per_region_overlap(maps, masks, limit=2 / 6)
    # the curve: (1/6, 0), (1/6, 1/2), (2/6, 1/2), (2/6, 1): what lies on the limit itself has no area
    assert found.area == pytest.approx(0.25)


def test_pro_of_perfect_and_of_constant_maps():
    _, masks = random_case(0, levels=0)
    assert anomaly.per_region_overlap(masks.float(), masks).area == pytest.approx(1.0)
    assert anomaly.per_region_overlap(torch.zeros(masks.shape), masks).area == pytest.approx(0.15)  # the diagonal
    assert anomaly.per_region_overlap(-masks.float(), masks).area == pytest.approx(0.0)


def test_pro_weighs_regions_alike_and_pixels_do_not():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, :4, :4], masks[0, 6, 6] = True, True
    maps = torch.zeros(2, 8, 8)
    maps[0, :4, :4] = 1.0  # the large one is found, the single pixel is not
    weights, regions = anomaly.region_weights(masks.numpy())
    assert regions == 2 and weights[0, 6, 6] == pytest.approx(0.5)
    assert anomaly.per_region_overlap(maps, masks).overlap[1] == pytest.approx(0.5)
    assert anomaly.pixel_auroc(maps, masks) > 0.95


def test_regions_stay_in_their_image_and_join_across_corners():
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[0, 0, 0] = masks[1, 0, 0] = masks[1, 1, 1] = True
    assert anomaly.region_weights(masks)[1] == 2


def test_only_the_order_counts():
    maps, masks = random_case(3, levels=0)
    for measure in (anomaly.image_auroc, anomaly.pixel_auroc, lambda *pair: anomaly.per_region_overlap(*pair).area):
        assert measure(maps, masks) == pytest.approx(measure(maps.exp() * 3, masks))


@pytest.mark.parametrize("levels", [0, 5])
def test_auroc_counts_pairs(levels):
    maps, masks = random_case(1, levels=levels)

    def by_pairs(scores, truth):
        gap = scores[truth][:, None] - scores[~truth][None]
        return float(((gap > 0).double() + 0.5 * (gap == 0)).mean())

    expected = by_pairs(maps.flatten(1).amax(1), masks.flatten(1).any(1))
    assert anomaly.image_auroc(maps, masks) == pytest.approx(expected)
    assert anomaly.pixel_auroc(maps, masks) == pytest.approx(by_pairs(maps.flatten(), masks.flatten()))


def test_redraw_spread():
    between = torch.randn(400, generator=seeded(0))
    assert anomaly.redraw_spread(between.repeat(3, 1)) == 0
    noisy = between + torch.randn(50, 400, generator=seeded(1))
    assert anomaly.redraw_spread(noisy) == pytest.approx(1, abs=0.1)  # within and between have deviation 1
    with pytest.raises(ValueError, match="draws"):
        anomaly.redraw_spread(between[None])


def test_measures_are_the_three_in_percent():
    maps, masks = random_case(2, levels=0)
    found = anomaly.measures(maps, masks)
    assert list(found) == ["image AUROC", "pixel AUROC", "PRO"]
    assert found["PRO"] == pytest.approx(100 * anomaly.per_region_overlap(maps, masks).area)
    assert found["image AUROC"] == pytest.approx(100 * anomaly.image_auroc(maps, masks))


def test_errors():
    maps, masks = random_case(0, levels=0)
    with pytest.raises(ValueError, match="both"):
        anomaly.pixel_auroc(maps[:, None], masks)
    with pytest.raises(ValueError, match="one kind only"):
        anomaly.image_auroc(maps[:1], masks[:1])
    with pytest.raises(ValueError, match="limit"):
        anomaly.per_region_overlap(maps, masks, limit=30)
