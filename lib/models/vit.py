"""An ordinary vision transformer of timm in a size that trains in seconds.

Dosovitskiy et al. 2021, An Image is Worth 16x16 Words (arXiv:2010.11929): patches, a class token, learned positions,
pre-norm blocks, a linear head on the class token. Differences: none but the size; timm builds it.

Conventions: images are float32 NCHW in [0, 1]. Weights follow torch's global seed.
"""

from __future__ import annotations

from torch import nn

from lib.models.timm_parts import mend_torchvision


def small_vit(
    size: tuple[int, int], *, channels: int, classes: int, patch: int, width: int, depth: int, heads: int
) -> nn.Module:
    """Build an untrained ViT.

    Parameters
    ----------
    size : pair of int, pixels
        Height and width of the images, multiples of ``patch``.
    channels, classes : int
        Channels of the images, outputs of the head.
    patch : int, pixels
        Edge of a patch.
    width : int
        Token dimension, a multiple of ``heads``.
    depth, heads : int
        Blocks, and attention heads in each.

    Returns
    -------
    nn.Module
        timm VisionTransformer: images (n, channels, h, w) to logits (n, classes).

    Raises
    ------
    ValueError
        If sizes do not divide each other.
    """
    if size[0] % patch or size[1] % patch:
        raise ValueError(f"patch must divide both sides of {size}, got {patch}; 28 pixels take 4 or 7")
    if width % heads:
        raise ValueError(f"width must be a multiple of heads, got {width} and {heads}; try heads={max(1, width // 16)}")
    mend_torchvision()
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=size,
        patch_size=patch,
        in_chans=channels,
        num_classes=classes,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=2.0,
    )
