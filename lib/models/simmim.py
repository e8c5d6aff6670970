"""SimMIM: mask tokens go through the encoder, one linear layer predicts the hidden pixels.

Xie et al. 2022, SimMIM (arXiv:2111.09886), section 3: a learned token replaces the embedding of every hidden patch,
encoder and head see all places, and the loss is the mean absolute error of hidden pixels. With histograms of gradients
as the target and a squared error the same network is MaskFeat (Wei et al. 2022, arXiv:2112.09133).

Differences: a plain vision transformer with fixed positions and without a class token, as `lib.models.mae` has,
where the public code has learned relative positions or a Swin transformer; the hidden count is exact; the mask comes in
as an argument, so at inference nothing is hidden unless asked for.

Conventions: as in `lib.models.mae`; the count of hidden patches may differ between rows. Features are the mean of the
encoder's normalised patch tokens.
"""

import torch
from torch import Tensor, nn

from lib.models.mae import MaskedModel, encoded, initialise, over_hidden
from lib.models.targets import Target, centred, patches, pixels

TOKEN_STD = 0.02


class SimMIM(MaskedModel):
    """A transformer that fills in what a mask token stands for.

    Parameters
    ----------
    size, channels, patch : int
        Side of the images in px, their channels, side of a patch in px.
    width, depth, heads : int
        Token dimension, blocks and attention heads.
    target : callable
        ``(images, patch) -> (n, tokens, d)``, see `lib.models.targets`; the paper's are plain pixels.
    generator : torch.Generator, optional
        Draws the initial weights, those of the head last, so that models of one seed differ in the head alone whatever
        they predict; without it they follow torch's global seed.

    Raises
    ------
    ValueError
        Sizes that do not divide each other.

    Examples
    --------
    >>> SimMIM(8)(torch.zeros(2, 1, 8, 8), torch.ones(2, 4, dtype=torch.bool)).shape
    torch.Size([2, 4, 16])
    """

    def __init__(
        self,
        size: int,
        *,
        channels: int = 1,
        patch: int = 4,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        target: Target = pixels,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, channels=channels, patch=patch, width=width, depth=depth, heads=heads, target=target)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.trunc_normal_(self.mask_token, std=TOKEN_STD, a=-TOKEN_STD, b=TOKEN_STD, generator=generator)
        self.head = nn.Linear(width, self.outputs(target))
        initialise(self, generator)

    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        """Predict every patch, the hidden ones from their mask token's place alone.

        Parameters
        ----------
        images : Tensor (n, c, h, w), float32 in [0, 1]
        hidden : bool Tensor (n, tokens)
            True = hidden.

        Returns
        -------
        Tensor (n, tokens, d), float32
            In units of `targets`.

        Raises
        ------
        ValueError
            The mask has another shape or type.
        """
        self.check(images, hidden)
        seen = self.embed(patches(centred(images), self.patch))  # (n, tokens, width)
        x = torch.where(hidden.unsqueeze(-1), self.mask_token.to(seen.dtype), seen)
        return self.head(encoded(self, x + self.places)).float()


def l1_loss(predicted: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean absolute error over the values of hidden patches.

    Parameters
    ----------
    predicted, target : Tensor (n, tokens, d)
    hidden : bool Tensor (n, tokens)
        True = hidden; visible patches do not count.

    Returns
    -------
    Tensor ()
        0 = perfect. For pixels this is the sum over hidden pixels, divided by their number and by the channels.

    Source
    ------
    arXiv:2111.09886, section 3.4.
    """
    return over_hidden((predicted - target).abs().mean(dim=-1), hidden)
