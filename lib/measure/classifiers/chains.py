"""Classifiers that are one chain of layers, which rules for single layers and guaranteed bounds can follow.

The networks are those of `lib.models.chains`; nothing in the training makes bounds narrow.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from lib.data import images as load_images
from lib.measure.classifiers.training import Training, weights
from lib.models.chains import pooled_chain, strided_chain

SIZE = "size"  # name of the images' height and width among the weights of a strided chain


def train_pooled_chain(
    *,
    dataset: str,
    n_images: int,
    epochs: int,
    seed: int,
    width: int = 8,
    batch_size: int = 64,
    lr: float = 3e-3,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train `lib.models.chains.pooled_chain` on the first images of a data set, which are square.

    Parameters and errors as `lib.measure.classifiers.train_classifier`.

    Returns
    -------
    dict of Tensor
        Weights on the CPU, for `pooled_chain_classifier`.
    """
    data = load_images(dataset, split="train", n=n_images, seed=seed)
    build = partial(pooled_chain, data.x.shape[1], data.x.shape[2], len(data.classes), width=width)
    return weights(data.x, data.y, training=Training(build, epochs, batch_size, lr), seed=seed, device=device)


def pooled_chain_classifier(state: dict[str, Tensor], *, device: torch.device | str = "cpu") -> nn.Sequential:
    """Rebuild what `train_pooled_chain` trained, frozen and in evaluation mode; its sizes are read from the weights."""
    width, channels = state["0.weight"].shape[:2]
    side = 4 * round((state["7.weight"].shape[1] / (2 * width)) ** 0.5)
    model = pooled_chain(channels, side, len(state["9.bias"]), width=width)
    model.load_state_dict(state)
    return model.requires_grad_(False).eval().to(device)


def train_strided_chain(
    *,
    dataset: str,
    n_images: int,
    epochs: int,
    seed: int,
    width: int = 8,
    hidden: int = 64,
    batch_size: int = 64,
    lr: float = 5e-3,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train `lib.models.chains.strided_chain` on the first images of a data set.

    Parameters and errors as `lib.measure.classifiers.train_classifier`; ``hidden`` as in the network.

    Returns
    -------
    dict of Tensor
        Weights on the CPU and the images' size, for `strided_chain_classifier`.
    """
    data = load_images(dataset, split="train", n=n_images, seed=seed)
    size = (int(data.x.shape[2]), int(data.x.shape[3]))
    build = partial(strided_chain, data.x.shape[1], len(data.classes), size=size, width=width, hidden=hidden)
    state = weights(data.x, data.y, training=Training(build, epochs, batch_size, lr), seed=seed, device=device)
    return state | {SIZE: torch.tensor(size)}


def strided_chain_classifier(state: dict[str, Tensor], *, device: torch.device | str = "cpu") -> nn.Sequential:
    """Rebuild what `train_strided_chain` trained, frozen and in evaluation mode."""
    height, across = state[SIZE].tolist()
    width, channels = state["0.weight"].shape[:2]
    hidden, classes = len(state["5.bias"]), len(state["7.bias"])
    model = strided_chain(channels, classes, size=(height, across), width=width, hidden=hidden)
    model.load_state_dict({name: value for name, value in state.items() if name != SIZE})
    return model.requires_grad_(False).eval().to(device)
