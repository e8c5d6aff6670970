"""Noise colours: filters against scipy, fields against their covariance, banks against what the public code does."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from lib import masks
from lib.masks import describe
from lib.masks.noise import field_factor

CPU = torch.device("cpu")
FILTERS = (masks.red_filter(), masks.blue_filter(), masks.green_filter(), masks.purple_filter())
COLOURS = (masks.red, masks.blue, masks.green, masks.purple)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def scipy_red(white, sigma):
    return ndimage.gaussian_filter(white, sigma, mode="wrap", truncate=8)


@pytest.mark.parametrize(
    ("colour", "by_hand"),
    [
        (masks.red_filter(1.5, 1), lambda white: scipy_red(white, 1.5)),
        (masks.red_filter(1.2, 3), lambda white: scipy_red(scipy_red(scipy_red(white, 1.2), 1.2), 1.2)),
        (masks.blue_filter(1.5, 1), lambda white: white - scipy_red(white, 1.5)),
        (masks.green_filter((1.2, 2.5), 1), lambda white: scipy_red(white, 1.2) - scipy_red(white, 2.5)),
        (masks.purple_filter((1.2, 2.5), 1), lambda white: white - scipy_red(white, 1.2) + scipy_red(white, 2.5)),
    ],
    ids=["red", "red thrice", "blue", "green", "purple"],
)
def test_fields_are_what_scipy_filters(colour, by_hand):
    ours = masks.fields(1, 32, colour=colour, generator=seeded())[0].numpy()
    theirs = by_hand(torch.randn(1, 32, 32, generator=seeded())[0].numpy().astype(float))
    # scipy samples the kernel in space, we the transfer function in frequency; from 1.2 patches on they agree
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize("colour", FILTERS, ids=["red", "blue", "green", "purple"])
@pytest.mark.parametrize("size", [16, (15, 18)])
def test_fields_have_unit_variance(colour, size):
    assert abs(float(masks.fields(4000, size, colour=colour, generator=seeded()).var()) - 1) < 0.05


@pytest.mark.parametrize("colour", FILTERS, ids=["red", "blue", "green", "purple"])
def test_factor_has_the_covariance_of_windows_of_a_large_field(colour):
    window = masks.fields(10_000, 40, colour=colour, generator=seeded())[:, :4, :4].flatten(1)
    factor = field_factor((4, 4), colour, CPU)
    # 10,000 patterns: standard error 0.010 to 0.014 per entry; the largest of 256 stays below four of them
    torch.testing.assert_close(factor @ factor, window.T @ window / len(window), atol=0.06, rtol=0)
    torch.testing.assert_close(factor, factor.T)


def test_white_noise_has_the_identity_as_factor_and_the_random_law():
    white = masks.Colour(1.0, ())
    torch.testing.assert_close(field_factor((5, 5), white, CPU), torch.eye(25))
    mask = masks.coloured(3000, 5, colour=white, ratio=0.6, generator=seeded())
    assert abs(float(describe.morans_i(mask, 5).mean()) + 1 / 24) < 0.01  # standard error about 0.003


def test_transfer_closed_forms():
    zero, half = torch.zeros(1), torch.tensor([0.5])
    gains = [float(colour.transfer(zero)) for colour in FILTERS]
    assert gains == pytest.approx([1, 0, 0, 1])
    expected = np.exp(-2 * (np.pi * 0.7 * 0.5) ** 2) ** 2
    assert float(masks.red_filter(0.7, 2).transfer(half)) == pytest.approx(expected, rel=1e-5)  # float32


def test_repeating_a_gaussian_widens_it_by_the_root():
    torch.testing.assert_close(
        field_factor((6, 6), masks.red_filter(1.0, 4), CPU), field_factor((6, 6), masks.red_filter(2.0, 1), CPU)
    )


def test_green_and_purple_add_up_to_white():
    frequency = torch.linspace(0, 0.7, 20)
    sigma = (0.6, 1.7)
    both = masks.green_filter(sigma, 1).transfer(frequency) + masks.purple_filter(sigma, 1).transfer(frequency)
    torch.testing.assert_close(both, torch.ones(20))


def test_colours_order_by_clustering():
    red, blue, green, purple = (
        float(describe.morans_i(sampler(200, 14, ratio=0.75, generator=seeded()), 14).mean()) for sampler in COLOURS
    )
    assert red > green > 0 > max(blue, purple)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: masks.green_filter((2.0, 0.5)), r"narrow < wide, got \(2.0, 0.5\)"),
        (lambda: masks.red_filter(0.0), "sigma must be positive, got 0"),
        (lambda: masks.blue_filter(1.0, 0), "repeats must be at least 1, got 0"),
        (lambda: field_factor((65, 65), masks.red_filter(), CPU), "at most 4096 patches, got 65 x 65"),
    ],
)
def test_filter_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def bank(length=12, size=10):
    return torch.rand(length, size, size, generator=seeded(5))


def windows(patterns, side, ratio):
    """All masks that can be cut from a bank, by brute force: set of tuples, one set per pattern."""
    found = []
    for pattern in patterns:
        cuts = [
            pattern[top : top + side, left : left + side].flip(axes)
            for top in range(pattern.shape[0] - side + 1)
            for left in range(pattern.shape[1] - side + 1)
            for axes in ([], [0], [1], [0, 1])
        ]
        hidden = masks.hide_highest(-torch.stack(cuts).flatten(1), ratio=ratio)
        found.append({tuple(row) for row in hidden.tolist()})
    return found


def test_bank_masks_are_crops_of_the_patterns_highest_visible():
    possible = set().union(*windows(bank(), 5, 0.75))
    for sampler in (masks.from_bank, masks.from_bank_shared):
        drawn = sampler(12, 5, patterns=bank(), ratio=0.75, generator=seeded())
        assert {tuple(row) for row in drawn.tolist()} <= possible


def test_shared_sampler_takes_the_first_patterns_in_order_with_one_crop():
    patterns = bank(1).expand(6, 10, 10)
    shared = masks.from_bank_shared(6, 5, patterns=patterns, ratio=0.75, generator=seeded())
    assert describe.distinct(shared) == 1  # equal patterns, one crop and one flip: equal masks
    assert describe.distinct(masks.from_bank(6, 5, patterns=patterns, ratio=0.75, generator=seeded())) > 1
    drawn = masks.from_bank_shared(4, 5, patterns=bank(), ratio=0.75, generator=seeded()).tolist()
    assert all(tuple(row) in possible for row, possible in zip(drawn, windows(bank(), 5, 0.75), strict=False))


def test_bank_errors():
    with pytest.raises(ValueError, match="n must be at most the bank's 12 patterns, got 13"):
        masks.from_bank_shared(13, 5, patterns=bank(), ratio=0.5, generator=seeded())
    with pytest.raises(ValueError, match=r"patterns must be at least as large as the grid 14 x 14, got \(10, 10\)"):
        masks.from_bank(2, 14, patterns=bank(), ratio=0.5, generator=seeded())


def test_bank_in_chunks_has_the_length_asked_for():
    patterns = masks.bank(7, (6, 9), colour=masks.red_filter(), generator=seeded(), chunk=3)
    assert patterns.shape == (7, 6, 9)
    assert len(torch.unique(patterns[:, 0, 0])) == 7


def test_places_say_what_was_cut():
    patterns, generator = bank(), seeded()
    chosen = masks.banks.places(50, 5, patterns=patterns, generator=generator)
    mask = masks.banks.cut(chosen, 5, patterns=patterns, ratio=0.6)
    for (which, top, left, up, back), row in zip(chosen.tolist(), mask, strict=True):
        window = patterns[which, top : top + 5, left : left + 5]
        window = window.flip([axis for axis, flipped in enumerate((up, back)) if flipped])
        assert torch.equal(row, masks.hide_highest(-window.reshape(1, -1), ratio=0.6)[0])
    assert set(chosen[:, 0].tolist()) > {0, 11}
    shared = masks.banks.shared_places(12, 5, patterns=patterns, generator=generator)
    assert shared[:, 0].tolist() == list(range(12))
    assert len(shared[:, 1:].unique(dim=0)) == 1
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        masks.bank(0, 5, colour=masks.red_filter(), generator=generator)
