"""Occluders: one area whatever the shape and place, where they lie, and what stands in them."""

import itertools

import pytest
import torch

from lib.masks.occluders import flat, occluders, painted, strangers


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(n=200, size=(28, 28), *, shape="blob", place="centre", side=0.5, seed=0):
    return occluders(n, size, shape=shape, place=place, side=side, generator=seeded(seed))


@pytest.mark.parametrize(("size", "side", "pixels"), [((28, 28), 0.3, 8), ((28, 28), 0.5, 14), ((9, 13), 0.4, 3)])
@pytest.mark.parametrize(("shape", "place"), itertools.product(("square", "blob"), ("centre", "corner")))
def test_every_shape_and_place_covers_the_same_area(shape, place, size, side, pixels):
    over = drawn(size=size, shape=shape, place=place, side=side)
    assert over.dtype == torch.bool and over.shape == (200, *size)
    assert (over.sum((1, 2)) == pixels**2).all()


def test_a_square_in_the_middle_is_the_one_by_hand():
    want = torch.zeros(28, 28, dtype=torch.bool)
    want[10:18, 10:18] = True
    assert (drawn(3, shape="square", side=0.3) == want).all()


def test_squares_lie_flush_with_each_corner():
    over = drawn(shape="square", place="corner", side=0.5)
    corners = {tuple(map(int, mask.nonzero()[0])) for mask in over}
    assert corners == {(0, 0), (0, 14), (14, 0), (14, 14)}


def test_blobs_lie_where_squares_do_and_differ():
    for place in ("centre", "corner"):
        blob, square = drawn(place=place), drawn(place=place, shape="square")
        share = (blob & square).sum((1, 2)) / 14**2
        assert share.min() > 0.6  # a disc of the square's area covers 91 % of it
        assert blob.flatten(1).unique(dim=0).shape[0] == 200


def test_in_a_corner_the_middle_stays_in_sight():
    assert not drawn(place="corner", side=0.4)[:, 13:15, 13:15].any()
    assert drawn(place="centre", side=0.4)[:, 13:15, 13:15].all()


def test_seed_of_occluders():
    assert torch.equal(drawn(seed=1), drawn(seed=1))
    assert not torch.equal(drawn(seed=1), drawn(seed=2))


def test_paint_changes_what_is_covered_and_nothing_else():
    images, over = torch.rand(5, 3, 28, 28, generator=seeded()), drawn(5)
    grey = flat(5, generator=seeded(1))
    result = painted(images, over, grey)
    assert torch.equal(result.masked_select(~over[:, None]), images.masked_select(~over[:, None]))
    for picture, mask, level in zip(result, over, grey, strict=True):
        assert (picture[:, mask] == level).all()
    assert grey.unique().numel() == 5 and grey.min() >= 0 and grey.max() < 1


def test_strangers_are_of_another_class_and_every_one_may_come():
    labels = torch.tensor([0, 0, 1, 2])
    images = torch.arange(4.0).view(4, 1, 1, 1)
    drawn_for_first = set()
    for seed in range(60):
        other = strangers(images, labels, generator=seeded(seed)).flatten().long()
        assert (labels[other] != labels).all()
        drawn_for_first.add(int(other[0]))
    assert drawn_for_first == {2, 3}


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="shape must be square or blob"):
        drawn(shape="disc")
    with pytest.raises(ValueError, match="side must be a share"):
        drawn(side=14)
    with pytest.raises(ValueError, match="at least two classes"):
        strangers(torch.zeros(2, 1, 1, 1), torch.zeros(2).long(), generator=seeded())
    with pytest.raises(ValueError, match="covered must be"):
        painted(torch.zeros(2, 1, 8, 8), drawn(2), torch.zeros(1))
