"""Class prompts on a frozen vision transformer: one token per class, whose last attention shows its class's traits.

Paper: Chowdhury et al. 2025, Prompt-CAM (arXiv:2501.09333). Every block gets one learned token per class beside the
image's tokens; what becomes of them is dropped after each block but the last, where one linear layer, shared by all
classes, turns each class's token into its logit. The attention of that token to the patches is the map of its class.

Differences: any timm ViT with plain blocks is the backbone. A head is pruned by silencing what it hands to the class
prompts in the last block; heads go one by one, each time the one without which the class keeps the highest logit, for
as long as the class stays on top.

Conventions: images float32 NCHW; prompts come first among the tokens, in the order of the classes. Only prompts and
the shared layer are trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lib.models.attention import block_attention

START = 0.02  # deviation of the first prompts, that of timm's tokens and positions


class PromptCAM(nn.Module):
    """A frozen ViT with class prompts.

    Parameters
    ----------
    backbone : nn.Module
        timm VisionTransformer; it is frozen, its own head is not used.
    classes : int
        One prompt per class in every block.

    Raises
    ------
    ValueError
        If the backbone is no timm ViT of plain blocks, or there are fewer than two classes.
    """

    def __init__(self, backbone: nn.Module, classes: int) -> None:
        super().__init__()
        if not hasattr(backbone, "blocks") or not hasattr(backbone, "patch_embed"):
            raise ValueError(f"backbone must be a timm VisionTransformer, got {type(backbone).__name__}")
        if any(getattr(block.attn, "gate", None) is not None for block in backbone.blocks):  # type: ignore[union-attr]
            raise ValueError("backbone must have plain attention, got gated attention; take a ViT without gates")
        if classes < 2:
            raise ValueError(f"classes must be at least 2, got {classes}; a lone prompt has nothing to differ from")
        body: Any = backbone.requires_grad_(False)
        self.backbone = body
        depth, width = len(body.blocks), int(body.embed_dim)
        self.prompts = nn.Parameter(torch.randn(depth, classes, width) * START)
        self.head = nn.Linear(width, 1)

    def train(self, mode: bool = True) -> PromptCAM:
        """Set the training flag of the prompts; the frozen backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) to logits (n, classes)."""
        return self.classify(self.before_last(images))

    def before_last(self, images: Tensor) -> Tensor:
        """What enters the last block, float (n, classes + tokens, width), the last block's prompts first."""
        body = self.backbone
        tokens = body.norm_pre(body.patch_drop(body._pos_embed(body.patch_embed(images))))
        classes = self.prompts.shape[1]
        for block, prompts in zip(body.blocks[:-1], self.prompts[:-1], strict=True):
            tokens = block(torch.cat([prompts.expand(len(tokens), -1, -1), tokens], 1))[:, classes:]
        return torch.cat([self.prompts[-1].expand(len(tokens), -1, -1), tokens], 1)

    def classify(self, tokens: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """Run the last block for the prompts alone.

        Parameters
        ----------
        tokens : Tensor (n, classes + tokens, width)
            From `before_last`.
        keep : Tensor (n, heads), optional
            Factor of each head of the last block; 0 silences it.

        Returns
        -------
        Tensor (n, classes)
            Logits.
        """
        block = self.backbone.blocks[-1]
        n, count, _ = tokens.shape
        classes, heads = self.prompts.shape[1], block.attn.num_heads
        weights = block_attention(block, tokens)[:, :, :classes]  # (n, heads, classes, tokens)
        value = block.attn.qkv(block.norm1(tokens)).view(n, count, 3, heads, -1)[:, :, 2].transpose(1, 2)
        mixed = weights @ value  # (n, heads, classes, d)
        if keep is not None:
            mixed = mixed * keep[:, :, None, None]
        mixed = block.attn.proj(block.attn.norm(mixed.transpose(1, 2).reshape(n, classes, -1)))
        found = tokens[:, :classes] + block.ls1(mixed)
        found = found + block.ls2(block.mlp(block.norm2(found)))
        return self.head(self.backbone.norm(found))[..., 0]

    def traits(self, tokens: Tensor, target: Tensor) -> Tensor:
        """Attention of the target's prompt to the patches in the last block.

        Parameters
        ----------
        tokens : Tensor (n, classes + tokens, width)
            From `before_last`.
        target : Tensor, int64 (n,)

        Returns
        -------
        Tensor (n, heads, patches), >= 0
            A head's patches sum to at most one; the rest goes to prompts and class token.
        """
        weights = block_attention(self.backbone.blocks[-1], tokens)
        skip = self.prompts.shape[1] + self.backbone.num_prefix_tokens
        return weights[torch.arange(len(tokens), device=tokens.device), :, target, skip:]


@torch.no_grad()
def prune_heads(model: PromptCAM, tokens: Tensor, target: Tensor) -> Tensor:
    """Silence heads of the last block greedily while the target stays the best class.

    Parameters
    ----------
    model : PromptCAM
    tokens : Tensor (n, classes + tokens, width)
        From `PromptCAM.before_last`.
    target : Tensor, int64 (n,)

    Returns
    -------
    Tensor, bool (n, heads)
        Heads that are left, at least one. All of them where the target is not the best class to begin with.

    Source
    ------
    arXiv:2501.09333, in the form described in this module's docstring.
    """
    n, heads = len(tokens), model.backbone.blocks[-1].attn.num_heads
    kept = torch.ones(n, heads, dtype=torch.bool, device=tokens.device)
    active = model.classify(tokens).argmax(1) == target
    for _ in range(heads - 1):
        scores = torch.full((n, heads), -torch.inf, device=tokens.device)
        for head in range(heads):
            tried = kept.clone()
            tried[:, head] = False
            logits = model.classify(tokens, keep=tried.to(tokens.dtype))
            fits = kept[:, head] & (logits.argmax(1) == target)
            own = logits.gather(1, target[:, None])[:, 0]
            scores[:, head] = torch.where(fits, own, -torch.inf)
        best, which = scores.max(1)
        active = active & (best > -torch.inf)
        kept[active, which[active]] = False
    return kept
