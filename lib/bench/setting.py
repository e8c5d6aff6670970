"""What the cases of attribution share: a small network, images, maps, and how many of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, util

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH = 64  # images per call of the network; more no longer fit its caches and cost more each
CLASSES = 10


@dataclass(frozen=True)
class Sizes:
    """How large the cases are; pixels are edges of square images, the sides of masks and of XRAI's picture."""

    images: int = 32
    few: int = 4
    side: int = 28
    masks: int = 1000
    rows: int = 16
    samples: int = 50
    subsets: int = 200
    steps: int = 28
    rendered: tuple[tuple[int, int], ...] = ((28, 2000), (224, 200))
    picture: int = 224


def network(side: int, *, channels: int = 1) -> nn.Module:
    """Two convolutions and two linear layers for images of ``side`` px, always with the same weights."""
    edge = ((side - 2) // 2 - 2) // 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * edge * edge, 64), nn.ReLU(), nn.Linear(64, CLASSES),
        ).eval()  # fmt: skip


def prepared(sizes: Sizes, *, few: bool = False) -> tuple[nn.Module, Tensor, Tensor]:
    """Network, images (n, 1, side, side) and one class for each."""
    n = sizes.few if few else sizes.images
    return network(sizes.side), images(n, sizes.side), torch.arange(n) % CLASSES


def images(n: int, side: int, *, channels: int = 1, coarse: int = 0, seed: int = 0) -> Tensor:
    """Noise, or ``coarse`` x ``coarse`` smooth spots with a little of it; each image runs from 0 to 1."""
    chance = generator(seed)
    found = torch.rand(n, channels, side, side, generator=chance)
    if coarse:
        spots = torch.rand(n, channels, coarse, coarse, generator=chance)
        found = F.interpolate(spots, size=(side, side), mode="bilinear") + 0.1 * found
    low, high = found.amin((1, 2, 3), keepdim=True), found.amax((1, 2, 3), keepdim=True)
    return (found - low) / (high - low)


def maps(n: int, side: int) -> Tensor:
    """Any attributions, float32 (n, side, side), without ties."""
    return torch.randn(n, side, side, generator=generator(3))


def version(package: str) -> str:
    """Name and installed version of a peer."""
    return f"{package} {metadata.version(package)}" if util.find_spec(package) else f"{package}, not installed"


def generator(seed: int = 0) -> torch.Generator:
    """On the CPU."""
    return torch.Generator().manual_seed(seed)
