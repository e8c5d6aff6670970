"""RISE against its exact expectation, occlusion against a sum that can be done by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lib.explain import rise
from lib.masks.designs import all_grids, rise_design

ZERO = torch.zeros(1, dtype=torch.int64)


def total(images: Tensor) -> Tensor:
    return images.sum((1, 2, 3))[:, None]


def test_exact_expectation_over_all_binary_grids():
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    design = all_grids((2, 2), grid=2)
    exact = rise.running(total, image, ZERO, design, sizes=[16])[0, 0]
    # Two cells enlarged to three pixels: the first pixel is the first cell, the second one half of each. With coins c
    # as cells and M = W c, E[M M'] = (1 + W W') / 4, so the map is (sum of x + W W' x) / 2.
    line = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    weights = torch.kron(line, line)
    flat = image.flatten()
    torch.testing.assert_close(exact, ((flat.sum() + weights @ weights.T @ flat) / 2).view(2, 2))
    drawn = rise.rise(total, image, ZERO, generator=torch.Generator().manual_seed(0), n_masks=20_000, grid=2)[0]
    # one query times its mask varies by about 4 around the map: four standard errors at 20,000 masks are .11
    torch.testing.assert_close(drawn, exact, atol=0.15, rtol=0)


def test_brute_force_sum_on_smooth_masks():
    images, target = torch.rand(2, 3, 6, 6), torch.tensor([1, 0])
    weights = torch.rand(3 * 36, 2)

    def score(batch: Tensor) -> Tensor:
        return (batch.flatten(1) @ weights).softmax(1)

    design = rise_design(9, (6, 6), generator=torch.Generator().manual_seed(0), grid=3, keep=0.4)
    masks, fill = design.render(0, 9), torch.tensor([0.1, 0.2, 0.3])
    for index in range(2):
        expected = torch.zeros(6, 6)
        for mask in masks:
            masked = images[index] * mask + fill[:, None, None] * (1 - mask)
            expected += score(masked[None])[0, target[index]] * mask / (9 * 0.4)
        ours = rise.running(score, images, target, design, sizes=[9], keep=0.4, fill=fill, max_batch=4)[0, index]
        torch.testing.assert_close(ours, expected)


def test_running_estimates_are_those_of_shorter_designs():
    image = torch.rand(1, 1, 8, 8)
    design = rise_design(30, (8, 8), generator=torch.Generator().manual_seed(0), grid=4)
    both = rise.running(total, image, ZERO, design, sizes=[10, 30], max_batch=7)
    torch.testing.assert_close(both[0], rise.running(total, image, ZERO, design, sizes=[10])[0])
    torch.testing.assert_close(both[1], rise.running(total, image, ZERO, design, sizes=[30])[0])


def test_sizes_must_increase_and_fit():
    design = rise_design(5, (8, 8), generator=torch.Generator(), grid=4)
    for sizes in ([], [3, 3], [6], [0, 2]):
        with pytest.raises(ValueError, match="sizes must increase from at least 1 to at most 5"):
            rise.running(total, torch.rand(1, 1, 8, 8), ZERO, design, sizes=sizes)


def test_occlusion_of_a_sum_is_the_hidden_amount():
    image = torch.arange(16.0).view(1, 1, 4, 4) / 16
    single = rise.occlusion(total, image, ZERO, window=1, stride=1)
    torch.testing.assert_close(single, image[:, 0])
    squares = rise.occlusion(total, image, ZERO, window=2, stride=2)[0]
    torch.testing.assert_close(squares[0, 0], image[0, 0, :2, :2].sum())
    torch.testing.assert_close(squares[3, 2], image[0, 0, 2:, 2:].sum())
    filled = rise.occlusion(total, torch.full((1, 1, 4, 4), 0.3), ZERO, window=2, stride=1, fill=0.3)
    assert filled.abs().max() < 1e-5  # nothing changes when a square is replaced by itself


def test_occlusion_is_captums():
    from captum.attr import Occlusion

    torch.manual_seed(2)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(400, 3))
    images, target = torch.rand(3, 2, 12, 12), torch.tensor([2, 0, 1])
    ours = rise.occlusion(model, images, target, window=4, stride=2, fill=0.3, max_batch=7)
    theirs = Occlusion(model).attribute(
        images, sliding_window_shapes=(2, 4, 4), strides=(2, 2, 2), baselines=0.3, target=target
    )
    torch.testing.assert_close(ours, theirs[:, 0].detach(), rtol=1e-4, atol=1e-6)
