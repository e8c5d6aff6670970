"""Regional multi-scale maps: how far the score falls when a superpixel turns into noise that looks like the border.

Paper: Seo, Oh & Oh 2020 (arXiv:1807.11720), abstract: superpixels at several scales, exclusion of a region by sampling
a normal distribution built from the boundary of the image, prediction difference, fusion of the maps of the scales.
Superpixels are SLIC (Achanta et al. 2012) from scikit-image.

Differences: where the abstract leaves a choice open, this module makes its own: the number of regions and of draws, the
width of the border, the plain difference of scores and the mean over scales. One set of draws serves all regions and
all images, so that what differs between regions is the region.

Conventions: see `lib.explain` and `lib.explain.features`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lib.explain import Score, check_inputs, need_generator
from lib.explain.queries import masked_scores


def superpixels(images: Tensor, n_segments: int, *, compactness: float = 10.0) -> Tensor:
    """SLIC superpixels as features of `lib.explain.features`.

    Parameters
    ----------
    images : Tensor, float32 (n, c, h, w), [0, 1]
        Three channels are compared in Lab colours, any other number as they are.
    n_segments : int
        Regions asked for; SLIC returns about as many.
    compactness : float, > 0
        Weight of nearness against likeness, on the scale of Lab (0 to 100); without Lab a hundredth of it is used.

    Returns
    -------
    Tensor, int64 (n, h, w)
        Every image numbered from 0 without a gap, on the images' device.

    Raises
    ------
    ValueError
        If a number is not positive.

    Examples
    --------
    >>> superpixels(torch.zeros(1, 1, 8, 8), 4).unique().tolist()
    [0, 1, 2, 3]
    """
    from skimage.segmentation import slic

    if n_segments < 1 or compactness <= 0:
        raise ValueError(
            f"n_segments and compactness must be positive, got {n_segments} and {compactness}; use e.g. 16 and 10"
        )
    lab = images.shape[1] == 3
    found = []
    for image in images.detach().cpu().numpy():
        near = compactness if lab else compactness / 100
        drawn = image.transpose(1, 2, 0).astype(float)
        labels = slic(drawn, n_segments, near, start_label=0, channel_axis=-1, convert2lab=lab)
        found.append(torch.from_numpy(np.unique(labels, return_inverse=True)[1].reshape(labels.shape)))
    return torch.stack(found).long().to(images.device)


def border_normal(images: Tensor, *, width: int) -> tuple[Tensor, Tensor]:
    """Mean (n, c) and a factor L of the covariance L L' (n, c, c) of the colours within ``width`` pixels of the edge.

    Raises
    ------
    ValueError
        If the border has no width or leaves no middle.
    """
    height, across = images.shape[2:]
    if not 1 <= width < min(height, across) / 2:
        raise ValueError(f"border must be between 1 and less than {min(height, across) / 2} pixels, got {width}")
    edge = torch.ones(height, across, dtype=torch.bool, device=images.device)
    edge[width:-width, width:-width] = False
    colours = images[:, :, edge].double()  # (n, c, pixels)
    mean = colours.mean(2)
    off = colours - mean[..., None]
    scale, axes = torch.linalg.eigh(off @ off.mT / colours.shape[2])  # a flat border has no Cholesky factor
    return mean, axes * scale.clamp_min(0).sqrt()[:, None]


def regional_multiscale(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    scales: Sequence[int] = (8, 16, 32),
    n_draws: int = 4,
    border: int = 2,
    compactness: float = 10.0,
) -> Tensor:
    """Mean over scales of the fall of the score when each superpixel is replaced by draws from the border's normal.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to (m, classes), probabilities as a rule.
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : Tensor, int64 (n,)
    generator : torch.Generator
        On the CPU; the same draws, given the mean and spread of each image's border, serve all images.
    max_batch : int, images
    scales : sequence of int
        Superpixels asked for at each scale.
    n_draws : int
        Replacements per region; about ``n_draws * sum(scales)`` queries per image.
    border : int, pixels
        Width of the frame to which the normal is fitted.
    compactness : float, > 0
        See `superpixels`.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed; 0 = replacing the regions of this pixel changes nothing. On a black border the draws are black.

    Raises
    ------
    ValueError
        If the generator is missing, a number is out of range or shapes do not fit together.

    Source
    ------
    Seo, Oh & Oh 2020, arXiv:1807.11720.
    """
    check_inputs(images, target, max_batch)
    generator = need_generator(generator, "regional_multiscale")
    if not scales or n_draws < 1:
        raise ValueError(f"scales must not be empty and n_draws at least 1, got {list(scales)} and {n_draws}")
    levels = torch.stack([superpixels(images, scale, compactness=compactness) for scale in scales], 1)
    mean, factor = border_normal(images, width=border)
    maps = torch.zeros(len(images), *images.shape[2:], dtype=torch.float64, device=images.device)
    for _ in range(n_draws):
        noise = torch.randn(images.shape[1:], generator=generator, dtype=torch.float64).to(images.device)
        for index, label in enumerate(target.tolist()):
            drawn = mean[index, :, None, None] + torch.einsum("cd,dhw->chw", factor[index], noise)
            fill = drawn.clamp(0, 1).to(images.dtype)
            maps[index] += _falls(score, images[index], label, levels[index], fill, max_batch)
    return (maps / (n_draws * len(scales))).float()


def _falls(score: Score, image: Tensor, label: int, levels: Tensor, fill: Tensor, max_batch: int) -> Tensor:
    """Sum over scales of the fall of the score by region of each pixel, float64 (h, w), from levels (scales, h, w)."""
    regions = [(level, number) for level in levels for number in range(int(level.max()) + 1)]
    whole = masked_scores(score, image, label, image.new_ones(1, *image.shape[1:]), fill, max_batch).double()
    total = torch.zeros(image.shape[1:], dtype=torch.float64, device=image.device)
    for start in range(0, len(regions), max_batch):
        hidden = torch.stack([level == number for level, number in regions[start : start + max_batch]])  # (m, h, w)
        falls = whole - masked_scores(score, image, label, (~hidden).to(image), fill, max_batch).double()
        total += torch.einsum("m,mhw->hw", falls, hidden.double())
    return total
