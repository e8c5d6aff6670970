"""Small makers of pictures whose fakes imitate given real ones, so that what is shown tells nothing.

- `Autoencoder`: strided convolutions, and transposed convolutions back (Odena et al. 2016, Deconvolution and
  checkerboard artifacts, on the traces these leave).
- `Upsampler`: a picture at half the resolution, enlarged by nearest neighbours and convolutions, trained against a
  critic as well (Goodfellow et al. 2014, arXiv:1406.2661; Ledig et al. 2017, SRGAN, arXiv:1609.04802).
- `Denoiser`: predicts the clean picture from a noisy one; `denoised` starts from a real picture under noise and takes a
  few deterministic steps (Meng et al. 2022, SDEdit, arXiv:2108.01073; Song et al. 2021, DDIM, arXiv:2010.02502). The
  net itself gives the velocity of Salimans & Ho 2022 (arXiv:2202.00512), from which the clean picture follows.

Differences: all are a few convolutions, without normalisation; the adversarial game is one loss for both players, in
which the critic sees fakes without a gradient and judges them with weights that get none.

Conventions: images are float32 (n, channels, height, width) in [0, 1], sides a multiple of 4; the nets centre them
themselves (x - 0.5). All are convolutional, so a net trained on crops makes whole pictures. ``forward(images)`` gives
fakes, not clipped. Weights follow torch's global seed, as every torch layer does.
"""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

SLOPE = 0.1  # of the leaky ReLU


def _conv(width_in: int, width_out: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width_in, width_out, 3, stride, 1), nn.LeakyReLU(SLOPE))


class Autoencoder(nn.Module):
    """Down to a quarter of the side and back by transposed convolutions.

    Parameters
    ----------
    channels : int
        Channels of the images.
    width : int
        Channels at half the side; the code has twice as many at a quarter.
    """

    def __init__(self, channels: int, *, width: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(channels, width, stride=2),
            _conv(width, 2 * width, stride=2),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Float (n, c, h, w) -> reconstructions (n, c, h, w)."""
        return self.body(_sides(images) - 0.5) + 0.5


class Upsampler(nn.Module):
    """Halve a picture by averaging, enlarge it by nearest neighbours, and let convolutions add what is missing.

    Parameters
    ----------
    channels, width : int
        Channels of the images, and of the maps.
    """

    def __init__(self, channels: int, *, width: int = 16) -> None:
        super().__init__()
        self.small = nn.Sequential(_conv(channels, width), _conv(width, width))
        self.large = nn.Sequential(_conv(width, width), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Float (n, c, h, w) -> fakes (n, c, h, w)."""
        half = functional.avg_pool2d(_sides(images) - 0.5, 2)
        detail = self.large(functional.interpolate(self.small(half), scale_factor=2, mode="nearest"))
        return functional.interpolate(half, scale_factor=2, mode="nearest") + detail + 0.5


class Critic(nn.Module):
    """Judge overlapping pieces of a picture: float (n, c, h, w) -> logits (n, 1, ~h / 4, ~w / 4), positive = real."""

    def __init__(self, channels: int, *, width: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(channels, width, stride=2), _conv(width, 2 * width, stride=2))
        self.head = nn.Conv2d(2 * width, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images - 0.5))


class Game(nn.Module):
    """A generator and its critic, with the sum of their losses as the output.

    Parameters
    ----------
    generator : nn.Module
        Its ``forward(images)`` gives fakes.
    critic : nn.Module
        Logits, positive = real.
    weight : float
        Of the generator's adversarial loss, beside the mean absolute error of its pictures.
    """

    def __init__(self, generator: nn.Module, critic: nn.Module, *, weight: float = 0.01) -> None:
        super().__init__()
        self.generator, self.critic, self.weight = generator, critic, weight

    def forward(self, images: Tensor) -> Tensor:
        """Float (n, c, h, w) -> scalar: error + weight * softplus(-critic(fake)) + the critic's own logistic loss."""
        fake = self.generator(images)
        judged = self.critic(torch.cat([images, fake.detach()]))
        real, caught = judged.chunk(2)
        learns = functional.softplus(-real).mean() + functional.softplus(caught).mean()
        still = {name: value.detach() for name, value in self.critic.named_parameters()}
        fooled = functional.softplus(-functional_call(self.critic, still, (fake,))).mean()
        return (fake - images).abs().mean() + self.weight * fooled + learns


