"""A small U-Net for denoising and inpainting, whose skip connections can be attenuated from outside.

Ronneberger et al. 2015, U-Net (arXiv:1505.04597), figure 1: a contracting path, an expanding path, and at every
resolution a skip connection that carries the contracting path's maps across.
Differences: padded convolutions, so that the output has the size of the input; average pooling instead of max pooling
and nearest-neighbour enlargement instead of a transposed convolution; leaky ReLU and no normalisation, as in U-Nets for
denoising (Lehtinen et al. 2018, Noise2Noise, arXiv:1803.04189), so that a pixel depends on its neighbourhood only and
not on its batch; optionally the net predicts what is added to its input.

Conventions: images are float32 NCHW and usually in [0, 1]; the net centres them itself (x - 0.5), and the output is not
clipped. Level 0 is the finest resolution; level k has ``width * 2 ** k`` channels and 1 / 2 ** k of the side, rounded
up. All first weights come from the given generator, never from torch's global seed.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

Attenuate = Callable[[int, Tensor], Tensor]

SLOPE = 0.1  # of the leaky ReLU


class Pair(nn.Module):
    """Two padded 3x3 convolutions, each followed by a leaky ReLU; height and width are kept.

    Parameters
    ----------
    width_in, width_out : int
        Channels before and after.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width_out, 3, padding=1)
        self.second = nn.Conv2d(width_out, width_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, width_in, h, w) -> (n, width_out, h, w)."""
        x = functional.leaky_relu(self.first(x), SLOPE)
        return functional.leaky_relu(self.second(x), SLOPE)


class UNet(nn.Module):
    """Contracting and expanding path with one skip connection per resolution but the coarsest.

    Parameters
    ----------
    channels : int
        Channels of the input; an input mask may be one of them.
    width : int
        Channels of the maps at level 0.
    levels : int
        Resolutions; there are ``levels - 1`` skip connections.
    out_channels : int, optional
        Channels of the output; as many as the input has if it is not given.
    residual : bool
        True: the output is the input's first ``out_channels`` channels plus the net's, and the net starts as the
        identity. False: the output is the net's alone.
    generator : torch.Generator
        Source of the first weights, on the CPU.

    Attributes
    ----------
    skip_channels : tuple of int
        Channels of the skip connections, level 0 first.

    Raises
    ------
    ValueError
        If a size is below 1, or the input has too few channels for a residual.

    Examples
    --------
    >>> model = UNet(1, width=4, generator=torch.Generator().manual_seed(0))
    >>> model(torch.zeros(2, 1, 28, 30), attenuate=lambda level, skip: skip * 0.5).shape
    torch.Size([2, 1, 28, 30])
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 16,
        levels: int = 3,
        out_channels: int | None = None,
        residual: bool = False,
        generator: torch.Generator,
    ) -> None:
        out = channels if out_channels is None else out_channels
        for name, value in (("channels", channels), ("width", width), ("levels", levels), ("out_channels", out)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}; pass a positive whole number")
        if residual and out > channels:
            raise ValueError(f"a residual needs out_channels <= channels, got {out} > {channels}; use residual=False")
        super().__init__()
        self.channels, self.out_channels, self.residual = channels, out, residual
        widths = [width * 2**level for level in range(levels)]
        self.skip_channels = tuple(widths[:-1])
        self.down = nn.ModuleList(Pair(a, b) for a, b in pairwise([channels, *widths]))
        self.up = nn.ModuleList(Pair(a + b, a) for a, b in pairwise(widths))  # by level, finest first
        self.head = nn.Conv2d(width, out, 1)
        self._start(generator)

    @torch.no_grad()
    def _start(self, generator: torch.Generator) -> None:
        """Draw weights that keep the variance of the maps through leaky ReLUs (He et al. 2015); biases are zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                gain = 1.0 if module is self.head else math.sqrt(2 / (1 + SLOPE**2))
                std = gain / math.sqrt(module.in_channels * module.kernel_size[0] * module.kernel_size[1])
                module.weight.normal_(0.0, std, generator=generator)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        if self.residual:
            nn.init.zeros_(self.head.weight)

    def encode(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Contracting path.

        Parameters
        ----------
        images : float Tensor (n, channels, h, w)
            Any height and width.

        Returns
        -------
        skips : list of Tensor (n, width * 2 ** k, ceil(h / 2 ** k), ceil(w / 2 ** k))
            One for each level k but the coarsest, level 0 first.
        bottom : Tensor
            Maps of the coarsest level.
        """
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise ValueError(
                f"images must have shape (n, {self.channels}, h, w), got {tuple(images.shape)}; "
                "add a batch, or make the net with as many channels"
            )
        maps = [self.down[0](images - 0.5)]
        for stage in list(self.down)[1:]:
            maps.append(stage(functional.avg_pool2d(maps[-1], 2, ceil_mode=True)))
        return maps[:-1], maps[-1]

    def decode(self, skips: Sequence[Tensor], bottom: Tensor, *, attenuate: Attenuate | None = None) -> Tensor:
        """Expanding path: maps of ``encode``, of which the skips pass through ``attenuate``, to (n, out, h, w).

        Returns what the net itself predicts, before a residual is added.
        """
        x = bottom
        for level in range(len(skips) - 1, -1, -1):
            skip = skips[level]
            if attenuate is not None:
                skip = attenuate(level, skip)
                if skip.shape != skips[level].shape:
                    wanted, got = tuple(skips[level].shape), tuple(skip.shape)
                    raise ValueError(f"attenuate must keep the shape {wanted} of level {level}, got {got}; scale only")
            x = functional.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = self.up[level](torch.cat([skip, x], 1))
        return self.head(x)

    def forward(self, images: Tensor, attenuate: Attenuate | None = None) -> Tensor:
        """Predict an image.

        Parameters
        ----------
        images : float Tensor (n, channels, h, w)
            Input.
        attenuate : callable, optional
            ``attenuate(level, skip) -> skip`` replaces each skip connection, coarsest first; it keeps the shape.
            None: the skips pass unchanged.

        Returns
        -------
        float Tensor (n, out_channels, h, w)
            Not clipped.
        """
        skips, bottom = self.encode(images)
        predicted = self.decode(skips, bottom, attenuate=attenuate)
        return predicted + images[:, : self.out_channels] if self.residual else predicted
