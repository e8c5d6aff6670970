"""Layer-wise relevance through an ordinary timm ViT, from what its modules saw.

Papers: Bach et al. 2015 (layer-wise relevance propagation); Chefer, Gur & Wolf, CVPR 2021 (arXiv:2012.09838), with
alpha = 1 and beta = 0 in linear layers and totals kept where two tensors are added or multiplied.

Differences: the rules act on recorded tensors, so the network is any timm ViT with plain blocks and not one rewritten
layer by layer; totals are kept for each image, where the public code keeps them over the batch.

Conventions: float64. Norms, activations, softmax and layer scale pass relevance on unchanged; offsets take no part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lib.explain.transformer import ATTENTION, Tape, Transformer

BRANCHES = ("ls1", "ls2")  # what a block adds to its input, twice
LAYERS = (
    "norm1", "attn.qkv", "attn.q_norm", "attn.k_norm", ATTENTION, "attn.proj", "norm2", "mlp.fc1", "mlp.fc2", *BRANCHES,
)  # fmt: skip


@torch.no_grad()
def propagate(vit: Transformer, tape: Tape, target: Tensor) -> list[Tensor]:
    """Layer-wise relevance of every attention matrix, from the target's logit down to the first block.

    Parameters
    ----------
    vit : Transformer
    tape : Tape
        Of a forward pass recorded with ``LAYERS``.
    target : Tensor, int64 (n,)

    Returns
    -------
    list of Tensor, float64 (n, heads, tokens, tokens)
        From the first block to the last. A block's matrix gets half of what its attention branch got.
    """
    body = vit.body
    tokens = tape.left[-1]["norm"].double()  # (n, tokens, d)
    pooled = tape.entered[-1]["head"].double()  # (n, d)
    one = torch.nn.functional.one_hot(target, body.head.out_features).double()
    at_pool = linear_rule(pooled, body.head.weight.double(), one)
    flowing = torch.zeros_like(tokens)
    if body.global_pool == "token":
        flowing[:, 0] = at_pool
    else:
        patches = tokens[:, body.num_prefix_tokens :]
        flowing[:, body.num_prefix_tokens :] = patches * _divide(at_pool, patches.sum(1))[:, None]
    found = []
    for at in range(len(body.blocks) - 1, -1, -1):
        matrix, flowing = _through_block(body.blocks[at], tape.entered[at], tape.left[at], flowing)
        found.append(matrix)
    return found[::-1]


def linear_rule(x: Tensor, weight: Tensor, relevance: Tensor) -> Tensor:
    """Relevance of a linear layer's inputs: each output's share is divided among its positive contributions.

    Parameters
    ----------
    x : Tensor (..., d_in)
    weight : Tensor (d_out, d_in)
    relevance : Tensor (..., d_out)

    Returns
    -------
    Tensor (..., d_in)
        Sums to the relevance of the outputs that have a positive contribution; the offset takes no part.

    Source
    ------
    alpha = 1, beta = 0 rule, as used by arXiv:2012.09838.
    """
    above, below = x.clamp_min(0), x.clamp_max(0)
    up, down = weight.clamp_min(0), weight.clamp_max(0)
    share = _divide(relevance, above @ up.T + below @ down.T)
    return above * (share @ up) + below * (share @ down)


def product_rule(first: Tensor, second: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
    """Relevance of two factors of a matrix product: by contribution, half of the total to each."""
    share = _divide(relevance, first @ second)
    return first * (share @ second.mT) / 2, second * (first.mT @ share) / 2


def sum_rule(first: Tensor, second: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
    """Relevance of two summands (n, tokens, d): by contribution, then scaled per image so that both add up to it.

    Summands of opposite sign would otherwise take relevance without bound; each gets the magnitude of its total as
    its share.
    """
    share = _divide(relevance, first + second)
    parts = first * share, second * share
    totals = [part.sum((1, 2), keepdim=True) for part in parts]
    whole = _divide(relevance.sum((1, 2), keepdim=True), totals[0].abs() + totals[1].abs())
    left, right = (part * total.sign() * whole for part, total in zip(parts, totals, strict=True))
    return left, right


def _through_block(
    block: torch.nn.Module, entered: dict[str, Tensor], left: dict[str, Tensor], flowing: Tensor
) -> tuple[Tensor, Tensor]:
    """Relevance of a block's attention matrix, and of what entered the block; norms and activations pass it on."""
    middle, branch = entered["norm2"].double(), left["ls2"].double()
    stays, moves = sum_rule(middle, branch, flowing)
    for name in ("mlp.fc2", "mlp.fc1"):
        moves = linear_rule(entered[name].double(), _weight(block, name), moves)
    flowing = stays + moves
    stays, moves = sum_rule(entered["norm1"].double(), left["ls1"].double(), flowing)
    moves = linear_rule(entered["attn.proj"].double(), _weight(block, "attn.proj"), moves)
    weights = left[ATTENTION].double()  # (n, heads, tokens, tokens)
    n, heads, count, _ = weights.shape
    value = left["attn.qkv"].double().view(n, count, 3, heads, -1)[:, :, 2].transpose(1, 2)
    matrix, of_value = product_rule(weights, value, moves.view(n, count, heads, -1).transpose(1, 2))
    query, key = left["attn.q_norm"].double(), left["attn.k_norm"].double()
    of_query, of_key = product_rule(query, key.mT, matrix)
    together = torch.stack([of_query, of_key.mT, of_value]).permute(1, 3, 0, 2, 4)  # (n, tokens, 3, heads, d)
    moves = linear_rule(entered["attn.qkv"].double(), _weight(block, "attn.qkv"), together.reshape(n, count, -1))
    return matrix, stays + moves


def _weight(block: torch.nn.Module, name: str) -> Tensor:
    layer = block.get_submodule(name)
    if not isinstance(layer, torch.nn.Linear):
        raise ValueError(
            f"{name} must be a linear layer for relevance, got {type(layer).__name__}; use gradient_rollout"
        )
    return layer.weight.double()


def _divide(part: Tensor, whole: Tensor) -> Tensor:
    """Quotient, 0 where the divisor is 0."""
    zero = whole == 0
    return torch.where(zero, 0.0, part / torch.where(zero, 1.0, whole))
