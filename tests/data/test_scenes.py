"""Scenes: every object is where its box says, nothing else is in the picture, and twins share a class only."""

from __future__ import annotations

import pytest
import torch

from lib.data.objects import BLACK
from lib.data.scenes import scenes


def test_boxes_are_tight_disjoint_and_hold_everything():
    found = scenes("digits", n=40, seed=3, side=56, object_px=20, n_objects=3)
    assert found.x.shape == (40, 1, 56, 56) and found.y.shape == (40, 3) and found.boxes.shape == (40, 3, 4)
    for picture, boxes in zip(found.x[:, 0], found.boxes.int().tolist(), strict=True):
        bright = picture > BLACK
        inside = torch.zeros_like(bright, dtype=torch.int)
        for x0, y0, x1, y1 in boxes:
            inside[y0:y1, x0:x1] += 1
            assert x1 - x0 <= 20 and y1 - y0 <= 20
            assert bright[y0, x0:x1].any() and bright[y1 - 1, x0:x1].any()
            assert bright[y0:y1, x0].any() and bright[y0:y1, x1 - 1].any()
        assert int(inside.max()) == 1
        assert not bool((bright & (inside == 0)).any())


def test_labels_belong_to_the_objects():
    """Each object alone, without its surroundings, is an object of the picture's class that the set holds."""
    from lib.data.images import images

    found = scenes("digits", n=6, seed=0, side=84, object_px=28, n_objects=2)  # not shrunk: pixels can be looked up
    pool = images("digits")
    for picture, boxes, labels in zip(found.x[:, 0], found.boxes.int().tolist(), found.y.tolist(), strict=True):
        for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
            cut = picture[y0:y1, x0:x1]
            same = []
            for image in pool.x[pool.y == label][:, 0]:
                rows, columns = (image > BLACK).any(1).nonzero()[:, 0], (image > BLACK).any(0).nonzero()[:, 0]
                part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                same.append(part.shape == cut.shape and torch.allclose(part, cut, atol=1e-5))
            assert any(same)


@pytest.mark.parametrize("n_objects", [2, 3])
def test_twins_share_a_class_and_nothing_else(n_objects):
    found = scenes("digits", split="test", n=60, seed=1, n_objects=n_objects, twins=True)
    assert torch.equal(found.y[:, 0], found.y[:, 1])
    assert not bool((found.y[:, 2:] == found.y[:, :1]).any())
    for picture, boxes in zip(found.x[:, 0], found.boxes.int().tolist(), strict=True):
        one, two = (picture[y0:y1, x0:x1] for x0, y0, x1, y1 in boxes[:2])
        assert one.shape != two.shape or not torch.equal(one, two)
    assert len(found.y[:, 0].unique()) > 5


def test_places_cover_the_canvas_and_follow_the_seed():
    first, again, other = (scenes("digits", n=50, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.x, again.x) and torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.boxes, other.boxes)
    middles = (first.boxes[..., :2] + first.boxes[..., 2:]).flatten(0, 1) / 2
    assert bool((middles.amin(0) < 16).all()) and bool((middles.amax(0) > 40).all())


def test_errors(monkeypatch):
    with pytest.raises(ValueError, match="object_px in 1..side"):
        scenes("digits", n=3, side=10, object_px=20)
    with pytest.raises(ValueError, match="n_objects at least 2"):
        scenes("digits", n=3, n_objects=1, twins=True)
    monkeypatch.setattr("lib.data.scenes.ROUNDS", 5)
    with pytest.raises(ValueError, match="do not fit a canvas of 30"):
        scenes("digits", n=3, side=30, object_px=20)
