"""A masked autoencoder in the plain formulation of its public code: the peer of a pretraining step.

He et al. 2022 (arXiv:2111.06377; facebookresearch/mae with timm 0.3.2): every patch is embedded by a convolution before
three of four are thrown away; tokens are gathered by an index repeated for each dimension, in the encoder and again to
restore their order in the decoder; attention is a product, an explicit softmax and a product; targets are cut by
reshape and einsum. All in float32.

It is built around the weights of one of our models, so both can be held to the same loss and gradients. As ours, it has
no class token, which the public code has: that spares the peer one token in fifty.
"""

import torch
from torch import Tensor, nn

from lib.models.mae import MAE, NORM_EPS, centred


class PlainAttention(nn.Module):
    """Self-attention with its table of weights written out; parameters are named as timm's."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, tokens, width) to the same shape."""
        n, tokens, width = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv[0], qkv[1], qkv[2]  # each (n, heads, tokens, width / heads)
        weights = ((query @ key.transpose(-2, -1)) * self.scale).softmax(dim=-1)  # (n, heads, tokens, tokens)
        return self.proj((weights @ value).transpose(1, 2).reshape(n, tokens, width))


class PlainBlock(nn.Module):
    """Pre-norm transformer block; parameters are named as timm's."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), PlainAttention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("fc1", nn.Linear(width, 4 * width))
        self.mlp.add_module("act", nn.GELU())
        self.mlp.add_module("fc2", nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, tokens, width) to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PlainMAE(nn.Module):
    """The plain formulation, with the sizes and a copy of the weights of ``model``.

    Parameters
    ----------
    model : MAE
        With ``norm_targets``.
    heads, decoder_heads : int
        Attention heads of the encoder and the decoder.
    """

    def __init__(self, model: MAE, *, heads: int, decoder_heads: int) -> None:
        super().__init__()
        self.patch, width, decoder_width = model.patch, model.width, model.decoder_embed.out_features
        pixels = model.embed.in_features
        self.channels = pixels // self.patch**2
        self.embed = nn.Conv2d(self.channels, width, kernel_size=self.patch, stride=self.patch)
        self.blocks = nn.ModuleList(PlainBlock(width, heads) for _ in model.blocks)
        self.norm = nn.LayerNorm(width)
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        self.decoder_blocks = nn.ModuleList(PlainBlock(decoder_width, decoder_heads) for _ in model.decoder_blocks)
        self.decoder_norm = nn.LayerNorm(decoder_width)
        self.decoder_head = nn.Linear(decoder_width, pixels)
        self.register_buffer("places", model.places.clone()[None], persistent=False)
        self.register_buffer("decoder_places", model.decoder_places.clone()[None], persistent=False)
        self.places: Tensor
        self.decoder_places: Tensor
        self.copy_from(model)

    def copy_from(self, model: MAE) -> None:
        """Take over the weights of ``model``; its linear embedding becomes the kernel of a convolution."""
        state = {name: value.clone() for name, value in model.state_dict().items()}
        kernel = state["embed.weight"].reshape(-1, self.patch, self.patch, self.channels)
        state["embed.weight"] = kernel.permute(0, 3, 1, 2).contiguous()  # (width, channels, patch, patch)
        self.load_state_dict(state)

    def forward(self, images: Tensor, noise: Tensor, *, ratio: float) -> Tensor:
        """Loss of one batch.

        Parameters
        ----------
        images : Tensor (n, channels, side, side), float32 in [0, 1]
        noise : Tensor (n, tokens)
            The patches with the lowest values stay visible.
        ratio : float in (0, 1)

        Returns
        -------
        Tensor ()
            Mean squared error over the hidden patches, which are standardised one by one.
        """
        images = centred(images)
        x = self.embed(images).flatten(2).transpose(1, 2) + self.places  # (n, tokens, width)
        n, tokens, width = x.shape
        kept = int(tokens * (1 - ratio))
        order = noise.argsort(dim=1)
        back = order.argsort(dim=1)
        x = x.gather(1, order[:, :kept].unsqueeze(-1).repeat(1, 1, width))
        hidden = torch.ones(n, tokens, device=x.device)
        hidden[:, :kept] = 0
        hidden = hidden.gather(1, back)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_embed(self.norm(x))
        x = torch.cat([x, self.mask_token.repeat(n, tokens - kept, 1)], dim=1)
        x = x.gather(1, back.unsqueeze(-1).repeat(1, 1, x.shape[2])) + self.decoder_places
        for block in self.decoder_blocks:
            x = block(x)
        return self._loss(self.decoder_head(self.decoder_norm(x)), images, hidden)

    def _loss(self, predicted: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
        n, channels, side, _ = images.shape
        cells = side // self.patch
        cut = images.reshape(n, channels, cells, self.patch, cells, self.patch)
        target = torch.einsum("nchpwq->nhwpqc", cut).reshape(n, cells * cells, -1)
        mean, variance = target.mean(dim=-1, keepdim=True), target.var(dim=-1, keepdim=True)
        target = (target - mean) / (variance + NORM_EPS) ** 0.5
        per_patch = ((predicted - target) ** 2).mean(dim=-1)
        return (per_patch * hidden).sum() / hidden.sum()


class BareBlocks(nn.Module):
    """The encoder and the decoder of a model without masking, targets and loss: the cost no step can go below.

    Parameters
    ----------
    model : MAE
        Its own modules are used, not copies.
    """

    def __init__(self, model: MAE) -> None:
        super().__init__()
        self.encoder = nn.Sequential(model.embed, *model.blocks, model.norm, model.decoder_embed)
        self.decoder = nn.Sequential(*model.decoder_blocks, model.decoder_norm, model.decoder_head)

    def forward(self, cut: Tensor, whole: Tensor) -> Tensor:
        """Sum of the outputs for visible patches (n, kept, pixels) and decoder tokens (n, tokens, decoder width)."""
        return self.encoder(cut).sum() + self.decoder(whole).sum()
