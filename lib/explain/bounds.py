"""Guaranteed bounds on what a small feed-forward network can answer anywhere in a box of inputs.

Papers: Gowal et al. 2018 (arXiv:1810.12715), interval bound propagation: a layer W x + b maps a box with centre m and
radius r into the box with centre W m + b and radius |W| r. Zhang et al. 2018, CROWN (arXiv:1811.00866): every ReLU
whose input may have either sign lies between two lines, so the whole network lies between two affine functions of its
input, found by going backwards from the outputs, and these are smallest and largest in a corner of the box.

Differences: layers are the modules of an `nn.Sequential`, not a graph; the backward pass of an affine layer is torch's
own, so convolutions and pooling need no matrices. The inputs of the ReLUs are bounded by intervals or, for tighter and
dearer bounds, by the same linear method. Linear bounds are cut with the interval ones, so they are never wider.

Conventions: a box is a pair of tensors low <= high (n, c, h, w), one box per row; bounds are (n, outputs). Everything
is computed in the type of the box: take float64 (and ``network.double()``) where rounding must not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Box = tuple[Tensor, Tensor]
Method = Literal["interval", "mixed", "linear"]
AFFINE = (nn.Linear, nn.Conv2d, nn.AvgPool2d, nn.Flatten)
SILENT = (nn.Identity, nn.Dropout)  # nothing in evaluation mode
ROWS = 1024  # functions carried backwards at once; bounds memory, does not change the result


def layers(network: nn.Sequential) -> list[nn.Module]:
    """The layers of a network that bounds are known for, without those that do nothing.

    Raises
    ------
    ValueError
        For a network that is no chain of known layers, or is in training mode.

    Examples
    --------
    >>> [type(layer).__name__ for layer in layers(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU()))]
    ['Flatten', 'Linear', 'ReLU']
    """
    if not isinstance(network, nn.Sequential):
        raise ValueError(f"network must be an nn.Sequential, got {type(network).__name__}; list its layers in order")
    found: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, nn.Sequential):
            found += layers(layer)
        elif isinstance(layer, (*AFFINE, nn.ReLU)):
            found.append(layer)
        elif not isinstance(layer, SILENT) or (isinstance(layer, nn.Dropout) and layer.training):
            raise ValueError(
                f"network must hold Linear, Conv2d, AvgPool2d, Flatten and ReLU in evaluation mode, got {layer}; "
                "no bounds are known for it here"
            )
    return found


def _check(low: Tensor, high: Tensor) -> None:
    if low.shape != high.shape or not low.is_floating_point() or bool((low > high).any()):
        raise ValueError(
            f"low and high must be float of one shape with low <= high, got {tuple(low.shape)} and "
            f"{tuple(high.shape)}; make the box with torch.sub(x, radius), torch.add(x, radius)"
        )


def _stretched(layer: nn.Module, radius: Tensor) -> Tensor:
    """Radius of the smallest box around what an affine layer makes of a box of this radius."""
    if isinstance(layer, nn.Linear):
        return F.linear(radius, layer.weight.abs())
    if isinstance(layer, nn.Conv2d):
        if layer.padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', got {layer.padding_mode!r}; use another convolution")
        return F.conv2d(radius, layer.weight.abs(), None, layer.stride, layer.padding, layer.dilation, layer.groups)
    return layer(radius)  # averages and reshapes have no negative weights


def _boxes(chain: Sequence[nn.Module], low: Tensor, high: Tensor) -> list[Box]:
    """The box before each layer and after the last."""
    boxes = [(low, high)]
    for layer in chain:
        low, high = boxes[-1]
        if isinstance(layer, nn.ReLU):
            boxes.append((low.clamp_min(0), high.clamp_min(0)))
        else:
            centre, radius = layer((low + high) / 2), _stretched(layer, (high - low) / 2)
            boxes.append((centre - radius, centre + radius))
    return boxes


@torch.no_grad()
def interval(network: nn.Sequential, low: Tensor, high: Tensor) -> Box:
    """Interval bound propagation: bounds on the outputs over a box of inputs, at the price of two forward passes.

    Parameters
    ----------
    network : nn.Sequential
        Of Linear, Conv2d, AvgPool2d, Flatten and ReLU; see `layers`.
    low, high : Tensor, float (n, ...)
        One box of inputs per row.

    Returns
    -------
    low, high : Tensor, float (n, outputs)
        No input of the box gives an output outside, up to rounding; equal for a box that is a point.

    Raises
    ------
    ValueError
        For another kind of layer, or a box with low above high.

    Source
    ------
    Gowal et al. 2018, arXiv:1810.12715.

    Examples
    --------
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> _ = nn.init.constant_(layer.weight, 1.0)
    >>> [end.item() for end in interval(nn.Sequential(layer), torch.tensor([[0.0, -1.0]]), torch.tensor([[1.0, 1.0]]))]
    [-1.0, 2.0]
    """
    chain = layers(network)
    _check(low, high)
    return _boxes(chain, low, high)[-1]


def linear(
    network: nn.Sequential, low: Tensor, high: Tensor, *, before_relu: Literal["interval", "linear"] = "interval"
) -> Box:
    """Linear (CROWN) bounds on the outputs over a box of inputs, never wider than the interval ones.

    Parameters
    ----------
    network, low, high
        As `interval`.
    before_relu : {"interval", "linear"}
        How the inputs of the ReLUs are bounded: by intervals (one backward pass in all), or linearly (one for every
        ReLU layer, with as many functions as it has inputs).

    Returns
    -------
    low, high : Tensor, float (n, outputs)

    Raises
    ------
    ValueError
        As `interval`.

    Source
    ------
    Zhang et al. 2018, arXiv:1811.00866, with the adaptive slope of the lower line.
    """
    chain = layers(network)
    _check(low, high)
    with torch.no_grad():
        boxes = _boxes(chain, low, high)
    for index in range(1, len(chain) + 1):
        last = index == len(chain)
        if last or (before_relu == "linear" and isinstance(chain[index], nn.ReLU)):
            tight = _substituted(chain[:index], boxes[:index], boxes[index])
            with torch.no_grad():
                boxes[index:] = _boxes(chain[index:], *tight)
    return boxes[-1]


def _substituted(chain: Sequence[nn.Module], boxes: Sequence[Box], known: Box) -> Box:
    """Bounds on the outputs of a chain by backward substitution, cut with those already known."""
    outputs = known[0][0].numel()
    n, eye = len(known[0]), torch.eye(outputs, dtype=known[0].dtype, device=known[0].device)
    lows, highs = [], []
    for rows in eye.split(max(1, ROWS // n)):
        wanted = rows.expand(n, -1, -1).reshape(n, len(rows), *known[0].shape[1:])
        lows.append(_lowest(chain, boxes, wanted))
        highs.append(-_lowest(chain, boxes, -wanted))
    low, high = (torch.cat(ends, 1).view(known[0].shape) for ends in (lows, highs))
    return torch.maximum(low, known[0]), torch.minimum(high, known[1])


def _lowest(chain: Sequence[nn.Module], boxes: Sequence[Box], rows: Tensor) -> Tensor:
    """Lower bounds (n, r) on the inner products of rows (n, r, *outputs) with the outputs of a chain."""
    offset = torch.zeros(rows.shape[:2], dtype=rows.dtype, device=rows.device)
    for layer, (low, high) in zip(reversed(chain), reversed(boxes), strict=True):
        if isinstance(layer, nn.ReLU):
            rows, moved = _relu(rows, low[:, None], high[:, None])
        else:
            rows, moved = _affine(layer, rows, low)
        offset = offset + moved
    low, high = (end[:, None] for end in boxes[0])
    return offset + (rows * (low + high) / 2 - rows.abs() * (high - low) / 2).flatten(2).sum(2)


def _relu(rows: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Replace a ReLU by the line below it where a row is positive and by the line above it where it is negative."""
    both = (low < 0) & (high > 0)
    above = torch.where(both, high / torch.where(both, high - low, torch.ones_like(low)), (low >= 0).to(low))
    below = torch.where(both, (high > -low).to(low), above)
    start = torch.where(both, -above * low, torch.zeros_like(low))
    negative = rows.clamp_max(0)
    return rows.clamp_min(0) * below + negative * above, (negative * start).flatten(2).sum(2)


def _affine(layer: nn.Module, rows: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Carry rows (n, r, *outputs) through an affine layer: rows of its inputs, and what its offset adds."""
    flat = rows.flatten(0, 1)
    with torch.enable_grad():
        nothing = torch.zeros(len(flat), *box.shape[1:], dtype=box.dtype, device=box.device, requires_grad=True)
        answer = layer(nothing)
        carried = torch.autograd.grad(answer, nothing, flat)[0]
    moved = (flat * answer.detach()).flatten(1).sum(1)
    return carried.view(*rows.shape[:2], *box.shape[1:]), moved.view(rows.shape[:2])


METHODS: dict[str, Callable[[nn.Sequential, Tensor, Tensor], Box]] = {
    "interval": interval,
    "mixed": linear,
    "linear": lambda network, low, high: linear(network, low, high, before_relu="linear"),
}
"""Ways to bound by name, from the cheapest to the tightest."""
