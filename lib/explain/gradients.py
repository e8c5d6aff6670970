"""Gradient attributions: one gradient, a path of gradients, or a cloud of noisy gradients.

Papers: Simonyan et al. 2014 (arXiv:1312.6034, saliency), Shrikumar et al. 2017 (arXiv:1704.02685, input x gradient),
Sundararajan et al. 2017 (arXiv:1703.01365, integrated gradients), Smilkov et al. 2017 (arXiv:1706.03825,
SmoothGrad), Hooker et al. 2019 (arXiv:1806.10758, SmoothGrad-Squared and VarGrad as compared there), Adebayo et al.
2018 (arXiv:1810.03307, VarGrad).

Differences: captum computes the same values and is the oracle of the tests; its noise methods take no generator and
send all noisy copies through the model at once, so every method here works in pieces of ``max_batch`` images and
draws from the generator it is given. Channels are merged into one map: the largest magnitude for saliency, the sum
otherwise.

Conventions: see `lib.explain`. Signed maps stay signed; rank by magnitude where a benchmark asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.explain import Score, check_inputs, need_generator


def gradient(score: Score, images: Tensor, target: Tensor, max_batch: int) -> Tensor:
    """Gradient of each image's target score with respect to the image, float32 (n, c, h, w); nothing is checked."""
    pieces = []
    with torch.enable_grad():
        for start in range(0, len(images), max_batch):
            piece = images[start : start + max_batch].detach().clone().requires_grad_(True)
            scores = score(piece)
            chosen = scores.gather(1, target[start : start + max_batch, None]).sum()
            pieces.append(torch.autograd.grad(chosen, piece)[0].detach())
    return torch.cat(pieces).float()


def saliency(
    score: Score, images: Tensor, target: Tensor, *, generator: torch.Generator | None = None, max_batch: int = 128
) -> Tensor:
    """Largest magnitude of the gradient over the channels.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to scores (m, classes), usually logits.
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : Tensor, int64 (n,)
    generator : torch.Generator, optional
        Unused: there is no chance in it.
    max_batch : int, images

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0
        0 = an infinitesimal change of the pixel does not change the score.

    Raises
    ------
    ValueError
        If shapes or types do not fit together.

    Source
    ------
    Simonyan et al. 2014, arXiv:1312.6034.
    """
    check_inputs(images, target, max_batch)
    return gradient(score, images, target, max_batch).abs().amax(1)


def input_x_gradient(
    score: Score, images: Tensor, target: Tensor, *, generator: torch.Generator | None = None, max_batch: int = 128
) -> Tensor:
    """Gradient times pixel value, summed over the channels; parameters and errors as `saliency`.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed; 0 wherever the image is black. For a linear score without offset the map sums to the score.

    Source
    ------
    Shrikumar et al. 2017, arXiv:1704.02685.
    """
    check_inputs(images, target, max_batch)
    return (images * gradient(score, images, target, max_batch)).sum(1).float()


