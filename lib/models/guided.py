"""A student that sees part of an image and a slow teacher that sees all of it, and says where it looks.

Kakogeorgiou et al. 2022, AttMask (arXiv:2203.12719), on the masked distillation of Zhou et al. 2021, iBOT
(arXiv:2111.07832): in hidden places the student predicts what the teacher, an exponential moving average of it, makes
of the whole image; the teacher's attention chooses the hidden places (`lib.masks.guided`).

Differences: iBOT compares distributions over thousands of learned prototypes, of patches and of the whole image in two
augmented views. Here the student regresses the teacher's patch features, in one view, and reconstructs the pixels of
the same hidden patches, which keeps a short training on its feet. It encodes visible patches only and a light decoder
fills in the rest, as in `lib.models.mae`, where iBOT sends mask tokens through the encoder. There is no class token
(see `lib.models.attention`).

Conventions: as in `lib.models.mae`. Against collapse the teacher's features lose at every place their mean over the
batch, so that neither a constant nor the place alone predicts anything, and are divided by what deviation is left, so
that shrinking them gains nothing. A squared error of 1 = nothing known about the image.
"""

import copy

import torch
from torch import Tensor, nn

from lib.models.attention import look
from lib.models.mae import MAE, Encoder, initialise

EPS = 1e-6


class Guided(nn.Module):
    """A masked autoencoder that also predicts features, and the teacher that makes them.

    Parameters
    ----------
    model : MAE
        The student.
    generator : torch.Generator, optional
        Draws the head for features on its decoder; without it, it follows torch's global seed.
    """

    def __init__(self, model: MAE, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.head = nn.Linear(model.decoder_head.in_features, model.width)
        initialise(self.head, generator)
        self.student = model
        self.teacher = copy.deepcopy(Encoder(model)).requires_grad_(False)

    def encode(self, images: Tensor) -> Tensor:
        """Features of whole images (n, width), nothing hidden, from the student."""
        return self.student.encode(images)

    def forward(self, images: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Let the student predict every patch and its feature.

        Parameters
        ----------
        images, hidden
            As in `MAE.forward`.

        Returns
        -------
        two of Tensor, float32
            (n, tokens, pixels) in units of the student's targets, and (n, tokens, width) in units of `goals`.
        """
        tokens = self.student.canvas(images, hidden)
        for block in self.student.decoder_blocks:
            tokens = block(tokens)
        tokens = self.student.decoder_norm(tokens)
        return self.student.decoder_head(tokens).float(), self.head(tokens).float()

    @torch.no_grad()
    def look(self, images: Tensor, *, last: int = 1) -> tuple[Tensor, Tensor]:
        """Patch features and attention of the teacher, seeing whole images; see `lib.models.attention.look`."""
        return look(self.teacher, images, last=last)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the teacher: ``decay`` of itself, the rest from the student; 1 = it stays, 0 = it copies."""
        fast = dict(self.student.named_parameters())
        for name, slow in self.teacher.named_parameters():
            slow.lerp_(fast[name], 1 - decay)


def goals(tokens: Tensor) -> Tensor:
    """Features to be predicted: at every place without their mean over images, with variance 1 in every dimension.

    Parameters
    ----------
    tokens : Tensor (n, tokens, width)
        Features of the teacher; n > 1.

    Returns
    -------
    Tensor (n, tokens, width), float32
        0 = nothing that sets this image apart at this place.

    Raises
    ------
    ValueError
        A single image, which nothing sets apart.
    """
    if len(tokens) < 2:
        raise ValueError(f"tokens must come from at least 2 images, got {len(tokens)}; use larger batches")
    apart = tokens.float() - tokens.float().mean(dim=0)
    return apart / (apart.square().mean(dim=(0, 1)) + EPS).sqrt()
