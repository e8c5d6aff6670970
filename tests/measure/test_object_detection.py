"""Detectors for D-RISE: training from literals, the contract of detections, and average precision by brute force."""

from __future__ import annotations

import math

import pytest
import torch

from lib.data.scenes import scenes
from lib.explain.drise import Detections, drise, overlaps
from lib.measure import object_detection
from lib.models.detector import decode

SIZES = {"dataset": "digits", "n_images": 24, "width": 4, "batch_size": 8}


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    return object_detection.train_detector(seed=0, epochs=36, **SIZES)


def test_training_repeats_and_rebuilds():
    state, same = (object_detection.train_detector(seed=0, epochs=1, **SIZES) for _ in range(2))
    other = object_detection.train_detector(seed=1, epochs=1, **SIZES)
    assert all(torch.equal(state[name], same[name]) for name in state)
    assert not torch.equal(state["head.weight"], other["head.weight"])
    model = object_detection.detector(state)
    assert not model.training and not any(value.requires_grad for value in model.parameters())
    assert torch.equal(model.head.weight, state["head.weight"])
    fresh = object_detection.detector(state, seed=0)
    assert not torch.equal(fresh.head.weight, state["head.weight"])
    assert torch.equal(fresh.head.weight, object_detection.detector(other, seed=0).head.weight)


def test_training_finds_objects(trained):
    data = scenes("digits", n=24, seed=0)
    detect = object_detection.detecting(object_detection.detector(trained))
    naive = object_detection.detecting(object_detection.detector(trained, seed=0))
    known = object_detection.average_precision(detect(data.x), data.boxes, data.y).nanmean()
    assert known > object_detection.average_precision(naive(data.x), data.boxes, data.y).nanmean() + 0.2


def test_detections_are_what_the_cells_say(trained):
    model = object_detection.detector(trained)
    x = scenes("digits", n=5, seed=2).x
    found = object_detection.detecting(model, least=0.1, overlap=0.4)(x)
    alone = object_detection.detecting(model, least=0.1, overlap=0.4)(x[3:4])[0]
    torch.testing.assert_close(alone.boxes, found[3].boxes, rtol=1e-4, atol=1e-3)
    cells = decode(model(x))
    for image, one in enumerate(found):
        assert one.objectness is not None and bool((one.objectness >= 0.1).all())
        for box, scores, sure in zip(one.boxes, one.scores, one.objectness, strict=True):
            at = int((cells.boxes[image] - box).abs().sum(1).argmin())
            torch.testing.assert_close(scores, cells.scores[image, at])
            torch.testing.assert_close(sure, cells.objectness[image, at])
        label = one.scores.argmax(1)
        near = overlaps(one.boxes, one.boxes).fill_diagonal_(0)
        assert not bool((near[label[:, None] == label[None]] > 0.4).any())
        sure = cells.scores[image].amax(1) * cells.objectness[image]
        kept = one.scores.amax(1) * one.objectness
        for at in (cells.objectness[image] >= 0.1).nonzero()[:, 0].tolist():  # what is missing has a better rival
            rival = overlaps(cells.boxes[image, at][None], one.boxes)[0] > 0.4
            rival &= (label == cells.scores[image, at].argmax()) & (kept >= sure[at] - 1e-6)
            same = (one.boxes == cells.boxes[image, at]).all(1)
            assert bool((rival | same).any())
    everything = object_detection.detecting(model, least=0.0, overlap=1.0)(x)
    assert [len(one.boxes) for one in everything] == [49] * 5


