"""Token masks cut from filtered noise: red, blue, green and purple, drawn anew for every image.

Paper: Hinojosa et al. 2024, ColorMAE (arXiv:2407.13036), section 3: with white noise W and a Gaussian filter G,
red = G*W, blue = W - G*W, green = G1*W - G2*W with G1 narrower than G2, purple = W - green.

Differences: the paper prints no widths and its bank generator is unpublished. The default widths and the number of
repeats were fitted to the spectra in the authors' figure, which one pass of the formula above does not reproduce.
Masks are drawn on the fly: the filtered field on a patch grid is a Gaussian vector whose covariance is known, so one
matrix product makes a batch, whatever the number of repeats, and no pattern is ever used twice. Filters are given by
their continuous transfer function, not by a truncated kernel.

Conventions: widths in patches, frequencies in cycles per patch. As in the public code the highest values stay visible;
the fields are symmetric, so hiding them instead has the same law.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from lib.masks.contract import Grid, check_call, hide_highest


@dataclass(frozen=True)
class Colour:
    """A radial filter: ``(white + sum of weight * Gaussian) ** repeats``.

    Parameters
    ----------
    white : float
        Weight of the unfiltered noise.
    gaussians : tuple of (float, float)
        Pairs (weight, width in patches).
    repeats : int
        Times the filter is applied; 1 is the printed formula.

    Raises
    ------
    ValueError
        If a width is not positive or ``repeats`` is below 1.
    """

    white: float
    gaussians: tuple[tuple[float, float], ...]
    repeats: int = 1

    def __post_init__(self) -> None:
        for _, sigma in self.gaussians:
            if not sigma > 0:
                raise ValueError(f"sigma must be positive, got {sigma:g}; it is the filter's width in patches")
        if self.repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {self.repeats}; 1 applies the filter once")

    def transfer(self, frequency: Tensor) -> Tensor:
        """Gain of the filter at each frequency.

        Parameters
        ----------
        frequency : float Tensor
            Cycles per patch.

        Returns
        -------
        float Tensor
            Gain, same shape; its square is the power spectrum of the field.
        """
        gain = torch.full_like(frequency, self.white)
        for weight, sigma in self.gaussians:
            gain = gain + weight * torch.exp(-2 * (torch.pi * sigma * frequency) ** 2)
        return gain**self.repeats


def red_filter(sigma: float = 1.4, repeats: int = 8) -> Colour:
    """Low-pass filter G; ``sigma`` in patches."""
    return Colour(0.0, ((1.0, sigma),), repeats)


def blue_filter(sigma: float = 0.7, repeats: int = 8) -> Colour:
    """High-pass filter 1 - G; ``sigma`` in patches."""
    return Colour(1.0, ((-1.0, sigma),), repeats)


def green_filter(sigma: tuple[float, float] = (0.5, 2.1), repeats: int = 8) -> Colour:
    """Band-pass filter G1 - G2; ``sigma`` (narrow, wide) in patches."""
    narrow, wide = _ordered(sigma)
    return Colour(0.0, ((1.0, narrow), (-1.0, wide)), repeats)


def purple_filter(sigma: tuple[float, float] = (0.5, 1.9), repeats: int = 8) -> Colour:
    """Band-stop filter 1 - (G1 - G2); ``sigma`` (narrow, wide) in patches."""
    narrow, wide = _ordered(sigma)
    return Colour(1.0, ((-1.0, narrow), (1.0, wide)), repeats)


def fields(n: int, size: Grid, *, colour: Colour, generator: torch.Generator) -> Tensor:
    """Draw periodic noise patterns by filtering white noise in the frequency domain.

    Parameters
    ----------
    n : int
        Patterns.
    size : int or (int, int)
        Height and width of a pattern in patches; opposite edges meet.
    colour : Colour
        Filter.
    generator : torch.Generator
        Source of randomness; its device is the patterns' device.

    Returns
    -------
    float32 Tensor (n, height, width)
        Mean 0 and variance 1 in expectation.

    Source: ColorMAE, section 3.
    """
    height, width = check_call(n, size, ratio=0.5, generator=generator)
    device = generator.device
    gain = colour.transfer(_frequencies(height, width)[:, : width // 2 + 1])  # float64, the half plane of a real FFT
    full = colour.transfer(_frequencies(height, width))
    gain = (gain / full.square().mean().sqrt()).to(device=device, dtype=torch.float32)
    white = torch.randn(n, height, width, generator=generator, device=device)
    return torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(height, width))


def coloured(n: int, grid: Grid, *, colour: Colour, ratio: float, generator: torch.Generator) -> Tensor:
    """Hide the lowest values of filtered noise, drawn anew for every image.

    Parameters
    ----------
    n : int
        Images.
    grid : int or (int, int)
        Patch grid.
    colour : Colour
        Filter.
    ratio : float in (0, 1)
        Share of tokens to hide.
    generator : torch.Generator
        Source of randomness; its device is the mask's device.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Source: ColorMAE, section 3.
    """
    height, width = check_call(n, grid, ratio=ratio, generator=generator)
    white = torch.randn(n, height * width, generator=generator, device=generator.device)
    factor = field_factor((height, width), colour, generator.device)
    return hide_highest(white @ factor, ratio=ratio)


def red(
    n: int, grid: Grid, *, ratio: float, generator: torch.Generator, sigma: float = 1.4, repeats: int = 8
) -> Tensor:
    """Hide large connected regions: `coloured` with `red_filter`, bool (n, tokens)."""
    return coloured(n, grid, colour=red_filter(sigma, repeats), ratio=ratio, generator=generator)


def blue(
    n: int, grid: Grid, *, ratio: float, generator: torch.Generator, sigma: float = 0.7, repeats: int = 8
) -> Tensor:
    """Leave isolated, evenly spread tokens visible: `coloured` with `blue_filter`, bool (n, tokens)."""
    return coloured(n, grid, colour=blue_filter(sigma, repeats), ratio=ratio, generator=generator)


def green(
    n: int,
    grid: Grid,
    *,
    ratio: float,
    generator: torch.Generator,
    sigma: tuple[float, float] = (0.5, 2.1),
    repeats: int = 8,
) -> Tensor:
    """Leave small spots of similar size visible: `coloured` with `green_filter`, bool (n, tokens)."""
    return coloured(n, grid, colour=green_filter(sigma, repeats), ratio=ratio, generator=generator)


def purple(
    n: int,
    grid: Grid,
    *,
    ratio: float,
    generator: torch.Generator,
    sigma: tuple[float, float] = (0.5, 1.9),
    repeats: int = 8,
) -> Tensor:
    """Mix coarse and fine structure without the middle: `coloured` with `purple_filter`, bool (n, tokens)."""
    return coloured(n, grid, colour=purple_filter(sigma, repeats), ratio=ratio, generator=generator)


@lru_cache(maxsize=32)
def field_factor(size: tuple[int, int], colour: Colour, device: torch.device) -> Tensor:
    """Matrix that turns white noise into a coloured field on a window of an endless plane.

    The covariance of the field at every lag is the inverse transform of the power spectrum; its symmetric square root,
    times white noise, has exactly that covariance. Cost: ``tokens ** 3`` once, ``tokens ** 2`` per mask.

    Parameters
    ----------
    size : (int, int)
        Height and width of the window in patches, at most 4,096 patches together.
    colour : Colour
        Filter.
    device : torch.device
        Where the matrix is kept; it is computed on the CPU in float64.

    Returns
    -------
    float32 Tensor (tokens, tokens)
        Symmetric; kept for the next call, so treat it as read-only.

    Raises
    ------
    ValueError
        If the window is too large for a dense factor.
    """
    height, width = size
    if height * width > 4096:
        raise ValueError(f"grid must hold at most 4096 patches, got {height} x {width}; use a bank (`lib.masks.banks`)")
    reach = max((sigma for _, sigma in colour.gaussians), default=0.0) * colour.repeats**0.5
    plane = max(64, 2 * max(size) + 2 * int(8 * reach + 1))  # the field forgets its neighbour before it wraps round
    power = colour.transfer(_frequencies(plane, plane)).square()
    lags = torch.fft.ifft2(power).real  # (plane, plane) covariance at each lag
    row, column = torch.arange(height * width) // width, torch.arange(height * width) % width
    covariance = lags[(row[:, None] - row) % plane, (column[:, None] - column) % plane] / lags[0, 0]
    values, vectors = torch.linalg.eigh(covariance)
    return ((vectors * values.clamp(min=0).sqrt()) @ vectors.T).float().to(device)


def _ordered(sigma: tuple[float, float]) -> tuple[float, float]:
    """Check a pair (narrow, wide) of filter widths."""
    if len(sigma) != 2 or not sigma[0] < sigma[1]:
        raise ValueError(f"sigma must be a pair (narrow, wide) with narrow < wide, got {sigma}; for example (0.5, 2.1)")
    return sigma


def _frequencies(height: int, width: int) -> Tensor:
    """Radial frequency of every mode of a two-dimensional Fourier transform, cycles per patch, (height, width)."""
    down = torch.fft.fftfreq(height, dtype=torch.float64)
    across = torch.fft.fftfreq(width, dtype=torch.float64)
    return torch.hypot(down[:, None], across[None, :])
