"""Pretraining of masked autoencoders that predict something else than pixels, or through another decoder.

Wei et al. 2022, MaskFeat (arXiv:2112.09133), predict histograms of gradients; SARATR-X (arXiv:2405.09365) gradients by
ratio, on images with speckle. Differences: the network is that of `empty_mae` whatever is predicted; the targets of
noisy images are made of noisy images.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lib.measure.pretraining.images import seen
from lib.measure.pretraining.loop import masked_loss, pretrain
from lib.measure.pretraining.samplers import sampler
from lib.measure.pretraining.untrained import empty_mae
from lib.models import mae, targets
from lib.models.timm_parts import vit_block


def pretrain_features(
    source: str,
    *,
    seed: int,
    ratio: float,
    n_images: int,
    epochs: int,
    sampling: str = "random",
    cell: int = 1,
    target: str = "pixels",
    hog_cell: int | None = None,
    radii: tuple[int, ...] = targets.RADII,
    looks: int = 0,
    decoder_depth: int | None = None,
    patch: int = 7,
    width: int = 64,
    depth: int = 2,
    batch_size: int = 64,
    lr: float = 2e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Pretrain a masked autoencoder on one of the targets of `lib.models.targets`.

    Parameters
    ----------
    source, seed, ratio, n_images, epochs, sampling, cell, patch, width, depth, batch_size, lr, device, checkpoint
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
    hide = sampler(sampling, cell=cell)
    model = empty_features(
        source, seed=seed, patch=patch, width=width, depth=depth, target=target, hog_cell=hog_cell, radii=radii,
        decoder_depth=decoder_depth,
    )  # fmt: skip
    return pretrain(
        model, masked_loss(model, hide, ratio=ratio), seen(source, n_images=n_images, seed=seed, looks=looks),
        seed=seed, epochs=epochs, batch_size=batch_size, lr=lr, device=device, checkpoint=checkpoint, label=target,
    )  # fmt: skip


def empty_features(
    source: str,
    *,
    seed: int,
    patch: int,
    width: int,
    depth: int,
    target: str = "pixels",
    hog_cell: int | None = None,
    radii: tuple[int, ...] = targets.RADII,
    decoder_depth: int | None = None,
) -> mae.MAE:
    """Build the untrained model that `pretrain_features` starts from; sizes and errors as in `empty_mae`.

    Models of one seed share every weight but those of the head, whatever they predict. ``decoder_depth`` gives the
    decoder so many blocks, by default as many as `empty_mae`. Models of one seed then differ in these blocks alone,
    and those of a shallow decoder are the first of a deep one.
    """
    model = empty_mae(source, seed=seed, patch=patch, width=width, depth=depth)
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
