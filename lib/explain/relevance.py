"""What a vision transformer's class token takes from each patch: attention, rollout, and class-specific relevance.

Papers: Abnar & Zuidema 2020 (arXiv:2005.00928, attention rollout); Chefer, Gur & Wolf, CVPR 2021 (arXiv:2012.09838,
gradients times layer-wise relevance); Chefer, Gur & Wolf, ICCV 2021 (arXiv:2103.15679, the same with
attention in the place of relevance).

Differences: the public code of both relevance methods needs a rewritten ViT and explains one image at a time; here
hooks read an ordinary timm ViT and every image of a batch is on its own, also where relevance is divided between a
block and its shortcut, which that code does over the whole batch. Relevance is propagated in float64. Pixels take the
value of their patch; nothing is smoothed.

Conventions: see `lib.explain`; the score must be a `lib.explain.transformer.Transformer`. All maps are >= 0. Raw
attention and rollout do not look at ``target``: they are the same for every class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lib.explain import check_inputs
from lib.explain.lrp import LAYERS, propagate
from lib.explain.transformer import ATTENTION, Tape, Transformer, recorded

Joint = Callable[[Transformer, Tensor, Tensor], Tensor]


def attention(score: Transformer, images: Tensor, *, max_batch: int = 64) -> Tensor:
    """Attention of every block.

    Parameters
    ----------
    score : Transformer
    images : Tensor, float32 (n, c, h, w)
    max_batch : int, images

    Returns
    -------
    Tensor, float32 (n, blocks, heads, tokens, tokens)
        Queries by keys; every row sums to one.
    """
    _check(score, images, torch.zeros(len(images), dtype=torch.int64), max_batch)
    return torch.cat([torch.stack(_attention(score, piece), 1) for piece in images.split(max_batch)]).float()


def raw_attention(
    score: Transformer,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 64,
    block: int = -1,
) -> Tensor:
    """Attention from the class token to the patches in one block, mean over heads.

    Parameters
    ----------
    score : Transformer
        From `lib.explain.transformer.transformer`. Where it pools by mean, the mean over patches takes the place of
        the class token.
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : Tensor, int64 (n,)
        Not used: attention is the same for every class.
    generator : torch.Generator, optional
        Unused: there is no chance in it.
    max_batch : int, images
    block : int
        Which block; -1 = the last.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0
        0 = the patch is not attended to. The patches of an image sum to at most one.

    Raises
    ------
    ValueError
        If the score is no Transformer, shapes do not fit together, or there is no such block.
    """
    _check(score, images, target, max_batch)
    depth = len(score.body.blocks)
    if not -depth <= block < depth:
        raise ValueError(f"block must be in [{-depth}, {depth - 1}], got {block}; -1 is the last one")

    def joint(vit: Transformer, piece: Tensor, _: Tensor) -> Tensor:
        return _attention(vit, piece)[block].mean(1)

    return _maps(joint, score, images, target, max_batch)


def rollout(
    score: Transformer,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 64,
) -> Tensor:
    """Attention followed through all blocks: the product of (attention + identity) / 2, mean over heads.

    Parameters, Raises
        As `raw_attention`.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0
        The patches of an image sum to at most one; the rest stayed with the class token.

    Source
    ------
    Abnar & Zuidema 2020, arXiv:2005.00928.
    """
    _check(score, images, target, max_batch)

    def joint(vit: Transformer, piece: Tensor, _: Tensor) -> Tensor:
        return rolled([each.mean(1) for each in _attention(vit, piece)])

    return _maps(joint, score, images, target, max_batch)


def gradient_rollout(
    score: Transformer,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 64,
) -> Tensor:
    """Attention times its gradient, positive part, mean over heads, added up through the blocks.

    Each block adds to the relevance found so far what its weighted attention makes of it, starting from the identity.

    Parameters, Raises
        As `raw_attention`, but ``target`` is the class explained.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0
        0 = no path on which more attention would raise the target's score.

    Source
    ------
    Chefer, Gur & Wolf 2021, arXiv:2103.15679, the rule for self-attention.
    """
    _check(score, images, target, max_batch)

    def joint(vit: Transformer, piece: Tensor, wanted: Tensor) -> Tensor:
        tape, slopes = _with_gradients(vit, piece, wanted, (ATTENTION,))
        return gathered([(s * a.detach()).clamp_min(0).mean(1) for s, a in zip(slopes, tape.attention(), strict=True)])

    return _maps(joint, score, images, target, max_batch)


def relevance(
    score: Transformer,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 64,
) -> Tensor:
    """Layer-wise relevance of the attention times its gradient, positive part, mean over heads, gathered over blocks.

    Parameters, Raises
        As `raw_attention`, but ``target`` is the class explained.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0
        0 = nothing of the target's score reached the class token from this patch.

    Source
    ------
    Chefer, Gur & Wolf 2021, arXiv:2012.09838: relevance by alpha = 1, beta = 0. Rows are not scaled, as in the public
    code of 2023; a scaling that it once had is commented out there.
    """
    _check(score, images, target, max_batch)

    def joint(vit: Transformer, piece: Tensor, wanted: Tensor) -> Tensor:
        tape, slopes = _with_gradients(vit, piece, wanted, LAYERS)
        found = propagate(vit, tape, wanted)
        return gathered([(s * r).clamp_min(0).mean(1) for s, r in zip(slopes, found, strict=True)])

    return _maps(joint, score, images, target, max_batch)


def gathered(matrices: Sequence[Tensor]) -> Tensor:
    """Product over blocks, the last one leftmost, of (matrix + identity): the sum over all paths through the blocks.

    Parameters
    ----------
    matrices : sequence of Tensor (n, tokens, tokens), >= 0
        From the first block to the last.

    Returns
    -------
    Tensor (n, tokens, tokens)
        The identity where all matrices are 0.

    Examples
    --------
    >>> gathered([torch.tensor([[[0.0, 2.0], [0.0, 0.0]]])])
    tensor([[[1., 2.],
             [0., 1.]]])
    """
    joint = _identity(matrices[0])
    for matrix in matrices:
        joint = joint + matrix @ joint
    return joint


def rolled(matrices: Sequence[Tensor]) -> Tensor:
    """Product over blocks, the last one leftmost, of (matrix + identity) with rows scaled to sum one.

    Parameters
        As `gathered`.

    Returns
    -------
    Tensor (n, tokens, tokens)
        Rows sum to one.

    Examples
    --------
    >>> rolled([torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])])
    tensor([[[0.5000, 0.5000],
             [0.5000, 0.5000]]])
    """
    joint = _identity(matrices[0])
    for matrix in matrices:
        step = matrix + _identity(matrix)
        joint = step / step.sum(-1, keepdim=True) @ joint
    return joint


def _identity(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)


def _with_gradients(
    vit: Transformer, images: Tensor, target: Tensor, names: tuple[str, ...]
) -> tuple[Tape, list[Tensor]]:
    """Record one forward pass, and the gradient of the target's logit by each block's attention."""
    with torch.enable_grad(), recorded(vit, names) as tape:
        scores = vit(images.detach().clone().requires_grad_(True))
        chosen = scores.gather(1, target[:, None]).sum()
        slopes = torch.autograd.grad(chosen, tape.attention())
    return tape, list(slopes)


@torch.no_grad()
def _attention(vit: Transformer, images: Tensor) -> list[Tensor]:
    with recorded(vit) as tape:
        vit(images)
    return tape.attention()


def _maps(joint: Joint, score: Transformer, images: Tensor, target: Tensor, max_batch: int) -> Tensor:
    """Explain piece by piece and read the pooled token's row."""
    pieces = zip(images.split(max_batch), target.split(max_batch), strict=True)
    size = images.shape[-2:]
    return torch.cat([score.picture(score.readout(joint(score, *piece)), size) for piece in pieces])


def _check(score: Transformer, images: Tensor, target: Tensor, max_batch: int) -> None:
    check_inputs(images, target, max_batch)
    if not isinstance(score, Transformer):
        raise ValueError(
            f"score must be a Transformer, got {type(score).__name__}; wrap it with lib.explain.transformer.transformer"
        )
