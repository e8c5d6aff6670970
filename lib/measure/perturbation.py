"""Insertion and deletion: how a model's score moves as pixels are taken away or brought back in a map's order.

Paper: Petsiuk et al. 2018, RISE (arXiv:1806.07421), section on causal metrics; Samek et al. 2017 (arXiv:1509.06321),
pixel flipping.

Differences: public toolkits use the same two words for measures that differ in the score, the replacement, the steps
and the scaling of the area. Here these choices are one frozen `Protocol`, `CONVENTIONS` names the public ones and
ours, and every result carries the protocol that made it. Ours runs deletion and insertion between the same two
images, the original and its blur, so that the two curves share their end points.

Conventions: ``score`` maps images (m, c, h, w) to logits; a curve is float32 (n, points), one row per image; removing
a pixel removes all its channels unless the protocol says otherwise; ties in a map keep reading order. Low deletion
and high insertion areas are good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.explain import Score, check_inputs
from lib.explain.baselines import gaussian_blur

BLUR_RADIUS, BLUR_SIGMA = 5, 5.0  # pixels; the kernel of 11 used in RISE's public code


@dataclass(frozen=True)
class Protocol:
    """Everything that two papers may do differently under one name.

    Parameters
    ----------
    direction : "deletion" or "insertion"
        Start from the image and replace, or start from the replacement and restore; most important units first.
    score : "probability" or "logit"
        What the curve shows of the target class.
    baseline : "black", "mean", "darkest" or "blur"
        What replaces a value: 0, the data's channel mean, the image's own minimum, or the blurred image.
    step_units : int
        Units changed per step; 0 if ``n_steps`` is given instead.
    n_steps : int
        Number of equal steps; 0 if ``step_units`` is given instead.
    with_start : bool
        Whether the curve holds the point before anything is changed.
    area : "normalised" or "summed"
        Trapezoid over the share of units in [0, 1], or with distance 1 between points (grows with the steps).
    region : int, pixels
        Edge of the square that changes as one unit; 1 = single pixels.
    channels : "together" or "apart"
        Whether a unit is a pixel or a single value of one channel.

    Source
    ------
    Public code of the toolkits named in `CONVENTIONS`.
    """

    direction: Literal["deletion", "insertion"]
    score: Literal["probability", "logit"] = "probability"
    baseline: Literal["black", "mean", "darkest", "blur"] = "blur"
    step_units: int = 0
    n_steps: int = 0
    with_start: bool = True
    area: Literal["normalised", "summed"] = "normalised"
    region: int = 1
    channels: Literal["together", "apart"] = "together"

    def __post_init__(self) -> None:
        if (self.step_units > 0) == (self.n_steps > 0) or min(self.step_units, self.n_steps) < 0:
            raise ValueError(
                f"exactly one of step_units and n_steps must be positive, got {self.step_units} and "
                f"{self.n_steps}; set the other one to 0"
            )
        if self.region < 1:
            raise ValueError(f"region must be at least 1 pixel, got {self.region}; 1 = single pixels")


CONVENTIONS: dict[str, Protocol] = {
    "RISE deletion": Protocol("deletion", baseline="mean", n_steps=28),
    "RISE insertion": Protocol("insertion", baseline="blur", n_steps=28),
    "xplique deletion": Protocol("deletion", score="logit", baseline="black", n_steps=10),
    "xplique insertion": Protocol("insertion", score="logit", baseline="black", n_steps=10),
    "Quantus deletion": Protocol(
        "deletion", baseline="darkest", step_units=1, with_start=False, area="summed", channels="apart"
    ),
    "SMDL deletion": Protocol("deletion", baseline="black", step_units=1, region=4),
    "SMDL insertion": Protocol("insertion", baseline="black", step_units=1, region=4),
    "ours deletion": Protocol("deletion", baseline="blur", n_steps=28),
    "ours insertion": Protocol("insertion", baseline="blur", n_steps=28),
}
"""Public conventions by name, and ours. Quantus' pixel flipping has no insertion. Source: public code."""


