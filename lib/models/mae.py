"""Masked autoencoder: encode the visible patches, decode the hidden ones.

He et al. 2022, Masked Autoencoders Are Scalable Vision Learners (arXiv:2111.06377), section 3: the
encoder sees visible patches only; a light decoder receives them with a shared mask token in every hidden place; the
loss is the mean squared error on hidden patches, whose targets are normalised by each patch's own mean and variance.

Differences: the mask comes in as an argument, from any sampler, instead of being drawn inside the model, so at
inference nothing is hidden unless asked for; sizes are free.

Conventions: images are float32 NCHW in [0, 1], centred and scaled here; masks are bool (n, tokens), True = hidden, with
the same count in every row; tokens run row by row over the patch grid. Features are the mean of the encoder's
normalised patch tokens; there is no class token.
"""

import math

import torch
from torch import Tensor, nn

from lib.models.targets import (
    CENTRE,
    NORM_EPS,
    SCALE,
    Target,
    centred,
    images_from,
    normalised_pixels,
    patches,
    pixels,
    target_size,
)
from lib.models.timm_parts import vit_block


def shown(images: Tensor, hidden: Tensor, patch: int) -> Tensor:
    """Paint the hidden patches of images (n, c, h, w) black, for the eye; ``hidden`` is bool (n, tokens)."""
    _, _, h, w = images.shape
    return images_from(patches(images, patch) * ~hidden.unsqueeze(-1), patch, grid=(h // patch, w // patch))


def positions(grid: tuple[int, int], width: int) -> Tensor:
    """Fixed sine and cosine position embedding: half of the dimensions for the row, half for the column.

    Parameters
    ----------
    grid : (int, int)
        Patches along height and width.
    width : int
        Token dimension, a multiple of 4.

    Returns
    -------
    Tensor (tokens, width), float32, in [-1, 1]

    Raises
    ------
    ValueError
        ``width`` is not a multiple of 4.
    """
    if width % 4:
        raise ValueError(f"width must be a multiple of 4 for row and column, sine and cosine, got {width}")
    rate = 10_000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in grid), indexing="ij")
    angles = [axis.reshape(-1, 1) * rate for axis in (row, column)]  # two of (tokens, width / 4)
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1).float()


