"""Saliency masks and the mosaic: determinism, ties, brute force on small images."""

import pytest
import torch

from lib import masks


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def maps(n=32, tokens=48):
    return torch.rand(n, tokens, generator=seeded(7))


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75])
def test_hides_what_lies_above_the_quantile(ratio):
    saliency = maps()
    mask = masks.salient(saliency, ratio=ratio)
    assert (mask.sum(1) == round(ratio * 48)).all()
    lowest_hidden = saliency.masked_fill(~mask, 2).amin(1)
    assert (saliency.masked_fill(mask, -1).amax(1) < lowest_hidden).all()
    assert torch.equal(mask, masks.salient(saliency, ratio=ratio))
    assert torch.equal(mask, masks.salient(saliency.exp(), ratio=ratio))  # only the order counts


def test_ties_fall_to_the_first():
    mask = masks.salient(torch.zeros(1, 5000), ratio=0.3)
    assert mask[0, :1500].all() and not mask[0, 1500:].any()


def test_fixed_threshold_lets_the_count_vary():
    saliency = torch.tensor([[0.1, 0.6, 0.7], [0.1, 0.2, 0.3]])
    assert masks.salient_above(saliency, threshold=0.5).sum(1).tolist() == [2, 0]


@pytest.mark.parametrize("size", [(12, 16), (6, 8), (13, 21)])
def test_pixels_take_the_token_they_lie_in(size):
    mask = masks.random(5, (6, 8), ratio=0.5, generator=seeded())
    pixels = masks.to_pixels(mask, (6, 8), size)
    assert pixels.shape == (5, *size)
    for row in range(size[0]):
        for column in range(size[1]):
            token = (row * 6 // size[0]) * 8 + column * 8 // size[1]
            assert torch.equal(pixels[:, row, column], mask[:, token])


@pytest.mark.parametrize("cell", [1, 2, 3, 4, 7, 20])
def test_mosaic_by_brute_force(cell):
    images = torch.rand(3, 2, 7, 9, generator=seeded())
    mask = torch.rand(3, 7, 9, generator=seeded(1)) < 0.5
    result = masks.mosaic(images, mask, cell=cell)
    expected = images.clone()
    for row in range(7):
        for column in range(9):
            top, left = row // cell * cell, column // cell * cell
            block = images[:, :, top : top + cell, left : left + cell].mean((2, 3))
            expected[:, :, row, column] = torch.where(mask[:, None, row, column], block, images[:, :, row, column])
    torch.testing.assert_close(result, expected)
    assert torch.equal(result.movedim(1, -1)[~mask], images.movedim(1, -1)[~mask])


def test_mosaic_keeps_the_mean_where_whole_cells_are_hidden():
    images = torch.rand(4, 3, 8, 8, generator=seeded())
    everywhere = torch.ones(4, 8, 8, dtype=torch.bool)
    torch.testing.assert_close(masks.mosaic(images, everywhere, cell=4).mean((2, 3)), images.mean((2, 3)))
    torch.testing.assert_close(masks.mosaic(images, everywhere, cell=1), images)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: masks.salient(maps(), ratio=75), ValueError, "the paper writes percent, use 0.75"),
        (lambda: masks.salient(maps()[0], ratio=0.5), ValueError, r"saliency must have shape \(n, tokens\)"),
        (lambda: masks.salient_above(maps().long(), threshold=0.5), TypeError, "saliency must be floating point"),
        (lambda: masks.to_pixels(maps() > 0.5, 7, (14, 14)), ValueError, r"mask must have shape \(n, 49\)"),
        (lambda: masks.to_pixels(maps() > 0.5, (6, 8), (5, 8)), ValueError, "size must be at least 6 x 8 pixels"),
        (
            lambda: masks.mosaic(torch.rand(2, 3, 8, 8), torch.ones(2, 8, 8), cell=2),
            ValueError,
            "mask must be bool .* got torch.float32",
        ),
        (
            lambda: masks.mosaic(torch.rand(2, 3, 8, 8), torch.ones(2, 64, dtype=torch.bool), cell=2),
            ValueError,
            "enlarge a token mask with `to_pixels`",
        ),
        (
            lambda: masks.mosaic(torch.rand(2, 3, 8, 8), torch.ones(2, 8, 8, dtype=torch.bool), cell=0),
            ValueError,
            "cell must be at least 1 pixel, got 0",
        ),
    ],
)
def test_errors_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()
