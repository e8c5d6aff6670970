"""Objects in front of a picture: squares and blobs of one area, in the middle or in a corner, painted over it.

A token mask takes patches away from a network; an occluder takes nothing away but puts something else in front, as
happens to a tracked target (Wu et al. 2025, ORTrack, arXiv:2504.09228, whose benchmarks have it in their videos; the
occluders here are ours). Shapes of one side cover the same number of pixels whatever their outline and place, so that
accuracies under them can be compared.

Conventions: images are float NCHW; an occluder is bool (n, height, width), True = covered, on the generator's device.
In a corner means flush with it, each image with one of four at random; up to half of the picture's side it does not
reach across the middle. A blob has its centre where the square has its own, and where its outline would leave the
picture it gives way, so that the area stays exact.
"""

import math

import torch
from torch import Tensor

from lib.masks.contract import grid_size
from lib.masks.draws import uniform

PLACES = ("centre", "corner")
WAVES = 3  # bumps around a blob: one, two and three to the turn
UNEVEN = 0.15  # relative height of each


def occluders(
    n: int, size: tuple[int, int], *, shape: str, place: str, side: float, generator: torch.Generator
) -> Tensor:
    """Draw where occluders lie.

    Parameters
    ----------
    n : int
        Images.
    size : (int, int)
        Height and width in pixels.
    shape : {"square", "blob"}
        A square, or a disc with a random uneven outline.
    place : {"centre", "corner"}
        In the middle, or flush with one of the four corners.
    side : float in (0, 1)
        Side of the square over the shorter side of the picture; rounded to whole pixels of the same parity as that
        side, so that a square can lie exactly in the middle. 0.5 = a quarter of a square picture.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    bool Tensor (n, height, width)
        True = covered; the same count in every image, for squares and blobs alike.

    Raises
    ------
    ValueError
        An unknown shape or place, or a side out of range.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> occluders(2, (8, 8), shape="blob", place="corner", side=0.5, generator=g).sum((1, 2)).tolist()
    [16, 16]
    """
    height, width = grid_size(size)
    if shape not in ("square", "blob") or place not in PLACES:
        raise ValueError(f"shape must be square or blob and place centre or corner, got {shape!r} and {place!r}")
    pixels = _pixels(side, min(height, width))
    down, across = _middles(n, (height, width), pixels, place, generator)
    row = torch.arange(height, device=generator.device) + 0.5 - down  # (n, height), from the occluder's middle
    column = torch.arange(width, device=generator.device) + 0.5 - across  # (n, width)
    if shape == "square":
        return ((row.abs() < pixels / 2)[:, :, None]) & ((column.abs() < pixels / 2)[:, None, :])
    far = (row[:, :, None].square() + column[:, None, :].square()).sqrt()
    reach = far / _outline(torch.atan2(*torch.broadcast_tensors(row[:, :, None], column[:, None, :])), generator)
    nearest = reach.flatten(1).topk(pixels**2, dim=1, largest=False).indices  # (n, area)
    covered = torch.zeros(n, height * width, dtype=torch.bool, device=generator.device)
    return covered.scatter_(1, nearest, True).view(n, height, width)


def painted(images: Tensor, covered: Tensor, fill: Tensor) -> Tensor:
    """Put ``fill`` in front of images where they are covered.

    Parameters
    ----------
    images : float Tensor (n, c, h, w)
    covered : bool Tensor (n, h, w)
        From `occluders`.
    fill : float Tensor (n, c, h, w), or of a shape that spreads to it
        What stands in front, see `flat` and `strangers`.

    Returns
    -------
    float Tensor (n, c, h, w)
        A new tensor; what is not covered is equal to the input.

    Raises
    ------
    ValueError
        The covers belong to pictures of another number or size.
    """
    if covered.shape != (len(images), *images.shape[2:]):
        raise ValueError(f"covered must be ({len(images)}, h, w) of images {tuple(images.shape)}, got {covered.shape}")
    return torch.where(covered[:, None], fill, images)


def flat(n: int, *, generator: torch.Generator) -> Tensor:
    """One grey level for each of ``n`` images, uniform in [0, 1): float (n, 1, 1, 1)."""
    return uniform((n, 1, 1, 1), generator=generator, device=generator.device)


def strangers(images: Tensor, labels: Tensor, *, generator: torch.Generator) -> Tensor:
    """For each image another one of the same batch that shows another class.

    Parameters
    ----------
    images : float Tensor (n, c, h, w)
    labels : int64 Tensor (n,)
    generator : torch.Generator

    Returns
    -------
    float Tensor (n, c, h, w)

    Raises
    ------
    ValueError
        All images are of one class.
    """
    other = labels[:, None] != labels  # (n, n)
    if not bool(other.any(1).all()):
        raise ValueError(f"labels must hold at least two classes, got {labels.unique().tolist()}; use more images")
    draw = uniform(tuple(other.shape), generator=generator, device=labels.device)
    return images[(draw + other).argmax(1)]  # the draw lies below 1, so another class always wins


def _pixels(side: float, shorter: int) -> int:
    """Side in pixels, of the parity of the picture's side."""
    if not 0 < side < 1:
        raise ValueError(f"side must be a share of the picture's side in (0, 1), got {side:g}; 0.5 covers a quarter")
    odd = shorter % 2
    return max(min(2 * round((side * shorter - odd) / 2) + odd, shorter - 2), 2 - odd)


def _middles(
    n: int, size: tuple[int, int], pixels: int, place: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Row and column of each occluder's middle, in pixels from the upper left edge, (n, 1) each."""
    middle = torch.tensor(size, device=generator.device) / 2
    if place == "centre":
        return middle[0].expand(n, 1), middle[1].expand(n, 1)
    sign = (uniform((n, 2), generator=generator, device=generator.device) < 0.5) * 2 - 1
    there = middle + sign * (middle - pixels / 2)  # (n, 2)
    return there[:, :1], there[:, 1:]


def _outline(angle: Tensor, generator: torch.Generator) -> Tensor:
    """Relative radius of an uneven disc at each angle, positive; every image has its own bumps."""
    radius = torch.ones_like(angle)
    for turns in range(1, WAVES + 1):
        phase = uniform((len(angle), 1, 1), generator=generator, device=angle.device) * 2 * math.pi
        radius = radius + UNEVEN * torch.sin(turns * angle + phase)
    return radius
