"""A frozen encoder without training: responses to oriented line filters, pooled over a coarse grid.

Second derivatives of Gaussians along several directions, the line detectors of Frangi et al. 1998 and Leung & Malik
2001. Differences: no combination over scales; light and dark lines keep their own maximum per cell. It stands in for
the frozen image encoders whose linear heads are audited in the chest X-ray notebooks: it sees edges, tubes and texture
equally well in every image and has learnt nothing from any label.

Conventions: images float32 (n, 1, h, w); each is centred and scaled by its own mean and deviation first, so that a
window or an exposure does not matter; features float32 (n, d).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 64


def line_kernels(*, scales: tuple[float, ...] = (1.0, 1.8), orientations: int = 8) -> Tensor:
    """Kernels that answer to a bright line of a given width and direction.

    Parameters
    ----------
    scales : tuple of float
        Gaussian half-widths of the line, pixels; the line is twice as long as wide.
    orientations : int
        Directions, evenly over half a turn.

    Returns
    -------
    Tensor
        float32 (scales * orientations, 1, k, k), each with sum 0 (flat grey gives 0) and absolute sum 1.

    Raises
    ------
    ValueError
        If there is no scale or no orientation, or a scale is not positive.
    """
    if orientations < 1 or not scales or min(scales) <= 0:
        raise ValueError(
            f"scales must be positive and orientations at least 1, got {scales} and {orientations}; pass e.g. (1.0,), 8"
        )
    reach = math.ceil(3.3 * max(scales))
    axis = torch.arange(-reach, reach + 1, dtype=torch.float32)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    kernels = []
    for scale in scales:
        for k in range(orientations):
            turn = math.pi * k / orientations
            across = (x * math.cos(turn) + y * math.sin(turn)) / scale
            along = (y * math.cos(turn) - x * math.sin(turn)) / (2 * scale)
            kernel = (1 - across**2) * torch.exp(-(across**2) / 2 - along**2 / 2)
            kernel = kernel - kernel.mean()
            kernels.append(kernel / kernel.abs().sum())
    return torch.stack(kernels)[:, None]


def line_features(x: Tensor, *, scales: tuple[float, ...] = (1.0, 1.8), orientations: int = 8, grid: int = 4) -> Tensor:
    """Describe images by the strongest light line, the strongest dark line and the mean response in each cell.

    Parameters
    ----------
    x : Tensor
        float32 (n, 1, h, w), any range.
    scales, orientations
        See `line_kernels`.
    grid : int
        Cells along each side over which responses are pooled.

    Returns
    -------
    Tensor
        float32 (n, 3 * scales * orientations * grid * grid), on the device of x.

    Raises
    ------
    ValueError
        If x is not (n, 1, h, w) with sides larger than the filters reach.
    """
    kernels = line_kernels(scales=scales, orientations=orientations).to(x.device)
    reach = kernels.shape[-1] // 2
    if x.ndim != 4 or x.shape[1] != 1 or min(x.shape[2:]) <= max(reach, grid):
        raise ValueError(f"x must be (n, 1, h, w) with sides above {max(reach, grid)}, got {tuple(x.shape)}; resize it")
    out = []
    for part in x.split(CHUNK):
        mean, deviation = part.mean((2, 3), keepdim=True), part.std((2, 3), keepdim=True)
        padded = functional.pad((part - mean) / deviation.clamp_min(1e-6), [reach] * 4, mode="reflect")
        response = functional.conv2d(padded, kernels)
        light = functional.adaptive_max_pool2d(response, grid)
        dark = functional.adaptive_max_pool2d(-response, grid)
        mean_size = functional.adaptive_avg_pool2d(response.abs(), grid)
        out.append(torch.cat([light, dark, mean_size], 1).flatten(1))
    return torch.cat(out)
