"""Pixel masks and erased cells: exact and independent counts, alignment, the law of the share."""

import functools

import pytest
import torch
from scipy import stats

from lib import masks
from lib.masks import describe


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8])
def test_exact_count_and_distinct_per_image(ratio):
    mask = masks.hidden_pixels(20, (12, 10), ratio=ratio, generator=seeded())
    assert mask.dtype == torch.bool and mask.shape == (20, 12, 10)
    assert (mask.sum((1, 2)) == round(ratio * 120)).all()
    assert describe.distinct(mask.flatten(1)) == 20


def test_independent_pixels_have_a_binomial_count():
    mask = masks.hidden_pixels(3000, (6, 5), ratio=0.7, generator=seeded(), exact=False).flatten(1)
    counts = mask.sum(1).double()
    assert float(counts.mean()) == pytest.approx(21, abs=0.2)  # four standard errors of .046
    assert float(counts.var()) == pytest.approx(30 * 0.7 * 0.3, rel=0.12)  # standard error of a variance: 2.6 %
    assert stats.chisquare(mask.sum(0).numpy()).pvalue > 0.001  # one seed, fixed
    pair = (mask[:, 0] & mask[:, 1]).double().mean()
    assert float(pair) == pytest.approx(0.49, abs=0.037)  # four standard errors


@pytest.mark.parametrize("exact", [True, False])
def test_seed_of_pixels(exact):
    call = functools.partial(masks.hidden_pixels, 4, (8, 8), ratio=0.5, exact=exact)
    assert torch.equal(call(generator=seeded(1)), call(generator=seeded(1)))
    assert not torch.equal(call(generator=seeded(1)), call(generator=seeded(2)))


def erased(n=400, size=(32, 48), **options):
    """Bool (n, height, width): where images of ones became zero, after checking that nothing else happened."""
    result = masks.erase_cells(torch.ones(n, 3, *size), generator=seeded(), **options)
    assert ((result == 0) | (result == 1)).all()
    assert (result == result[:, :1]).all()  # all channels alike
    return result[:, 0] == 0


def test_cells_are_aligned_and_whole():
    gone = erased(cell=8).view(400, 4, 8, 6, 8)
    assert (gone.all(4).all(2) | ~gone.any(4).any(2)).all()


def test_half_of_the_images_are_treated_and_their_share_is_uniform():
    share = erased(4000, cell=4, max_ratio=0.75).double().mean((1, 2))
    treated = share[share > 0]
    # 96 cells: a treated image draws no cell with probability 1 / 72, int(share * 96) cells otherwise
    assert len(treated) / 4000 == pytest.approx(0.5 * (1 - 1 / 72), abs=0.032)  # four standard errors
    assert float(share.max()) <= 0.75
    counts = torch.bincount((treated * 96).round().long(), minlength=72)[1:]
    assert stats.chisquare(counts.numpy()).pvalue > 0.001  # one seed, fixed


def test_every_cell_is_erased_equally_often():
    gone = erased(4000, size=(16, 20), cell=4, p=1.0)[:, ::4, ::4].flatten(1)
    assert describe.distinct(gone) > 3000
    share = gone.double().mean(0)
    assert (share - share.mean()).abs().max() < 4 * 0.0079  # four standard errors


def test_images_that_cells_do_not_fill():
    gone = erased(200, size=(10, 13), cell=4, max_ratio=1.0, p=1.0)
    assert not gone[:, 8:].any() and not gone[:, :, 12:].any()
    assert gone[:, :8, :12].all((1, 2)).any()  # asked for more cells than fit: all of them, and an end


def test_untreated_images_stay_and_the_input_is_not_touched():
    images = torch.rand(50, 1, 16, 16, generator=seeded())
    before = images.clone()
    assert torch.equal(masks.erase_cells(images, generator=seeded(), cell=4, p=0.0), images)
    masks.erase_cells(images, generator=seeded(), cell=4, p=1.0)
    assert torch.equal(images, before)


def test_seed_of_cells():
    call = functools.partial(masks.erase_cells, torch.rand(20, 3, 32, 32, generator=seeded()), cell=8)
    assert torch.equal(call(generator=seeded(1)), call(generator=seeded(1)))
    assert not torch.equal(call(generator=seeded(1)), call(generator=seeded(2)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: masks.hidden_pixels(2, (4, 4), ratio=75, generator=seeded()), ValueError, "use 0.75"),
        (lambda: masks.hidden_pixels(0, (4, 4), ratio=0.5, generator=seeded()), ValueError, "n must be at least 1"),
        (lambda: masks.hidden_pixels(2, (4, 4), ratio=0.5, generator=0), TypeError, "generator must be a torch"),
        (
            lambda: masks.erase_cells(torch.rand(3, 8, 8), generator=seeded()),
            ValueError,
            r"images must have shape \(n, channels, height, width\), got \(3, 8, 8\)",
        ),
        (
            lambda: masks.erase_cells(torch.rand(1, 3, 8, 8), generator=seeded()),
            ValueError,
            r"cell must be in \[1, 8\] pixels, got 16",
        ),
        (
            lambda: masks.erase_cells(torch.rand(1, 3, 16, 16), generator=seeded(), max_ratio=75),
            ValueError,
            r"max_ratio must be in \(0, 1\], got 75",
        ),
        (
            lambda: masks.erase_cells(torch.rand(1, 3, 16, 16), generator=seeded(), p=2),
            ValueError,
            r"p must be in \[0, 1\], got 2",
        ),
        (lambda: masks.erase_cells(torch.rand(1, 3, 16, 16), generator=0), TypeError, "generator must be a torch"),
    ],
)
def test_errors_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()
