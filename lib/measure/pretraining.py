"""Pretraining runs of masked autoencoders, from literals to weights, so that notebooks can share them.

He et al. 2022, Masked Autoencoders (arXiv:2111.06377), at any size. Differences: no augmentation; the
learning rate is not scaled by the batch size; one sampler of masks among those of `lib.masks`, by name.

Conventions: the arguments are literals, so a run can be named by them; ``seed`` decides which images are seen, the
initial weights and their order, and runs of the same seed share these whatever they hide.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from lib import data, masks, train
from lib.models import mae

SAMPLERS: dict[str, Callable[..., Tensor]] = {"random": masks.random, "block": masks.block, "grid": masks.grid}


def empty_mae(source: str, *, seed: int, patch: int, width: int, depth: int, norm_targets: bool = False) -> mae.MAE:
    """Build the untrained masked autoencoder that `pretrain_mae` starts from.

    Parameters
    ----------
    source : str
        Id of an image set; gives the size and the channels.
    seed : int
        Of the initial weights.
    patch, width, depth : int
        Side of a patch in px; token dimension (a multiple of 32) and blocks of the encoder. The decoder is half as
        wide and has one block for every four of the encoder, at least one.
    norm_targets : bool
        Reconstruct patches standardised by their own mean and variance.

    Returns
    -------
    MAE

    Raises
    ------
    ValueError
        ``width`` is not a multiple of 32.
    """
    if width % 32:
        raise ValueError(f"width must be a multiple of 32 (four heads in encoder and decoder), got {width}")
    channels, size = _shape(source)
    return mae.MAE(
        size, channels=channels, patch=patch, width=width, depth=depth, heads=max(4, width // 64),
        decoder_width=width // 2, decoder_depth=max(1, depth // 4), norm_targets=norm_targets,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


@cache
def _shape(source: str) -> tuple[int, int]:
    """Channels and side in pixels of an image set; read once, not for every model."""
    _, channels, size, _ = data.images(source, split="test", n=1).x.shape
    return channels, size


def pretrain_mae(
    source: str,
    *,
    seed: int,
    sampling: str,
    ratio: float,
    n_images: int,
    epochs: int,
    patch: int = 7,
    width: int = 64,
    depth: int = 2,
    norm_targets: bool = False,
    batch_size: int = 64,
    lr: float = 2e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Pretrain a masked autoencoder.

    Parameters
    ----------
    source, seed, patch, width, depth, norm_targets
        As in `empty_mae`; ``seed`` also chooses the images, their order and the masks.
    sampling : {"random", "block", "grid"}
        Sampler of `lib.masks`.
    ratio : float in (0, 1)
        Share of patches hidden.
    n_images, epochs, batch_size, lr
        Images seen, passes over them, and `lib.train.fit`'s options.
    device : str
        Where to train, for example "cuda".
    checkpoint : str, optional
        See `lib.train.fit`.

    Returns
    -------
    dict of str to Tensor
        The model's state, and under "loss" the mean loss of each epoch (epochs,), in units of the targets' variance
        scale: smaller is better, comparable only between runs that hide the same patches.

    Raises
    ------
    ValueError
        An unknown sampler; sizes that do not fit.
    """
    if sampling not in SAMPLERS:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLERS)}, got {sampling!r}")
    model = empty_mae(source, seed=seed, patch=patch, width=width, depth=depth, norm_targets=norm_targets)
    images = data.images(source, n=n_images, seed=seed).x.to(device)
    history = train.fit(
        model, masked_loss(model, SAMPLERS[sampling], ratio=ratio), (images,), epochs=epochs, batch_size=batch_size,
        lr=lr, generator=torch.Generator().manual_seed(seed + 1), checkpoint=checkpoint,
        label=f"{sampling} {ratio:g} seed {seed}",
    )  # fmt: skip
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    return state | {"loss": torch.tensor(history.loss)}


def masked_loss(model: mae.MAE, sampler: Callable[..., Tensor], *, ratio: float) -> train.Loss:
    """A loss for `lib.train.fit`: hide patches with ``sampler`` at ``ratio`` and score the reconstruction.

    Parameters
    ----------
    model : MAE
        Gives grid and targets; what is trained is the model that the loss is called with.
    sampler : callable
        ``(n, grid, *, ratio, generator) -> bool (n, tokens)``, True = hidden.
    ratio : float in (0, 1)

    Returns
    -------
    callable
        ``loss(model, batch, generator) -> scalar Tensor``; ``batch[0]`` are images.
    """

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        images = batch[0]
        hidden = sampler(len(images), model.grid, ratio=ratio, generator=generator).to(images.device)
        return mae.reconstruction_loss(trained(images, hidden), model.targets(images), hidden)

    return loss


def load_mae(state: dict[str, Tensor], source: str, *, patch: int, width: int, depth: int) -> mae.MAE:
    """Rebuild the model that `pretrain_mae` returned the state of, in eval mode.

    Raises
    ------
    RuntimeError
        From torch, when the sizes are not those of the state.
    """
    model = empty_mae(source, seed=0, patch=patch, width=width, depth=depth)
    model.load_state_dict({name: value for name, value in state.items() if name != "loss"})
    return model.eval()
