"""One level of the biorthogonal wavelet transform 1.3 in two dimensions, and a small network above its fine bands.

Cohen, Daubechies & Feauveau 1992, Biorthogonal bases of compactly supported wavelets, table of the spline filters with
one vanishing moment before and three behind. The detector is that of Li et al. 2024, SAFE (arXiv:2408.06741), at small
scale: wavelet, then the first stages of a residual network; the public code keeps the diagonal band alone.
Differences: the band is not enlarged to the size of the picture again, and the first convolution has no stride instead
of two strides of 2; GroupNorm instead of batch normalisation, none after the first convolution, so that the strength of
a band is not divided out.

Conventions: images are float NCHW; the border is continued by reflection that repeats the last pixel; a line of m
pixels gives (m + 5) // 2 coefficients, coefficient k sitting on pixels 2k - 4 to 2k + 1. Names of bands: "across" is
fine from left to right, "down" from top to bottom, "diagonal" in both.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.models.cnn import Block

SMALL, LARGE = math.sqrt(2) / 16, math.sqrt(2) / 2
COARSE = (-SMALL, SMALL, LARGE, LARGE, SMALL, -SMALL)  # analysis
FINE = (0.0, 0.0, -LARGE, LARGE, 0.0, 0.0)
COARSE_BACK = (0.0, 0.0, LARGE, LARGE, 0.0, 0.0)  # synthesis
FINE_BACK = (-SMALL, -SMALL, LARGE, -LARGE, SMALL, SMALL)
TAPS = 6
BANDS = ("across", "down", "diagonal")
SCALE = 10.0  # of the bands before the network: fine coefficients of photographs are of the order of 0.1 and below


def transform(images: Tensor) -> dict[str, Tensor]:
    """Split images into a coarse picture and three bands of detail.

    Parameters
    ----------
    images : float Tensor (n, c, h, w)
        Sides of 6 pixels or more.

    Returns
    -------
    dict of str to Tensor (n, c, (h + 5) // 2, (w + 5) // 2)
        "coarse", "across", "down", "diagonal"; the last three are 0 where an image is flat.

    Raises
    ------
    ValueError
        If the images are no batch, or too small.

    Examples
    --------
    >>> {name: tuple(band.shape[2:]) for name, band in transform(torch.zeros(1, 1, 8, 6)).items()}["diagonal"]
    (6, 5)
    """
    if images.ndim != 4 or min(images.shape[2:]) < TAPS:
        raise ValueError(
            f"images must be (n, c, h, w) with sides of {TAPS} px or more, got {tuple(images.shape)}; enlarge them"
        )
    smooth, fine = _analysed(images, 3)  # along the rows
    coarse, down = _analysed(smooth, 2)
    across, diagonal = _analysed(fine, 2)
    return {"coarse": coarse, "across": across, "down": down, "diagonal": diagonal}


def inverse(bands: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
    """Put the bands of `transform` together again: images (n, c, *size)."""
    height, width = size
    coarse = _synthesised(bands["coarse"], bands["down"], height, 2)
    fine = _synthesised(bands["across"], bands["diagonal"], height, 2)
    return _synthesised(coarse, fine, width, 3)


def _analysed(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Coarse and fine half along one axis."""
    length, reach = x.shape[axis], TAPS - 1
    place = torch.arange(-reach + 1, length + reach, device=x.device)
    place = torch.where(place < 0, -1 - place, place)
    place = torch.where(place >= length, 2 * length - 1 - place, place)
    lines = x.index_select(axis, place).movedim(axis, -1)  # (..., length + 9)
    kernel = x.new_tensor([COARSE[::-1], FINE[::-1]])[:, None]
    found = functional.conv1d(lines.reshape(-1, 1, lines.shape[-1]), kernel, stride=2)
    found = found.view(*lines.shape[:-1], 2, -1)  # (..., 2, (length + 5) // 2)
    return found[..., 0, :].movedim(-1, axis), found[..., 1, :].movedim(-1, axis)


def _synthesised(coarse: Tensor, fine: Tensor, length: int, axis: int) -> Tensor:
    parts = [part.movedim(axis, -1) for part in (coarse, fine)]
    lines = torch.stack(parts, -2)  # (..., 2, m)
    kernel = coarse.new_tensor([COARSE_BACK, FINE_BACK])[:, None]
    found = functional.conv_transpose1d(lines.reshape(-1, 2, lines.shape[-1]), kernel, stride=2)
    found = found[..., TAPS - 2 : TAPS - 2 + length]
    return found.view(*parts[0].shape[:-1], length).movedim(-1, axis)


class FineBandCNN(nn.Module):
    """Wavelet bands, one convolution, two residual stages, an average over all places, one logit: positive = fake.

    Parameters
    ----------
    channels : int
        Channels of the images.
    bands : {"diagonal", "all"}
        What the network sees: the diagonal band, as in the public code, or all three fine ones.
    width : int
        Channels of the first stage; the second has twice as many.

    Raises
    ------
    ValueError
        An unknown choice of bands, or a size below 1.

    Examples
    --------
    >>> FineBandCNN(3)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2])
    """

    def __init__(self, channels: int, *, bands: str = "diagonal", width: int = 16) -> None:
        super().__init__()
        if bands not in ("diagonal", "all"):
            raise ValueError(f"bands must be 'diagonal' or 'all', got {bands!r}")
        if channels < 1 or width < 1:
            raise ValueError(f"channels and width must be at least 1, got {channels} and {width}")
        self.bands = BANDS if bands == "all" else BANDS[-1:]
        self.stem = nn.Conv2d(len(self.bands) * channels, width, 3, padding=1)
        self.stages = nn.Sequential(Block(width, width, stride=1), Block(width, 2 * width, stride=2))
        self.head = nn.Linear(2 * width, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Float (n, channels, h, w) in [0, 1] -> logits (n,)."""
        found = transform(images)
        x = SCALE * torch.cat([found[name] for name in self.bands], 1)  # (n, bands * channels, ~h / 2, ~w / 2)
        x = self.stages(functional.silu(self.stem(x)))
        return self.head(x.mean((2, 3)))[:, 0]