class Denoiser(nn.Module):
    """Predict the clean picture from one under noise; one skip connection, bilinear enlargement.

    Parameters
    ----------
    channels, width : int
        Channels of the images, and of the maps at full resolution; twice as many at half.
    """

    def __init__(self, channels: int, *, width: int = 16) -> None:
        super().__init__()
        self.fine = _conv(channels + 1, width)
        self.coarse = nn.Sequential(_conv(width, 2 * width, stride=2), _conv(2 * width, 2 * width))
        self.out = nn.Sequential(_conv(3 * width, width), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, noisy: Tensor, share: Tensor) -> Tensor:
        """Predict clean pictures.

        Parameters
        ----------
        noisy : float Tensor (n, c, h, w)
            cos(a) * (picture - 0.5) + sin(a) * noise, with a = share * pi / 2.
        share : float Tensor (n,)
            In [0, 1]: 0 = no noise, 1 = nothing else.

        Returns
        -------
        float Tensor (n, c, h, w)
            Pictures minus 0.5.
        """
        level = share.view(-1, 1, 1, 1).expand(-1, 1, *noisy.shape[2:])
        fine = self.fine(torch.cat([_sides(noisy), level], 1))
        up = functional.interpolate(self.coarse(fine), scale_factor=2, mode="bilinear", align_corners=False)
        angle = share.view(-1, 1, 1, 1) * math.pi / 2
        return angle.cos() * noisy - angle.sin() * self.out(torch.cat([fine, up], 1))


def noised(images: Tensor, share: Tensor, noise: Tensor) -> Tensor:
    """Centre pictures and put them under noise: what a `Denoiser` sees.

    Parameters
    ----------
    images, noise : float Tensor (n, c, h, w)
        Pictures in [0, 1], and standard normal numbers.
    share : float Tensor (n,)
        As in `Denoiser.forward`.
    """
    angle = share.view(-1, 1, 1, 1) * math.pi / 2
    return angle.cos() * (images - 0.5) + angle.sin() * noise


@torch.no_grad()
def denoised(
    model: Denoiser, images: Tensor, *, generator: torch.Generator, start: float = 0.1, steps: int = 4
) -> Tensor:
    """Put pictures under noise and take it away again in a few steps.

    Parameters
    ----------
    model : Denoiser
    images : float Tensor (n, c, h, w)
    generator : torch.Generator
        Draws the noise, on the CPU; the steps are deterministic.
    start : float in (0, 1]
        Share at the start, see `Denoiser.forward`.
    steps : int
        At least 1.

    Returns
    -------
    float Tensor (n, c, h, w)
        Not clipped.

    Raises
    ------
    ValueError
        ``start`` or ``steps`` out of range.
    """
    if not 0 < start <= 1 or steps < 1:
        raise ValueError(f"start must be in (0, 1] and steps at least 1, got {start:g} and {steps}")
    noise = torch.randn(images.shape, generator=generator).to(images)
    shares = torch.linspace(start, 0, steps + 1).tolist()
    x = noised(images, images.new_full((len(images),), start), noise)
    clean = x
    for now, then in zip(shares, shares[1:], strict=False):
        clean = model(x, images.new_full((len(x),), now))
        angle, goal = now * math.pi / 2, then * math.pi / 2
        left = (x - math.cos(angle) * clean) / math.sin(angle)  # the noise that the prediction implies
        x = math.cos(goal) * clean + math.sin(goal) * left
    return clean + 0.5


def _sides(images: Tensor) -> Tensor:
    if images.ndim != 4 or images.shape[2] % 4 or images.shape[3] % 4:
        raise ValueError(
            f"images must be (n, c, h, w) with sides a multiple of 4, got {tuple(images.shape)}; crop them"
        )
    return images
