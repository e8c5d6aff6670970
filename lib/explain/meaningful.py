"""Meaningful perturbation: the smallest smooth hole in an image that takes the score away, learnt by gradient descent.

Paper: Fong & Vedaldi 2017 (arXiv:1704.03296), the deletion game with its regularisers: a coarse mask, enlarged, decides
where the image is replaced by its blur; the score is to fall, the hole to be small and smooth, and the mask to hold
under small shifts of the image.

Differences: the regularisers are means over the coarse mask, not sums, so that their strength does not depend on its
size; the descent starts from a half-open mask everywhere, not from the best of several discs. All images of a batch
descend at once, each on its own loss; the shifts of a step are shared, so a batch gives what single images give.

Conventions: see `lib.explain`; inside, a mask is 1 where the image is kept; the returned map is 1 - mask.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.explain import Score, check_inputs, need_generator
from lib.explain.baselines import gaussian_blur
from lib.explain.queries import fill_values


def meaningful(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    grid: int = 7,
    n_steps: int = 100,
    lr: float = 0.1,
    size_cost: float = 0.1,
    edge_cost: float = 0.2,
    edge_power: float = 3.0,
    jitter: int = 2,
    sigma: float = 5.0,
    fill: Tensor | float | None = None,
) -> Tensor:
    """Learn for each image which coarse cells must be replaced for its score to fall.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to scores (m, classes), differentiable; probabilities, as the costs are on their scale.
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : Tensor, int64 (n,)
    generator : torch.Generator
        On the CPU; draws one shift per step for all images.
    max_batch : int, images
        Images that descend together.
    grid : int
        Cells per edge of the coarse mask.
    n_steps : int
        Forward and backward passes per image.
    lr : float, > 0
        Of Adam.
    size_cost, edge_cost : float, >= 0
        Cost of a hole of the whole image, and of the mean of its differences between neighbours to the ``edge_power``.
    jitter : int, pixels
        Largest shift of the image in either direction, borders repeated; 0 = none.
    sigma : float, pixels
        Of the blur that replaces the image, cut off where the kernel no longer fits; not used with ``fill``.
    fill : Tensor (c,) or (c, h, w), or float, optional
        Replacement instead of the blur.

    Returns
    -------
    Tensor, float32 (n, h, w), [0, 1]
        1 = replaced in the end, 0 = kept.

    Raises
    ------
    ValueError
        If the generator is missing, a number is out of range, or shapes do not fit together.

    Source
    ------
    Fong & Vedaldi 2017, arXiv:1704.03296, deletion game and its regularisers.
    """
    check_inputs(images, target, max_batch)
    generator = need_generator(generator, "meaningful")
    if not 1 <= grid <= min(images.shape[2:]):
        raise ValueError(f"grid must be between 1 and {min(images.shape[2:])} cells per edge, got {grid}")
    if n_steps < 1 or jitter < 0 or lr <= 0 or min(size_cost, edge_cost) < 0:
        raise ValueError(
            "n_steps must be at least 1, lr positive, jitter and the costs at least 0, got "
            f"{n_steps}, {lr}, {jitter}, {size_cost} and {edge_cost}; use e.g. n_steps=100, jitter=2"
        )
    shifts = torch.randint(2 * jitter + 1, (n_steps, 2), generator=generator).tolist()
    maps = []
    for piece, labels in zip(images.split(max_batch), target.split(max_batch), strict=True):
        other = _blurred(piece, sigma) if fill is None else fill_values(fill, piece).expand_as(piece)
        mask = torch.full((len(piece), 1, grid, grid), 0.5, device=images.device, requires_grad=True)
        adam = torch.optim.Adam([mask], lr=lr)  # element by element: one image does not feel another
        for down, right in shifts:
            with torch.enable_grad():
                hidden, shown = (_shifted(each, down, right, jitter) for each in (other, piece))  # the mask stays
                seen = torch.lerp(hidden, shown, _enlarged(mask, images.shape[2:]))
                fallen = score(seen).gather(1, labels[:, None]).sum()
                cost = size_cost * (1 - mask).mean((1, 2, 3)) + edge_cost * _roughness(mask, edge_power)
                (mask.grad,) = torch.autograd.grad(fallen + cost.sum(), mask)
            adam.step()
            with torch.no_grad():
                mask.clamp_(0.0, 1.0)
        maps.append(1 - _enlarged(mask.detach(), images.shape[2:])[:, 0])
    return torch.cat(maps).float()


def _enlarged(mask: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(mask, size=size, mode="bilinear", align_corners=False)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma} pixels; an eighth of the image's edge is a start")
    radius = min(math.ceil(3 * sigma), min(images.shape[2:]) - 1)
    return gaussian_blur(images, radius=radius, sigma=sigma)


def _shifted(images: Tensor, down: int, right: int, jitter: int) -> Tensor:
    """Crop of the image with repeated borders; down and right in [0, 2 * jitter], their middle = no shift."""
    if jitter == 0:
        return images
    height, width = images.shape[2:]
    return F.pad(images, (jitter,) * 4, mode="replicate")[..., down : down + height, right : right + width]


def _roughness(mask: Tensor, power: float) -> Tensor:
    """Mean over the cells of both neighbour differences to a power, (n,); 0 = constant."""
    total = mask.new_zeros(len(mask))
    for axis in (2, 3):
        total = total + mask.diff(dim=axis).abs().pow(power).sum((1, 2, 3))
    return total / mask[0].numel()
