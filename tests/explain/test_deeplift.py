"""DeepLIFT on cases that can be computed by hand, and sums that must be exact."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lib.explain import deeplift, gradients, parts
from lib.models.chains import minimum, saturated

FIRST = torch.zeros(1, dtype=torch.int64)


def table(*rows: tuple[float, ...]) -> Tensor:
    """Rows as images of one line."""
    return torch.tensor(rows)[:, None, None]


def network() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, groups=2), nn.Tanh(), nn.MaxPool2d(2), nn.ReLU()),
        nn.AvgPool2d(2, 1), nn.Dropout(), nn.Flatten(), nn.Linear(8, 12), nn.Softplus(), nn.Linear(12, 4),
    ).eval()  # fmt: skip


IMAGES = torch.rand(6, 2, 20, 20, generator=torch.Generator().manual_seed(3))[:, :, :18, :18]
TARGET = torch.tensor([0, 1, 2, 3, 2, 1])


@pytest.mark.parametrize(("x1", "x2"), [(0.75, 0.25), (0.25, 0.75), (0.5, 0.5), (1.0, 0.125)])
def test_reveal_cancel_splits_a_minimum_in_halves(x1, x2):
    half = min(x1, x2) / 2
    assert torch.equal(deeplift.reveal_cancel(minimum(), table((x1, x2)), FIRST), torch.tensor([[[half, half]]]))


@pytest.mark.parametrize(("x1", "x2"), [(0.75, 0.25), (0.25, 0.75)])
def test_rescale_gives_a_minimum_to_one_input(x1, x2):
    wanted = torch.tensor([[[x1 if x1 < x2 else 0.0, x2 if x2 < x1 else 0.0]]])
    torch.testing.assert_close(deeplift.rescale(minimum(), table((x1, x2)), FIRST), wanted)
    torch.testing.assert_close(gradients.input_x_gradient(minimum(), table((x1, x2)), FIRST), wanted)


@pytest.mark.parametrize("method", [deeplift.rescale, deeplift.reveal_cancel])
def test_a_saturated_unit_has_no_gradient_but_contributions(method):
    images = table((1.0, 1.0), (2.0, 1.0), (0.25, 0.25))
    target = torch.zeros(3, dtype=torch.int64)
    assert gradients.saliency(saturated(), images, target)[:2].abs().max() == 0
    wanted = table((0.5, 0.5), (2 / 3, 1 / 3), (0.25, 0.25))[:, 0]
    torch.testing.assert_close(method(saturated(), images, target), wanted)


def test_reveal_cancel_by_hand_through_a_maximum():
    # max(x1, x2) from (0, 0) to (3, 1): the maximum holds x1 in both orders, all 3 go to x1
    pool = nn.Sequential(nn.MaxPool2d((1, 2)), nn.Flatten())
    assert torch.equal(deeplift.reveal_cancel(pool, table((3.0, 1.0)), FIRST), torch.tensor([[[3.0, 0.0]]]))
    # from (2, 0) to (0, 1): up first 2 -> 2 pays nothing, up after down 0 -> 1 pays 1 to x2, half of it counts;
    # down first 2 -> 0 pays -2 to x1, down after up 2 -> 1 pays -1 to x1: -1.5
    found = deeplift.reveal_cancel(pool, table((0.0, 1.0)), FIRST, baseline=table((2.0, 0.0)))
    assert torch.equal(found, torch.tensor([[[-1.5, 0.5]]]))


@pytest.mark.parametrize("baseline", [0.0, 0.4, "image"])
def test_reveal_cancel_sums_to_the_difference_exactly(baseline):
    model = network().double()
    start = torch.rand(1, 2, 18, 18, generator=torch.Generator().manual_seed(9)) if baseline == "image" else baseline
    layers, base = parts.chain(model), deeplift.reference(start, IMAGES).double()
    with torch.no_grad():
        maps = parts.contributions(layers, base, IMAGES.double() - base, TARGET).sum((1, 2, 3))
        change = (model(IMAGES.double()) - model(base)).gather(1, TARGET[:, None])[:, 0]
    torch.testing.assert_close(maps, change, rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", [deeplift.rescale, deeplift.reveal_cancel])
@pytest.mark.parametrize("baseline", [0.0, 0.4, "image"])
def test_both_rules_are_complete(method, baseline):
    start = torch.rand(1, 2, 18, 18, generator=torch.Generator().manual_seed(9)) if baseline == "image" else baseline
    maps = method(network(), IMAGES, TARGET, baseline=start)
    left = deeplift.completeness(network(), IMAGES, TARGET, maps, baseline=start, max_batch=4)
    assert left.abs().max() < 1e-5 * maps.abs().sum((1, 2)).max()


def test_completeness_sees_what_a_gradient_leaves():
    maps = gradients.input_x_gradient(saturated(), table((1.0, 1.0)), FIRST)
    assert deeplift.completeness(saturated(), table((1.0, 1.0)), FIRST, maps).item() == -1.0


def test_without_a_nonlinearity_both_rules_are_the_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 64, 4))
    wanted = gradients.input_x_gradient(model, IMAGES, TARGET)
    for method in (deeplift.rescale, deeplift.reveal_cancel):
        torch.testing.assert_close(method(model, IMAGES, TARGET), wanted, rtol=1e-4, atol=1e-6)


def test_one_rule_where_nothing_cancels():
    # weights >= 0 and differences >= 0: there is no negative part, and RevealCancel is Rescale
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4))
    for layer in (model[1], model[3]):
        layer.weight.data.abs_()
    images = torch.rand(3, 1, 4, 4)
    found = [method(model, images, TARGET[:3]) for method in (deeplift.rescale, deeplift.reveal_cancel)]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_errors():
    softmax, shared = nn.Sequential(minimum(), nn.Softmax(1)), nn.Sequential(nn.MaxPool2d((1, 2), 1), nn.Flatten())
    with pytest.raises(ValueError, match="must give logits for rescale"):
        deeplift.rescale(softmax, table((1.0, 1.0)), FIRST)
    with pytest.raises(ValueError, match="must pool without overlap"):
        deeplift.rescale(shared, table((1.0, 1.0)), FIRST)
    with pytest.raises(ValueError, match="max_batch must be at least 2"):
        deeplift.rescale(minimum(), table((1.0, 1.0)), FIRST, max_batch=1)
    with pytest.raises(ValueError, match="got Softmax; build it with nn.Sequential"):
        deeplift.reveal_cancel(softmax, table((1.0, 1.0)), FIRST)
    with pytest.raises(ValueError, match="merge the channels of the maps first"):
        deeplift.completeness(minimum(), table((1.0, 1.0)), FIRST, torch.zeros(2, 1, 2))
