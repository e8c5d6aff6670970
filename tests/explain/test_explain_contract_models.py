"""The attribution contract for methods that look into a network: they take it as an nn.Module."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lib.explain import captum_family, deeplift, normgrad

METHODS = {
    "norm_grad": (normgrad.norm_grad, {"layer": "0"}),
    "norm_grad conv3x3": (normgrad.norm_grad, {"layer": "1", "identity": "conv3x3", "aggregate": "positive"}),
    "norm_grad_combined": (normgrad.norm_grad_combined, {"layers": ["0", "2"]}),
    "rescale": (deeplift.rescale, {"baseline": 0.2}),
    "reveal_cancel": (deeplift.reveal_cancel, {"baseline": 0.2}),
    "guided_backprop": (captum_family.guided_backprop, {}),
    "deconvolution": (captum_family.deconvolution, {}),
    "lrp_epsilon": (captum_family.lrp_epsilon, {}),
}


class Counted(nn.Sequential):
    """A chain that remembers how many images each call brought."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return super().forward(images)


def network() -> Counted:
    torch.manual_seed(3)
    return Counted(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 9, 4)).eval()


IMAGES = torch.rand(9, 2, 8, 8, generator=torch.Generator().manual_seed(7))
TARGET = torch.arange(9) % 4


@pytest.mark.parametrize("name", METHODS)
def test_shape_type_and_batch_independence(name):
    method, options = METHODS[name]
    maps = method(network(), IMAGES, TARGET, generator=None, max_batch=64, **options)
    assert maps.shape == (9, 8, 8)
    assert maps.dtype == torch.float32
    assert not maps.requires_grad
    assert maps.abs().max() > 0
    near = {"rtol": 1e-4, "atol": 1e-5 * float(maps.abs().max())}  # float32 sums in another order
    torch.testing.assert_close(method(network(), IMAGES, TARGET, max_batch=7, **options), maps, **near)
    torch.testing.assert_close(method(network(), IMAGES[4:5], TARGET[4:5], **options), maps[4:5], **near)


@pytest.mark.parametrize("name", METHODS)
def test_no_call_exceeds_max_batch_and_the_network_is_left_as_it_was(name):
    method, options = METHODS[name]
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    method(model, IMAGES, TARGET, max_batch=3, **options)
    assert max(model.seen, default=0) <= 3
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(part.training is False for part in model.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in model.modules())
    assert all(value.grad is None for value in model.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_errors(name):
    method, options = METHODS[name]
    with pytest.raises(ValueError, match=r"images must be float \(n, c, h, w\)"):
        method(network(), torch.rand(2, 8, 8), TARGET[:2], **options)
    with pytest.raises(ValueError, match="one class number per image"):
        method(network(), IMAGES, TARGET[:3], **options)
    with pytest.raises(ValueError, match="max_batch must be at least 1, got 0"):
        method(network(), IMAGES, TARGET, max_batch=0, **options)
    with pytest.raises(ValueError, match="score must be an nn.Module"):
        method(lambda images: images.flatten(1), IMAGES, TARGET, **options)
