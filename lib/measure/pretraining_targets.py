"""Pretraining runs that differ in what is predicted, or where the mask tokens enter, from literals to weights.

Papers: Xie et al. 2022, SimMIM (arXiv:2111.09886); Wei et al. 2022, MaskFeat (arXiv:2112.09133), which is SimMIM's
network with histograms of gradients and a squared error; SARATR-X (arXiv:2405.09365), which is a masked autoencoder
with gradients by ratio on images with speckle. Differences: as in `lib.measure.pretraining`.

Conventions: as in `lib.measure.pretraining`: literals in, a state out. Runs of one seed share images, order, masks and
every initial weight but those of the head, whatever they predict; the targets of noisy images are made of noisy images.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lib import data, masks, train
from lib.measure import pretraining
from lib.models import mae, simmim, targets
from lib.models.timm_parts import vit_block

Model = TypeVar("Model", bound=nn.Module)

ERRORS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"l1": simmim.l1_loss, "l2": mae.reconstruction_loss}


def pretrain_features(
    source: str,
    *,
    seed: int,
    target: str,
    ratio: float,
    n_images: int,
    epochs: int,
    sampling: str = "random",
    hog_cell: int | None = None,
    radii: tuple[int, ...] = targets.RADII,
    looks: int = 0,
    patch: int = 7,
    width: int = 64,
    depth: int = 2,
    decoder_depth: int | None = None,
    batch_size: int = 64,
    lr: float = 2e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Pretrain a masked autoencoder on one of the targets of `lib.models.targets`.

    Parameters
    ----------
    source, seed, sampling, ratio, n_images, epochs, patch, width, depth, batch_size, lr, device, checkpoint
        As in `lib.measure.pretraining.pretrain_mae`.
    target, hog_cell, radii
        As in `lib.models.targets.named`.
    looks : int
        Looks of the speckle that the images are multiplied with, see `speckled`; 0 = none.
    decoder_depth : int, optional
        As in `empty_features`.

    Returns
    -------
    dict of str to Tensor
        The model's state, and under "loss" the mean squared error of each epoch (epochs,), comparable only between runs
        of one target that hide the same patches.

    Raises
    ------
    ValueError
        An unknown target or sampler; sizes that do not fit.
    """
    model = empty_features(
        source, seed=seed, patch=patch, width=width, depth=depth, decoder_depth=decoder_depth, target=target,
        hog_cell=hog_cell, radii=radii,
    )  # fmt: skip
    loss = pretraining.masked_loss(model, sampler(sampling), ratio=ratio)
    images = seen(source, n_images=n_images, seed=seed, looks=looks).to(device)
    history = train.fit(
        model, loss, (images,), epochs=epochs, batch_size=batch_size, lr=lr,
        generator=torch.Generator().manual_seed(seed + 1), checkpoint=checkpoint, label=f"{target} seed {seed}",
    )  # fmt: skip
    return finished(model, history)


