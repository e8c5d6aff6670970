"""Insertion and deletion by hand on 4x4, conventions against each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import kendalltau
from torch import Tensor

from lib.measure import perturbation
from lib.measure.perturbation import CONVENTIONS, Protocol, measure

ZERO = torch.zeros(1, dtype=torch.int64)
IMAGE = torch.arange(1.0, 17.0).view(1, 1, 4, 4) / 16
BLACK = Protocol("deletion", score="logit", baseline="black", n_steps=4)


def total(images: Tensor) -> Tensor:
    return torch.stack([images.sum((1, 2, 3)), torch.zeros(len(images))], 1)


def test_deletion_by_hand():
    # brightest first, four pixels a step: 8.5 -> 8.5 - 58/16 -> ... ; rows of the image leave from the bottom
    found = measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=BLACK)
    expected = torch.tensor([[136.0, 78.0, 36.0, 10.0, 0.0]]) / 16
    torch.testing.assert_close(found.curve, expected)
    torch.testing.assert_close(found.changed, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(found.area, torch.tensor([(68 + 78 + 36 + 10 + 0) / 16 / 4]))


def test_insertion_is_deletion_read_backwards_in_the_reverse_order():
    insertion = measure(total, IMAGE, ZERO, -IMAGE[:, 0], protocol=replace(BLACK, direction="insertion"))
    deletion = measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=BLACK)
    torch.testing.assert_close(insertion.curve, deletion.curve.flip(1))


def test_summed_area_without_the_start_is_the_number_of_intervals_times_larger():
    plain = measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=BLACK)
    summed = measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=replace(BLACK, area="summed"))
    torch.testing.assert_close(summed.area, 4 * plain.area)
    late = measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=replace(BLACK, with_start=False))
    torch.testing.assert_close(late.curve, plain.curve[:, 1:])


def test_regions_change_together():
    protocol = replace(BLACK, n_steps=0, step_units=1, region=2)
    found = measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=protocol)
    blocks = IMAGE[0, 0].unfold(0, 2, 2).unfold(1, 2, 2).sum((2, 3)).flatten().sort(descending=True).values
    expected = torch.cat([torch.tensor([8.5]), 8.5 - blocks.cumsum(0)])
    torch.testing.assert_close(found.curve[0], expected, atol=1e-5, rtol=0)
    ragged = perturbation.order(torch.rand(2, 5, 7), channels=3, protocol=Protocol("deletion", n_steps=2, region=3))
    assert ragged.shape == (2, 3, 5, 7)
    assert ragged.unique().tolist() == list(range(2 * 3))


def test_channels_apart_takes_one_value_at_a_time():
    image = torch.ones(1, 3, 2, 2)
    apart = Protocol("deletion", score="logit", baseline="black", step_units=2, channels="apart")
    found = measure(total, image, ZERO, torch.rand(1, 2, 2), protocol=apart)
    torch.testing.assert_close(found.curve, torch.tensor([[12.0, 10, 8, 6, 4, 2, 0]]))
    together = replace(apart, channels="together")
    torch.testing.assert_close(
        measure(total, image, ZERO, torch.rand(1, 2, 2), protocol=together).curve, torch.tensor([[12.0, 6.0, 0.0]])
    )


def test_ragged_last_step_keeps_its_true_width():
    protocol = replace(BLACK, n_steps=0, step_units=6)
    found = measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=protocol)
    torch.testing.assert_close(found.changed, torch.tensor([0.0, 0.375, 0.75, 1.0]))
    torch.testing.assert_close(found.area, torch.trapezoid(found.curve, found.changed))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_runs_and_ignores_max_batch(name):
    torch.manual_seed(0)
    weights = torch.randn(3 * 12 * 12, 5)

    def score(images: Tensor) -> Tensor:
        return images.flatten(1) @ weights

    images, maps = torch.rand(4, 3, 12, 12), torch.rand(4, 12, 12)
    target, mean = torch.tensor([0, 1, 2, 3]), torch.full((3,), 0.5)
    runs = [
        measure(score, images, target, maps, protocol=CONVENTIONS[name], max_batch=size, mean=mean) for size in (7, 64)
    ]
    # float32 products in another order; logits here are of order 10
    torch.testing.assert_close(runs[0].curve, runs[1].curve, atol=1e-4, rtol=1e-4)
    assert runs[0].area.shape == (4,)
    assert runs[0].protocol == CONVENTIONS[name]
    mean_area = torch.trapezoid(runs[0].curve.mean(0), runs[0].changed)
    if runs[0].protocol.area == "normalised":
        torch.testing.assert_close(runs[0].area.mean(), mean_area)


def test_public_quirks():
    images = torch.rand(1, 3, 28, 28) * 0.5 + 0.25
    quantus = replace(CONVENTIONS["Quantus deletion"], step_units=28)
    assert measure(total, images, ZERO, torch.rand(1, 28, 28), protocol=quantus).curve.shape == (1, 84)
    darkest = perturbation.replacement(images, protocol=quantus)
    assert torch.equal(darkest.unique(), images.min().reshape(1))
    ours = [
        measure(total, images, ZERO, torch.rand(1, 28, 28), protocol=CONVENTIONS[f"ours {way}"]).curve[0]
        for way in ("deletion", "insertion")
    ]
    torch.testing.assert_close(ours[0][[0, -1]], ours[1][[-1, 0]])  # both run between the same two images


def test_best_map_reads_direction():
    areas = {"a": torch.tensor([1.0, 5.0, 2.0]), "b": torch.tensor([2.0, 3.0, 2.0])}
    assert perturbation.best_map(areas, direction="deletion") == ["a", "b", "a"]
    assert perturbation.best_map(areas, direction="insertion") == ["b", "a", "a"]


def test_agreement_is_kendalls_tau():
    first, second = torch.rand(6, 5), torch.rand(6, 5)
    expected = [kendalltau(one.numpy(), two.numpy()).statistic for one, two in zip(first, second, strict=True)]
    torch.testing.assert_close(perturbation.agreement(first, second), torch.tensor(expected).float())
    assert (perturbation.agreement(first, -first) == -1).all()
    with pytest.raises(ValueError, match="stack one column per map"):
        perturbation.agreement(first, second[:, :4])


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="exactly one of step_units and n_steps"):
        Protocol("deletion")
    with pytest.raises(ValueError, match="region must be at least 1"):
        Protocol("deletion", n_steps=1, region=0)
    with pytest.raises(ValueError, match="pass train_images.mean"):
        measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=CONVENTIONS["RISE deletion"])
    with pytest.raises(ValueError, match="larger than 5 pixels"):
        measure(total, IMAGE, ZERO, IMAGE[:, 0], protocol=CONVENTIONS["ours deletion"])
    with pytest.raises(ValueError, match="merge the channels of the maps"):
        measure(total, IMAGE, ZERO, IMAGE, protocol=BLACK)
    with pytest.raises(ValueError, match="at least one kind of map"):
        perturbation.best_map({}, direction="deletion")
