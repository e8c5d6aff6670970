"""Bounds: sound on samples, exact where the answer is known, and equal to the matrix form of the papers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lib.explain import bounds


def convolutional() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6 * 2 * 2, 7), nn.ReLU(), nn.Sequential(nn.Linear(7, 3)),
    ).double().eval()  # fmt: skip


def box(n: int = 5, shape=(2, 8, 8), radius: float = 0.1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    centre = torch.rand(n, *shape, generator=generator, dtype=torch.float64)
    reach = radius * torch.rand(centre.shape, generator=generator, dtype=torch.float64)
    return centre - reach, centre + reach


def dense(network: nn.Sequential, shape: tuple[int, ...]) -> nn.Sequential:
    """The same network with a matrix for every affine layer."""
    found: list[nn.Module] = [nn.Flatten()]
    for layer in bounds.layers(network):
        probe = torch.zeros(1, *shape, dtype=torch.float64)
        size = probe.numel()
        answers = layer(torch.cat([probe, torch.eye(size, dtype=torch.float64).view(size, *shape)])).detach()
        if isinstance(layer, nn.ReLU):
            found.append(nn.ReLU())
        else:
            flat = answers.flatten(1)
            matrix = nn.Linear(size, flat.shape[1]).double()
            matrix.weight.data, matrix.bias.data = (flat[1:] - flat[:1]).T.contiguous(), flat[0]
            found.append(matrix)
        shape = tuple(answers.shape[1:])
    return nn.Sequential(*found)


@pytest.mark.parametrize("method", bounds.METHODS)
@pytest.mark.parametrize("radius", [0.0, 0.02, 0.3])
def test_no_sampled_output_leaves_the_bounds(method, radius):
    network, (low, high) = convolutional(), box(radius=radius)
    generator = torch.Generator().manual_seed(3)
    floor, ceiling = bounds.METHODS[method](network, low, high)
    assert floor.shape == ceiling.shape == (5, 3)
    assert not floor.requires_grad
    for corners in (False, True):
        share = torch.rand(400, *low.shape, generator=generator, dtype=torch.float64)
        share = share.round() if corners else share
        outputs = network((low + share * (high - low)).flatten(0, 1)).detach().view(400, 5, 3)
        slack = 1e-9  # rounding of float64 sums of a hundred terms is far below
        assert (outputs >= floor - slack).all() and (outputs <= ceiling + slack).all()


@pytest.mark.parametrize("method", bounds.METHODS)
def test_a_point_has_its_output_as_both_bounds(method):
    network, (low, _) = convolutional(), box()
    for end in bounds.METHODS[method](network, low, low):
        torch.testing.assert_close(end, network(low).detach(), rtol=0, atol=1e-10)


def test_linear_is_exact_without_active_kinks_and_interval_is_not():
    """Two layers that cancel: x -> (x + 5) - (x + 5) is 0 everywhere, which only linear bounds see."""
    first, second = nn.Linear(1, 2), nn.Linear(2, 1, bias=False)
    first.weight.data, first.bias.data = torch.ones(2, 1), torch.full((2,), 5.0)
    second.weight.data = torch.tensor([[1.0, -1.0]])
    network = nn.Sequential(first, nn.ReLU(), second)
    low, high = torch.tensor([[-1.0]]), torch.tensor([[1.0]])
    assert [end.item() for end in bounds.interval(network, low, high)] == [-2.0, 2.0]
    assert [end.item() for end in bounds.linear(network, low, high)] == [0.0, 0.0]


def test_one_hidden_layer_is_the_matrix_form_of_the_paper():
    torch.manual_seed(4)
    network = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3)).double()
    (w, b), (v, c) = [(layer.weight.detach(), layer.bias.detach()) for layer in (network[0], network[2])]
    low, high = box(6, (4,), radius=0.8)
    centre, radius = (low + high) / 2, (high - low) / 2
    for row in range(6):
        bottom, top = w @ centre[row] + b - w.abs() @ radius[row], w @ centre[row] + b + w.abs() @ radius[row]
        slope, start, lower = torch.zeros(9).double(), torch.zeros(9).double(), torch.zeros(9).double()
        for unit in range(9):
            if bottom[unit] >= 0:
                slope[unit], lower[unit] = 1, 1
            elif top[unit] > 0:
                slope[unit] = top[unit] / (top[unit] - bottom[unit])
                start[unit] = -slope[unit] * bottom[unit]
                lower[unit] = float(top[unit] > -bottom[unit])
        for output in range(3):
            up = torch.where(v[output] > 0, slope, lower) * v[output]
            extra = v[output].clamp_min(0) @ start
            wanted = up @ b + extra + c[output] + up @ w @ centre[row] + (up @ w).abs() @ radius[row]
            plain = v[output].clamp_min(0) @ top.clamp_min(0) + v[output].clamp_max(0) @ bottom.clamp_min(0) + c[output]
            found = bounds.linear(network, low[row : row + 1], high[row : row + 1])[1][0, output]
            torch.testing.assert_close(found, torch.minimum(wanted, plain), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", bounds.METHODS)
def test_convolutions_equal_their_matrices(method):
    network, (low, high) = convolutional(), box()
    for found, wanted in zip(
        bounds.METHODS[method](network, low, high),
        bounds.METHODS[method](dense(network, (2, 8, 8)), low, high),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


def test_each_method_is_at_least_as_tight_as_the_one_before_it():
    network, (low, high) = convolutional(), box(radius=0.2)
    widths = [torch.sub(*reversed(method(network, low, high))) for method in bounds.METHODS.values()]
    assert (widths[1] <= widths[0] + 1e-12).all()
    assert widths[2].mean() < 0.9 * widths[1].mean() < widths[0].mean()


def test_rows_of_a_batch_do_not_touch_and_pieces_do_not_matter(monkeypatch):
    network, (low, high) = convolutional(), box()
    whole = bounds.METHODS["linear"](network, low, high)
    single = bounds.METHODS["linear"](network, low[2:3], high[2:3])
    torch.testing.assert_close(single[0], whole[0][2:3], rtol=0, atol=1e-12)
    monkeypatch.setattr(bounds, "ROWS", 7)
    torch.testing.assert_close(bounds.METHODS["linear"](network, low, high)[1], whole[1], rtol=0, atol=1e-12)


def test_errors():
    low, high = box()
    with pytest.raises(ValueError, match="must be an nn.Sequential, got Linear"):
        bounds.interval(nn.Linear(2, 2), low, high)
    with pytest.raises(ValueError, match="got SiLU"):
        bounds.linear(nn.Sequential(nn.Flatten(), nn.SiLU()), low, high)
    with pytest.raises(ValueError, match="evaluation mode"):
        bounds.interval(nn.Sequential(nn.Dropout(0.5)), low, high)
    with pytest.raises(ValueError, match="low <= high"):
        bounds.interval(convolutional(), high, low)
    with pytest.raises(ValueError, match="padding_mode must be 'zeros'"):
        bounds.interval(nn.Sequential(nn.Conv2d(2, 1, 3, padding=1, padding_mode="circular").double()), low, high)
