"""Where a transformer looks: the attention that its blocks compute inside, which timm's fused kernels do not hand out.

Caron et al. 2021, DINO (arXiv:2104.14294), read saliency off the attention from the class token to the patches in the
last block; AttMask (arXiv:2203.12719) does the same with the mean over heads, A-CLIP (arXiv:2212.08653) with the mean
over heads and blocks.

Difference: the encoders of this package have no class token. Their feature is the mean of the patch tokens, so what it
looks at is the mean over these tokens of their attention.

Conventions: attention is a softmax over keys, so the rows of a block's attention, and what `look` gives, sum to one.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lib.models.mae import Encoder, MaskedModel
from lib.models.targets import centred, patches


def block_attention(block: nn.Module, tokens: Tensor) -> Tensor:
    """Attention inside one block of timm.

    Parameters
    ----------
    block : nn.Module
        As `lib.models.timm_parts.vit_block` makes it.
    tokens : Tensor (n, tokens, width)
        What enters the block.

    Returns
    -------
    Tensor (n, heads, tokens, tokens), float32, in [0, 1]
        Queries by keys; every row sums to one. Without dropout.
    """
    inner: Any = block.attn
    x: Tensor = block.norm1(tokens)  # type: ignore[operator]
    n, count, _ = x.shape
    mixed = inner.qkv(x).view(n, count, 3, inner.num_heads, inner.head_dim)
    query, key, _ = mixed.permute(2, 0, 3, 1, 4)  # each (n, heads, tokens, d)
    logits = (inner.q_norm(query) * inner.scale) @ inner.k_norm(key).transpose(-2, -1)
    return logits.float().softmax(dim=-1)


def look(model: MaskedModel | Encoder, images: Tensor, *, last: int = 1) -> tuple[Tensor, Tensor]:
    """Encode whole images and say how much each patch was attended to.

    Parameters
    ----------
    model : MaskedModel or Encoder
        On the device of the images.
    images : Tensor (n, c, h, w), float32 in [0, 1]
    last : int
        Blocks averaged, from the last one on: 1 as in AttMask, all as in A-CLIP.

    Returns
    -------
    two of Tensor
        Normalised patch tokens (n, tokens, width), and attention (n, tokens): mean over blocks, heads and queries. It
        sums to one in every row; 1 / tokens everywhere = no patch is preferred.

    Raises
    ------
    ValueError
        ``last`` is not between 1 and the number of blocks.
    """
    depth = len(model.blocks)
    if not 1 <= last <= depth:
        raise ValueError(f"last must be in [1, {depth}], the blocks of this encoder, got {last}; AttMask takes 1")
    tokens: Tensor = model.embed(patches(centred(images), model.patch)) + model.places
    found = []
    for number, block in enumerate(model.blocks):
        if number >= depth - last:
            found.append(block_attention(block, tokens).mean(dim=(1, 2)))  # (n, tokens)
        tokens = block(tokens)
    return model.norm(tokens), torch.stack(found).mean(dim=0)