@dataclass(frozen=True)
class Curves:
    """One curve and one area per image, and how they were made.

    Attributes
    ----------
    curve : Tensor, float32 (n, points)
    area : Tensor, float32 (n,)
        Area under each curve; the mean of these equals the area under the mean curve.
    changed : Tensor, float32 (points,), [0, 1]
        Share of units changed at each point.
    protocol : Protocol
    """

    curve: Tensor
    area: Tensor
    changed: Tensor
    protocol: Protocol


def order(maps: Tensor, *, channels: int, protocol: Protocol) -> Tensor:
    """Position of every value in the order of change, 0 = first.

    Parameters
    ----------
    maps : Tensor, float32 (n, h, w)
    channels : int
        Channels of the images.
    protocol : Protocol
        Its ``region`` averages the map over squares (cut at the border), its ``channels`` decides what a unit is.

    Returns
    -------
    Tensor, int64 (n, channels, h, w), in [0, units)
        Values of one unit share a position.

    Examples
    --------
    >>> order(torch.tensor([[[1.0, 3.0], [2.0, 0.0]]]), channels=1, protocol=Protocol("deletion", n_steps=2))[0, 0]
    tensor([[2, 0],
            [1, 3]])
    """
    height, width = maps.shape[-2:]
    planes = maps[:, None]
    if protocol.region > 1:
        planes = F.avg_pool2d(planes, protocol.region, ceil_mode=True, count_include_pad=False)
    if protocol.channels == "apart":
        planes = planes.expand(-1, channels, -1, -1)
    ranking = planes.flatten(1).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(ranking.shape[1], device=maps.device).expand_as(ranking)
    ranks = torch.empty_like(ranking).scatter_(1, ranking, places).view(planes.shape)
    ranks = ranks.repeat_interleave(protocol.region, 2).repeat_interleave(protocol.region, 3)
    return ranks[..., :height, :width].expand(-1, channels, -1, -1)


def replacement(images: Tensor, *, protocol: Protocol, mean: Tensor | None = None) -> Tensor:
    """The uninformative images of a protocol, float32 (n, c, h, w).

    Raises
    ------
    ValueError
        If the protocol needs the data's channel mean (c,) and none is given, or the image is too small to blur.
    """
    if protocol.baseline == "black":
        return torch.zeros_like(images)
    if protocol.baseline == "darkest":
        return images.amin((1, 2, 3), keepdim=True).expand_as(images)
    if protocol.baseline == "blur":
        if min(images.shape[-2:]) <= BLUR_RADIUS:
            raise ValueError(
                f"images must be larger than {BLUR_RADIUS} pixels for the blurred baseline, got "
                f"{tuple(images.shape[-2:])}; use baseline='black'"
            )
        return gaussian_blur(images, radius=BLUR_RADIUS, sigma=BLUR_SIGMA)
    if mean is None or mean.shape != images.shape[1:2]:
        raise ValueError(
            f"mean must be ({images.shape[1]},) for baseline='mean', got "
            f"{None if mean is None else tuple(mean.shape)}; pass train_images.mean((0, 2, 3))"
        )
    return mean.to(images)[None, :, None, None].expand_as(images)


