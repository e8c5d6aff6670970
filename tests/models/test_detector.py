"""The grid detector: overlaps against D-RISE's, suppression against plain loops, and a loss that knows the answer."""

from __future__ import annotations

import math

import pytest
import torch

from lib.explain.drise import overlaps
from lib.models import detector


def some_boxes(n: int, k: int, *, seed: int = 0) -> torch.Tensor:
    """Boxes (n, k, 4) with whole corners on a canvas of 16 pixels; many overlap."""
    corners = torch.rand(n, k, 2, 2, generator=torch.Generator().manual_seed(seed)) * 16
    return corners.sort(2).values.round().flatten(2)


def test_overlap_agrees_with_the_one_of_drise():
    boxes = some_boxes(2, 30)
    pairs = detector.box_overlap(boxes[0][:, None], boxes[1][None])
    torch.testing.assert_close(pairs, overlaps(boxes[0], boxes[1]))
    assert pairs.max() > 0.3


def test_suppression_is_the_greedy_one():
    generator = torch.Generator().manual_seed(1)
    boxes = some_boxes(12, 15)
    scores = (torch.rand(12, 15, generator=generator) * 8).round() / 8  # with ties
    labels = torch.randint(2, (12, 15), generator=generator)
    found = detector.survivors(boxes, scores, labels, overlap=0.3)
    for image in range(12):
        left = sorted(range(15), key=lambda k: (-float(scores[image, k]), k))
        stays = []
        while left:
            best, *left = left
            stays.append(best)
            near = overlaps(boxes[image, best][None], boxes[image])[0]
            left = [k for k in left if labels[image, k] != labels[image, best] or float(near[k]) <= 0.3]
        assert found[image].nonzero()[:, 0].tolist() == sorted(stays)
    assert 0 < int((~found).sum()) < found.numel()
    assert bool(detector.survivors(boxes, scores, labels, overlap=1.0).all())


def encoded(boxes: torch.Tensor, labels: torch.Tensor, *, rows: int, columns: int, classes: int) -> torch.Tensor:
    """Raw output that says exactly this, written cell by cell from the conventions."""
    raw = torch.zeros(len(boxes), 5 + classes, rows, columns)
    raw[:, 0] = -20.0
    for image in range(len(boxes)):
        for (left, top, right, bottom), label in zip(boxes[image].tolist(), labels[image].tolist(), strict=True):
            if label < 0:
                continue
            row, column = int((top + bottom) / 2 // 8), int((left + right) / 2 // 8)
            x, y = 8 * column + 4, 8 * row + 4
            raw[image, 0, row, column] = 20.0
            sides = [x - left, y - top, right - x, bottom - y]
            raw[image, 1:5, row, column] = torch.tensor([math.log(side / 8) for side in sides])
            raw[image, 5 + label, row, column] = 20.0
    return raw


TRUTH = torch.tensor([[[1.0, 2, 14, 13], [18, 4, 30, 15]], [[8, 1, 20, 12], [0, 0, 0, 0]]])
LABELS = torch.tensor([[0, 2], [1, -1]])


def test_the_right_answer_costs_nothing_and_is_decoded():
    raw = encoded(TRUTH, LABELS, rows=2, columns=4, classes=3)
    assert float(detector.detection_loss(raw, TRUTH, LABELS)) < 1e-4
    cells = detector.decode(raw)
    for image in range(2):
        sure = cells.objectness[image] > 0.5
        wanted = LABELS[image] >= 0
        assert int(sure.sum()) == int(wanted.sum())
        torch.testing.assert_close(cells.boxes[image][sure], TRUTH[image][wanted])
        assert cells.scores[image][sure].argmax(1).tolist() == LABELS[image][wanted].tolist()
    torch.testing.assert_close(cells.scores.sum(2), torch.ones(2, 8))


def test_the_loss_by_hand():
    """Two cells that say nothing: objectness and class at even odds, a box of 16 pixels around each centre."""
    boxes, labels = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]), torch.tensor([[1]])
    expected = 2 * math.log(2) + math.log(3) + (1 - 64 / 256)
    raw = torch.zeros(1, 8, 1, 2)
    assert float(detector.detection_loss(raw, boxes, labels)) == pytest.approx(expected, rel=1e-6)
    nobody = detector.detection_loss(raw, boxes, torch.tensor([[-1]]))
    assert float(nobody) == pytest.approx(2 * math.log(2), rel=1e-6)


@pytest.mark.parametrize("channel", [0, 1, 6])
def test_each_part_of_the_loss_is_felt(channel):
    """Spoiling objectness, a side or the class of the right answer costs."""
    raw = encoded(TRUTH, LABELS, rows=2, columns=4, classes=3)
    raw[:, channel] = 2.0 if channel == 1 else -3.0 * raw[:, channel]
    assert float(detector.detection_loss(raw, TRUTH, LABELS)) > 0.1


def test_one_image_does_not_depend_on_the_others():
    torch.manual_seed(0)
    model = detector.GridDetector(1, 3, width=4).eval()
    x = torch.rand(3, 1, 24, 40)
    with torch.no_grad():
        together = model(x)
        assert together.shape == (3, 8, 3, 5)
        torch.testing.assert_close(model(x[1:2]), together[1:2], rtol=1e-4, atol=1e-5)
        far = detector.decode(1e6 * together)
    assert bool(far.boxes.isfinite().all()) and bool(far.scores.isfinite().all())


def test_errors():
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        detector.GridDetector(1, 3, width=0)
    with pytest.raises(ValueError, match=r"boxes must be \(n, objects, 4\)"):
        detector.detection_loss(torch.zeros(1, 8, 2, 4), TRUTH, LABELS)
    with pytest.raises(ValueError, match=r"overlap must be in \(0, 1\], got 0"):
        detector.survivors(TRUTH, torch.ones(2, 2), LABELS, overlap=0)
