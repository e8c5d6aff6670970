"""A small transformer that classifies pictures and can be asked for its features with patches taken away.

Wu et al. 2025, ORTrack (arXiv:2504.09228): a vision transformer is trained for its task, and besides the features of a
template with and without a mask are drawn together by their mean squared error. At test time nothing is hidden.

Differences: the task is to name the object instead of following it, so there is no search image and the head is one
linear layer on the mean of the tokens. The mask's code is not among the public files; here a hidden patch enters as
mid grey, which is the zero of the centred pixels, and keeps its place. Both sides of the error receive gradients.

Conventions: as in `lib.models.mae`; the count of hidden patches may differ between rows, and none may be hidden.
"""

import torch
from torch import Tensor, nn

from lib.models.mae import MaskedModel, encoded, initialise
from lib.models.targets import centred, patches, pixels


class Recogniser(MaskedModel):
    """Patches, transformer blocks, and a linear classifier on the mean of the tokens.

    Parameters
    ----------
    size, channels, patch : int
        Side of the images in px, their channels, side of a patch in px.
    classes : int
        Outputs.
    width, depth, heads : int
        Token dimension, blocks and attention heads.
    generator : torch.Generator, optional
        Draws the initial weights; without it they follow torch's global seed.

    Raises
    ------
    ValueError
        Sizes that do not divide each other.

    Examples
    --------
    >>> logits, tokens = Recogniser(8, classes=3)(torch.zeros(2, 1, 8, 8), torch.zeros(2, 4, dtype=torch.bool))
    >>> logits.shape, tokens.shape
    (torch.Size([2, 3]), torch.Size([2, 4, 64]))
    """

    def __init__(
        self,
        size: int,
        *,
        channels: int = 1,
        classes: int,
        patch: int = 4,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, channels=channels, patch=patch, width=width, depth=depth, heads=heads, target=pixels)
        self.head = nn.Linear(width, classes)
        initialise(self, generator)

    def forward(self, images: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Classify images whose hidden patches are mid grey.

        Parameters
        ----------
        images : Tensor (n, c, h, w), float32 in [0, 1]
        hidden : bool Tensor (n, tokens)
            True = hidden; all False = the whole image.

        Returns
        -------
        (Tensor (n, classes), Tensor (n, tokens, width))
            Logits, and the features of all patches, hidden ones too.

        Raises
        ------
        ValueError
            The mask has another shape or type.
        """
        self.check(images, hidden)
        seen = patches(centred(images), self.patch) * ~hidden.unsqueeze(-1)
        tokens = encoded(self, self.embed(seen) + self.places).float()
        return self.classify(tokens), tokens

    def classify(self, tokens: Tensor) -> Tensor:
        """Logits (n, classes), float32, of the features (n, tokens, width) of whole images or of others."""
        return self.head(tokens.mean(dim=1)).float()
