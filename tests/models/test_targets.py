"""Targets against brute force on tiny images, scikit-image, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage import feature

from lib.models import targets


def images(n: int = 3, *, seed: int = 0, channels: int = 1, side: int = 8) -> torch.Tensor:
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def mirrored(place: int, side: int) -> int:
    """Index of a pixel outside an image that is mirrored without repeating its border."""
    place = abs(place)
    return place if place < side else 2 * (side - 1) - place


def test_patches_by_hand_and_back():
    x = images(channels=3)
    cut = targets.patches(x, 4)
    assert cut.shape == (3, 4, 48)
    assert torch.equal(cut[:, 1].view(3, 4, 4, 3), x[:, :, :4, 4:].permute(0, 2, 3, 1))
    assert torch.equal(targets.images_from(cut, 4, grid=(2, 2)), x)
    with pytest.raises(ValueError, match="crop or resize"):
        targets.patches(x, 3)


def test_pixels_and_standardised_pixels():
    x = images()
    assert torch.equal(targets.pixels(x, 4), (targets.patches(x, 4) - 0.5) / 0.25)
    got = targets.normalised_pixels(x, 4)
    assert torch.allclose(got.mean(-1), torch.zeros(3, 4), atol=1e-6)
    assert torch.allclose(got.var(-1), torch.ones(3, 4), atol=1e-4)  # the variance was raised by 1e-6
    assert torch.allclose(targets.normalised_pixels(0.5 * x + 0.2, 4), got, atol=1e-4)  # the same, and float32
    assert torch.equal(targets.normalised_pixels(torch.ones(1, 1, 8, 8), 4), torch.zeros(1, 4, 16)), "a flat patch"


def slow_hog(image: np.ndarray, cell: int, bins: int) -> np.ndarray:
    """Pixel by pixel: (h, w) -> (h / cell, w / cell, bins)."""
    h, w = image.shape
    counts = np.zeros((h // cell, w // cell, bins))
    smooth = {-1: 1, 0: 2, 1: 1}
    for i in range(h):
        for j in range(w):
            at = {(a, b): image[mirrored(i + a, h), mirrored(j + b, w)] for a in smooth for b in smooth}
            across = sum(weight * (at[a, -1] - at[a, 1]) for a, weight in smooth.items())
            down = sum(weight * (at[-1, b] - at[1, b]) for b, weight in smooth.items())
            angle = math.atan2(across, down) % math.pi
            counts[i // cell, j // cell, int(angle / math.pi * bins) % bins] += math.hypot(across, down)
    return counts / np.maximum(np.linalg.norm(counts, axis=-1, keepdims=True), 1e-12)


@pytest.mark.parametrize(("patch", "cell", "bins"), [(4, 2, 9), (8, 4, 9), (8, 8, 5), (4, None, 9)])
def test_hog_by_brute_force(patch, cell, bins):
    x = images(2, channels=2)
    got = targets.hog(x, patch, cell=cell, bins=bins)
    cell = cell or patch // 2
    slow = np.stack([[slow_hog(plane, cell, bins) for plane in image] for image in x.double().numpy()])
    flat = torch.from_numpy(slow).permute(0, 1, 4, 2, 3).flatten(1, 2)  # (n, c * bins, rows, columns)
    expected = targets.patches(flat, patch // cell)
    assert got.shape == (2, (8 // patch) ** 2, 2 * bins * (patch // cell) ** 2)
    assert torch.allclose(got, expected.float(), atol=1e-5)  # float32 against float64; no pixel lies on a bin's edge


def test_hog_agrees_with_scikit_image():
    """On sums of a row and a column profile Sobel is four times scikit-image's plain difference, also at the border.

    The transposed image brings its angle, counted from the rows, to ours. It adds 1e-5 to a cell's length, which has
    the size of a tenth here, so results agree to 1e-4; its cells are normalised alone, as ours, in blocks of one.
    """
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(4, 1, 32, 1, generator=generator) + torch.rand(4, 1, 1, 32, generator=generator)
    got = targets.hog(x, 16, cell=8)
    options = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (1, 1), "block_norm": "L2"}
    peers = [feature.hog(image[0].numpy().T, feature_vector=False, **options) for image in x]
    peer = torch.from_numpy(np.stack(peers)[:, :, :, 0, 0]).permute(0, 3, 2, 1)  # (n, bins, rows, columns)
    assert torch.allclose(got, targets.patches(peer, 2).float(), atol=1e-4)


def test_hog_knows_direction_and_not_contrast():
    step = torch.zeros(1, 1, 8, 8)
    step[..., 4:] = 1.0
    for image in (step, 1 - step, 0.01 * step):
        assert torch.allclose(targets.hog(image, 8, cell=8)[0, 0], torch.eye(9)[4], atol=1e-5)  # a quarter turn
        assert torch.allclose(targets.hog(image.mT, 8, cell=8)[0, 0], torch.eye(9)[0], atol=1e-5)
    x = images(channels=3, side=16)
    assert torch.allclose(targets.hog(0.3 * x + 0.4, 8), targets.hog(x, 8), atol=1e-4)  # float32 differences
    flat = torch.tensor([0.0, 0.3, 1.0]).view(3, 1, 1, 1).expand(3, 1, 8, 8)
    assert torch.equal(targets.hog(flat, 4), torch.zeros(3, 4, 36)), "rounding must not become a direction"


def test_hog_cells_have_unit_length():
    lengths = targets.hog(images(side=16), 8, cell=8).norm(dim=-1)
    assert torch.allclose(lengths, torch.ones(3, 4), atol=1e-6)


def slow_gradient(image: np.ndarray, radius: int, floor: float) -> np.ndarray:
    side = len(image)
    out = np.zeros((side, side))
    span = range(-radius, radius + 1)
    for i in range(side):
        for j in range(side):
            window = [[image[mirrored(i + a, side), mirrored(j + b, side)] + floor for b in span] for a in span]
            window = np.array(window)
            down = np.log(window[: radius + 1].mean() / window[radius:].mean())
            across = np.log(window[:, : radius + 1].mean() / window[:, radius:].mean())
            out[i, j] = np.hypot(down, across)
    return out


def test_gradients_by_brute_force():
    x, radii = images(2, channels=2), (1, 2, 5)
    maps = targets.gradient_maps(x, radii=radii)
    slow = [[slow_gradient(plane, radius, 0.01) for radius in radii for plane in image] for image in x.double().numpy()]
    assert torch.allclose(maps, torch.from_numpy(np.array(slow)).float(), atol=1e-5)  # float32 sums
    got = targets.gradients(x, 4, radii=radii)
    assert got.shape == (2, 4, 4 * 4 * 3 * 2)
    assert torch.allclose(got.mean(-1), torch.zeros(2, 4), atol=1e-6)
    assert torch.allclose(got.var(-1), torch.ones(2, 4), atol=1e-3)  # the variance, about 1e-2, was raised by 1e-6


def test_gradients_do_not_feel_a_gain():
    x = 0.1 + 0.4 * images(side=28)
    same = targets.gradient_maps(2 * x, radii=(2, 4), floor=0.02)
    assert torch.allclose(same, targets.gradient_maps(x, radii=(2, 4), floor=0.01), atol=1e-5)  # float32 logarithms
    # with the paper's fixed floor a gain shifts the logarithms a little; the standardised target stays close
    shift = targets.gradients(2 * x, 7, radii=(2, 4)) - targets.gradients(x, 7, radii=(2, 4))
    assert 0 < shift.abs().mean() < 0.01
    assert targets.pixels(2 * x, 7).sub(targets.pixels(x, 7)).abs().mean() > 0.5


def test_gradients_of_speckle_shrink_with_the_window():
    """Speckle on a flat scene averages out: the wider the window, the smaller the gradient that is not there."""
    noise = torch.empty(8, 1, 64, 64).exponential_(generator=torch.Generator().manual_seed(0))
    small, large = targets.gradient_maps(0.2 * noise, radii=(2, 9)).mean(dim=(0, 2, 3))
    assert large < 0.4 * small


def test_a_doubling_is_log_two():
    x = torch.full((1, 1, 16, 16), 0.25)
    x[..., 8:] = 0.5
    maps = targets.gradient_maps(x, radii=(1,), floor=1e-9)
    middle = math.log((0.25 + 0.25) / (0.25 + 0.5)), math.log((0.25 + 0.5) / 1.0)  # each half has the middle line
    assert maps[0, 0, 4, 6:10].tolist() == pytest.approx([0, -middle[0], -middle[1], 0], abs=1e-5)


@pytest.mark.parametrize("kind", targets.KINDS)
def test_every_kind_has_one_row_for_a_patch_and_no_gradient_into_the_image(kind):
    target = targets.named(kind, cell=7, radii=(2, 3))
    x = images(channels=3, side=28)
    rows = target(x, 7)
    assert rows.dtype == torch.float32
    assert rows.shape == (3, 16, targets.target_size(target, 7, channels=3, grid=(4, 4)))
    assert torch.allclose(target(x[1:2], 7), rows[1:2], atol=1e-5)  # an image does not feel its batch; float32
    assert not torch.allclose(target(images(seed=1, channels=3, side=28), 7), rows, atol=1e-2)


def test_named_targets_take_their_options():
    x = images(side=16)
    assert torch.equal(targets.named("hog", cell=2)(x, 8), targets.hog(x, 8, cell=2))
    assert torch.equal(targets.named("gradients", radii=(3,))(x, 8), targets.gradients(x, 8, radii=(3,)))
    assert targets.named("pixels") is targets.pixels


def test_errors():
    x = images()
    with pytest.raises(ValueError, match="cell must divide the patch"):
        targets.hog(x, 4, cell=3)
    with pytest.raises(ValueError, match="bins be positive"):
        targets.hog(x, 4, bins=0)
    with pytest.raises(ValueError, match=r"radii must be in \[1, 7\] px"):
        targets.gradients(x, 4)
    with pytest.raises(ValueError, match="floor must be positive"):
        targets.gradients(x, 4, radii=(1,), floor=0.0)
    with pytest.raises(ValueError, match="target must be one of pixels, normalised, hog, gradients, got 'edges'"):
        targets.named("edges")