def pretrain_simmim(
    source: str,
    *,
    seed: int,
    ratio: float,
    n_images: int,
    epochs: int,
    sampling: str = "cells",
    mask_cell: int = 1,
    target: str = "pixels",
    error: str = "l1",
    hog_cell: int | None = None,
    radii: tuple[int, ...] = targets.RADII,
    looks: int = 0,
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
    source, seed, ratio, n_images, epochs, patch, width, depth, batch_size, lr, device, checkpoint
        As in `lib.measure.pretraining.pretrain_mae`.
    sampling, mask_cell
        As in `sampler`.
    target, hog_cell, radii
        As in `lib.models.targets.named`.
    error : {"l1", "l2"}
        Absolute error of hidden values, as in SimMIM, or squared.
    looks : int
        As in `pretrain_features`.

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
    model = empty_simmim(
        source, seed=seed, patch=patch, width=width, depth=depth, target=target, hog_cell=hog_cell, radii=radii
    )
    loss = hidden_loss(model, sampler(sampling, mask_cell=mask_cell), ratio=ratio, error=ERRORS[error])
    images = seen(source, n_images=n_images, seed=seed, looks=looks).to(device)
    history = train.fit(
        model, loss, (images,), epochs=epochs, batch_size=batch_size, lr=lr,
        generator=torch.Generator().manual_seed(seed + 1), checkpoint=checkpoint,
        label=f"SimMIM {mask_cell} x {ratio:g} seed {seed}",
    )  # fmt: skip
    return finished(model, history)


def hidden_loss(
    model: mae.MaskedModel,
    sampler: Callable[..., Tensor],
    *,
    ratio: float,
    error: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> train.Loss:
    """`lib.measure.pretraining.masked_loss` with another ``error(predicted, target, hidden) -> scalar``."""

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        images = batch[0]
        hidden = sampler(len(images), model.grid, ratio=ratio, generator=generator).to(images.device)
        return error(trained(images, hidden), model.targets(images), hidden)

    return loss


def empty_features(
    source: str,
    *,
    seed: int,
    patch: int,
    width: int,
    depth: int,
    decoder_depth: int | None = None,
    target: str = "pixels",
    hog_cell: int | None = None,
    radii: tuple[int, ...] = targets.RADII,
) -> mae.MAE:
    """Build the untrained model that `pretrain_features` starts from; sizes and errors as in `empty_mae`.

    ``decoder_depth`` gives the decoder so many blocks, by default as many as `empty_mae`. Models of one seed then
    differ in these blocks alone, and those of a shallow decoder are the first of a deep one.
    """
    model = pretraining.empty_mae(source, seed=seed, patch=patch, width=width, depth=depth)
    if decoder_depth is not None:
        model = redecoded(model, decoder_depth, generator=torch.Generator().manual_seed(seed + 4))
    aim = targets.named(target, cell=hog_cell, radii=radii)
    return model.retarget(aim, generator=torch.Generator().manual_seed(seed + 2))


def redecoded(model: mae.MAE, depth: int, *, generator: torch.Generator) -> mae.MAE:
    """Give the decoder ``depth`` fresh blocks of its own width; every other weight stays. Returns the model.

    Raises
    ------
    ValueError
        ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"decoder_depth must be at least 1, got {depth}; mask tokens meet visible ones in its blocks")
    first: Any = model.decoder_blocks[0]
    width, heads = model.decoder_embed.out_features, first.attn.num_heads
    model.decoder_blocks = nn.ModuleList(vit_block(width, heads) for _ in range(depth))
    mae.initialise(model.decoder_blocks, generator)
    return model


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
    like = pretraining.empty_mae(source, seed=seed, patch=patch, width=width, depth=depth)
    return simmim.SimMIM(
        like.grid[0] * patch, channels=like.channels, patch=patch, width=width, depth=depth, heads=like.heads,
        target=targets.named(target, cell=hog_cell, radii=radii), generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def loaded(model: Model, state: dict[str, Tensor]) -> Model:
    """Give an empty model the weights that a pretraining returned, in eval mode.

    Raises
    ------
    RuntimeError
        From torch, when the sizes are not those of the state.
    """
    model.load_state_dict({name: value for name, value in state.items() if name != "loss"})
    return model.eval()


def finished(model: nn.Module, history: train.History) -> dict[str, Tensor]:
    """What a pretraining returns: the weights on the CPU, and under "loss" the mean of each epoch (epochs,)."""
    return {name: value.cpu() for name, value in model.state_dict().items()} | {"loss": torch.tensor(history.loss)}


def sampler(sampling: str, *, mask_cell: int = 1) -> Callable[..., Tensor]:
    """Choose a sampler of masks by literals.

    Parameters
    ----------
    sampling : {"random", "block", "grid", "cells"}
    mask_cell : int
        Side of a cell of "cells" in patches; 1 = the law of "random". The others have none.

    Returns
    -------
    callable
        ``(n, grid, *, ratio, generator) -> bool (n, tokens)``, True = hidden.

    Raises
    ------
    ValueError
        An unknown sampler.
    """
    known = pretraining.SAMPLERS | {"cells": partial(masks.cells, cell=mask_cell)}
    if sampling not in known:
        raise ValueError(f"sampling must be one of {', '.join(known)}, got {sampling!r}")
    return known[sampling]


def seen(source: str, *, n_images: int, seed: int, looks: int = 0) -> Tensor:
    """Images (n, c, h, w) that a pretraining of this seed sees, with speckle where ``looks`` is positive."""
    images = data.images(source, n=n_images, seed=seed).x
    return speckled(images, looks=looks, generator=torch.Generator().manual_seed(seed + 3)) if looks else images


def speckled(images: Tensor, *, looks: int, generator: torch.Generator) -> Tensor:
    """Multiply every pixel with gamma noise of mean 1, as radar images have, and clip at 1.

    Parameters
    ----------
    images : Tensor (n, c, h, w), float32 in [0, 1]
    looks : int
        Exponential looks averaged; the noise has variance 1 / looks. 1 = the worst, many = none.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor (n, c, h, w), float32 in [0, 1]

    Raises
    ------
    ValueError
        ``looks`` is below 1.
    """
    if looks < 1:
        raise ValueError(f"looks must be at least 1, got {looks}; a single-look radar image has 1")
    gain = torch.zeros(images.shape)
    for _ in range(looks):
        gain += torch.empty(images.shape).exponential_(generator=generator) / looks
    return (images * gain.to(images.device)).clamp(max=1.0)
