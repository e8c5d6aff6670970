"""Maps that hold no explanation: the controls against which an attribution must prove itself.

Papers: Hooker et al. 2019 (arXiv:1806.10758) compare with a random ranking and an edge detector; Adebayo et al. 2018
(arXiv:1810.03307) show that edge maps pass for explanations; arXiv:2304.13836 reports that blurring a map, which
adds no knowledge of the model, improves its score in removal benchmarks.

Differences: every control obeys the attribution contract where it can, so it runs in the same loop; `blurred` turns a
given map into its control.

Conventions: see `lib.explain`. No function here calls the model.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.explain import Score, check_inputs, need_generator


def random(
    score: Score, images: Tensor, target: Tensor, *, generator: torch.Generator | None, max_batch: int = 128
) -> Tensor:
    """Independent uniform values, another draw for every image.

    Parameters
    ----------
    score, target, max_batch
        Not used beyond checks; part of the contract.
    images : Tensor, float32 (n, c, h, w)
        Gives the shape and device.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor, float32 (n, h, w), [0, 1)

    Raises
    ------
    ValueError
        If the generator is missing or shapes do not fit together.

    Source
    ------
    Hooker et al. 2019, arXiv:1806.10758, the random baseline.
    """
    check_inputs(images, target, max_batch)
    generator = need_generator(generator, "random")
    return torch.rand(len(images), *images.shape[-2:], generator=generator).to(images.device)


def sobel(
    score: Score, images: Tensor, target: Tensor, *, generator: torch.Generator | None = None, max_batch: int = 128
) -> Tensor:
    """Strength of the edges of the image itself: a map that knows the input and nothing of the model.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0
        Length of the Sobel gradient of the channel mean, borders repeated; 0 = flat surroundings.

    Raises
    ------
    ValueError
        If shapes do not fit together.

    Source
    ------
    Hooker et al. 2019, arXiv:1806.10758, the Sobel baseline.
    """
    check_inputs(images, target, max_batch)
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    kernels = torch.stack([across, across.T])[:, None].to(images)  # (2, 1, 3, 3)
    grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return F.conv2d(grey, kernels).square().sum(1).sqrt().float()


def blurred(maps: Tensor, *, sigma: float) -> Tensor:
    """Gaussian blur of maps: less detail, no new knowledge.

    Parameters
    ----------
    maps : Tensor, float32 (n, h, w)
    sigma : float, pixels, >= 0
        0 returns the maps unchanged.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Borders mirrored; a constant map stays constant.

    Raises
    ------
    ValueError
        If sigma is negative, or the kernel of 3 sigma does not fit the map.

    Source
    ------
    arXiv:2304.13836, the blurred control.

    Examples
    --------
    >>> blurred(torch.ones(1, 8, 8), sigma=1.0).allclose(torch.ones(1, 8, 8))
    True
    """
    if maps.ndim != 3:
        raise ValueError(f"maps must be (n, h, w), got {tuple(maps.shape)}; merge the channels first")
    radius = math.ceil(3 * sigma)
    if sigma < 0 or radius >= min(maps.shape[-2:]):
        raise ValueError(
            f"sigma must be in [0, {(min(maps.shape[-2:]) - 1) / 3:.1f}] pixels for maps of "
            f"{tuple(maps.shape[-2:])}, got {sigma}; use a smaller blur"
        )
    return maps.clone() if radius == 0 else gaussian_blur(maps[:, None], radius=radius, sigma=sigma)[:, 0]


def gaussian_blur(images: Tensor, *, radius: int, sigma: float) -> Tensor:
    """Separable Gaussian blur with a kernel of 2 * radius + 1 pixels and mirrored borders, (n, c, h, w).

    Examples
    --------
    >>> gaussian_blur(torch.ones(1, 3, 8, 8), radius=2, sigma=1.0).shape
    torch.Size([1, 3, 8, 8])
    """
    at = torch.arange(-radius, radius + 1, dtype=torch.float64)
    line = torch.exp(-0.5 * (at / sigma) ** 2)
    line = (line / line.sum()).to(images)
    n, channels, height, width = images.shape
    flat = F.pad(images.reshape(n * channels, 1, height, width), (radius,) * 4, mode="reflect")
    flat = F.conv2d(F.conv2d(flat, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))
    return flat.view(n, channels, height, width)
