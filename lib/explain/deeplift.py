"""DeepLIFT: contributions to the difference from a reference, which see through saturation.

Paper: Shrikumar, Greenside & Kundaje 2017, Learning Important Features Through Propagating Activation Differences
(arXiv:1704.02685). Rescale multiplies by the slope between reference and input instead of the gradient. RevealCancel
treats the positive and the negative part of every difference apart, so that two influences that cancel are both seen.

Differences: Rescale is captum's. A softmax is refused, because captum's rule for it subtracts a mean over the whole
batch and one image's map would depend on the others; so is pooling with overlap, where captum loses contributions; and
consecutive nonlinear modules are kept apart for it (see `_apart`). RevealCancel is written here, in
`lib.explain.parts`. `completeness` returns what any map leaves unexplained of the difference.

Conventions: see `lib.explain`. Explain logits, not probabilities: a softmax shares one class's evidence among all.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lib.explain import Score, check_inputs, check_maps
from lib.explain.parts import ELEMENTWISE, chain, contributions


def rescale(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    baseline: Tensor | float = 0.0,
) -> Tensor:
    """Contribution of every pixel to the score's difference from the baseline, by the Rescale rule.

    Parameters
    ----------
    score : nn.Module
        Its nonlinearities must be modules of their own, each used once; functional ones count as linear, and
        `completeness` then shows the error.
    images, target, generator
        As `lib.explain.gradients.saliency`.
    max_batch : int, images, >= 2
        An image and its baseline pass together and count as two.
    baseline : Tensor broadcastable to images, or float, [0, 1]
        The reference; 0 = black.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed, channels summed; sums to score(image) - score(baseline).

    Raises
    ------
    ValueError
        If shapes do not fit together, ``max_batch`` is 1, ``score`` is no module, has a softmax or pools with overlap.

    Source
    ------
    arXiv:1704.02685, section on the Rescale rule; captum.attr.DeepLift.
    """
    check_inputs(images, target, max_batch)
    model = need_module(score, "rescale")
    if max_batch < 2:
        raise ValueError(
            f"max_batch must be at least 2 for rescale, got {max_batch}; an image needs its baseline along"
        )
    if any(isinstance(part, nn.Softmax) for part in model.modules()):
        raise ValueError("score must give logits for rescale, got a softmax layer; leave it out of the network")
    if shared := [part for part in model.modules() if isinstance(part, nn.MaxPool2d) and _overlaps(part)]:
        raise ValueError(
            f"score must pool without overlap for rescale, got {shared[0]}: captum credits the maximum of "
            "several windows only once; use reveal_cancel"
        )
    from captum.attr import DeepLift

    method, step, pieces = DeepLift(model), max_batch // 2, []
    start = reference(baseline, images)
    with _apart(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum announces its hooks on every call
        for first in range(0, len(images), step):
            part = slice(first, first + step)
            found = method.attribute(images[part].detach().clone(), start[part].clone(), target=target[part])
            pieces.append(found.detach().sum(1))
    return torch.cat(pieces).float()


def reveal_cancel(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    baseline: Tensor | float = 0.0,
) -> Tensor:
    """Contribution of every pixel to the score's difference from the baseline, by the RevealCancel rule.

    Parameters
    ----------
    score : nn.Sequential
        Nested chains of Linear, Conv2d, average and maximum pooling, increasing elementwise nonlinearities, Flatten,
        Identity and Dropout, in evaluation mode.
    images, target, generator, baseline
        As `rescale`.
    max_batch : int, images
        A piece is evaluated at the image, the baseline and the two orders of the parts one after the other.

    Returns
        As `rescale`.

    Raises
    ------
    ValueError
        If shapes do not fit together, or a layer is of another kind.

    Source
    ------
    arXiv:1704.02685, sections on the linear rule and on RevealCancel.
    """
    check_inputs(images, target, max_batch)
    layers = chain(need_module(score, "reveal_cancel"))
    start = reference(baseline, images)
    pieces = []
    with torch.no_grad():
        for first in range(0, len(images), max_batch):
            part = slice(first, first + max_batch)
            base = start[part].double()
            pieces.append(contributions(layers, base, images[part].double() - base, target[part]).sum(1))
    return torch.cat(pieces).float()


@torch.no_grad()
def completeness(
    score: Score,
    images: Tensor,
    target: Tensor,
    maps: Tensor,
    *,
    baseline: Tensor | float = 0.0,
    max_batch: int = 128,
) -> Tensor:
    """What the sums of maps miss of the score's difference from the baseline, float32 (n,).

    Parameters
    ----------
    score, images, target, baseline, max_batch
        As `rescale`; any score will do.
    maps : Tensor, float32 (n, h, w)
        From any method that promises a sum.

    Returns
    -------
    Tensor, float32 (n,)
        Sum of the map minus score(image) + score(baseline); 0 = complete, positive = too much was given out.

    Raises
    ------
    ValueError
        If shapes do not fit together.
    """
    check_inputs(images, target, max_batch)
    check_maps(maps, images)
    start, change = reference(baseline, images), []
    for first in range(0, len(images), max_batch):
        part = slice(first, first + max_batch)
        both = [score(each[part]).gather(1, target[part, None])[:, 0].double() for each in (images, start)]
        change.append(both[0] - both[1])
    return (maps.double().sum((1, 2)) - torch.cat(change)).float()


def reference(baseline: Tensor | float, images: Tensor) -> Tensor:
    """The baseline as images, (n, c, h, w)."""
    return torch.as_tensor(baseline, dtype=images.dtype, device=images.device).expand_as(images)


def need_module(score: Score, method: str) -> nn.Module:
    """Return the score if it is a module, or raise ValueError for a method that looks into it."""
    if not isinstance(score, nn.Module):
        raise ValueError(
            f"score must be an nn.Module for {method}, got {type(score).__name__}; pass the network itself"
        )
    return score


def _overlaps(layer: nn.MaxPool2d) -> bool:
    """Whether a value can lie in several windows."""
    size, stride = (
        value if isinstance(value, tuple) else (value, value) for value in (layer.kernel_size, layer.stride)
    )
    return any(step < edge for edge, step in zip(size, stride, strict=True)) or layer.dilation not in (1, (1, 1))


@contextmanager
def _apart(model: nn.Module) -> Iterator[None]:
    """Copy what enters every nonlinear module.

    captum keeps the gradient behind a module and replaces the one before it by hooks on the tensors themselves. Where
    two nonlinear modules follow each other they share a tensor, and the first would see the gradient unreplaced.
    """
    kinds = (*ELEMENTWISE, nn.MaxPool2d)
    modules = [part for part in model.modules() if isinstance(part, kinds)]
    hooks = [part.register_forward_pre_hook(lambda module, given: given[0].clone()) for part in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
