"""Pretraining in which mask tokens enter the encoder and a linear head predicts: SimMIM and MaskFeat.

Xie et al. 2022, SimMIM (arXiv:2111.09886); Wei et al. 2022, MaskFeat (arXiv:2112.09133), which is the same network
with histograms of gradients and a squared error. Difference: the network is as large as the encoder of `empty_mae`.
"""

import torch
from torch import Tensor

from lib.measure.pretraining.images import seen
from lib.measure.pretraining.loop import Error, masked_loss, pretrain
from lib.measure.pretraining.samplers import sampler
from lib.measure.pretraining.untrained import empty_mae
from lib.models import mae, simmim, targets

ERRORS: dict[str, Error] = {"l1": simmim.l1_loss, "l2": mae.reconstruction_loss}


def pretrain_simmim(
    source: str,
    *,
    seed: int,
    ratio: float,
    n_images: int,
    epochs: int,
    sampling: str = "cells",
    cell: int = 1,
    target: str = "pixels",
    hog_cell: int | None = None,
    radii: tuple[int, ...] = targets.RADII,
    looks: int = 0,
    error: str = "l1",
    patch: int = 7,
    width: int = 64,
    depth: int = 2,
    batch_size: int = 64,
    lr: float = 2e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Pretrain SimMIM; with ``target="hog"``, ``error="l2"`` and ``sampling="block"`` MaskFeat.

    Parameters
    ----------
    source, seed, ratio, n_images, epochs, sampling, cell, patch, width, depth, batch_size, lr, device, checkpoint
        As in `lib.measure.pretraining.pretrain_mae`.
    target, hog_cell, radii, looks
        As in `lib.measure.pretraining.pretrain_features`.
    error : {"l1", "l2"}
        Absolute error of hidden values, as in SimMIM, or squared.

    Returns
    -------
    dict of str to Tensor
        The model's state, and under "loss" the mean error of each epoch (epochs,).

    Raises
    ------
    ValueError
        An unknown target, error or sampler; sizes that do not fit.
    """
    if error not in ERRORS:
        raise ValueError(f"error must be one of {', '.join(ERRORS)}, got {error!r}")
    hide = sampler(sampling, cell=cell)
    model = empty_simmim(
        source, seed=seed, patch=patch, width=width, depth=depth, target=target, hog_cell=hog_cell, radii=radii
    )
    loss = masked_loss(model, hide, ratio=ratio, error=ERRORS[error])
    return pretrain(
        model, loss, seen(source, n_images=n_images, seed=seed, looks=looks), seed=seed, epochs=epochs,
        batch_size=batch_size, lr=lr, device=device, checkpoint=checkpoint,
        label=f"SimMIM {sampling} {cell} x {ratio:g}",
    )  # fmt: skip


def empty_simmim(
    source: str,
    *,
    seed: int,
    patch: int,
    width: int,
    depth: int,
    target: str = "pixels",
    hog_cell: int | None = None,
    radii: tuple[int, ...] = targets.RADII,
) -> simmim.SimMIM:
    """Build the untrained model that `pretrain_simmim` starts from, as large as the encoder of `empty_mae`."""
    like = empty_mae(source, seed=seed, patch=patch, width=width, depth=depth)
    return simmim.SimMIM(
        like.grid[0] * patch, channels=like.channels, patch=patch, width=width, depth=depth, heads=like.heads,
        target=targets.named(target, cell=hog_cell, radii=radii), generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
