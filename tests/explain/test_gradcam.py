"""Grad-CAM against captum, against its formula by hand, and on tokens."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lib.explain.gradcam import gradcam
from lib.models.cnn import small_cnn


def network() -> nn.Module:
    torch.manual_seed(2)
    return small_cnn(3, 5, width=4).eval()


def images(n: int = 4) -> Tensor:
    return torch.rand(n, 3, 24, 24, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("layer", ["stages.1", "stages.2"])
def test_captum_gives_the_same(layer):
    from captum.attr import LayerGradCam

    model, x, y = network(), images(), torch.tensor([0, 4, 2, 2])
    coarse = LayerGradCam(model, model.get_submodule(layer)).attribute(x, target=y)
    theirs = nn.functional.interpolate(coarse, size=(24, 24), mode="bilinear", align_corners=False)[:, 0]
    ours = gradcam(model, x, y, layer=layer, positive=False, max_batch=3)
    torch.testing.assert_close(ours, theirs.detach(), atol=1e-6, rtol=1e-4)
    rectified = nn.functional.interpolate(coarse.relu(), size=(24, 24), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(gradcam(model, x, y, layer=layer), rectified.detach(), atol=1e-6, rtol=1e-4)


def test_average_pooling_and_a_linear_head_weigh_the_channels_by_the_head():
    torch.manual_seed(0)
    body, head = nn.Conv2d(1, 4, 1), nn.Linear(4, 2)
    model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    x = torch.rand(2, 1, 6, 6)
    expected = torch.einsum("k,nkuv->nuv", head.weight[1], body(x)) / 36  # the gradient of a mean of 36 places
    ours = gradcam(model, x, torch.ones(2, dtype=torch.int64), layer="0", positive=False)
    torch.testing.assert_close(ours, expected.detach())


def test_batch_equals_single_and_frozen_or_in_place_networks_do():
    model, x, y = network(), images(), torch.tensor([0, 4, 2, 2])
    both = gradcam(model, x, y, layer="stages.2")
    for i in range(4):
        one = slice(i, i + 1)
        torch.testing.assert_close(gradcam(model, x[one], y[one], layer="stages.2"), both[one], atol=1e-6, rtol=1e-4)
    frozen = network().requires_grad_(False)
    torch.testing.assert_close(gradcam(frozen, x, y, layer="stages.2"), both)
    rooms = [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=flag), nn.Flatten(), nn.LazyLinear(5)) for flag in (0, 1)
    ]
    for each in rooms:
        each(x)
    rooms[1].load_state_dict(rooms[0].state_dict())
    torch.testing.assert_close(gradcam(rooms[0], x, y, layer="0"), gradcam(rooms[1], x, y, layer="0"))


def test_tokens_become_a_grid():
    torch.manual_seed(0)
    patches = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.Flatten(2))

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Linear(4, 6)
            self.head = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            tokens = patches(x).mT  # (n, 9, 4)
            return self.head(self.block(tokens).tanh().mean(1))

    model, x, y = Tokens(), images(2), torch.tensor([1, 0])

    def as_map(tokens: Tensor) -> Tensor:
        return tokens.mT.unflatten(2, (3, 3))

    maps = gradcam(model, x, y, layer="block", as_map=as_map)
    assert maps.shape == (2, 24, 24)
    values = model.block(patches(x).mT).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(model.head(values.tanh().mean(1)).gather(1, y[:, None]).sum(), values)
    grid = (slope.mean(1, keepdim=True) * values).sum(2).detach().relu().view(2, 1, 3, 3)
    expected = nn.functional.interpolate(grid, size=(24, 24), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(maps, expected)


def test_errors():
    with pytest.raises(ValueError, match="layer 'nowhere' is not in the model"):
        gradcam(network(), images(), torch.zeros(4, dtype=torch.int64), layer="nowhere")
    with pytest.raises(ValueError, match=r"layer must give \(m, channels, h, w\)"):
        gradcam(network(), images(), torch.zeros(4, dtype=torch.int64), layer="head")
