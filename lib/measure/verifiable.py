"""Classifiers that bounds can follow: trained once, kept as state dicts, rebuilt on demand.

The network is `lib.models.chain.relu_chain`; the training is the plain one of `lib.measure.roar.train_network`, without
any term that would make the bounds narrow.

Conventions: as `lib.measure.classifiers`; the arguments of `train_chain` are literals, so that a run can find a
finished training again by them.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from lib.data import images as load_images
from lib.measure.roar import Training, train_network
from lib.models.chain import relu_chain


def train_chain(
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
    """Train a plain chain on the first images of a data set.

    Parameters
    ----------
    dataset, n_images, epochs, seed, batch_size, lr, device
        As `lib.measure.classifiers.train_classifier`.
    width, hidden : int
        As `lib.models.chain.relu_chain`.

    Returns
    -------
    dict of Tensor
        Weights on the CPU, for `chain`, and the images' size.

    Raises
    ------
    ValueError
        If the data set is unknown or a size is out of range.
    """
    data = load_images(dataset, split="train", n=n_images, seed=seed)
    size = (int(data.x.shape[2]), int(data.x.shape[3]))
    build = partial(relu_chain, data.x.shape[1], len(data.classes), size=size, width=width, hidden=hidden)
    training = Training(build, epochs=epochs, batch_size=batch_size, lr=lr)
    model = train_network(data.x.to(device), data.y.to(device), training=training, seed=seed, label=f"seed {seed}")
    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    return state | {"size": torch.tensor(size)}


def chain(state: dict[str, Tensor], *, device: torch.device | str = "cpu") -> nn.Sequential:
    """Rebuild a trained chain, frozen and in evaluation mode; its sizes are read from the weights.

    Parameters
    ----------
    state : dict of Tensor
        From `train_chain`.
    """
    height, across = state["size"].tolist()
    width, channels = state["0.weight"].shape[:2]
    hidden, classes = len(state["5.bias"]), len(state["7.bias"])
    model = relu_chain(channels, classes, size=(height, across), width=width, hidden=hidden)
    model.load_state_dict({name: value for name, value in state.items() if name != "size"})
    return model.requires_grad_(False).eval().to(device)