def noisy(seed: int, *, pictures: int = 12, classes: int = 3) -> tuple[list[Detections], torch.Tensor, torch.Tensor]:
    """Annotations, and detections that are some of them moved a little, some doubled, some false."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(pictures, 3, 2, generator=generator) * 30
    boxes = torch.cat([corner, corner + 10], 2)
    labels = torch.randint(-1, classes, (pictures, 3), generator=generator)
    found = []
    for truth, label in zip(boxes, labels, strict=True):
        k = int(torch.randint(0, 6, (1,), generator=generator))
        pick = torch.randint(3, (k,), generator=generator)
        moved = truth[pick] + 3 * torch.randn(k, 1, generator=generator)
        wild = torch.rand(k, classes, generator=generator)
        wild[torch.arange(k), label[pick].clamp_min(0)] += 0.6
        scores, sure = wild.softmax(1), (torch.rand(k, generator=generator) * 5).round() / 5  # with ties
        found.append(Detections(moved.view(k, 4), scores, sure))
    return found, boxes, labels


def brute_force(found: list[Detections], boxes: torch.Tensor, labels: torch.Tensor, label: int) -> float:
    """Precision at every recall that is reached, the best from there on, over the number of objects."""
    rows = []
    for image, one in enumerate(found):
        for k in range(len(one.boxes)):
            if int(one.scores[k].argmax()) == label:
                rows.append((-float(one.scores[k].max() * one.objectness[k]), image, k))
    rows.sort(key=lambda row: row[0])
    free = {(image, k) for image in range(len(boxes)) for k in range(3) if int(labels[image, k]) == label}
    total, points, hits = len(free), [], 0
    for rank, (_, image, k) in enumerate(rows, 1):
        truths = [j for j in range(3) if int(labels[image, j]) == label]
        shared = {j: float(overlaps(found[image].boxes[k][None], boxes[image, j][None])) for j in truths}
        best = max(shared, key=lambda j: shared[j], default=None)
        if best is not None and shared[best] >= 0.5 and (image, best) in free:
            free.remove((image, best))
            hits += 1
        points.append((hits / total, hits / rank))
    area = 0.0
    for level in range(1, total + 1):
        area += max((p for recall, p in points if recall >= level / total - 1e-12), default=0.0) / total
    return area


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_by_brute_force(seed):
    found, boxes, labels = noisy(seed)
    values = object_detection.average_precision(found, boxes, labels)
    expected = [brute_force(found, boxes, labels, label) for label in range(3)]
    assert values.tolist() == pytest.approx(expected, abs=1e-9)
    assert 0.02 < float(values.mean()) < 0.98


def test_average_precision_at_its_ends():
    _, boxes, labels = noisy(0)
    labels = labels.clamp_min(0)
    exact = [Detections(b, torch.nn.functional.one_hot(y, 4).float()) for b, y in zip(boxes, labels, strict=True)]
    best = object_detection.average_precision(exact, boxes, labels)
    assert best[:3].tolist() == [1.0] * 3 and math.isnan(best[3])
    nothing = [Detections(torch.zeros(0, 4), torch.zeros(0, 4))] * len(boxes)
    assert object_detection.average_precision(nothing, boxes, labels)[:3].tolist() == [0.0] * 3
    twice = [Detections(torch.cat([one.boxes] * 2), torch.cat([one.scores] * 2)) for one in exact]
    sure = torch.cat([torch.ones(3), torch.full((3,), 0.5)])
    doubled = [Detections(one.boxes, one.scores, sure) for one in twice]  # the second of each is a false alarm, later
    assert object_detection.average_precision(doubled, boxes, labels)[:3].tolist() == [1.0] * 3
    late = [Detections(one.boxes, one.scores, sure.flip(0)) for one in twice]
    assert object_detection.average_precision(late, boxes, labels)[:3].tolist() == [1.0] * 3


def fixed(images: torch.Tensor) -> list[Detections]:
    """Two detections in a bright picture and none in a dark one."""
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [4.0, 4.0, 8.0, 8.0]])
    scores, sure = torch.tensor([[0.75, 0.25], [0.5, 0.5]]), torch.tensor([0.5, 0.8])
    none = Detections(torch.zeros(0, 4), torch.zeros(0, 2))
    return [Detections(boxes, scores, sure) if float(image.mean()) > 0.5 else none for image in images]


def test_scores_of_detections_and_of_classes():
    images = torch.stack([torch.ones(1, 8, 8), torch.zeros(1, 8, 8)])
    asked = torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0]])
    wanted = Detections(asked, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    cosine = 0.75 / math.hypot(0.75, 0.25)
    expected = torch.tensor([[0.5 * cosine, 0.5 * cosine / 3], [0.0, 0.0]])  # a third: half of each is shared
    torch.testing.assert_close(object_detection.similarity_score(fixed, wanted)(images), expected)
    classes = object_detection.class_score(fixed, classes=2)(images)
    torch.testing.assert_close(classes, torch.tensor([[0.4, 0.4], [0.0, 0.0]]))


def test_annotations_can_be_explained(trained):
    data = scenes("digits", n=3, seed=0)
    wanted = object_detection.annotated(data.boxes[:, 1], data.y[:, 1], classes=10)
    assert [one.scores.argmax(1).tolist() for one in wanted] == [[label] for label in data.y[:, 1].tolist()]
    assert torch.equal(torch.cat([one.boxes for one in wanted]), data.boxes[:, 1])
    detect = object_detection.detecting(object_detection.detector(trained))
    maps = drise(detect, data.x, wanted, generator=torch.Generator().manual_seed(0), n_masks=64, grid=8)
    assert maps.shape == (3, 56, 56) and bool((maps.flatten(1).amax(1) > 0).all())


def test_the_prior_orders_by_distance_in_box_sides():
    boxes = torch.tensor([[2.0, 1.0, 12.0, 6.0], [5.0, 5.0, 9.0, 9.0]])
    found = object_detection.centre_prior(boxes, (10, 16))
    for prior, (left, top, right, bottom) in zip(found, boxes.tolist(), strict=True):
        for row in range(10):
            for column in range(16):
                x = (column + 0.5 - (left + right) / 2) / (right - left)
                y = (row + 0.5 - (top + bottom) / 2) / (bottom - top)
                assert float(prior[row, column]) == pytest.approx(math.exp(-8 * (x * x + y * y)), abs=1e-5)


def test_errors(trained):
    found, boxes, labels = noisy(0)
    with pytest.raises(ValueError, match="must describe the same pictures, got 11"):
        object_detection.average_precision(found[1:], boxes, labels)
    with pytest.raises(ValueError, match=r"least must be in \[0, 1\), got 5"):
        object_detection.detecting(object_detection.detector(trained), least=5)
