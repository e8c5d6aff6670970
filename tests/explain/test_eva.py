"""EVA: the overlap of linear networks in closed form, guarantees on samples, regions that cannot matter."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lib.explain import bounds, eva
from lib.explain.features import cells


def network() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3)).eval()


def images(n: int = 3) -> torch.Tensor:
    return 0.2 + 0.6 * torch.rand(n, 1, 6, 6, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("method", bounds.METHODS)
def test_linear_network_with_two_classes_has_the_closed_form(method):
    torch.manual_seed(0)
    layer = nn.Linear(36, 2)
    model, regions = nn.Sequential(nn.Flatten(), layer), cells((6, 6), 3)
    found = eva.eva(
        model, images(), torch.tensor([0, 1, 0]), network=model, features=regions, radius=0.1, method=method
    )
    reach = 0.1 * layer.weight.detach().abs().sum(0).view(6, 6)  # both logits move, in the worst case apart
    wanted = torch.stack([reach[regions == region].sum() for region in range(9)])[regions]
    torch.testing.assert_close(found, wanted.expand(3, 6, 6), rtol=1e-4, atol=1e-5)


def test_the_overlap_bounds_every_sampled_margin_from_above():
    model, x = network().double(), images().double()
    target = torch.tensor([0, 1, 2])
    low, high = eva.ball(x, 0.15)
    limits = eva.overlap(*bounds.METHODS["linear"](model, low, high), target)
    share = torch.rand(500, *x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits = model((low + share * (high - low)).flatten(0, 1)).detach().view(500, 3, 3)
    for row, label in enumerate(target.tolist()):
        others = [c for c in range(3) if c != label]
        assert (logits[:, row, others].amax(1) - logits[:, row, label]).max() <= limits[row] + 1e-9


def test_the_search_finds_the_worst_corner_of_a_linear_network_and_stays_inside():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    low, high = eva.ball(images(), 0.1)
    target = torch.tensor([0, 1, 0])
    found = eva.worst_found(model, low, high, target, generator=torch.Generator().manual_seed(0))
    weight = model[1].weight.detach()
    towards = (weight[1 - target] - weight[target]).view(3, 1, 6, 6) > 0
    assert torch.equal(found, torch.where(towards, high, low))
    model = network()
    found = eva.worst_found(model, low, high, target, generator=torch.Generator().manual_seed(0))
    assert ((found >= low) & (found <= high)).all()
    reached, plain = (eva.overlap(logits, logits, target) for logits in (model(found), model(images())))
    assert (reached > plain).all()
    assert (reached <= eva.overlap(*bounds.linear(model, low, high), target) + 1e-5).all()


def test_tried_inputs_lie_in_their_box_and_every_third_is_a_corner():
    low, high = eva.ball(images(2), 0.1)
    found = eva.tried(
        network(), low, high, torch.tensor([0, 1]), n_inputs=7, generator=torch.Generator().manual_seed(0)
    )
    assert found.shape == (2, 7, 1, 6, 6)
    assert ((found >= low[:, None] - 1e-6) & (found <= high[:, None] + 1e-6)).all()
    inside = ((found - low[:, None]).abs() > 1e-6) & ((found - high[:, None]).abs() > 1e-6)
    assert inside[:, ::3].any((2, 3, 4)).all() and not inside[:, 1::3].any()


def test_interval_importance_is_never_negative_and_unseen_regions_have_none():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    nn.init.ones_(model[0].weight)
    weight = model[3].weight.data.view(3, 6, 6)
    weight[:, :, 3:] = 0  # the right half is not connected
    found = eva.eva(
        model, images(), torch.tensor([0, 1, 2]), network=model, features=cells((6, 6), 2), radius=0.2,
        method="interval",
    )  # fmt: skip
    assert (found >= -1e-6).all()
    assert found[:, :, 3:].abs().max() < 1e-6
    assert found[:, :, :3].max() > 1e-3


@pytest.mark.parametrize("method", bounds.METHODS)
def test_radius_zero_makes_no_region_matter(method):
    found = eva.eva(network(), images(), torch.tensor([0, 1, 2]), network=network(), radius=0.0, method=method)
    assert found.shape == (3, 6, 6)
    assert found.abs().max() < 1e-5


def test_the_ball_keeps_to_pixel_values_and_holds_its_image():
    x = torch.tensor([[[[0.0, 0.05, 1.0]]]])
    low, high = eva.ball(x, 0.1)
    torch.testing.assert_close(low, torch.tensor([[[[0.0, 0.0, 0.9]]]]))
    torch.testing.assert_close(high, torch.tensor([[[[0.1, 0.15, 1.0]]]]))


def test_errors():
    target = torch.tensor([0, 1, 2])
    with pytest.raises(ValueError, match="radius must be at least 0"):
        eva.eva(network(), images(), target, network=network(), radius=-0.1)
    with pytest.raises(ValueError, match="method must be one of interval, mixed, linear"):
        eva.eva(network(), images(), target, network=network(), method="best")
