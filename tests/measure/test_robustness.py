"""Infidelity and sensitivity: closed forms for linear scores, a restatement, and independence of pieces."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from lib.explain import gradients
from lib.measure import robustness
from lib.measure.robustness import InfidelityProtocol, SensitivityProtocol


def network(*, linear: bool) -> nn.Module:
    torch.manual_seed(1)
    if linear:
        return nn.Sequential(nn.Flatten(), nn.Linear(2 * 36, 3))
    return nn.Sequential(nn.Conv2d(2, 5, 3), nn.Softplus(beta=8), nn.Flatten(), nn.Linear(5 * 16, 3))


def scene(n: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(n, 2, 6, 6, generator=torch.Generator().manual_seed(5)), torch.arange(n) % 3


def gradient(model: nn.Module, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    images = images.clone().requires_grad_(True)
    return torch.autograd.grad(model(images).gather(1, target[:, None]).sum(), images)[0].sum(1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_gradient_of_a_linear_score_is_faithful():
    model, (images, target) = network(linear=True), scene()
    maps = gradient(model, images, target)
    exact = robustness.infidelity(model, images, target, maps, generator=seeded())
    assert exact.value.shape == (4,)
    assert exact.value.dtype == torch.float64
    assert float(exact.value.max()) < 1e-10
    wrong = robustness.infidelity(model, images, target, 3 * maps, generator=seeded()).value
    assert (wrong > 1e-4).all()
    fitted = InfidelityProtocol(scale="fitted")
    scaled = robustness.infidelity(model, images, target, 3 * maps, generator=seeded(), protocol=fitted)
    assert float(scaled.value.max()) < 1e-8


@pytest.mark.parametrize("scale", ["given", "fitted"])
def test_infidelity_equals_its_definition(scale):
    model, (images, target) = network(linear=False), scene()
    maps = torch.randn(4, 6, 6, generator=seeded(8))
    protocol = InfidelityProtocol(noise=0.2, n_samples=9, scale=scale)
    found = robustness.infidelity(model, images, target, maps, generator=seeded(2), protocol=protocol).value
    generator = seeded(2)
    for index in range(4):
        moved, told = [], []
        for _ in range(9):
            change = 0.2 * torch.randn(1, 6, 6, generator=generator)
            both = model(torch.stack([images[index], images[index] - change]))[:, target[index]].detach().double()
            moved.append(both[0] - both[1])
            told.append((maps[index] * change).sum().double())
        moved, told = torch.stack(moved), torch.stack(told)
        factor = (told * moved).sum() / told.square().sum() if scale == "fitted" else 1.0
        assert float(found[index]) == pytest.approx(float((factor * told - moved).square().mean()), rel=1e-4)


def test_sensitivity_equals_its_definition():
    model, (images, target) = network(linear=False), scene()
    protocol = SensitivityProtocol(radius=0.05, n_samples=6)
    method = partial(gradients.integrated_gradients, n_steps=4)
    found = robustness.sensitivity(method, model, images, target, generator=seeded(3), protocol=protocol)
    assert found.protocol is protocol
    generator = seeded(3)
    for index in range(4):
        one = target[index : index + 1]
        start = method(model, images[index : index + 1], one)
        largest = 0.0
        for _ in range(6):
            moved = images[index] + 0.05 * (2 * torch.rand(images[index].shape, generator=generator) - 1)
            largest = max(largest, float((method(model, moved[None], one) - start).norm() / start.norm()))
        assert float(found.value[index]) == pytest.approx(largest, rel=1e-4)


def test_a_map_that_ignores_the_image_is_not_sensitive():
    images, target = scene()

    def constant(score, images, target, *, generator, max_batch):
        return torch.ones(len(images), 6, 6)

    found = robustness.sensitivity(constant, network(linear=True), images, target, generator=seeded())
    assert found.value.tolist() == [0.0] * 4


def test_pieces_seeds_and_memory():
    seen, inner = [], network(linear=False)
    images, target = scene()

    def score(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return inner(x)

    maps = gradient(inner, images, target)
    for call in (
        partial(robustness.infidelity, score, images, target, maps),
        partial(robustness.sensitivity, gradients.saliency, score, images, target),
    ):
        whole, small = call(generator=seeded()), call(generator=seeded(), max_batch=3)
        torch.testing.assert_close(whole.value, small.value, rtol=1e-4, atol=1e-9)
        seen.clear()
        call(generator=seeded(), max_batch=3)
        assert max(seen) <= 3
        assert torch.equal(whole.value, call(generator=seeded()).value)
        assert not torch.equal(whole.value, call(generator=seeded(1)).value)


def test_errors():
    images, target = scene()
    with pytest.raises(ValueError, match="noise must be positive"):
        InfidelityProtocol(noise=0.0)
    with pytest.raises(ValueError, match="radius must be positive"):
        SensitivityProtocol(radius=-1.0)
    with pytest.raises(ValueError, match="merge the channels of the maps first"):
        robustness.infidelity(network(linear=True), images, target, images, generator=seeded())
