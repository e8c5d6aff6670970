"""The map that Prompt-CAM reads off: attention of a class's prompt to the patches.

Paper: Chowdhury et al. 2025, Prompt-CAM (arXiv:2501.09333). Difference: pixels take the value of their patch; pruning
of heads as `lib.models.prompt_cam.prune_heads` does it.

Conventions: see `lib.explain`; the score must be a `lib.models.prompt_cam.PromptCAM`. Maps are >= 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.explain import check_inputs
from lib.models.prompt_cam import PromptCAM, prune_heads
from lib.train import evaluating


def prompt_attention(
    score: PromptCAM,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 64,
    pruned: bool = False,
) -> Tensor:
    """Attention from the target's prompt to the patches in the last block, mean over heads.

    Parameters
    ----------
    score : PromptCAM
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : Tensor, int64 (n,)
        Class whose prompt is read.
    generator : torch.Generator, optional
        Unused: there is no chance in it.
    max_batch : int, images
    pruned : bool
        Average only over the heads that greedy pruning leaves.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0
        0 = the prompt does not attend to the patch. The patches of an image sum to at most one.

    Raises
    ------
    ValueError
        If the score is no PromptCAM, or shapes do not fit together.
    """
    check_inputs(images, target, max_batch)
    if not isinstance(score, PromptCAM):
        raise ValueError(f"score must be a PromptCAM, got {type(score).__name__}; train one on the frozen ViT first")
    pieces = []
    with evaluating(score), torch.no_grad():
        for piece, wanted in zip(images.split(max_batch), target.split(max_batch), strict=True):
            tokens = score.before_last(piece)
            found = score.traits(tokens, wanted)  # (n, heads, patches)
            kept = prune_heads(score, tokens, wanted) if pruned else torch.ones_like(found[..., 0], dtype=torch.bool)
            share = kept.to(found.dtype) / kept.sum(1, keepdim=True)
            pieces.append((found * share[..., None]).sum(1))
    rows, columns = score.backbone.patch_embed.grid_size
    small = torch.cat(pieces).unflatten(1, (rows, columns))[:, None].float()
    return nn.functional.interpolate(small, size=tuple(images.shape[-2:]), mode="nearest")[:, 0]
