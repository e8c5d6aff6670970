"""Views of pictures: where they come from, what they keep, and that every image has its own draw."""

from __future__ import annotations

import pytest
import torch

from lib.data import augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int = 6, side: int = 8) -> torch.Tensor:
    """Images whose pixels tell image, row and column."""
    image, row, column = (torch.arange(k, dtype=torch.float32) for k in (n, side, side))
    return (100 * image[:, None, None] + 10 * row[:, None] + column)[:, None]


def test_crops_are_contiguous_pieces_of_their_own_image():
    x = numbered(40)
    found = augment.cropped(x, 5, generator=generator())
    corners = set()
    for own, part in zip(x, found, strict=True):
        top, left = divmod(int(part[0, 0, 0] - own[0, 0, 0]), 10)
        assert torch.equal(part, own[:, top : top + 5, left : left + 5])
        corners.add((top, left))
    assert {top for top, _ in corners} == {left for _, left in corners} == set(range(4))
    assert not torch.equal(found, augment.cropped(x, 5, generator=generator(1)))
    assert torch.equal(augment.cropped(x, 8, generator=generator()), x)


def test_the_centre_is_in_the_middle():
    assert torch.equal(augment.centre(numbered(), 4), numbered()[:, :, 2:6, 2:6])


def test_shrinking_keeps_flat_pictures_and_removes_single_pixels():
    assert torch.allclose(augment.shrunk(torch.full((1, 3, 8, 8), 0.4), 4), torch.tensor(0.4))
    board = (torch.arange(16)[:, None] + torch.arange(16)).remainder(2).float()[None, None]
    assert (augment.shrunk(board, 8)[:, :, 1:-1, 1:-1] - 0.5).abs().max() < 0.01  # borders see fewer pixels


def test_half_of_the_images_are_reflected_and_none_otherwise_changed():
    x = numbered(200)
    found = augment.flipped(x, generator=generator())
    turned = (found != x).any(-1).any(-1).any(-1)
    assert torch.equal(found[turned], x[turned].flip(-1)) and torch.equal(found[~turned], x[~turned])
    assert 70 < int(turned.sum()) < 130  # binomial, 4 standard deviations


def test_rotation_makes_no_new_values_and_keeps_the_middle():
    x = 1 + numbered(12, 9)
    found = augment.rotated(x, generator=generator())
    assert torch.equal(found[:, :, 4, 4], x[:, :, 4, 4])
    for part, own in zip(found, x, strict=True):
        assert torch.isin(part, torch.cat([own.flatten(), torch.zeros(1)])).all()
    assert torch.equal(augment.rotated(x, generator=generator(), degrees=0), x)
    assert (found == 0).any()


def test_jitter_by_hand():
    x = torch.rand(3, 3, 4, 4, generator=generator(1))
    a, b, c = 1 + 0.5 * (2 * torch.rand(3, 3, generator=generator()) - 1)
    grey = torch.tensor(augment.LUMA)
    for i, found in enumerate(augment.jittered(x, generator=generator())):
        bright = (x[i] * a[i]).clamp(0, 1)
        mean = torch.einsum("chw,c->hw", bright, grey).mean()
        contrast = (mean + b[i] * (bright - mean)).clamp(0, 1)
        own = torch.einsum("chw,c->hw", contrast, grey)
        torch.testing.assert_close(found, (own + c[i] * (contrast - own)).clamp(0, 1))


def test_jitter_leaves_grey_pictures_grey_and_nothing_at_strength_zero():
    x = torch.rand(4, 1, 5, 5, generator=generator(1))
    torch.testing.assert_close(augment.jittered(x, generator=generator(), strength=0), x)
    three = augment.jittered(x.expand(-1, 3, -1, -1), generator=generator())
    torch.testing.assert_close(three[:, 0], three[:, 2])
    torch.testing.assert_close(three[:, :1], augment.jittered(x, generator=generator()))


@pytest.mark.parametrize(("call", "match"), [
    (lambda x, g: augment.cropped(x, 9, generator=g), "smaller side"),
    (lambda x, g: augment.centre(x[0], 2), "n, c, h, w"),
    (lambda x, g: augment.rotated(x, generator=g, degrees=-1), "sign"),
    (lambda x, g: augment.jittered(x, generator=g, strength=2), "strength"),
])  # fmt: skip
def test_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call(numbered(), generator())