class MaskedModel(nn.Module):
    """What masked models share: patches become tokens, blocks look at them, and hidden ones have targets.

    Parameters
    ----------
    size, channels, patch : int
        Side of the images in px, their channels, side of a patch in px.
    width, depth, heads : int
        Token dimension, blocks and attention heads of the encoder.
    target : callable
        ``(images, patch) -> (n, tokens, d)``, see `lib.models.targets`.

    Raises
    ------
    ValueError
        Sizes that do not divide each other.
    """

    def __init__(
        self, size: int, *, channels: int, patch: int, width: int, depth: int, heads: int, target: Target
    ) -> None:
        super().__init__()
        if size % patch:
            raise ValueError(
                f"patch must divide size, got {patch} px and {size} px; 28 px images take a patch of 4 or 7"
            )
        self.patch, self.width, self.heads, self.channels, self.target = patch, width, heads, channels, target
        self.grid = (size // patch, size // patch)
        self.embed = nn.Linear(patch * patch * channels, width)
        self.blocks = nn.ModuleList(vit_block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("places", positions(self.grid, width), persistent=False)
        self.places: Tensor

    @property
    def tokens(self) -> int:
        """Patches in one image."""
        return self.grid[0] * self.grid[1]

    def encode_tokens(self, images: Tensor) -> Tensor:
        """Features of every patch of whole images, nothing hidden: float (n, tokens, width)."""
        return encoded(self, self.embed(patches(centred(images), self.patch)) + self.places)

    def encode(self, images: Tensor) -> Tensor:
        """Features of whole images, nothing hidden: float (n, width), the mean over patch tokens."""
        return self.encode_tokens(images).mean(dim=1)

    def targets(self, images: Tensor) -> Tensor:
        """What `forward` should predict: (n, tokens, d), by the model's target."""
        return self.target(images, self.patch)

    def reconstruct(self, images: Tensor, hidden: Tensor) -> Tensor:
        """Images (n, c, h, w) whose hidden patches are predictions; standardised ones borrow the true mean, scale."""
        if self.target not in (pixels, normalised_pixels):
            raise ValueError("target must be pixels, standardised or not, to be painted; train a model that has them")
        cut, filled = patches(centred(images), self.patch), self(images, hidden)
        if self.target is normalised_pixels:
            variance, mean = torch.var_mean(cut, dim=-1, keepdim=True)
            filled = filled * (variance + NORM_EPS).sqrt() + mean
        painted = torch.where(hidden.unsqueeze(-1), filled, cut) * SCALE + CENTRE
        return images_from(painted, self.patch, grid=self.grid)

    def outputs(self, target: Target) -> int:
        """Numbers that a head must have to predict ``target`` for one patch."""
        return target_size(target, self.patch, channels=self.channels, grid=self.grid)

    def check(self, images: Tensor, hidden: Tensor) -> None:
        """Raise a ValueError when the mask has another shape or type than these images need."""
        if hidden.shape != (len(images), self.tokens) or hidden.dtype != torch.bool:
            raise ValueError(
                f"hidden must be bool ({len(images)}, {self.tokens}), got {hidden.dtype} {tuple(hidden.shape)}; "
                f"draw it for the grid {self.grid}"
            )


class MAE(MaskedModel):
    """Masked autoencoder on timm's transformer blocks.

    Parameters
    ----------
    size, channels, patch, width, depth, heads : int
        As in `MaskedModel`.
    decoder_width, decoder_depth, decoder_heads : int
        The same of the decoder.
    norm_targets : bool
        Reconstruct patches standardised by their own mean and variance.
    generator : torch.Generator, optional
        Draws the initial weights; without it they follow torch's global seed.

    Raises
    ------
    ValueError
        Sizes that do not divide each other.
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
        decoder_width: int = 48,
        decoder_depth: int = 1,
        decoder_heads: int = 4,
        norm_targets: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            size, channels=channels, patch=patch, width=width, depth=depth, heads=heads,
            target=normalised_pixels if norm_targets else pixels,
        )  # fmt: skip
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        self.decoder_blocks = nn.ModuleList(vit_block(decoder_width, decoder_heads) for _ in range(decoder_depth))
        self.decoder_norm = nn.LayerNorm(decoder_width)
        self.decoder_head = nn.Linear(decoder_width, patch * patch * channels)
        self.register_buffer("decoder_places", positions(self.grid, decoder_width), persistent=False)
        self.decoder_places: Tensor
        initialise(self, generator)
        nn.init.normal_(self.mask_token, std=0.02, generator=generator)

    def retarget(self, target: Target, *, generator: torch.Generator | None = None) -> "MAE":
        """Predict something else through a fresh head of its size; every other weight stays. Returns the model."""
        self.target, inner = target, self.decoder_head.in_features
        self.decoder_head = nn.Linear(inner, self.outputs(target))
        initialise(self.decoder_head, generator)
        return self

    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        """Predict every patch from the visible ones.

        Parameters
        ----------
        images : Tensor (n, c, h, w), float32 in [0, 1]
        hidden : bool Tensor (n, tokens)
            True = hidden, the same count in every row.

        Returns
        -------
        Tensor (n, tokens, d), float32
            In units of `targets`.

        Raises
        ------
        ValueError
            The mask has another shape or type.
        """
        return self.decode(self.canvas(images, hidden))

    def canvas(self, images: Tensor, hidden: Tensor) -> Tensor:
        """What the decoder starts from (n, tokens, decoder width): visible patches encoded, mask tokens elsewhere."""
        kept = self._kept(images, hidden)
        cut, places = patches(centred(images), self.patch), self.places.expand(len(images), -1, -1)
        seen = encoded(self, self.embed(_rows(cut, kept)) + _rows(places, kept))
        seen = self.decoder_embed(seen)  # (n, kept, decoder width)
        spread = kept.unsqueeze(-1).expand(-1, -1, seen.shape[-1])
        blank = self.mask_token.to(seen.dtype).expand(len(images), self.tokens, -1)
        return blank.scatter(1, spread, seen) + self.decoder_places

    def decode(self, canvas: Tensor) -> Tensor:
        """Predictions (n, tokens, d), float32, from a `canvas`."""
        for block in self.decoder_blocks:
            canvas = block(canvas)
        return self.decoder_head(self.decoder_norm(canvas)).float()

    def _kept(self, images: Tensor, hidden: Tensor) -> Tensor:
        self.check(images, hidden)
        fewest, most = torch.stack(hidden.sum(dim=1).aminmax()).tolist()
        if fewest != most:
            raise ValueError(f"hidden must hide the same count in every row, got unequal counts {fewest} to {most}")
        # a stable sort puts the visible places first, in reading order
        return hidden.to(torch.uint8).argsort(dim=1, stable=True)[:, : self.tokens - most]  # (n, kept)


def _rows(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def initialise(module: nn.Module, generator: torch.Generator | None) -> None:
    """Draw every linear layer's weights uniformly within sqrt(6 / (in + out)) (Xavier) and set biases to zero.

    Norms keep scale one and shift zero. The draw depends on the generator alone, on every device.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = math.sqrt(6 / (part.in_features + part.out_features))
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def reconstruction_loss(predicted: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error over the hidden patches, each counted once.

    Parameters
    ----------
    predicted, target : Tensor (n, tokens, pixels)
    hidden : bool Tensor (n, tokens)
        True = hidden; visible patches do not count.

    Returns
    -------
    Tensor ()
        0 = perfect; with standardised targets about 1 = no better than a patch's own mean.

    Source
    ------
    arXiv:2111.06377, section 3.
    """
    return over_hidden(patch_losses(predicted, target), hidden)


def patch_losses(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each patch: (n, tokens, d) twice -> (n, tokens), at least 0."""
    return (predicted - target).square().mean(dim=-1)


def over_hidden(per_patch: Tensor, hidden: Tensor) -> Tensor:
    """Mean of (n, tokens) over the hidden patches, each counted once."""
    return (per_patch * hidden).sum() / hidden.sum()


class Encoder(nn.Module):
    """The encoder of a masked model as a network of its own, sharing its weights: images to `MaskedModel.encode`.

    Parameters
    ----------
    model : MaskedModel
        What it predicts hidden patches with is left out.
    """

    def __init__(self, model: MaskedModel) -> None:
        super().__init__()
        self.patch, self.width = model.patch, model.width
        self.embed, self.blocks, self.norm = model.embed, model.blocks, model.norm
        self.register_buffer("places", model.places, persistent=False)
        self.places: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, width) of images (n, c, h, w) in [0, 1], nothing hidden."""
        return encoded(self, self.embed(patches(centred(images), self.patch)) + self.places).mean(dim=1)


def encoded(parts: MaskedModel | Encoder, tokens: Tensor) -> Tensor:
    """Run tokens with their places (n, kept, width) through the encoder's blocks and last norm; the shape stays."""
    for block in parts.blocks:
        tokens = block(tokens)
    return parts.norm(tokens)
