"""What every block of an encoder knows: features after each block, for the probes of `lib.measure.probes`.

He et al. 2022, Masked Autoencoders (arXiv:2111.06377), section 4.1, explain with it why a deep decoder helps a linear
probe: the last blocks of an autoencoder specialise in reconstruction, and it is better when those are the decoder's.
Difference: the paper does not probe inner blocks.

Conventions: images float32 (n, c, h, w) in [0, 1], nothing hidden; tokens are normalised without learned scale or shift
and averaged, so that after the last block a probe of standardised features finds what it finds in ``model.encode``.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib import train
from lib.models.mae import MaskedModel
from lib.models.targets import centred, patches


def block_features(model: MaskedModel, images: Tensor, *, batch_size: int = 512) -> Tensor:
    """Features of whole images after each block of the encoder.

    Parameters
    ----------
    model : MaskedModel
        Stays as it is.
    images : Tensor (n, c, h, w), float32 in [0, 1]
    batch_size : int
        Images at once; the result changes only in float32 rounding.

    Returns
    -------
    Tensor (blocks, n, width), float32
        Entry 0 is the output of the first block; on the device of ``images``.

    Examples
    --------
    >>> from lib.models.mae import MAE
    >>> block_features(MAE(8, depth=3), torch.zeros(2, 1, 8, 8)).shape
    torch.Size([3, 2, 64])
    """
    return train.predict(_Layers(model), images, batch_size=batch_size).movedim(1, 0)


class _Layers(nn.Module):
    """Images to (n, blocks, width)."""

    def __init__(self, model: MaskedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        model, found = self.model, []
        tokens = model.embed(patches(centred(images), model.patch)) + model.places
        for block in model.blocks:
            tokens = block(tokens)
            found.append(functional.layer_norm(tokens, (model.width,)).mean(dim=1))
        return torch.stack(found, dim=1)
