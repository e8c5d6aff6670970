"""A vision transformer that can be read: its attention, and what enters its layers, without rewriting the model.

timm (Wightman, https://github.com/huggingface/pytorch-image-models) computes attention in fused kernels that never
hold the matrix. Inside `recorded` every block takes timm's own unfused path, whose softmax passes through a dropout
module where a hook picks it up, still part of the gradient's graph. Flags and hooks are put back afterwards.

Conventions: attention is (n, heads, queries, keys), rows sum to one. Tokens are first the prefix (class token,
registers), then the patches in reading order. Methods work on `Transformer`, which is also a score.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lib.train import evaluating

ATTENTION = "attn.attn_drop"  # the module of a block whose output is the attention


@dataclass(frozen=True)
class Transformer:
    """A network and the timm ViT inside it; called on images it gives the network's scores.

    Attributes
    ----------
    network : nn.Module
        Images (m, c, h, w) to logits (m, classes): the ViT itself or a module around it, say one that normalises.
    body : timm VisionTransformer
        With ``blocks``, ``patch_embed`` and a linear ``head``, pooling by class token or by mean.
    """

    network: nn.Module
    body: Any

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (m, classes)."""
        scores: Tensor = self.network(images)
        return scores

    @property
    def grid(self) -> tuple[int, int]:
        """Patches per column and per row."""
        rows, columns = self.body.patch_embed.grid_size
        return int(rows), int(columns)

    def readout(self, matrices: Tensor) -> Tensor:
        """What the pooled token takes from each patch: (n, tokens, tokens) to (n, patches).

        The row of the class token, or the mean over the patches' rows where the ViT pools by mean.
        """
        prefix = self.body.num_prefix_tokens
        row = matrices[:, 0] if self.body.global_pool == "token" else matrices[:, prefix:].mean(1)
        return row[:, prefix:]

    def picture(self, patches: Tensor, size: torch.Size) -> Tensor:
        """Give every pixel the value of its patch, (n, patches) to float32 (n, h, w)."""
        small = patches.unflatten(1, self.grid)[:, None].float()
        return nn.functional.interpolate(small, size=tuple(size), mode="nearest")[:, 0].detach()


def transformer(network: nn.Module) -> Transformer:
    """Find the timm ViT in a network.

    Parameters
    ----------
    network : nn.Module
        A timm VisionTransformer, or a module that holds exactly one.

    Returns
    -------
    Transformer

    Raises
    ------
    ValueError
        If there is none or more than one, if it pools in another way than by class token or mean, has no linear
        head, or its attention is not timm's plain self-attention.

    Examples
    --------
    >>> from lib.models.vit import small_vit
    >>> transformer(small_vit((8, 16), channels=1, classes=3, patch=4, width=8, depth=2, heads=2)).grid
    (2, 4)
    """
    found = [each for each in network.modules() if hasattr(each, "blocks") and hasattr(each, "patch_embed")]
    if len(found) != 1:
        raise ValueError(f"network must hold one timm VisionTransformer, got {len(found)} in {type(network).__name__}")
    body: Any = found[0]
    if body.global_pool not in ("token", "avg") or not isinstance(body.head, nn.Linear):
        raise ValueError(
            f"network must pool by 'token' or 'avg' into a linear head, got {body.global_pool!r} and "
            f"{type(body.head).__name__}; build it with num_classes > 0"
        )
    parts = ("qkv", "q_norm", "k_norm", "attn_drop", "proj", "fused_attn")
    for number, block in enumerate(body.blocks):
        missing = [part for part in parts if not hasattr(getattr(block, "attn", None), part)]
        if missing:
            raise ValueError(f"block {number} must be timm's plain Block, its attention lacks {', '.join(missing)}")
    return Transformer(network, body)


@dataclass(frozen=True)
class Tape:
    """What the modules of each block saw: ``entered[block][name]`` and ``left[block][name]``, in the gradient's graph.

    Block -1 is the ViT itself, with its ``norm`` and ``head``.
    """

    entered: dict[int, dict[str, Tensor]]
    left: dict[int, dict[str, Tensor]]

    def attention(self) -> list[Tensor]:
        """Attention of every block, (n, heads, tokens, tokens)."""
        return [self.left[block][ATTENTION] for block in sorted(self.left) if block >= 0]


@contextlib.contextmanager
def recorded(vit: Transformer, names: Iterable[str] = (ATTENTION,)) -> Iterator[Tape]:
    """Record modules of every block while the network runs; leave the network as it was.

    Parameters
    ----------
    vit : Transformer
    names : iterable of str
        Modules inside a block by their path. ``ATTENTION`` should be among them.

    Yields
    ------
    Tape
        Filled anew by every forward pass within the block of code.
    """
    blocks = list(vit.body.blocks)
    tape = Tape({at: {} for at in range(-1, len(blocks))}, {at: {} for at in range(-1, len(blocks))})
    flags = [block.attn.fused_attn for block in blocks]
    places = [(at, name, block.get_submodule(name)) for at, block in enumerate(blocks) for name in names]
    places += [(-1, name, getattr(vit.body, name)) for name in ("norm", "head")]
    hooks = []
    try:
        for at, name, module in places:

            def keep(_: nn.Module, given: tuple[Tensor, ...], out: Tensor, at: int = at, name: str = name) -> None:
                tape.entered[at][name], tape.left[at][name] = given[0], out

            hooks.append(module.register_forward_hook(keep))
        for block in blocks:
            block.attn.fused_attn = False
        with evaluating(vit.network):
            yield tape
    finally:
        for hook in hooks:
            hook.remove()
        for block, flag in zip(blocks, flags, strict=True):
            block.attn.fused_attn = flag
