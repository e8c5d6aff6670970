"""Classifiers of a few classes of which it is known where the object is: `lib.data.boxed`."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from lib.data.boxed import boxed_images
from lib.measure.classifiers.training import Training, weights
from lib.models.cnn import small_cnn


def train_boxed(
    *,
    dataset: str,
    n_classes: int,
    n_images: int,
    epochs: int,
    seed: int,
    width: int = 8,
    batch_size: int = 64,
    lr: float = 0.01,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a small network on a few classes.

    Parameters
    ----------
    dataset, n_classes
        As `lib.data.boxed.boxed_images`.
    n_images, epochs, batch_size : int
        Training images, drawn anew for every seed, at most as many as there are; passes over them; images per step.
    seed, width, lr, device
        As `lib.measure.classifiers.train_classifier`.

    Returns
    -------
    dict of Tensor
        Weights on the CPU, for `lib.measure.classifiers.classifier`.
    """
    data = boxed_images(dataset, split="train", n_classes=n_classes)
    rows = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(seed))[:n_images]
    build = partial(small_cnn, data.x.shape[1], n_classes, width=width)
    training = Training(build, epochs, batch_size, lr)
    return weights(data.x[rows], data.y[rows], training=training, seed=seed, device=device)
