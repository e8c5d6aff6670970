"""The plain training of a classifier: cross entropy, no augmentation, first weights and batches from one seed.

Optimiser and schedule are those of `lib.train.fit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lib.train import fit


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    build : callable
        ``build() -> nn.Module``; its weights follow torch's global seed, which is set for it and put back.
    epochs, batch_size : int
    lr : float
        Peak learning rate.
    """

    build: Callable[[], nn.Module]
    epochs: int
    batch_size: int = 128
    lr: float = 3e-3


def _loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    images, labels = batch
    return cross_entropy(model(images), labels)


def train_network(images: Tensor, labels: Tensor, *, training: Training, seed: int, label: str = "") -> nn.Module:
    """Train one network from its first weights; equal seeds give equal first weights and batches.

    Parameters
    ----------
    images : Tensor, float32 (n, c, h, w)
    labels : Tensor, int64 (n,)
    training : Training
    seed : int
    label : str
        Shown beside the progress.

    Returns
    -------
    nn.Module
        In evaluation mode, on the device of the images.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = training.build().to(images.device)
    fit(
        model,
        _loss,
        (images, labels),
        epochs=training.epochs,
        batch_size=training.batch_size,
        lr=training.lr,
        generator=torch.Generator().manual_seed(seed),
        label=label,
    )
    return model.eval()


def weights(images: Tensor, labels: Tensor, *, training: Training, seed: int, device: str) -> dict[str, Tensor]:
    """The state dict, on the CPU, of a network that `train_network` trains on ``device``."""
    model = train_network(
        images.to(device), labels.to(device), training=training, seed=seed, label=f"classifier, seed {seed}"
    )
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
