"""Classifiers of a data set as it is, on all its classes.

He et al. 2015 (arXiv:1512.03385) is the kind of network; see `lib.models.cnn` for what differs.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from lib.data import images as load_images
from lib.measure.classifiers.training import Training, weights
from lib.models.cnn import small_cnn


def train_classifier(
    *,
    dataset: str,
    n_images: int,
    epochs: int,
    seed: int,
    width: int = 8,
    batch_size: int = 128,
    lr: float = 3e-3,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a small network on the first images of a data set.

    Parameters
    ----------
    dataset : str
        Identifier understood by `lib.data.images`.
    n_images, epochs, batch_size : int
        Size of the training; images are shuffled by class before the first ``n_images`` are taken.
    seed : int
        First weights, choice and order of images.
    width : int
        Channels of the stem.
    lr : float
        Peak learning rate.
    device : str
        Where to train.

    Returns
    -------
    dict of Tensor
        Weights on the CPU, for `classifier`.

    Raises
    ------
    ValueError
        If the data set is unknown or a size is out of range.
    """
    data = load_images(dataset, split="train", n=n_images, seed=seed)
    build = partial(small_cnn, data.x.shape[1], len(data.classes), width=width)
    return weights(data.x, data.y, training=Training(build, epochs, batch_size, lr), seed=seed, device=device)


def classifier(state: dict[str, Tensor], *, device: torch.device | str = "cpu") -> nn.Module:
    """Rebuild a trained network in evaluation mode; its sizes are read from the weights.

    Parameters
    ----------
    state : dict of Tensor
        From `train_classifier`, `lib.measure.classifiers.train_boxed` or `lib.measure.classifiers.train_cluttered`.

    Returns
    -------
    nn.Module
        Frozen, evaluation mode: images (n, channels, h, w) to logits (n, classes).
    """
    width, channels = state["stem.weight"].shape[:2]
    model = small_cnn(channels, len(state["head.bias"]), width=width)
    model.load_state_dict(state)
    return model.requires_grad_(False).eval().to(device)
