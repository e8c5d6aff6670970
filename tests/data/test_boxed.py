"""Small tasks with known objects: labels are numbered anew, boxes stay, errors name the range."""

from __future__ import annotations

import pytest
import torch

from lib import data
from lib.data import boxed


def test_only_the_chosen_classes_are_left():
    found = boxed.boxed_images("digits", split="test", n_classes=3)
    whole = data.images("digits", split="test")
    kept = whole.y < 3
    assert torch.equal(found.x, whole.x[kept])
    assert torch.equal(found.y, whole.y[kept])
    assert found.classes == whole.classes[:3]
    assert found.boxes is None


def test_boxes_stay_with_their_images():
    twin = boxed.boxed_images("tiny-imagenet-50-twin", split="test", n_classes=20)
    whole = data.images("tiny-imagenet-50-twin", split="test")
    assert twin.boxes is not None and whole.boxes is not None
    kept = whole.y < 20
    assert torch.equal(twin.boxes, whole.boxes[kept])
    assert len(twin.x) == len(twin.y) == len(twin.boxes)


def test_errors():
    with pytest.raises(ValueError, match=r"n_classes must be in 2..10 for digits, got 1"):
        boxed.boxed_images("digits", split="test", n_classes=1)
    with pytest.raises(ValueError, match="split must be"):
        boxed.boxed_images("digits", split="valid", n_classes=2)
