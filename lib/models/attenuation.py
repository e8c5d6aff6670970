"""Soft attenuation of skip connections, patch by patch, by perceptrons of two layers.

Park et al. 2024, FADeR (arXiv:2407.04597): where a mask does not cover a defect, a U-Net's skip connections copy it
into the restored image. Two layers of a perceptron, added to a trained network, say patch by patch how much of a skip
connection is let through; what they should say is mined from the network's own reconstruction errors.

What we know of the paper is its abstract and a summary: two layers, soft, patch-wise, on skip connections, learnt from
reconstruction error without labelled defects. Not known, and chosen here: one perceptron for each skip connection,
which reads the mean of that connection's maps over a patch; the hidden width; how errors become targets
(`lib.measure.inpainting`).

Conventions: attenuation lies in [0, 1], 0 = nothing is taken away, 1 = the skip connection is silent in this patch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Perceptrons(nn.Module):
    """Two layers for each skip connection; they start by letting nearly everything through.

    Parameters
    ----------
    channels : sequence of int
        Inputs of each.
    hidden : int
        Width between the two layers.
    generator : torch.Generator
        Source of the first weights, on the CPU.
    """

    def __init__(self, channels: Sequence[int], *, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        first = [nn.Linear(width, hidden) for width in channels]
        second = [nn.Linear(hidden, 1) for _ in channels]
        with torch.no_grad():
            for layers, bias in ((first, 0.0), (second, -3.0)):
                for layer in layers:
                    layer.weight.normal_(0.0, layer.in_features**-0.5, generator=generator)
                    layer.bias.fill_(bias)
        self.first, self.second = nn.ModuleList(first), nn.ModuleList(second)

    def one(self, level: int, means: Tensor) -> Tensor:
        """Logits of one level: float (n, tokens, c) -> (n, tokens)."""
        return self.second[level](functional.relu(self.first[level](means))).squeeze(-1)

    def forward(self, *means: Tensor) -> list[Tensor]:
        """Logits of all levels, finest first."""
        return [self.one(level, part) for level, part in enumerate(means)]


class Attenuation(nn.Module):
    """What ``UNet.forward`` takes as ``attenuate``.

    Parameters
    ----------
    channels : sequence of int
        Channels of the skip connections, finest first (``UNet.skip_channels``).
    grid : (int, int)
        Patches down and across; every skip connection is at least that large.
    hidden : int
        Width between the two layers.
    generator : torch.Generator
        Source of the first weights, on the CPU.

    Raises
    ------
    ValueError
        If there is no skip connection.
    """

    def __init__(
        self, channels: Sequence[int], *, grid: tuple[int, int], hidden: int = 16, generator: torch.Generator
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError("channels must name at least one skip connection, got none; use a U-Net of two levels")
        self.grid = grid
        self.perceptrons = Perceptrons(channels, hidden=hidden, generator=generator)

    def means(self, skip: Tensor) -> Tensor:
        """Mean of the maps over each patch: float (n, c, h, w) -> (n, tokens, c)."""
        return functional.adaptive_avg_pool2d(skip, self.grid).flatten(2).mT

    def shares(self, level: int, skip: Tensor) -> Tensor:
        """Attenuation of each patch: float (n, c, h, w) -> (n, tokens) in [0, 1]."""
        return self.perceptrons.one(level, self.means(skip)).sigmoid()

    def forward(self, level: int, skip: Tensor) -> Tensor:
        """Attenuate one skip connection: float (n, c, h, w) -> the same shape."""
        let_through = 1 - self.shares(level, skip).view(-1, 1, *self.grid)
        return skip * functional.interpolate(let_through, size=skip.shape[-2:], mode="nearest")
