"""NormGrad against a real inserted identity, and its outer products against outer products formed in full."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.explain import normgrad

IMAGES = torch.rand(3, 2, 9, 7, generator=torch.Generator().manual_seed(1))
TARGET = torch.tensor([2, 0, 3])
IDENTITIES = ("bias", "scaling", "conv1x1", "conv3x3")


def network() -> nn.Module:
    torch.manual_seed(0)
    convolutions = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(5, 6, 3, 2))
    return nn.Sequential(convolutions, nn.Tanh(), nn.Flatten(), nn.Linear(6 * 12, 4)).eval()


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("layer", ["0.0", "0.2", "1"])
def test_equals_the_gradient_of_a_real_identity(identity, layer):
    model = network()
    maps = normgrad.layer_maps(model, IMAGES, TARGET, layers=[layer], identity=identity)[0]
    for one, image, label in zip(maps, IMAGES, TARGET.tolist(), strict=True):
        slow = normgrad.explicit(model, image, label, layer=layer, identity=identity)
        torch.testing.assert_close(one, slow, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("trained", [True, False])
def test_a_real_identity_changes_nothing_and_is_taken_out_again(identity, trained):
    model = network().requires_grad_(trained)
    before = model(IMAGES)
    normgrad.explicit(model, IMAGES[0], 1, layer="0.2", identity=identity)
    seen = []
    hook = model[0][2].register_forward_hook(
        lambda module, given, output: seen.append(normgrad._inserted(output[:1].detach(), identity)[0] - output[:1])
    )
    assert torch.equal(model(IMAGES), before)
    hook.remove()
    assert seen[0].abs().max() < 1e-6


@pytest.mark.parametrize("order", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("identity", ["conv1x1", "conv3x3"])
def test_factors_equal_the_outer_product_in_full(identity, order):
    generator = torch.Generator().manual_seed(5)
    a, g = torch.randn(2, 4, 5, 6, generator=generator), torch.randn(2, 4, 5, 6, generator=generator)
    side = 3 if identity == "conv3x3" else 1
    around = F.unfold(a, side, padding=side // 2).view(2, -1, 5, 6)
    outer = torch.einsum("nchw,nkhw->nhwck", g, around).flatten(3)
    wanted = {
        "norm": outer.abs().pow(order).sum(3).pow(1 / order),
        "positive": outer.clamp_min(0).pow(order).sum(3).pow(1 / order),
        "sum": outer.sum(3),
        "max": outer.amax(3),
    }
    for aggregate, value in wanted.items():
        found = normgrad._reduced(a, g, identity=identity, aggregate=aggregate, order=order)
        torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5)


def test_sum_of_a_scaling_identity_is_the_activation_times_its_gradient():
    model = network()
    (pair,) = next(normgrad.taps(model, IMAGES, TARGET, layers=["0.2"], max_batch=8))
    product = (pair[0] * pair[1]).sum(1)
    found = normgrad.layer_maps(model, IMAGES, TARGET, layers=["0.2"], identity="scaling", aggregate="sum")[0]
    torch.testing.assert_close(found, product)
    head = model[-1].weight.view(4, 6, 4, 3)[TARGET]  # tanh' times the head's weights is the gradient
    torch.testing.assert_close(pair[1], head * (1 - pair[0].tanh().square()))


def test_several_layers_in_one_pass_and_a_module_instead_of_a_name():
    model = network()
    together = normgrad.layer_maps(model, IMAGES, TARGET, layers=["0.0", "0", "1"])
    for layer, found in zip((model[0][0], model[0], model[1]), together, strict=True):
        apart = normgrad.layer_maps(lambda x: model(x), IMAGES, TARGET, layers=[layer])[0]
        torch.testing.assert_close(found, apart)


def test_combination_is_the_product_of_scaled_maps():
    model = network()
    maps = [normgrad.norm_grad(model, IMAGES, TARGET, layer=layer) for layer in ("0.0", "1")]
    scaled = [(m - m.amin((1, 2), True)) / (m.amax((1, 2), True) - m.amin((1, 2), True)) for m in maps]
    found = normgrad.norm_grad_combined(model, IMAGES, TARGET, layers=["0.0", "1"], weights=[2.0, 0.5])
    torch.testing.assert_close(found, scaled[0] ** 2 * scaled[1] ** 0.5)
    assert torch.equal(normgrad.combine([torch.full((1, 2, 2), 3.0)]), torch.ones(1, 2, 2))


def test_tokens_become_a_map():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(2), nn.Linear(63, 16), nn.Tanh(), nn.Flatten(), nn.Linear(32, 4))  # (n, 2, 16)

    def as_map(values: Tensor) -> Tensor:
        return values.unflatten(2, (4, 4))

    assert normgrad.norm_grad(model, IMAGES, TARGET, layer="1", as_map=as_map).shape == (3, 9, 7)
    with pytest.raises(ValueError, match=r"layer must give \(m, channels, h, w\)"):
        normgrad.norm_grad(model, IMAGES, TARGET, layer="1")


def test_errors():
    model = network()
    with pytest.raises(ValueError, match="layer '9' is not in the model; choose one of: 0, 0.0"):
        normgrad.norm_grad(model, IMAGES, TARGET, layer="9")
    with pytest.raises(ValueError, match="ran 0 times"):
        normgrad.norm_grad(model, IMAGES, TARGET, layer=nn.ReLU())
    with pytest.raises(ValueError, match="identity must be one of"):
        normgrad.norm_grad(model, IMAGES, TARGET, layer="1", identity="conv5x5")
    with pytest.raises(ValueError, match="order must be above 0"):
        normgrad.norm_grad(model, IMAGES, TARGET, layer="1", order=0.0)
    with pytest.raises(ValueError, match="one or more of equal shape"):
        normgrad.combine([torch.rand(1, 2, 2), torch.rand(1, 3, 2)])
