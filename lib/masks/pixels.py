"""Masks on pixels: independent pixels to inpaint and denoise, and aligned cells to erase as augmentation.

Papers: Chihaoui & Favaro 2025, MID (arXiv:2503.21377), for random pixels hidden in training and at test time; Li et al.
2024, SAFE (arXiv:2408.06741), for aligned cells erased in half of the training images (`RandomMask` of its code).

Differences: MID hides each pixel independently, so the count varies (`exact=False`); by default the count is exact, as
the contract asks. SAFE's code treats one image at a time and, where the image is not a multiple of the cell, may ask
for more cells than fit and never end; here at most all whole cells are erased.

Conventions: a pixel mask is bool (n, height, width), True = hidden; images are float (n, channels, height, width).
Hidden pixels are set to 0 by `erase_cells`; what fills a pixel mask is the caller's choice.
"""

import torch
from torch import Tensor

from lib.masks.contract import check_call
from lib.masks.draws import uniform
from lib.masks.tokens import random


def hidden_pixels(
    n: int, size: tuple[int, int], *, ratio: float, generator: torch.Generator, exact: bool = True
) -> Tensor:
    """Hide random pixels.

    Parameters
    ----------
    n : int
        Images.
    size : (int, int)
        Height and width in pixels.
    ratio : float in (0, 1)
        Share of pixels to hide.
    generator : torch.Generator
        Source of randomness; its device is the mask's device.
    exact : bool
        True: exactly ``round(ratio * height * width)`` in every image, the law of `lib.masks.tokens.random`. False:
        each pixel independently with probability ``ratio``, as in the paper; much faster on large images.

    Returns
    -------
    bool Tensor (n, height, width)
        True = hidden.

    Source: MID, random input masking.

    Examples
    --------
    >>> hidden_pixels(2, (4, 8), ratio=0.75, generator=torch.Generator().manual_seed(0)).sum((1, 2)).tolist()
    [24, 24]
    """
    height, width = check_call(n, size, ratio=ratio, generator=generator)
    if exact:
        return random(n, (height, width), ratio=ratio, generator=generator).view(n, height, width)
    return uniform((n, height, width), generator=generator, device=generator.device) < ratio


def erase_cells(
    images: Tensor, *, generator: torch.Generator, cell: int = 16, max_ratio: float = 0.75, p: float = 0.5
) -> Tensor:
    """Set random aligned cells of random images to zero.

    Parameters
    ----------
    images : float Tensor (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of randomness.
    cell : int
        Side of a cell in pixels; cells are aligned with the top left corner and lie inside the image.
    max_ratio : float in (0, 1]
        Each image draws its share from a uniform law on [0, max_ratio]; ``int(share * height * width / cell ** 2)``
        cells are erased, at most all.
    p : float in [0, 1]
        Probability that an image is treated at all.

    Returns
    -------
    float Tensor (n, channels, height, width)
        A new tensor; images that are not treated are equal to the input.

    Raises
    ------
    ValueError
        If the images are not a batch, no cell fits, or a share is out of range.

    Source: SAFE, public code: 16 pixels, shares up to 0.75, probability 0.5.
    """
    if images.ndim != 4:
        raise ValueError(f"images must have shape (n, channels, height, width), got {tuple(images.shape)}; add a batch")
    n, _, height, width = images.shape
    if not 1 <= cell <= min(height, width):
        raise ValueError(f"cell must be in [1, {min(height, width)}] pixels, got {cell}; SAFE uses 16 on 256 pixels")
    if not 0 < max_ratio <= 1:
        raise ValueError(f"max_ratio must be in (0, 1], got {max_ratio:g}; SAFE uses 0.75")
    if not 0 <= p <= 1:
        raise ValueError(f"p must be in [0, 1], got {p:g}; SAFE treats half of the images, 0.5")
    down, across = height // cell, width // cell
    chance = uniform((n, down * across + 2), generator=generator, device=images.device)
    treated, share = chance[:, 0] < p, max_ratio * chance[:, 1]  # (n,)
    count = (share * (height * width) / cell**2).floor() * treated
    erased = chance[:, 2:].argsort(1).argsort(1) < count[:, None]  # (n, cells)
    erased = erased.view(n, 1, down, across).repeat_interleave(cell, 2).repeat_interleave(cell, 3)
    result = images.clone()
    result[:, :, : down * cell, : across * cell].masked_fill_(erased, 0)
    return result
