"""The images that a pretraining sees, with speckle where radar images are imitated.

SARATR-X (arXiv:2405.09365) pretrains on radar images. Difference: here ordinary images get the noise of such ones.
"""

import torch
from torch import Tensor

from lib import data


def seen(source: str, *, n_images: int, seed: int, looks: int = 0) -> Tensor:
    """Images (n, c, h, w) that a pretraining of this seed sees, with speckle where ``looks`` is positive."""
    images = data.images(source, n=n_images, seed=seed).x
    return speckled(images, looks=looks, generator=torch.Generator().manual_seed(seed + 3)) if looks else images


def speckled(images: Tensor, *, looks: int, generator: torch.Generator) -> Tensor:
    """Multiply every pixel with gamma noise of mean 1, as radar images have, and clip at 1.

    Parameters
    ----------
    images : Tensor (n, c, h, w), float32 in [0, 1]
    looks : int
        Exponential looks averaged; the noise has variance 1 / looks. 1 = the worst, many = none.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor (n, c, h, w), float32 in [0, 1]

    Raises
    ------
    ValueError
        ``looks`` is below 1.
    """
    if looks < 1:
        raise ValueError(f"looks must be at least 1, got {looks}; a single-look radar image has 1")
    gain = torch.zeros(images.shape)
    for _ in range(looks):
        gain += torch.empty(images.shape).exponential_(generator=generator) / looks
    return (images * gain.to(images.device)).clamp(max=1.0)
