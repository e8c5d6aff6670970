"""Classifiers that name an object among clutter: what localisation benchmarks need before they can ask anything.

The pictures are those of `lib.data.clutter`, the network is that of `lib.measure.classifiers.train_classifier`.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from lib.data.clutter import cluttered
from lib.measure.classifiers.training import Training, weights
from lib.models.cnn import small_cnn


def train_cluttered(
    *,
    dataset: str,
    n_images: int,
    epochs: int,
    seed: int,
    width: int = 8,
    steps_per_pass: int = 50,
    lr: float = 1e-2,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a small network on cluttered pictures.

    Parameters
    ----------
    dataset : str
        Identifier understood by `lib.data.images`; bright objects on black.
    n_images, epochs : int
        Pictures, and passes over them.
    steps_per_pass : int
        Batches that the pictures are cut into, so that small trainings take as many steps as large ones.
    seed, width, lr, device
        As `lib.measure.classifiers.train_classifier`.

    Returns
    -------
    dict of Tensor
        Weights on the CPU, for `lib.measure.classifiers.classifier`.

    Raises
    ------
    ValueError
        If the data set is unknown or a size is out of range.
    """
    data = cluttered(dataset, split="train", n=n_images, seed=seed)
    build = partial(small_cnn, data.x.shape[1], len(data.classes), width=width)
    training = Training(build, epochs, batch_size=max(1, n_images // steps_per_pass), lr=lr)
    return weights(data.x, data.y, training=training, seed=seed, device=device)
