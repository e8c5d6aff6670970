"""Two objects in one picture: what stands where, and that a seed decides it."""

from __future__ import annotations

import pytest
import torch

from lib.data import images
from lib.data.composites import composites


def test_halves_are_single_images_of_their_class():
    found = composites("digits", split="test", n=20, seed=3)
    single = images("digits", split="test")
    known = {row.numpy().tobytes(): int(label) for row, label in zip(single.x, single.y, strict=True)}
    for picture, labels in zip(found.x, found.y, strict=True):
        for half, label in zip(picture.split(28, dim=2), labels, strict=True):
            assert known[half.contiguous().numpy().tobytes()] == int(label)
    assert (found.y[:, 0] != found.y[:, 1]).all()


def test_masks_are_bright_pixels_of_their_half():
    found = composites("digits", n=20, seed=3)
    assert found.x.shape == (20, 1, 28, 56) and found.masks.shape == (20, 2, 28, 56)
    bright = found.x[:, 0] > 0.1
    assert torch.equal(found.masks.any(1), bright)
    assert not found.masks[:, 0, :, 28:].any() and not found.masks[:, 1, :, :28].any()
    assert found.masks.any((2, 3)).all()


def test_boxes_become_masks():
    found = composites("tiny-imagenet-50-twin", n=4)
    single = images("tiny-imagenet-50-twin", n=100, seed=0)
    assert found.x.shape[1:] == (3, 64, 128)
    boxes = single.boxes.long()
    areas = set(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).tolist())
    assert set(found.masks.sum((2, 3)).flatten().tolist()) <= areas


def test_a_seed_decides_everything():
    one, same, other = (composites("digits-twin", n=30, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.x, same.x) and torch.equal(one.y, same.y)
    assert not torch.equal(one.y, other.y)


def test_more_pictures_than_images_use_each_about_equally_often():
    found = composites("digits", n=3000, seed=0)
    share = torch.bincount(found.y.flatten(), minlength=10) / 6000
    assert len(found.x) == 3000
    assert (share - 0.1).abs().max() < 0.02
    assert torch.equal(found.y.sort(1).values[:, 0] < found.y.sort(1).values[:, 1], torch.ones(3000, dtype=torch.bool))


def test_errors():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        composites("digits", n=0)
    with pytest.raises(ValueError, match="split must be"):
        composites("digits", split="other", n=2)
