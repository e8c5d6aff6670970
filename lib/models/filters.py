"""A small convolutional network above a fixed first layer of oriented line filters.

The filters are second derivatives of Gaussians along several directions, the line detectors of Frangi et al. 1998 and
Leung & Malik 2001. A fixed first layer with trained layers above it is the design of Gabor and scattering networks
(Bruna & Mallat 2013, arXiv:1203.1513; Oyallon et al. 2017, arXiv:1703.08961). Differences: one layer of filters and no
combination over scales; instead of a modulus and an average, light and dark lines are kept apart, each as its maximum
per cell. The fixed layer saves a few hundred images from having to show what a line is; the price is that it favours
thin lines over areas and textures.

Conventions: images float32 (n, 1, h, w); each is centred and scaled by its own mean and deviation first, so that a
window or an exposure does not matter; maps float32 (n, channels, grid, grid), light lines before dark ones. Weights
follow torch's global seed, as every torch layer does.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

CHUNK = 64
GROUPS = 4
DROPOUT = 0.5


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


def line_maps(x: Tensor, *, scales: tuple[float, ...] = (1.0, 1.8), orientations: int = 8, grid: int = 16) -> Tensor:
    """Map where in an image the strongest light and the strongest dark line of each width and direction are.

    Parameters
    ----------
    x : Tensor
        float32 (n, 1, h, w), any range.
    scales, orientations
        See `line_kernels`.
    grid : int
        Cells along each side; a cell keeps the maximum of its pixels.

    Returns
    -------
    Tensor
        float32 (n, 2 * scales * orientations, grid, grid), on the device of x; 0 everywhere = a flat image.

    Raises
    ------
    ValueError
        If x is not (n, 1, h, w) with sides larger than the filters reach, or grid is below 1.

    Examples
    --------
    >>> line_maps(torch.zeros(2, 1, 32, 32), grid=8).shape
    torch.Size([2, 32, 8, 8])
    """
    if grid < 1:
        raise ValueError(f"grid must be at least 1, got {grid}; pass the number of cells along a side, e.g. 16")
    kernels = line_kernels(scales=scales, orientations=orientations).to(x.device)  # (scales * orientations, 1, k, k)
    reach = kernels.shape[-1] // 2
    if x.ndim != 4 or x.shape[1] != 1 or min(x.shape[2:]) <= max(reach, grid):
        raise ValueError(f"x must be (n, 1, h, w) with sides above {max(reach, grid)}, got {tuple(x.shape)}; resize it")
    out = []
    for part in x.split(CHUNK):
        mean, deviation = part.mean((2, 3), keepdim=True), part.std((2, 3), keepdim=True)
        padded = functional.pad((part - mean) / deviation.clamp_min(1e-6), [reach] * 4, mode="reflect")
        response = functional.conv2d(padded, kernels)  # (n, scales * orientations, h, w)
        light = functional.adaptive_max_pool2d(response, grid)
        dark = functional.adaptive_max_pool2d(-response, grid)
        out.append(torch.cat([light, dark], 1))  # (n, 2 * scales * orientations, grid, grid)
    return torch.cat(out)


class LineCNN(nn.Module):
    """Two strided convolutions and a linear layer above line maps, for one yes-or-no question.

    The last maps are flattened, not pooled: a finding that is a thin rim is known by its place, and a head that pools
    over the film does not leave chance with a few hundred films.

    Parameters
    ----------
    channels : int
        Channels of the maps, as `line_maps` makes them.
    grid : int
        Cells along each side of the maps.
    width : int
        Channels of both convolutions, a multiple of 4.

    Raises
    ------
    ValueError
        If channels or grid is below 1, or width is no positive multiple of 4.

    Examples
    --------
    >>> LineCNN(32, grid=8)(torch.zeros(2, 32, 8, 8)).shape
    torch.Size([2])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, *, grid: int = 16, width: int = 16) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("grid", grid)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}; take it from the shape of the maps")
        if width < GROUPS or width % GROUPS:
            raise ValueError(f"width must be a positive multiple of {GROUPS}, got {width}; pass e.g. 16")
        self.shape = (channels, grid, grid)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),  # (n, width, ceil(grid / 2), ceil(grid / 2))
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),  # (n, width, ceil(grid / 4), ceil(grid / 4))
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(width * math.ceil(grid / 4) ** 2, 1)

    def fit_scale(self, maps: Tensor) -> "LineCNN":
        """Take mean and deviation of each channel from training maps; without it, maps pass as they are.

        Parameters
        ----------
        maps : Tensor
            float32 (n, channels, grid, grid).

        Returns
        -------
        LineCNN
            Itself. Both numbers are buffers: they travel and are saved with the weights, and are not trained.

        Raises
        ------
        ValueError
            If the maps have another shape than the model was made for, or there are none.
        """
        self._check(maps)
        if not len(maps):
            raise ValueError("maps must have at least one row, got 0; pass the maps of the training films")
        self.mean.copy_(maps.mean((0, 2, 3)).view(-1, 1, 1))
        self.std.copy_(maps.std((0, 2, 3), correction=0).clamp_min(1e-6).view(-1, 1, 1))
        return self

    def forward(self, maps: Tensor) -> Tensor:
        """Float (n, channels, grid, grid) -> logits (n,)."""
        self._check(maps)
        inner = self.body((maps - self.mean) / self.std)  # (n, width, ceil(grid / 4), ceil(grid / 4))
        return self.head(self.dropout(inner.flatten(1)))[:, 0]

    def _check(self, maps: Tensor) -> None:
        if maps.shape[1:] != self.shape:
            expected = ", ".join(str(side) for side in ("n", *self.shape))
            hint = "make the model with the channels and grid of the maps"
            raise ValueError(f"maps must be ({expected}), got {tuple(maps.shape)}; {hint}")
