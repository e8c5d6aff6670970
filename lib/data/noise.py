"""Noise on images: white, signal-dependent, spatially correlated, and drawn again from a bank of residuals.

Models: additive white Gaussian noise; Foi et al. 2008 (doi:10.1109/TIP.2008.2001399), Poissonian-Gaussian noise of a
sensor; Gaussian noise with a Gaussian autocorrelation, a simple stand-in for what demosaicing leaves; and the bank of
Chihaoui & Favaro 2025, MID (arXiv:2503.21377): noisy images minus estimates of the clean ones, added to others.
Differences: every model is given by one standard deviation ``sigma``, at mid-grey, so that models of equal ``sigma``
differ in kind and not in strength; correlated noise is drawn on a torus, so its law is the same at every pixel.

Conventions: images are float (n, channels, h, w) in [0, 1] and ``sigma`` is in the same units (25 / 255 is about 0.1);
noisy images are not clipped; randomness is drawn on the generator's device, the CPU, and moved to the images.
"""

from collections.abc import Callable

import torch
from torch import Tensor

WIDTH = 0.7  # px: neighbours correlate at about 0.6, pixels at distance 2 at about 0.13
READ = 0.2  # share of the variance at mid-grey that does not depend on the signal
MID_GREY = 0.5


def gaussian(images: Tensor, *, sigma: float, generator: torch.Generator) -> Tensor:
    """Add white Gaussian noise.

    Parameters
    ----------
    images : float Tensor (n, channels, h, w)
        Clean images.
    sigma : float
        Standard deviation, in units of the images.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    float Tensor (n, channels, h, w)
        Noisy images, not clipped.

    Raises
    ------
    ValueError
        ``sigma`` is not positive, or the images are not a batch.
    """
    _check(images, sigma)
    return images + sigma * _white(images, generator)


def signal_dependent(images: Tensor, *, sigma: float, generator: torch.Generator, read: float = READ) -> Tensor:
    """Replace each intensity by a scaled photon count and add white Gaussian read noise.

    The variance at intensity x is ``sigma ** 2 * (read + (1 - read) * x / 0.5)``: ``sigma ** 2`` at mid-grey.

    Parameters
    ----------
    images, sigma, generator
        As in `gaussian`; ``sigma`` holds at intensity 0.5, and the images are not negative.
    read : float in [0, 1)
        Share of that variance due to read noise; 0 is pure photon noise.

    Returns
        As `gaussian`.

    Raises
    ------
    ValueError
        As in `gaussian`; ``read`` out of range or negative images.
    """
    _check(images, sigma)
    if not 0 <= read < 1:
        raise ValueError(f"read must be in [0, 1), got {read:g}; it is a share of the variance at mid-grey")
    if float(images.min()) < 0:
        raise ValueError(f"images must not be negative, got a minimum of {float(images.min()):g}; clip them first")
    gain = (1 - read) * sigma**2 / MID_GREY  # intensity of one photon
    photons = torch.poisson(images.cpu() / gain, generator=generator).to(images.device)
    return gain * photons + read**0.5 * sigma * _white(images, generator)


def correlated(images: Tensor, *, sigma: float, generator: torch.Generator, width: float = WIDTH) -> Tensor:
    """Add Gaussian noise that has passed a Gaussian filter, at the standard deviation ``sigma`` after the filter.

    Parameters
    ----------
    images, sigma, generator
        As in `gaussian`.
    width : float
        Standard deviation of the filter in px; pixels at distance d then correlate at about
        ``exp(-d ** 2 / (4 * width ** 2))``.

    Returns
        As `gaussian`.

    Raises
    ------
    ValueError
        As in `gaussian`; ``width`` is not positive.
    """
    _check(images, sigma)
    if not width > 0:
        raise ValueError(f"width must be positive, got {width:g}; it is the width of the filter in px")
    height, across = images.shape[-2:]
    down, right = torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.fftfreq(across, dtype=torch.float64)
    squared = down[:, None].square() + right.square()  # (h, w), cycles per px
    transfer = torch.exp(-2 * torch.pi**2 * width**2 * squared)
    transfer /= transfer.square().mean().sqrt()  # keeps the variance of white noise
    white = torch.randn(images.shape, generator=generator)
    filtered = torch.fft.ifft2(torch.fft.fft2(white) * transfer.to(torch.float32)).real
    return images + sigma * filtered.to(images)


def banked(images: Tensor, *, bank: Tensor, generator: torch.Generator) -> Tensor:
    """Add residuals drawn from a bank, each turned over at random.

    Parameters
    ----------
    images, generator
        As in `gaussian`; drawn are which residual, and whether its rows and columns are reversed.
    bank : float Tensor (m, channels, h, w)
        Residuals: noisy images minus estimates of the clean ones.

    Returns
        As `gaussian`.

    Raises
    ------
    ValueError
        The bank is empty or its residuals have another shape than the images.

    Source: MID, noise sampler; reversing is ours and leaves any stationary autocorrelation as it is.
    """
    if images.ndim != 4 or bank.ndim != 4 or len(bank) == 0 or bank.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"bank must hold residuals of shape {tuple(images.shape[1:])}, got {tuple(bank.shape)}; "
            "take noisy images of the same size minus their estimates"
        )
    n = len(images)
    rows = torch.randint(len(bank), (n,), generator=generator).to(bank.device)
    turned = (torch.rand(2, n, 1, 1, 1, generator=generator) < 0.5).to(bank.device)
    noise = bank[rows]
    noise = torch.where(turned[0], noise.flip(2), noise)
    noise = torch.where(turned[1], noise.flip(3), noise)
    return images + noise.to(images)


MODELS: dict[str, Callable[..., Tensor]] = {
    "gaussian": gaussian,
    "signal-dependent": signal_dependent,
    "correlated": correlated,
}


def _white(images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(images.shape, generator=generator).to(images)


def _check(images: Tensor, sigma: float) -> None:
    if images.ndim != 4:
        raise ValueError(f"images must have shape (n, channels, h, w), got {tuple(images.shape)}; add a batch")
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma:g}; give it in units of the images, 25 / 255 as 0.098")
