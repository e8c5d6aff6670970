"""NormGrad: how much would each location of a layer teach an identity placed behind it?

Paper: Rebuffi, Fong, Ji & Vedaldi 2020, There and Back Again: Revisiting Backpropagation Saliency Methods
(arXiv:2004.02866). A layer that changes nothing is placed behind a chosen layer; the gradient of the score with respect
to its weights is a sum over locations, and the size of each summand is the map. With activation a and gradient g of one
location the summand is g (bias), a * g per channel (scaling), the outer product of g and a (1x1 convolution), or of g
and the 3x3 neighbourhood of a (3x3 convolution).

Differences: outer products are never formed. Their p-norm, the p-norm of their positive part, their sum and their
maximum follow exactly from a few sums over the channels of either factor, so a location costs O(channels) and not
O(channels²). One pass serves several layers. `explicit` places a real identity with its own weights at every
location and differentiates it: the slow definition, for checks.

Conventions: see `lib.explain`. A layer is a module inside the score, or its dotted name if the score is a module; it
must run once per call and return (m, channels, h, w), or anything that ``as_map`` turns into that linearly (tokens,
say). Maps are enlarged bilinearly to the images' size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.explain import Score, check_inputs

Identity = Literal["bias", "scaling", "conv1x1", "conv3x3"]
Aggregate = Literal["norm", "positive", "sum", "max"]
AsMap = Callable[[Tensor], Tensor]


def norm_grad(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    layer: nn.Module | str,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    identity: Identity = "conv1x1",
    aggregate: Aggregate = "norm",
    order: float = 2.0,
    as_map: AsMap | None = None,
) -> Tensor:
    """Map of one layer.

    Parameters
    ----------
    score, images, target, generator, max_batch
        As `lib.explain.gradients.saliency`.
    layer : nn.Module or str
        See the module's conventions.
    identity : {"bias", "scaling", "conv1x1", "conv3x3"}
        The virtual layer.
    aggregate : {"norm", "positive", "sum", "max"}
        How a location's gradient becomes a number; "positive" is the norm of its values above 0.
    order : float, > 0
        p of the norm, 2 in the paper; unused by sum and max.
    as_map : callable, optional
        Linear: the layer's output to (m, channels, h', w'), for example tokens to a grid of patches.

    Returns
    -------
    Tensor, float32 (n, h, w)
        >= 0 for norms; 0 = the location does not touch the score. Sum and max are signed.

    Raises
    ------
    ValueError
        If an argument is out of range, or the layer is unknown, not run once, or has another shape.
    """
    options = {"identity": identity, "aggregate": aggregate, "order": order, "as_map": as_map}
    found = layer_maps(score, images, target, layers=[layer], max_batch=max_batch, **options)  # type: ignore[arg-type]
    return enlarged(found[0], images.shape[-2:])


def norm_grad_combined(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    layers: Sequence[nn.Module | str],
    weights: Sequence[float] | None = None,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    identity: Identity = "conv1x1",
    aggregate: Aggregate = "norm",
    order: float = 2.0,
    as_map: AsMap | None = None,
) -> Tensor:
    """Product of the maps of several layers, float32 (n, h, w) in [0, 1]; parameters as `norm_grad` and `combine`."""
    options = {"identity": identity, "aggregate": aggregate, "order": order, "as_map": as_map}
    found = layer_maps(score, images, target, layers=layers, max_batch=max_batch, **options)  # type: ignore[arg-type]
    return combine([enlarged(each, images.shape[-2:]) for each in found], weights=weights)


def combine(maps: Sequence[Tensor], *, weights: Sequence[float] | None = None) -> Tensor:
    """Weighted product of maps, each scaled to [0, 1] by its own lowest and highest value in every image.

    Parameters
    ----------
    maps : sequence of Tensor, float32 (n, h, w)
    weights : sequence of float, >= 0, optional
        Exponents; all 1 by default. A map that is constant in an image counts as 1 there, so it changes nothing.

    Returns
    -------
    Tensor, float32 (n, h, w), [0, 1]
        High only where every map is high.

    Raises
    ------
    ValueError
        If there is no map, shapes differ, or there is not one weight per map.

    Source
    ------
    arXiv:2004.02866, section on combining layers.

    Examples
    --------
    >>> combine([torch.tensor([[[0.0, 2.0, 4.0]]]), torch.tensor([[[1.0, 3.0, 2.0]]])])
    tensor([[[0.0000, 0.5000, 0.5000]]])
    """
    exponents = [1.0] * len(maps) if weights is None else list(weights)
    if not maps or len(exponents) != len(maps) or any(each.shape != maps[0].shape for each in maps):
        raise ValueError(
            f"maps must be one or more of equal shape with one weight each, got {[tuple(each.shape) for each in maps]} "
            f"and {len(exponents)} weights; enlarge the maps first"
        )
    product = torch.ones_like(maps[0])
    for each, exponent in zip(maps, exponents, strict=True):
        low, high = each.amin((1, 2), keepdim=True), each.amax((1, 2), keepdim=True)
        scaled = torch.where(high > low, (each - low) / (high - low).clamp_min(1e-38), 1.0)
        product = product * scaled**exponent
    return product


def enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear enlargement of maps (n, h, w) to another size, float32."""
    return F.interpolate(maps[:, None].float(), size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def layer_maps(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    layers: Sequence[nn.Module | str],
    max_batch: int = 128,
    identity: Identity = "conv1x1",
    aggregate: Aggregate = "norm",
    order: float = 2.0,
    as_map: AsMap | None = None,
) -> list[Tensor]:
    """Maps of several layers from one pass, each float32 (n, h', w') at its layer's own resolution; see `norm_grad`."""
    check_inputs(images, target, max_batch)
    if identity not in get_args(Identity) or aggregate not in get_args(Aggregate):
        raise ValueError(
            f"identity must be one of {get_args(Identity)} and aggregate one of {get_args(Aggregate)}, "
            f"got {identity!r} and {aggregate!r}"
        )
    if not order > 0:
        raise ValueError(f"order must be above 0, got {order}; 2 is the Euclidean norm")
    pieces: list[list[Tensor]] = [[] for _ in layers]
    for found in taps(score, images, target, layers=layers, max_batch=max_batch, as_map=as_map):
        for kept, (activation, gradient) in zip(pieces, found, strict=True):
            kept.append(_reduced(activation, gradient, identity=identity, aggregate=aggregate, order=order))
    return [torch.cat(kept).float() for kept in pieces]


def taps(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    layers: Sequence[nn.Module | str],
    max_batch: int,
    as_map: AsMap | None = None,
) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """For every piece of images, the activation of each layer and the gradient of the target score there.

    Yields
    ------
    list of (Tensor, Tensor), one pair per layer
        Each (m, channels, h, w). The hooks are taken off again before anything is yielded.

    Raises
    ------
    ValueError
        If a layer is unknown, runs more or less often than once, or gives no map of channels.
    """
    modules = [_module(score, layer) for layer in layers]
    for start in range(0, len(images), max_batch):
        kept: list[list[Tensor]] = [[] for _ in modules]
        with torch.enable_grad(), ExitStack() as hooks:
            for module, outputs in zip(modules, kept, strict=True):
                hooks.callback(module.register_forward_hook(_keeper(outputs)).remove)
            scores = score(images[start : start + max_batch])
            for layer, outputs in zip(layers, kept, strict=True):
                if len(outputs) != 1:
                    raise ValueError(
                        f"layer must run once per call of score, {_name(layer)} ran {len(outputs)} times; "
                        "choose a module of its own"
                    )
            chosen = scores.gather(1, target[start : start + max_batch, None]).sum()
            values = [outputs[0] for outputs in kept]
            slopes = torch.autograd.grad(chosen, values)
        pairs = [(value.detach(), slope) for value, slope in zip(values, slopes, strict=True)]
        if as_map is not None:
            pairs = [(as_map(value), as_map(slope)) for value, slope in pairs]
        for layer, (value, _) in zip(layers, pairs, strict=True):
            if value.ndim != 4:
                raise ValueError(
                    f"layer must give (m, channels, h, w), {_name(layer)} gives {tuple(value.shape)}; "
                    "choose a convolutional layer or pass as_map"
                )
        yield pairs


def explicit(score: Score, image: Tensor, target: int, *, layer: nn.Module | str, identity: Identity) -> Tensor:
    """Norm of the gradient of a real identity with weights of its own at every location: the definition, slowly.

    Parameters
    ----------
    score, layer, identity
        As `norm_grad`.
    image : Tensor, float32 (c, h, w)
    target : int

    Returns
    -------
    Tensor, float32 (h', w')
        At the layer's resolution. Needs memory for locations x channels² weights.
    """
    weights: list[Tensor] = []

    def insert(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        replaced, free = _inserted(output.detach(), identity)
        weights.append(free)
        return replaced

    with torch.enable_grad():
        handle = _module(score, layer).register_forward_hook(insert)
        try:
            chosen = score(image[None])[0, target]
        finally:
            handle.remove()
        slope = torch.autograd.grad(chosen, weights[0])[0]  # (h', w', weights of a location)
    return slope.norm(dim=2)


def _inserted(output: Tensor, identity: Identity) -> tuple[Tensor, Tensor]:
    """What an identity makes of an output (1, c, h, w), and its free weights (h, w, k)."""
    channels, height, width = output.shape[1:]
    places = height * width
    if identity in ("bias", "scaling"):
        free = output.new_full((height, width, channels), float(identity == "scaling")).requires_grad_(True)
        spread = free.permute(2, 0, 1)[None]
        return (output * spread if identity == "scaling" else output + spread), free
    side = 3 if identity == "conv3x3" else 1
    patches = F.unfold(output, side, padding=side // 2)[0]  # (c * side², places)
    start = output.new_zeros(channels, channels, side, side)
    start[range(channels), range(channels), side // 2, side // 2] = 1
    free = start.flatten()[None].repeat(places, 1).view(height, width, -1).requires_grad_(True)
    made = torch.einsum("lok,kl->ol", free.view(places, channels, -1), patches)
    return made.view_as(output), free


@dataclass(frozen=True)
class _Factor:
    """What an outer product needs to know of a factor, each (n, h, w): power sums by sign, sum, extremes."""

    positive: Tensor
    negative: Tensor
    total: Tensor
    high: Tensor
    low: Tensor

    @classmethod
    def of(cls, values: Tensor, order: float) -> _Factor:
        """Over the channels of (n, c, h, w)."""
        positive, negative = (part.clamp_min(0).pow(order).sum(1) for part in (values, -values))
        return cls(positive, negative, values.sum(1), values.amax(1), values.amin(1))

    def around(self) -> _Factor:
        """Over the channels of the 3x3 neighbourhood, which is 0 beyond the border."""
        near = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, divisor_override=1)
        high, low = (F.max_pool2d(F.pad(each, (1, 1, 1, 1)), 3, 1) for each in (self.high, -self.low))
        return _Factor(near(self.positive), near(self.negative), near(self.total), high, -low)


def _reduced(a: Tensor, g: Tensor, *, identity: Identity, aggregate: Aggregate, order: float) -> Tensor:
    """Aggregate of the gradient of an identity's weights at every location, (n, h, w)."""
    one = torch.ones_like(a[:, 0])
    left, right = _Factor(one, torch.zeros_like(one), one, one, one), _Factor.of(g, order)
    if identity == "scaling":
        right = _Factor.of(a * g, order)
    elif identity != "bias":
        left = _Factor.of(a, order)
        left = left.around() if identity == "conv3x3" else left
    if aggregate == "sum":
        return left.total * right.total
    if aggregate == "max":
        ends = [x * y for x in (left.high, left.low) for y in (right.high, right.low)]
        return torch.stack(ends).amax(0)
    if aggregate == "positive":
        return (left.positive * right.positive + left.negative * right.negative) ** (1 / order)
    return ((left.positive + left.negative) ** (1 / order)) * ((right.positive + right.negative) ** (1 / order))


def _keeper(outputs: list[Tensor]) -> Callable[[nn.Module, object, Tensor], Tensor]:
    """A hook that keeps the output, cut from the graph before it if nothing there needs a gradient."""

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        value = output if output.requires_grad else output.detach().requires_grad_(True)
        outputs.append(value)
        return value.clone()  # so that an operation in place behind the layer leaves the kept value alone

    return keep


def _name(layer: nn.Module | str) -> str:
    return repr(layer) if isinstance(layer, str) else type(layer).__name__


def _module(score: Score, layer: nn.Module | str) -> nn.Module:
    """The module of a layer given as such or by its dotted name."""
    if isinstance(layer, nn.Module):
        return layer
    if not isinstance(score, nn.Module):
        raise ValueError(f"score must be an nn.Module to find layer {layer!r} by name; pass the layer module itself")
    names = dict(score.named_modules())
    if layer not in names:
        shown = ", ".join(name for name in names if name)
        raise ValueError(f"layer {layer!r} is not in the model; choose one of: {shown}")
    return names[layer]
