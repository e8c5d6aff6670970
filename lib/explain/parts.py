"""Two parts of a difference on their way through a network: the linear rule and RevealCancel of DeepLIFT.

Paper: Shrikumar et al. 2017 (arXiv:1704.02685). Every difference from the reference is kept as a positive and a
negative part. A weight passes a difference to the part that its sign says. In front of a nonlinearity each part acts
once before and once after the other, and the mean of both counts.

Differences: any increasing elementwise function is allowed. Of maximum pooling the paper says little: here the same two
orders are applied to a whole window, and each step is credited to the place that holds the larger of its two maxima,
which keeps every multiplier in [0, 1] and the sum exact, with overlap too.

Conventions: everything is float64, so that sums are exact for float32 networks; layers are those of one chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LINEAR = (nn.Linear, nn.Conv2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Softplus, nn.Sigmoid, nn.Tanh)
PASSED = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d)
TOLERANCE = 1e-9  # a difference below this share of its two parts counts as none: rounding must not choose a sign


def chain(model: nn.Module) -> list[nn.Module]:
    """The layers of nested sequentials in order.

    Raises
    ------
    ValueError
        For a layer that RevealCancel has no rule for, or a convolution whose padding is not of zeros.

    Examples
    --------
    >>> [type(layer).__name__ for layer in chain(nn.Sequential(nn.Sequential(nn.Flatten()), nn.Linear(4, 2)))]
    ['Flatten', 'Linear']
    """
    if isinstance(model, nn.Sequential):
        return [layer for part in model for layer in chain(part)]
    known = isinstance(model, LINEAR + ELEMENTWISE + PASSED + (nn.MaxPool2d,))
    if not known or getattr(model, "padding_mode", "zeros") != "zeros":
        raise ValueError(
            f"score must be a chain of layers that RevealCancel knows, got {type(model).__name__}; "
            f"build it with nn.Sequential from {', '.join(kind.__name__ for kind in LINEAR + ELEMENTWISE)}, "
            "MaxPool2d and Flatten"
        )
    return [model]


@dataclass(frozen=True)
class _Difference:
    """What stands before a layer: reference, and the positive and negative part of the difference from it."""

    base: Tensor
    up: Tensor
    down: Tensor

    @property
    def orders(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Start and end of the two steps up, first alone and then after the step down."""
        return (self.base, self.base + self.up), (self.base + self.down, self.base + self.up + self.down)


def contributions(layers: list[nn.Module], base: Tensor, change: Tensor, target: Tensor) -> Tensor:
    """Contributions of the inputs' differences to that of one output.

    Parameters
    ----------
    layers : list of nn.Module
        From `chain`.
    base, change : Tensor, float64 (m, ...)
        Reference, and input minus reference.
    target : Tensor, int64 (m,)

    Returns
    -------
    Tensor, float64 (m, ...)
        Sums over an input to the output's difference; 0 = the input does not change or does not matter.
    """
    at = _Difference(base, change.clamp_min(0), change.clamp_max(0))
    befores: list[_Difference] = []
    for layer in layers:
        befores.append(at)
        at = _forward(layer, at)
    ups = torch.zeros_like(at.base).scatter_(1, target[:, None], 1.0)
    downs = ups
    for layer, before in zip(reversed(layers), reversed(befores), strict=True):
        ups, downs = _backward(layer, before, ups, downs)
    return ups * change.clamp_min(0) + downs * change.clamp_max(0)


def _forward(layer: nn.Module, at: _Difference) -> _Difference:
    """Reference and parts behind a layer."""
    if isinstance(layer, LINEAR):
        positive, negative = _signed(layer)
        change = at.up + at.down
        change = torch.where(_vanishes(at), 0.0, change)  # what cancels moves neither part
        more, less = change.clamp_min(0), change.clamp_max(0)
        base = positive(at.base) + negative(at.base)
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
            offset = layer.bias.double()
            base = base + (offset.view(-1, 1, 1) if isinstance(layer, nn.Conv2d) else offset)
        return _Difference(base, positive(more) + negative(less), positive(less) + negative(more))
    if isinstance(layer, PASSED):
        moved = [layer(each) if isinstance(layer, nn.Flatten) else each for each in (at.base, at.up, at.down)]
        return _Difference(*moved)
    (a, b), (c, d) = ((layer(low.clone()), layer(high.clone())) for low, high in at.orders)  # f(0), f(+), f(-), f(+-)
    return _Difference(a, ((b - a) + (d - c)) / 2, ((c - a) + (d - b)) / 2)


