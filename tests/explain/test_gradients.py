"""Gradient methods against captum and against the closed form of a linear model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lib.explain import gradients


@pytest.fixture
def setting() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.SiLU(), nn.Flatten(), nn.Linear(5 * 36, 4)).eval()
    return model, torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 2, 3, 1, 0])


@pytest.fixture
def linear() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(1)
    layer = nn.Linear(2 * 16, 3)
    return nn.Sequential(nn.Flatten(), layer), layer.weight.detach().view(3, 2, 4, 4)


def test_captum_computes_the_same(setting):
    from captum.attr import InputXGradient, IntegratedGradients, Saliency

    model, images, target = setting
    ours = gradients.saliency(model, images, target)
    torch.testing.assert_close(ours, Saliency(model).attribute(images, target=target).amax(1))
    ours = gradients.input_x_gradient(model, images, target)
    torch.testing.assert_close(ours, InputXGradient(model).attribute(images, target=target).sum(1))
    theirs = IntegratedGradients(model).attribute(images, target=target, n_steps=12).sum(1).float()
    ours = gradients.integrated_gradients(model, images, target, n_steps=12, max_batch=10)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)  # captum sums the steps in another order


@pytest.mark.parametrize("kind", ["smoothgrad", "smoothgrad_sq", "vargrad"])
def test_noisy_gradients_equal_captums_noise_tunnel(kind):
    """One image, whose draws come in the same order from both; smooth, so that no ReLU depends on the last digit."""
    from captum.attr import NoiseTunnel, Saliency

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 5, 3), nn.SiLU(), nn.Flatten(), nn.Linear(5 * 36, 4)).eval()
    image, target = torch.rand(1, 1, 8, 8), torch.tensor([2])
    image = (image - image.min()) / (image.max() - image.min())  # a range of 1: our noise is captum's
    method = {"smoothgrad_sq": gradients.smoothgrad_squared}.get(kind) or getattr(gradients, kind)
    ours = method(model, image, target, generator=torch.Generator().manual_seed(9), n_samples=6, noise=0.2, max_batch=4)
    torch.manual_seed(9)
    theirs = NoiseTunnel(Saliency(model)).attribute(
        image, nt_type=kind, nt_samples=6, stdevs=0.2, target=target, abs=False
    )
    torch.testing.assert_close(ours, theirs[:, 0].detach(), rtol=1e-4, atol=1e-7)


def test_integrated_gradients_complete(setting):
    model, images, target = setting
    baseline = torch.full_like(images, 0.5)
    maps = gradients.integrated_gradients(model, images, target, baseline=baseline, n_steps=32)
    with torch.no_grad():
        rise = (model(images) - model(baseline)).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(maps.sum((1, 2)), rise, rtol=1e-4, atol=1e-5)


def test_linear_model_closed_forms(linear):
    model, weights = linear
    images, target = torch.rand(3, 2, 4, 4), torch.tensor([2, 0, 1])
    chosen = weights[target]
    torch.testing.assert_close(gradients.saliency(model, images, target), chosen.abs().amax(1))
    product = (chosen * images).sum(1)
    torch.testing.assert_close(gradients.input_x_gradient(model, images, target), product)
    torch.testing.assert_close(gradients.integrated_gradients(model, images, target, n_steps=3), product)
    noisy = gradients.noisy_gradients(model, images, target, generator=torch.Generator().manual_seed(0), n_samples=5)
    torch.testing.assert_close(noisy.mean, chosen.sum(1))
    torch.testing.assert_close(noisy.mean_square, chosen.square().sum(1))
    assert noisy.variance.abs().max() < 1e-10  # a linear model has the same gradient everywhere


def test_noisy_gradients_of_a_square():
    # score = sum x^2 has gradient 2x: mean 2x, variance 4 sigma^2, mean square 4x^2 + 4 sigma^2
    def score(images: Tensor) -> Tensor:
        return images.square().sum((1, 2, 3))[:, None]

    images = torch.linspace(0, 1, 16).view(1, 1, 4, 4)
    noisy = gradients.noisy_gradients(
        score,
        images,
        torch.zeros(1, dtype=torch.int64),
        generator=torch.Generator().manual_seed(0),
        n_samples=4000,
        noise=0.1,
        max_batch=500,
    )
    # standard errors at 4000 draws: .2 / 63 for the mean, .04 * sqrt(2 / 4000) for the variance; four of them each
    torch.testing.assert_close(noisy.mean, 2 * images[:, 0], atol=0.013, rtol=0)
    torch.testing.assert_close(noisy.variance, torch.full((1, 4, 4), 0.04), atol=0.0036, rtol=0)
    torch.testing.assert_close(noisy.mean_square, noisy.variance + noisy.mean.square(), atol=1e-6, rtol=1e-5)


def test_no_noise_means_no_variance(setting):
    model, images, target = setting
    noisy = gradients.noisy_gradients(model, images, target, generator=torch.Generator(), n_samples=3, noise=0.0)
    assert noisy.variance.abs().max() < 1e-10


def test_numbers_out_of_range(setting):
    model, images, target = setting
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        gradients.integrated_gradients(model, images, target, n_steps=0)
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        gradients.vargrad(model, images, target, generator=torch.Generator(), n_samples=0)
