"""EVA: a region matters if fixing it makes it provably harder to change the decision.

Paper: Fel et al. 2023, Don't Lie to Me! Robust and Efficient Explainability with Verified Perturbation Analysis
(arXiv:2202.07728): the adversarial overlap of a ball B around an image is how far the highest possible score of another
class reaches above the lowest possible score of the explained one, and the importance of a region u is

    AO(B) - AO(B with the pixels of u fixed),

both from guaranteed bounds, so that no perturbation is missed.

Differences: the network is small enough to be bounded from end to end, so nothing is estimated at an intermediate layer
and the guarantee holds; the ball is an axis-parallel box, cut to the values that pixels can take.

Conventions: see `lib.explain`. The network is passed as ``network``, an `nn.Sequential` of layers that
`lib.explain.bounds` knows, and returns logits; ``score`` is accepted for the contract and never called.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.explain import Score, check_inputs
from lib.explain.bounds import METHODS, Box, Method
from lib.explain.features import cells, each, spread


def ball(images: Tensor, radius: float) -> Box:
    """The box of all images whose pixels differ by at most radius and stay in [0, 1], low and high (n, c, h, w).

    Raises
    ------
    ValueError
        If the radius is negative.

    Examples
    --------
    >>> [end.item() for end in ball(torch.full((1, 1, 1, 1), 0.75), 0.5)]
    [0.25, 1.0]
    """
    if not radius >= 0:
        raise ValueError(f"radius must be at least 0, got {radius}; it is a difference of pixel values in [0, 1]")
    return (images - radius).clamp_min(0).minimum(images), (images + radius).clamp_max(1).maximum(images)


def overlap(low: Tensor, high: Tensor, target: Tensor) -> Tensor:
    """Adversarial overlap: highest bound of another class minus the lowest bound of the target, (n,).

    Parameters
    ----------
    low, high : Tensor, float (n, classes)
        Bounds on the logits.
    target : Tensor, int64 (n,)

    Returns
    -------
    Tensor, float (n,)
        Negative = no input of the box changes the decision for the target; positive = the bounds allow it.

    Examples
    --------
    >>> overlap(torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.5]]), torch.tensor([0])).tolist()
    [-0.5]
    """
    own = target[:, None]
    rival = high.scatter(1, own, float("-inf")).amax(1)
    return rival - low.gather(1, own)[:, 0]


def worst_found(
    network: nn.Module, low: Tensor, high: Tensor, target: Tensor, *, generator: torch.Generator, n_steps: int = 10
) -> Tensor:
    """Inputs of a box found by projected gradient steps towards the largest margin of another class.

    Parameters
    ----------
    network : nn.Module
        Images to logits.
    low, high : Tensor, float (n, c, h, w)
    target : Tensor, int64 (n,)
    generator : torch.Generator
        On the CPU; draws the starting points.
    n_steps : int
        Steps by the sign of the gradient, from half of the box's width downwards.

    Returns
    -------
    Tensor, float (n, c, h, w)
        Their overlap bounds the true adversarial overlap from below, as `overlap` of bounds does from above.

    Source
    ------
    Madry et al. 2018, arXiv:1706.06083, projected gradient descent.
    """
    found = low + torch.rand(low.shape, generator=generator).to(low) * (high - low)
    for step in range(n_steps):
        with torch.enable_grad():
            moved = found.detach().requires_grad_(True)
            logits = network(moved)
            margin = overlap(logits, logits, target).sum()
            slope = torch.autograd.grad(margin, moved)[0]
        stride = (high - low) * (n_steps - step) / (2 * n_steps)
        found = (found + slope.sign() * stride).clamp(low, high)
    return found.detach()


def tried(
    network: nn.Module, low: Tensor, high: Tensor, target: Tensor, *, n_inputs: int, generator: torch.Generator
) -> Tensor:
    """Inputs of each box with which bounds are put to the test.

    Parameters
    ----------
    network, low, high, target, generator
        As `worst_found`.
    n_inputs : int
        Inputs of each box: a third drawn evenly, a third among its corners, a third by `worst_found`.

    Returns
    -------
    Tensor, float (n, n_inputs, c, h, w)
    """
    wide_low, wide_high = (end.repeat_interleave(n_inputs, 0) for end in (low, high))
    share = torch.rand(wide_low.shape, generator=generator).to(low)
    searched = worst_found(network, wide_low, wide_high, target.repeat_interleave(n_inputs), generator=generator)
    kind = torch.arange(n_inputs, device=low.device).repeat(len(low))[:, None, None, None] % 3
    found = wide_low + torch.where(kind == 0, share, share.round()) * (wide_high - wide_low)
    return torch.where(kind == 2, searched, found).unflatten(0, (len(low), n_inputs))


def eva(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    network: nn.Sequential,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    features: Tensor | None = None,
    radius: float = 0.1,
    method: Method = "mixed",
) -> Tensor:
    """Fall of the adversarial overlap when one region is fixed.

    Parameters
    ----------
    score, generator
        Unused; part of the contract.
    images : Tensor, float (n, c, h, w), [0, 1]
        In the type of the network's weights.
    target : Tensor, int64 (n,)
    network : nn.Sequential
        Images to logits; see `lib.explain.bounds.layers`.
    max_batch : int, boxes
        Boxes that go through the network together.
    features : Tensor, int64 (h, w) or (n, h, w), optional
        Region of every pixel; left out, a grid of at most 7 x 7 cells.
    radius : float, [0, 1]
        Largest change of a pixel.
    method : {"interval", "mixed", "linear"}
        How outputs are bounded, from the cheapest to the tightest; see `lib.explain.bounds`.

    Returns
    -------
    Tensor, float32 (n, h, w)
        0 = the region takes no part in the worst case. Never negative for "interval", since a smaller box has
        narrower bounds.

    Raises
    ------
    ValueError
        For an unknown method or layer, a negative radius, or shapes that do not fit together.
    """
    check_inputs(images, target, max_batch)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}; 'mixed' suits small networks")
    if features is None:
        features = cells((int(images.shape[2]), int(images.shape[3])), min(7, *images.shape[2:]))
    regions = each(features, images)
    lows, highs = ball(images, radius)
    maps = []
    for index, label in enumerate(target.tolist()):
        free = torch.arange(-1, int(regions[index].max()) + 1, device=images.device)  # -1: nothing is fixed
        found = []
        for fixed in free.split(max_batch):
            held = (regions[index] == fixed[:, None, None])[:, None]  # (boxes, 1, h, w)
            box = (torch.where(held, images[index], end[index]) for end in (lows, highs))
            found.append(overlap(*METHODS[method](network, *box), torch.full_like(fixed, label)))
        overlaps = torch.cat(found)
        maps.append(spread(overlaps[0] - overlaps[1:], regions[index]))
    return torch.stack(maps).float()
