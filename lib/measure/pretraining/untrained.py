"""The untrained masked autoencoder that pretrainings start from, by literals.

He et al. 2022, Masked Autoencoders (arXiv:2111.06377), at any size.
"""

from functools import cache

import torch

from lib import data
from lib.models import mae


def empty_mae(source: str, *, seed: int, patch: int, width: int, depth: int, norm_targets: bool = False) -> mae.MAE:
    """Build the untrained masked autoencoder of an image set.

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
        ``width`` is not a multiple of 32; ``patch`` does not divide the images.
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
