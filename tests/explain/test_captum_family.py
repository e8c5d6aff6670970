"""Guided backprop, deconvolution, LRP, gradient SHAP and ablation against closed forms and captum."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lib.explain import captum_family, gradients
from lib.explain.features import cells

IMAGES = torch.rand(5, 2, 8, 8, generator=torch.Generator().manual_seed(4))
TARGET = torch.tensor([0, 1, 2, 1, 0])


def network(*, offsets: bool = True) -> nn.Sequential:
    torch.manual_seed(1)
    first, last = nn.Conv2d(2, 5, 3, bias=offsets), nn.Linear(45, 3, bias=offsets)
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), last).eval()


def relu_rule(*, active: bool) -> Tensor:
    """Backward pass by hand: positive gradients only, and only of active units if asked."""
    model = network()
    hidden = model[0](IMAGES)
    pooled, places = nn.functional.max_pool2d(hidden.relu(), 2, return_indices=True)
    slope = model[4].weight[TARGET].view_as(pooled)
    slope = nn.functional.max_unpool2d(slope, places, 2)
    slope = slope.clamp_min(0) * ((hidden > 0) if active else 1)
    return nn.functional.conv_transpose2d(slope, model[0].weight).sum(1)


def test_guided_backprop_and_deconvolution_by_hand():
    guided = captum_family.guided_backprop(network(), IMAGES, TARGET)
    torch.testing.assert_close(guided, relu_rule(active=True))
    plain = captum_family.deconvolution(network(), IMAGES, TARGET)
    torch.testing.assert_close(plain, relu_rule(active=False))
    assert not torch.allclose(guided, plain)


def test_lrp_without_offsets_is_input_x_gradient_and_sums_to_the_score():
    model = network(offsets=False)
    maps = captum_family.lrp_epsilon(model, IMAGES, TARGET)
    wanted = gradients.input_x_gradient(model, IMAGES, TARGET)
    torch.testing.assert_close(maps, wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))  # epsilon keeps a little
    score = model(IMAGES).gather(1, TARGET[:, None])[:, 0]
    torch.testing.assert_close(maps.sum((1, 2)), score, rtol=0, atol=1e-3)


def test_lrp_with_offsets_is_captums():
    from captum.attr import LRP

    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 6), nn.AdaptiveAvgPool2d(1)).eval()
    found = captum_family.lrp_epsilon(nn.Sequential(*model, nn.Flatten()), IMAGES, TARGET, max_batch=2)
    theirs = LRP(model).attribute(IMAGES, target=[(int(label), 0, 0) for label in TARGET]).sum(1).detach()
    torch.testing.assert_close(found, theirs)


def test_gradient_shap_of_linear_and_quadratic_scores():
    generator = torch.Generator().manual_seed(0)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    pool = torch.rand(4, 2, 8, 8)
    exact = gradients.integrated_gradients(flat, IMAGES, TARGET, baseline=0.25, n_steps=1)
    found = captum_family.gradient_shap(flat, IMAGES, TARGET, generator=generator, baselines=0.25, n_samples=2)
    torch.testing.assert_close(found, exact)  # a linear score: every sample is exact

    def square(images: Tensor) -> Tensor:
        return images.square().sum((1, 2, 3))[:, None]

    many = captum_family.gradient_shap(
        square, IMAGES, TARGET * 0, generator=generator, baselines=pool, n_samples=4000, max_batch=5
    )
    # E over references and points of 2 (b + u (x - b)) (x - b) is E[x² - b²]; sd below 2 per channel, four errors
    wanted = (IMAGES.square() - pool.square().mean(0)).sum(1)
    torch.testing.assert_close(many, wanted, rtol=0, atol=4 * 2 * 2**0.5 / 4000**0.5)


def test_gradient_shap_agrees_with_captum_in_the_mean():
    from captum.attr import GradientShap

    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).eval()
    pool = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    theirs = GradientShap(model).attribute(IMAGES, baselines=pool, n_samples=800, stdevs=0.05, target=TARGET).sum(1)
    ours = captum_family.gradient_shap(
        model, IMAGES, TARGET, generator=torch.Generator().manual_seed(0), baselines=pool, n_samples=800, noise=0.05
    )
    assert (ours - theirs.detach()).abs().max() < 0.1 * theirs.abs().max()  # two averages of 800 draws


def test_ablation_is_captums_for_groups_of_pixels():
    from captum.attr import FeatureAblation

    model, groups = network(), cells((8, 8), 3)
    theirs = FeatureAblation(model).attribute(IMAGES, baselines=0.5, target=TARGET, feature_mask=groups[None, None])
    ours = captum_family.feature_ablation(model, IMAGES, TARGET, features=groups, fill=0.5, max_batch=4)
    torch.testing.assert_close(ours, theirs[:, 0].detach(), rtol=1e-4, atol=1e-6)
    apart = torch.stack([groups, groups.flip(0), groups, groups.T.contiguous(), groups])
    one = captum_family.feature_ablation(model, IMAGES[1:2], TARGET[1:2], features=groups.flip(0), fill=0.5)
    both = captum_family.feature_ablation(model, IMAGES, TARGET, features=apart, fill=0.5)
    torch.testing.assert_close(both[1:2], one, rtol=1e-4, atol=1e-6)


def test_errors():
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(128, 3), nn.SiLU())
    with pytest.raises(ValueError, match="must have nn.ReLU modules for guided_backprop"):
        captum_family.guided_backprop(smooth, IMAGES, TARGET)
    with pytest.raises(ValueError, match="layers with a rule for lrp_epsilon"):
        captum_family.lrp_epsilon(smooth, IMAGES, TARGET)
    generator = torch.Generator()
    with pytest.raises(ValueError, match=r"baselines must be \(k, 2, 8, 8\)"):
        captum_family.gradient_shap(smooth, IMAGES, TARGET, generator=generator, baselines=torch.zeros(2, 8, 8))
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        captum_family.gradient_shap(smooth, IMAGES, TARGET, generator=generator, n_samples=0)
