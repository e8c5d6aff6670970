"""Planted defects: exact masks, deterministic by seed, normal halves untouched."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from lib.data import defects

CASES = [pytest.param(name, "digits", id=name) for name in defects.CATEGORIES]


@pytest.mark.parametrize(("category", "source"), CASES)
def test_masks_are_exact(category, source):
    found = defects.inspection(category, 32, source=source, seed=1)
    assert found.x.shape == found.normal.shape == (32, 1, defects.SIDE, defects.SIDE)
    assert found.x.dtype == torch.float32 and float(found.x.min()) >= 0 and float(found.x.max()) <= 1
    outside = ~found.masks[:, None]
    assert torch.equal(found.x[outside], found.normal[outside])
    moved = ((found.x - found.normal).abs() >= defects.VISIBLE - 1e-6).squeeze(1) & found.masks
    for row, mask in enumerate(found.masks):
        if found.defect[row] == 0:
            assert not mask.any()
            continue
        assert mask.sum() >= defects.MIN_PIXELS
        assert 2 * moved[row].sum() >= mask.sum()
        assert ndimage.label(mask.numpy(), structure=np.ones((3, 3)))[1] == 1


@pytest.mark.parametrize(("category", "source"), CASES)
def test_half_is_normal_and_kinds_take_turns(category, source):
    found = defects.inspection(category, 24, source=source, seed=0)
    assert (found.defect[:12] == 0).all()
    assert found.defect[12:].bincount().tolist() == [0, 3, 3, 3, 3]


@pytest.mark.parametrize(("category", "source"), CASES)
def test_a_seed_decides_everything(category, source):
    one, again, other = (defects.inspection(category, 16, source=source, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(one.x, again.x) and torch.equal(one.masks, again.masks)
    assert not torch.equal(one.masks, other.masks)
    seen = defects.training(category, 16, source=source, seed=5)
    assert seen.shape == (16, 1, defects.SIDE, defects.SIDE)
    assert torch.equal(seen, defects.training(category, 16, source=source, seed=5))
    apart = (seen[:, None] - one.normal[None]).abs().flatten(2).amax(dim=2)
    assert (apart > 0).all(), "a test image was trained on"


def test_a_missing_part_of_an_object_is_black_and_lies_on_it():
    found = defects.inspection("objects", 36, source="digits", seed=2)
    gone = found.defect == 1 + defects.DEFECTS.index("missing")
    assert gone.any()
    assert (found.x[gone].squeeze(1)[found.masks[gone]] == 0).all()
    assert (found.normal[gone].squeeze(1)[found.masks[gone]] > defects.BLACK).all()


def test_weave_repeats_and_grain_does_not():
    weave, grain = (defects.normal_images(name, 20, source="digits", seed=0) for name in ("weave", "grain"))

    def likeness(images):
        return np.mean([np.corrcoef(one[:, :-8].ravel(), one[:, 8:].ravel())[0, 1] for one in images])

    assert likeness(weave) > 0.8 > 0.3 > likeness(grain)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="category must be one of"):
        defects.normal_images("leather", 4, source="digits", seed=0)
    with pytest.raises(ValueError, match="n must be even"):
        defects.inspection("weave", 9, source="digits", seed=0)
    with pytest.raises(ValueError, match="n must be at most"):
        defects.normal_images("objects", 1000, source="digits", split="test", seed=0)
    with pytest.raises(ValueError, match="at most 32 px"):
        defects.normal_images("objects", 4, source="tiny-imagenet-50-twin", seed=0)
    blank, rng = np.zeros((8, 8), dtype=np.float32), np.random.default_rng(0)
    with pytest.raises(ValueError, match="is it blank"):
        defects.plant(blank, "blob", donor=blank, on_black=True, rng=rng)
    with pytest.raises(ValueError, match="defect must be one of"):
        defects.plant(blank, "dent", donor=blank, on_black=True, rng=rng)
