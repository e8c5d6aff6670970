"""Random views of pictures: crops, reflections, rotations, colour; and two ways to make a large picture small.

Li et al. 2024, SAFE (arXiv:2408.06741), section on transformations: crops in the place of down-sampling, colour jitter
of strength 0.5 and rotations by any angle. Differences: the colour operations run in one order instead of a random one,
and values between them are not rounded to 8 bit.

Conventions: images are float (n, channels, height, width) in [0, 1]; every image of a batch has its own draw; all
randomness comes from a generator on the CPU.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in grey, ITU-R BT.601


def cropped(images: Tensor, side: int, *, generator: torch.Generator) -> Tensor:
    """Cut a square from a random place of each image: (n, c, h, w) -> (n, c, side, side).

    Raises
    ------
    ValueError
        If the square does not fit.

    Examples
    --------
    >>> cropped(torch.zeros(2, 3, 8, 8), 4, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 4, 4])
    """
    n, _, height, width = _fits(images, side)
    top = torch.randint(height - side + 1, (n, 1), generator=generator).to(images.device)
    left = torch.randint(width - side + 1, (n, 1), generator=generator).to(images.device)
    steps = torch.arange(side, device=images.device)
    rows, columns, which = top + steps, left + steps, torch.arange(n, device=images.device)
    picked = images.permute(0, 2, 3, 1)[which[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()  # (n, c, side, side)


def centre(images: Tensor, side: int) -> Tensor:
    """Cut the square in the middle, as testing does: (n, c, h, w) -> (n, c, side, side)."""
    _, _, height, width = _fits(images, side)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top : top + side, left : left + side]


def shrunk(images: Tensor, side: int) -> Tensor:
    """Resize whole pictures by antialiased bilinear interpolation: (n, c, h, w) -> (n, c, side, side)."""
    _fits(images, side)
    return functional.interpolate(images, size=(side, side), mode="bilinear", align_corners=False, antialias=True)


def flipped(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Reflect each image left to right with probability one half."""
    turned = torch.rand(len(images), 1, 1, 1, generator=generator).to(images.device) < 0.5
    return torch.where(turned, images.flip(-1), images)


def rotated(images: Tensor, *, generator: torch.Generator, degrees: float = 180.0) -> Tensor:
    """Turn each image about its middle by an angle drawn evenly from [-degrees, degrees].

    Nearest pixel, so that no new values arise; what comes from outside is 0.

    Raises
    ------
    ValueError
        If ``degrees`` is negative.
    """
    if degrees < 0:
        raise ValueError(f"degrees must be at least 0, got {degrees:g}; the sign is drawn")
    angle = math.radians(degrees) * (2 * torch.rand(len(images), generator=generator).to(images) - 1)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turn = torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1)  # (n, 2, 3)
    grid = functional.affine_grid(turn, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def jittered(images: Tensor, *, generator: torch.Generator, strength: float = 0.5) -> Tensor:
    """Change brightness, contrast and saturation of each image.

    Parameters
    ----------
    images : float Tensor (n, channels, height, width) in [0, 1]
        Saturation is changed only where there are three channels.
    generator : torch.Generator
    strength : float in [0, 1]
        Each of the three factors is drawn evenly from [1 - strength, 1 + strength]; 0 = nothing happens.

    Returns
    -------
    float Tensor, the shape of ``images``, in [0, 1]

    Raises
    ------
    ValueError
        If ``strength`` is out of range.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be in [0, 1], got {strength:g}; SAFE uses 0.5")
    drawn = 1 + strength * (2 * torch.rand(3, len(images), 1, 1, 1, generator=generator).to(images) - 1)
    bright = (images * drawn[0]).clamp(0, 1)
    mean = _grey(bright).mean((1, 2, 3), keepdim=True)
    contrast = (mean + (bright - mean) * drawn[1]).clamp(0, 1)
    if images.shape[1] != 3:
        return contrast
    grey = _grey(contrast)
    return (grey + (contrast - grey) * drawn[2]).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _fits(images: Tensor, side: int) -> torch.Size:
    if images.ndim != 4 or not 1 <= side <= min(images.shape[2:]):
        raise ValueError(
            f"images must be (n, c, h, w) of at least {side} px, got {tuple(images.shape)}; take a smaller side"
        )
    return images.shape