def measure(
    score: Score,
    images: Tensor,
    target: Tensor,
    maps: Tensor,
    *,
    protocol: Protocol,
    max_batch: int = 256,
    mean: Tensor | None = None,
) -> Curves:
    """Run one protocol on one map per image.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to logits (m, classes).
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : Tensor, int64 (n,)
        Class whose score is followed; usually the predicted one.
    maps : Tensor, float32 (n, h, w)
        Larger = changed earlier.
    protocol : Protocol
    max_batch : int, images
        Bounds memory; the result changes only by float32 rounding.
    mean : Tensor, float32 (c,), optional
        Channel mean of the data, for protocols that replace by it.

    Returns
    -------
    Curves

    Raises
    ------
    ValueError
        If shapes do not fit together, or the protocol needs ``mean``.
    """
    check_inputs(images, target, max_batch)
    if maps.shape != (len(images), *images.shape[-2:]):
        raise ValueError(
            f"maps must be {(len(images), *images.shape[-2:])}, got {tuple(maps.shape)}; "
            "merge the channels of the maps first"
        )
    ranks = order(maps, channels=images.shape[1], protocol=protocol)
    units = int(ranks.max()) + 1
    if protocol.n_steps:
        counts = torch.linspace(0, units, protocol.n_steps + 1, dtype=torch.float64).round().long()
    else:
        counts = torch.tensor([*range(0, units, protocol.step_units), units])
    counts = (counts if protocol.with_start else counts[1:]).to(images.device)
    empty = replacement(images, protocol=protocol, mean=mean)
    start, end = (images, empty) if protocol.direction == "deletion" else (empty, images)
    curve = _follow(score, start, end, target, ranks, counts, protocol=protocol, max_batch=max_batch)
    changed = counts.float() / units
    where = changed.double() if protocol.area == "normalised" else torch.arange(len(counts), device=images.device)
    return Curves(curve, torch.trapezoid(curve.double(), where.double(), dim=1).float(), changed, protocol)


@torch.no_grad()
def _follow(
    score: Score,
    start: Tensor,
    end: Tensor,
    target: Tensor,
    ranks: Tensor,
    counts: Tensor,
    *,
    protocol: Protocol,
    max_batch: int,
) -> Tensor:
    """Target score of every image at every count of changed units, float32 (n, counts)."""
    points = torch.cartesian_prod(torch.arange(len(start)), torch.arange(len(counts))).to(start.device)
    values = []
    for piece in points.split(max_batch):
        image, step = piece.unbind(1)
        changed = ranks[image] < counts[step, None, None, None]
        logits = score(torch.where(changed, end[image], start[image]))
        shown = logits.softmax(1) if protocol.score == "probability" else logits
        values.append(shown.gather(1, target[image, None])[:, 0])
    return torch.cat(values).view(len(start), len(counts)).float()


def best_map(areas: dict[str, Tensor], *, direction: Literal["deletion", "insertion"]) -> list[str]:
    """Name of the best map of every image: lowest deletion or highest insertion area, the first name among equals.

    Parameters
    ----------
    areas : dict of Tensor, float32 (n,)
        Area per image for each kind of map.

    Examples
    --------
    >>> best_map({"a": torch.tensor([1.0, 5.0]), "b": torch.tensor([2.0, 3.0])}, direction="deletion")
    ['a', 'b']
    """
    if not areas:
        raise ValueError("areas must name at least one kind of map, got none; pass {'saliency': areas, ...}")
    names = list(areas)
    table = torch.stack([areas[name] for name in names])  # (maps, n)
    winners = table.argmin(0) if direction == "deletion" else table.argmax(0)
    return [names[index] for index in winners.tolist()]


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Kendall's tau-a between two scorings of the same maps, one value per image.

    Parameters
    ----------
    first, second : Tensor, float32 (n, maps)
        Scores in the same direction (say, larger = better); ties count as neither agreement nor disagreement.

    Returns
    -------
    Tensor, float32 (n,), [-1, 1]
        1 = same order, -1 = reversed order, 0 = unrelated.

    Raises
    ------
    ValueError
        If the shapes differ or there are fewer than two maps.

    Examples
    --------
    >>> agreement(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 3.0, 2.0]]))
    tensor([0.3333])
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] < 2:
        raise ValueError(
            f"first and second must be equally shaped (n, maps >= 2), got {tuple(first.shape)} and "
            f"{tuple(second.shape)}; stack one column per map"
        )
    one, two = torch.triu_indices(first.shape[1], first.shape[1], offset=1, device=first.device)
    return (torch.sign(first[:, one] - first[:, two]) * torch.sign(second[:, one] - second[:, two])).mean(1)
