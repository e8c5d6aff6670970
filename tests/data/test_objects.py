"""Pixels of the object carry the class of their image, all others are background."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lib import data
from lib.data.objects import object_labels


def test_bright_pixels_are_the_object():
    found = data.images("digits", n=20)
    labels = object_labels(found)
    assert labels.shape == (20, 28, 28)
    assert torch.equal(labels > 0, found.x[:, 0] > 0.1)
    assert torch.equal(labels.amax(dim=(1, 2)), 1 + found.y)
    assert (object_labels(found, black=0.8) > 0).sum() < (labels > 0).sum()


def test_boxes_are_filled_pixel_by_pixel():
    found = data.images("tiny-imagenet-50-twin", n=6)
    boxes = torch.tensor(
        [[0, 0, 64, 64], [3, 5, 4, 6], [10, 20, 30, 25], [0, 0, 1, 64], [63, 63, 64, 64], [2, 2, 2, 9]]
    )
    labels = object_labels(dataclasses.replace(found, boxes=boxes.float()))
    for picture, (x0, y0, x1, y1), label in zip(labels, boxes.tolist(), found.y.tolist(), strict=True):
        want = torch.zeros(64, 64, dtype=torch.long)
        want[y0:y1, x0:x1] = 1 + label
        assert torch.equal(picture, want)


def test_errors():
    with pytest.raises(ValueError, match="black must be in"):
        object_labels(data.images("digits", n=2), black=1.0)
