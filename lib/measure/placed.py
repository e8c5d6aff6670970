"""Networks that name an object among clutter: what localisation benchmarks need before they can ask anything.

He et al. 2015 (arXiv:1512.03385) for the network, see `lib.models.cnn`; the pictures are those of `lib.data.clutter`.

Conventions: as `lib.measure.classifiers`, whose `classifier` rebuilds the network from its weights.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from lib.data.clutter import cluttered
from lib.measure.roar import Training, train_network
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
    seed : int
        First weights, pictures and their order.
    width : int
        Channels of the stem.
    lr : float
        Peak learning rate.
    device : str

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
    batch_size = max(1, n_images // steps_per_pass)
    build = partial(small_cnn, data.x.shape[1], len(data.classes), width=width)
    training = Training(build, epochs=epochs, batch_size=batch_size, lr=lr)
    model = train_network(data.x.to(device), data.y.to(device), training=training, seed=seed, label=f"seed {seed}")
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
