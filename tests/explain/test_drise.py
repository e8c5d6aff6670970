"""D-RISE: overlaps by counting pixels, the map by a plain loop, and a detector whose needs are known."""

from __future__ import annotations

import pytest
import torch

from lib.explain import drise
from lib.explain.drise import Detections
from lib.masks.designs import rise_design


def square_finder(images: torch.Tensor) -> list[Detections]:
    """Finds the bright square at rows 2..6, columns 9..13, as surely as its mean brightness, and a faint decoy."""
    seen = images[:, 0, 2:6, 9:13].mean((1, 2))
    boxes = torch.tensor([[9.0, 2.0, 13.0, 6.0], [0.0, 10.0, 5.0, 15.0]])
    scores = torch.tensor([[0.8, 0.2], [0.1, 0.9]])
    return [Detections(boxes, scores, torch.stack([one, torch.tensor(0.5)])) for one in seen]


def picture() -> torch.Tensor:
    image = torch.full((1, 1, 16, 16), 0.1)
    image[..., 2:6, 9:13] = 1
    return image


def wanted(n: int = 1) -> list[Detections]:
    return [Detections(torch.tensor([[9.0, 2.0, 13.0, 6.0]]), torch.tensor([[0.8, 0.2]]))] * n


def explain(seed: int = 0, **options) -> torch.Tensor:
    options = {"n_masks": 90, "grid": 4, "max_batch": 32, **options}
    generator = torch.Generator().manual_seed(seed)
    return drise.drise(square_finder, picture(), wanted(), generator=generator, **options)


def test_overlaps_count_pixels():
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 12, (2, 20, 2, 2), generator=generator).sort(2).values
    boxes = corners.flatten(2).float()  # left, top, right, bottom; some are empty

    def inside(box: torch.Tensor) -> torch.Tensor:
        left, top, right, bottom = box.long().tolist()
        canvas = torch.zeros(12, 12, dtype=torch.bool)
        canvas[top:bottom, left:right] = True
        return canvas

    found = drise.overlaps(*boxes)
    for a in range(20):
        for b in range(20):
            one, two = inside(boxes[0, a]), inside(boxes[1, b])
            union = float((one | two).sum())
            expected = float((one & two).sum()) / union if union else 0.0
            assert found[a, b].item() == pytest.approx(expected, abs=1e-6)


def test_the_map_is_the_weighted_mean_of_the_masks():
    masks = rise_design(90, (16, 16), generator=torch.Generator().manual_seed(0), grid=4, keep=0.5).render(0, 90)
    total = torch.zeros(16, 16)
    for mask in masks:
        seen = (picture()[0, 0] * mask)[2:6, 9:13].mean()  # the decoy never overlaps: the square's objectness decides
        total += seen * mask
    torch.testing.assert_close(explain()[0], total / 45, rtol=1e-4, atol=1e-5)


def test_the_square_matters_most():
    found = explain(n_masks=600)[0]
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[2:6, 9:13] = True
    assert found[inside].mean() > found[~inside].mean() + 0.1


def test_batches_singles_and_seeds():
    torch.testing.assert_close(explain(max_batch=7), explain(), rtol=1e-4, atol=1e-5)
    assert torch.equal(explain(), explain())
    assert not torch.equal(explain(), explain(seed=1))
    images = torch.cat([picture(), picture() / 2])
    both = drise.drise(
        square_finder, images, wanted(2), generator=torch.Generator().manual_seed(0), n_masks=90, grid=4, max_batch=32
    )
    assert both.shape == (2, 16, 16) and both.dtype == torch.float32
    torch.testing.assert_close(both[:1], explain(), rtol=1e-5, atol=1e-6)


def test_class_and_objectness_count():
    other = Detections(wanted()[0].boxes, torch.tensor([[0.0, 1.0]]), torch.tensor([0.5]))
    cosine = 0.2 / (0.8**2 + 0.2**2) ** 0.5
    assert drise.similarity(wanted()[0], other).item() == pytest.approx(0.5 * cosine, abs=1e-6)
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0, 2))
    assert drise.similarity(wanted()[0], nothing).tolist() == [0.0]


def test_errors():
    with pytest.raises(ValueError, match="one detection for each of 1 images"):
        drise.drise(square_finder, picture(), wanted(2), generator=torch.Generator())
    with pytest.raises(ValueError, match="generator must be a torch.Generator for drise"):
        drise.drise(square_finder, picture(), wanted(), generator=None)
    with pytest.raises(ValueError, match=r"boxes must be \(k, 4\)"):
        Detections(torch.zeros(2, 4), torch.zeros(3, 2))