def integrated_gradients(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    baseline: Tensor | float = 0.0,
    n_steps: int = 32,
) -> Tensor:
    """Gradient averaged along the straight path from a baseline to the image, times their difference.

    Parameters
    ----------
    score, images, target, generator, max_batch
        As `saliency`.
    baseline : Tensor broadcastable to images, or float, [0, 1]
        Where the path starts; 0 = black.
    n_steps : int
        Gauss-Legendre nodes; the map sums to score(image) - score(baseline) up to their quadrature error.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed; exactly 0 where image and baseline agree.

    Raises
    ------
    ValueError
        If shapes do not fit together or ``n_steps`` is below 1.

    Source
    ------
    Sundararajan et al. 2017, arXiv:1703.01365, equation 1.
    """
    check_inputs(images, target, max_batch)
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}; 32 suits smooth networks")
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    start = torch.as_tensor(baseline, dtype=images.dtype, device=images.device).expand_as(images)
    total = torch.zeros_like(images, dtype=torch.float64)
    together = max(1, max_batch // len(images))  # path points per call, so that few images still fill a batch
    for first in range(0, n_steps, together):
        alphas = torch.as_tensor((nodes[first : first + together] + 1) / 2, dtype=images.dtype, device=images.device)
        path = start + alphas.view(-1, 1, 1, 1, 1) * (images - start)  # (points, n, c, h, w)
        slopes = gradient(score, path.flatten(0, 1), target.repeat(len(alphas)), max_batch).view(path.shape)
        factor = torch.as_tensor(weights[first : first + together] / 2, device=images.device).view(-1, 1, 1, 1, 1)
        total += (factor * slopes).sum(0)
    return ((images - start) * total).sum(1).float()


@dataclass(frozen=True)
class NoisyGradients:
    """Moments of the gradient under Gaussian noise, each float32 (n, h, w), channels summed.

    ``mean`` is SmoothGrad (signed), ``mean_square`` SmoothGrad-Squared and ``variance`` VarGrad (both >= 0).
    """

    mean: Tensor
    mean_square: Tensor
    variance: Tensor


def noisy_gradients(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_samples: int = 15,
    noise: float = 0.15,
) -> NoisyGradients:
    """First two moments of the gradient around each image, in one pass for the three methods that use them.

    Parameters
    ----------
    score, images, target, max_batch
        As `saliency`.
    generator : torch.Generator
        On the CPU; draws n_samples noise images per image, in the same order for every ``max_batch``.
    n_samples : int
        Noisy copies per image, at least 1.
    noise : float, >= 0
        Standard deviation of the noise as a share of each image's range of values.

    Returns
    -------
    NoisyGradients
        ``variance`` is the population variance: 0 for one sample, for no noise, and for any linear score.

    Raises
    ------
    ValueError
        If ``generator`` is missing, or a number is out of range.

    Source
    ------
    Smilkov et al. 2017, arXiv:1706.03825; Hooker et al. 2019, arXiv:1806.10758.
    """
    check_inputs(images, target, max_batch)
    generator = need_generator(generator, "noisy_gradients")
    if n_samples < 1 or noise < 0:
        raise ValueError(
            f"n_samples must be at least 1 and noise at least 0, got {n_samples} and {noise}; "
            "use e.g. n_samples=15, noise=0.15"
        )
    spread = noise * (images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True))
    shift = torch.zeros_like(images, dtype=torch.float64)
    total, squares = shift.clone(), shift.clone()
    together = max(1, max_batch // len(images))
    for first in range(0, n_samples, together):
        count = min(together, n_samples - first)
        draws = torch.stack([torch.randn(images.shape, generator=generator) for _ in range(count)]).to(images)
        copies = images + spread * draws  # (count, n, c, h, w)
        slopes = gradient(score, copies.flatten(0, 1), target.repeat(count), max_batch).view(copies.shape).double()
        if first == 0:
            shift = slopes[0]  # variance about the first draw does not cancel when the mean is large
        total += (slopes - shift).sum(0)
        squares += (slopes - shift).square().sum(0)
    off = total / n_samples
    variance = (squares / n_samples - off.square()).clamp_min(0)
    mean = shift + off
    square = variance + mean.square()
    return NoisyGradients(mean.sum(1).float(), square.sum(1).float(), variance.sum(1).float())


def smoothgrad(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_samples: int = 15,
    noise: float = 0.15,
) -> Tensor:
    """Mean gradient over noisy copies, signed, float32 (n, h, w); parameters as `noisy_gradients`.

    Source: Smilkov et al. 2017, arXiv:1706.03825.
    """
    return noisy_gradients(
        score, images, target, generator=generator, max_batch=max_batch, n_samples=n_samples, noise=noise
    ).mean


def smoothgrad_squared(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_samples: int = 15,
    noise: float = 0.15,
) -> Tensor:
    """Mean squared gradient over noisy copies, >= 0, float32 (n, h, w); parameters as `noisy_gradients`.

    Source: Hooker et al. 2019, arXiv:1806.10758.
    """
    return noisy_gradients(
        score, images, target, generator=generator, max_batch=max_batch, n_samples=n_samples, noise=noise
    ).mean_square


def vargrad(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_samples: int = 15,
    noise: float = 0.15,
) -> Tensor:
    """Variance of the gradient over noisy copies, >= 0, float32 (n, h, w); parameters as `noisy_gradients`.

    Source: Adebayo et al. 2018, arXiv:1810.03307; Hooker et al. 2019, arXiv:1806.10758.
    """
    return noisy_gradients(
        score, images, target, generator=generator, max_batch=max_batch, n_samples=n_samples, noise=noise
    ).variance
