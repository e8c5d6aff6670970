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

from lib.models.timm_parts import vit_block

CENTRE, SCALE = 0.5, 0.25
NORM_EPS = 1e-6  # added to a patch's variance, as in the paper's public code


def patches(images: Tensor, patch: int) -> Tensor:
    """Cut images (n, c, h, w) into square patches of side ``patch``, row by row.

    Returns
    -------
    Tensor (n, tokens, patch * patch * c)
        Pixels of a patch row by row, channels last.

    Raises
    ------
    ValueError
        The side does not divide the image.
    """
    n, c, h, w = images.shape
    if h % patch or w % patch:
        raise ValueError(f"patch must divide the image, got {patch} px for {h} x {w} px; crop or resize the images")
    cut = images.reshape(n, c, h // patch, patch, w // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, patch * patch * c)


def images_from(tokens: Tensor, patch: int, *, grid: tuple[int, int]) -> Tensor:
    """Put patches back into images: the inverse of `patches`.

    Parameters
    ----------
    tokens : Tensor (n, tokens, patch * patch * c)
    patch : int
        Side in pixels.
    grid : (int, int)
        Patches along height and width.

    Returns
    -------
    Tensor (n, c, h, w)
    """
    rows, columns = grid
    cut = tokens.reshape(len(tokens), rows, columns, patch, patch, -1)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), -1, rows * patch, columns * patch)


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


def centred(images: Tensor) -> Tensor:
    """Bring pixels from [0, 1] to [-2, 2], about what ImageNet's mean and deviation do in the paper's public code."""
    return (images - CENTRE) / SCALE


def normalised(tokens: Tensor) -> Tensor:
    """Standardise every patch by its own mean and (unbiased) variance; shape (n, tokens, pixels) is kept."""
    variance, mean = torch.var_mean(tokens, dim=-1, keepdim=True)
    return (tokens - mean) / (variance + NORM_EPS).sqrt()


class MAE(nn.Module):
    """Masked autoencoder on timm's transformer blocks.

    Parameters
    ----------
    size, channels, patch : int
        Side of the images in px, their channels, side of a patch in px.
    width, depth, heads : int
        Token dimension, blocks and attention heads of the encoder.
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
        super().__init__()
        if size % patch:
            raise ValueError(
                f"patch must divide size, got {patch} px and {size} px; 28 px images take a patch of 4 or 7"
            )
        self.patch, self.norm_targets, self.width = patch, norm_targets, width
        self.grid = (size // patch, size // patch)
        pixels = patch * patch * channels
        self.embed = nn.Linear(pixels, width)
        self.blocks = nn.ModuleList(vit_block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        self.decoder_blocks = nn.ModuleList(vit_block(decoder_width, decoder_heads) for _ in range(decoder_depth))
        self.decoder_norm = nn.LayerNorm(decoder_width)
        self.decoder_head = nn.Linear(decoder_width, pixels)
        self.register_buffer("places", positions(self.grid, width), persistent=False)
        self.register_buffer("decoder_places", positions(self.grid, decoder_width), persistent=False)
        self.places: Tensor
        self.decoder_places: Tensor
        initialise(self, generator)
        nn.init.normal_(self.mask_token, std=0.02, generator=generator)

    @property
    def tokens(self) -> int:
        """Patches in one image."""
        return self.grid[0] * self.grid[1]

    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        """Predict every patch from the visible ones.

        Parameters
        ----------
        images : Tensor (n, c, h, w), float32 in [0, 1]
        hidden : bool Tensor (n, tokens)
            True = hidden, the same count in every row.

        Returns
        -------
        Tensor (n, tokens, pixels), float32
            In units of `targets`.

        Raises
        ------
        ValueError
            The mask has another shape or type.
        """
        kept = self._kept(images, hidden)
        cut, places = patches(centred(images), self.patch), self.places.expand(len(images), -1, -1)
        seen = self.decoder_embed(_encoded(self, _rows(cut, kept), _rows(places, kept)))  # (n, kept, decoder width)
        spread = kept.unsqueeze(-1).expand(-1, -1, seen.shape[-1])
        canvas = self.mask_token.to(seen.dtype).expand(len(images), self.tokens, -1)
        whole = canvas.scatter(1, spread, seen) + self.decoder_places  # (n, tokens, decoder width)
        for block in self.decoder_blocks:
            whole = block(whole)
        return self.decoder_head(self.decoder_norm(whole)).float()

    def encode(self, images: Tensor) -> Tensor:
        """Features of whole images, nothing hidden: float (n, width), the mean over patch tokens."""
        return _encoded(self, patches(centred(images), self.patch), self.places).mean(dim=1)

    def targets(self, images: Tensor) -> Tensor:
        """What `forward` should predict: patches (n, tokens, pixels), standardised one by one if so chosen."""
        cut = patches(centred(images), self.patch)
        return normalised(cut) if self.norm_targets else cut

    def reconstruct(self, images: Tensor, hidden: Tensor) -> Tensor:
        """Images (n, c, h, w) whose hidden patches are predictions; standardised ones borrow the true mean, scale."""
        cut, filled = patches(centred(images), self.patch), self(images, hidden)
        if self.norm_targets:
            variance, mean = torch.var_mean(cut, dim=-1, keepdim=True)
            filled = filled * (variance + NORM_EPS).sqrt() + mean
        pixels = torch.where(hidden.unsqueeze(-1), filled, cut) * SCALE + CENTRE
        return images_from(pixels, self.patch, grid=self.grid)

    def _kept(self, images: Tensor, hidden: Tensor) -> Tensor:
        if hidden.shape != (len(images), self.tokens) or hidden.dtype != torch.bool:
            raise ValueError(
                f"hidden must be bool ({len(images)}, {self.tokens}), got {hidden.dtype} {tuple(hidden.shape)}; "
                f"draw it for the grid {self.grid}"
            )
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
    per_patch = (predicted - target).square().mean(dim=-1)  # (n, tokens)
    return (per_patch * hidden).sum() / hidden.sum()


class Encoder(nn.Module):
    """The encoder of a masked autoencoder as a network of its own, sharing its weights: images to `MAE.encode`.

    Parameters
    ----------
    model : MAE
        Its decoder is left out.
    """

    def __init__(self, model: MAE) -> None:
        super().__init__()
        self.patch, self.width = model.patch, model.width
        self.embed, self.blocks, self.norm = model.embed, model.blocks, model.norm
        self.register_buffer("places", model.places, persistent=False)
        self.places: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, width) of images (n, c, h, w) in [0, 1], nothing hidden."""
        return _encoded(self, patches(centred(images), self.patch), self.places).mean(dim=1)


def _encoded(parts: MAE | Encoder, cut: Tensor, places: Tensor) -> Tensor:
    """Run (n, kept, pixels) patches at their places through the encoder: (n, kept, width)."""
    x = parts.embed(cut) + places
    for block in parts.blocks:
        x = block(x)
    return parts.norm(x)