def _backward(layer: nn.Module, at: _Difference, ups: Tensor, downs: Tensor) -> tuple[Tensor, Tensor]:
    """Multipliers of the two parts in front of a layer, from those behind it."""
    if isinstance(layer, LINEAR):
        positive, negative = (_transposed(each, at.base) for each in _signed(layer))
        change = at.up + at.down
        raising, lowering = positive(ups) + negative(downs), positive(downs) + negative(ups)
        slope = torch.where(change > 0, raising, lowering)
        slope = torch.where(_vanishes(at), (raising + lowering) / 2, slope)
        return slope, slope
    if isinstance(layer, PASSED):
        return ups.view(at.base.shape), downs.view(at.base.shape)
    if isinstance(layer, nn.MaxPool2d):
        (a, b), (c, d) = at.orders
        up = (_paid(layer, a, b, ups) + _paid(layer, c, d, ups)) / 2
        down = (_paid(layer, a, c, downs) + _paid(layer, b, d, downs)) / 2
        return _divided(up, at.up), _divided(down, at.down)
    behind = _forward(layer, at)
    slope = (_derivative(layer, at.base) + _derivative(layer, at.base + at.up + at.down)) / 2
    up = torch.where(at.up > 0, _divided(behind.up, at.up), slope)
    down = torch.where(at.down < 0, _divided(behind.down, at.down), slope)
    return ups * up, downs * down


def _vanishes(at: _Difference) -> Tensor:
    """Where the two parts cancel up to rounding, bool."""
    return (at.up + at.down).abs() <= TOLERANCE * (at.up - at.down)


def _divided(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, 0 where whole is 0."""
    return torch.where(whole != 0, part / torch.where(whole != 0, whole, 1.0), 0.0)


def _derivative(layer: nn.Module, at: Tensor) -> Tensor:
    with torch.enable_grad():
        place = at.detach().requires_grad_(True)
        return torch.autograd.grad(layer(place.clone()).sum(), place)[0]


def _signed(layer: nn.Module) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """A linear layer without offset as the sum of one with weights >= 0 and one with weights <= 0, float64."""
    if isinstance(layer, nn.Linear):
        dense = layer.weight.double()
        return lambda x: x @ dense.clamp_min(0).T, lambda x: x @ dense.clamp_max(0).T
    if isinstance(layer, nn.Conv2d):
        kernel, options = layer.weight.double(), (layer.stride, layer.padding, layer.dilation, layer.groups)
        return (
            lambda x: F.conv2d(x, kernel.clamp_min(0), None, *options),  # type: ignore[arg-type]
            lambda x: F.conv2d(x, kernel.clamp_max(0), None, *options),  # type: ignore[arg-type]
        )
    return lambda x: layer(x), lambda x: torch.zeros_like(layer(x))


def _transposed(linear: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Tensor], Tensor]:
    """The transpose of a linear function of tensors shaped as ``like``."""

    def apply(values: Tensor) -> Tensor:
        with torch.enable_grad():
            place = torch.zeros_like(like, requires_grad=True)
            made = linear(place)
            return torch.autograd.grad(made, place, values)[0] if made.requires_grad else torch.zeros_like(like)

    return apply


def _paid(layer: nn.MaxPool2d, start: Tensor, end: Tensor, multipliers: Tensor) -> Tensor:
    """What a step of a maximum pays to the places before it: all to the holder of the larger maximum.

    Either ``start <= end`` everywhere or ``start >= end`` everywhere.
    """
    before, at_start = _pooled(layer, start)
    after, at_end = _pooled(layer, end)
    holder = torch.where(after >= before, at_end, at_start)
    paid = torch.zeros_like(start).flatten(2)
    return paid.scatter_add(2, holder.flatten(2), ((after - before) * multipliers).flatten(2)).view_as(start)


def _pooled(layer: nn.MaxPool2d, values: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima and where in the flattened picture they stand."""
    options = layer.kernel_size, layer.stride, layer.padding, layer.dilation
    return nn.MaxPool2d(*options, return_indices=True, ceil_mode=layer.ceil_mode)(values)
