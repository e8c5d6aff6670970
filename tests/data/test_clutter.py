import pytest
import torch

from lib.data.clutter import cluttered
from lib.data.images import images
from lib.data.objects import BLACK


def test_the_object_stands_in_its_box_and_nothing_else_without_pieces() -> None:
    found = cluttered("digits", n=40, seed=3, n_pieces=0)
    assert found.x.shape == (40, 1, 40, 40)
    assert found.boxes is not None
    assert torch.equal(found.y, images("digits", n=40, seed=3).y)
    for picture, box in zip(found.x[:, 0], found.boxes.int().tolist(), strict=True):
        x0, y0, x1, y1 = box
        bright = picture > BLACK
        assert bright[y0:y1, x0:x1].sum() == bright.sum()
        assert bright[y0, x0:x1].any() and bright[y1 - 1, x0:x1].any()
        assert bright[y0:y1, x0].any() and bright[y0:y1, x1 - 1].any()


def test_pieces_only_add() -> None:
    bare, full = (cluttered("digits", n=30, seed=3, n_pieces=k) for k in (0, 8))
    assert bool((full.x >= bare.x).all())
    assert torch.equal(full.boxes, bare.boxes)
    assert float((full.x > bare.x).float().mean()) > 0.03
    assert float(full.x.max()) <= 1


def test_places_vary_and_follow_the_seed() -> None:
    first, again, other = (cluttered("digits", n=50, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    assert first.boxes is not None
    assert len(first.boxes[:, 0].unique()) > 10


def test_sizes_must_fit() -> None:
    with pytest.raises(ValueError, match="1 <= piece_px <= object_px <= side"):
        cluttered("digits", n=3, object_px=50)
