"""Pretraining runs that differ in the shape of what is hidden, from literals to weights: coloured noise and cells.

Hinojosa et al. 2024, ColorMAE (arXiv:2407.13036): a masked autoencoder with standardised targets, and masks that are
cut from filtered noise. Differences: as in `lib.measure.pretraining`; masks are drawn anew for every image, by
`lib.masks`, instead of being cut from a bank of patterns.

Conventions: as in `lib.measure.pretraining`. Runs of one seed share images, order and every initial weight.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lib import data, masks, train
from lib.measure import pretraining
from lib.measure.pretraining_targets import finished, loaded
from lib.models import mae

SAMPLINGS = ("random", "cells", "blue", "green", "purple", "red")


def sampler(sampling: str, *, cell: int = 2) -> Callable[..., Tensor]:
    """Choose a sampler of masks by literals.

    Parameters
    ----------
    sampling : {"random", "cells", "blue", "green", "purple", "red"}
    cell : int
        Side of a cell of "cells" in patches. The others have none.

    Returns
    -------
    callable
        ``(n, grid, *, ratio, generator) -> bool (n, tokens)``, True = hidden.

    Raises
    ------
    ValueError
        An unknown sampler.
    """
    known: dict[str, Callable[..., Tensor]] = {
        "random": masks.random, "cells": partial(masks.cells, cell=cell), "blue": masks.blue, "green": masks.green,
        "purple": masks.purple, "red": masks.red,
    }  # fmt: skip
    if sampling not in known:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")
    return known[sampling]


def pretrain_masked(
    source: str,
    *,
    seed: int,
    sampling: str,
    ratio: float,
    n_images: int,
    epochs: int,
    cell: int = 2,
    patch: int = 4,
    width: int = 64,
    depth: int = 2,
    batch_size: int = 32,
    lr: float = 3e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Pretrain a masked autoencoder on standardised patches.

    Parameters
    ----------
    source, seed, ratio, n_images, epochs, patch, width, depth, batch_size, lr, device, checkpoint
        As in `lib.measure.pretraining.pretrain_mae`.
    sampling, cell
        As in `sampler`.

    Returns
    -------
    dict of str to Tensor
        The model's state, and under "loss" the mean squared error of each epoch (epochs,).

    Raises
    ------
    ValueError
        An unknown sampler; sizes that do not fit.
    """
    hide = sampler(sampling, cell=cell)
    model = empty(source, seed=seed, patch=patch, width=width, depth=depth)
    images = data.images(source, n=n_images, seed=seed).x.to(device)
    history = train.fit(
        model, pretraining.masked_loss(model, hide, ratio=ratio), (images,), epochs=epochs, batch_size=batch_size,
        lr=lr, generator=torch.Generator().manual_seed(seed + 1), checkpoint=checkpoint,
        label=f"{sampling} seed {seed}",
    )  # fmt: skip
    return finished(model, history)


def empty(source: str, *, seed: int, patch: int, width: int, depth: int) -> mae.MAE:
    """Build the untrained model that `pretrain_masked` starts from; sizes and errors as in `empty_mae`."""
    return pretraining.empty_mae(source, seed=seed, patch=patch, width=width, depth=depth, norm_targets=True)


def load(state: dict[str, Tensor], source: str, *, patch: int, width: int, depth: int) -> mae.MAE:
    """Rebuild the model that `pretrain_masked` returned the state of, in eval mode.

    Raises
    ------
    RuntimeError
        From torch, when the sizes are not those of the state.
    """
    return loaded(empty(source, seed=0, patch=patch, width=width, depth=depth), state)
