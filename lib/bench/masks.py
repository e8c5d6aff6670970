"""The cases of masked image modelling: samplers of masks beside their published forms, then `lib.bench.steps`.

Targets come from the throughputs measured in the public code of the papers; where none was set, the target is 1: no
slower. The default sizes are those of a ViT/16 at 224 px: 256 images, 14 x 14 tokens, three of four hidden.

What is fair here: a peer is stated as published (`lib.bench.published`), with its sorts, copies
and loops, on the same threads and the same torch; preparation (banks, weights, the noise factor) is timed for neither.
Before timing, masks must have the same shape and count.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib import masks
from lib.bench import published, steps
from lib.bench.harness import AnotherJob, Case, Pair, same_value
from lib.masks import hard
from lib.models import hpm

MAE_PUBLIC = "facebookresearch/mae efb2a80, stated anew"
COLOUR_PUBLIC = "carlosh93/ColorMAE f0ad557, stated anew"
HPM_PUBLIC = "Haochen-Wang409/HPM c15ae90, stated anew"
BEIT_PUBLIC = "microsoft/unilm 2312c6f, stated anew"
LIGHTLY_PUBLIC = "lightly 1.5.22, stated anew"
RATIO = 0.75


@dataclass(frozen=True)
class Sizes:
    """How large the cases are: images, tokens on a side, patterns of the bank and their side, token dimensions."""

    batch: int = 256
    side: int = 14
    patterns: int = 3072
    pattern_side: int = 64
    widths: tuple[int, ...] = (192, 768)

    @property
    def tokens(self) -> int:
        """Tokens of one image."""
        return self.side * self.side

    @property
    def hidden(self) -> int:
        """Hidden tokens of one image."""
        return round(RATIO * self.tokens)


def cases(sizes: Sizes | None = None, *, networks: Sequence[steps.Network] = (steps.TINY,)) -> list[Case]:
    """All cases, in the order of the table.

    Parameters
    ----------
    sizes : Sizes, optional
        Of the masks.
    networks : sequence of Network
        Each gives two cases of a pretraining step.
    """
    sizes = sizes or Sizes()
    found = [random_alone(sizes), random_shuffled(sizes)]
    found += [random_gathered(sizes, width) for width in sizes.widths]
    found += [coloured(sizes, name) for name in ("green", "red", "blue", "purple")]
    found += [banked(sizes), block_grown(sizes), block_filled(sizes), lattice(sizes), hard_patches(sizes)]
    found += [ranking(sizes), ranking_trained(sizes)]
    for network in networks:
        found += steps.cases(network)
    return found


def random_alone(sizes: Sizes) -> Case:
    """Random masks and nothing else. The peer's tokens have one dimension, so its gather costs next to nothing."""

    def setup() -> Pair:
        tokens, ours, theirs = torch.rand(sizes.batch, sizes.tokens, 1), _generator(), _generator()
        peer = partial(published.mae_masking, tokens, ratio=RATIO, generator=theirs)
        return Pair(_sampler(masks.random, sizes, ours), peer, lambda a, b: _same_masks(a, b[1], sizes))

    return _masks("random masks", sizes, 3.5, MAE_PUBLIC, setup)


def random_shuffled(sizes: Sizes) -> Case:
    """Random masks beside a shuffle for each image, which the public code runs in the workers of a data loader."""

    def setup() -> Pair:
        peer = partial(published.shuffled_masks, sizes.batch, sizes.tokens, ratio=RATIO, rng=_legacy())
        return Pair(_sampler(masks.random, sizes, _generator()), peer, lambda a, b: _same_masks(a, b, sizes))

    return _masks("random masks, shuffled one by one", sizes, 1.0, HPM_PUBLIC, setup)


def random_gathered(sizes: Sizes, width: int) -> Case:
    """Random masks and the visible tokens of embedded patches: what the public code always does together."""

    def setup() -> Pair:
        tokens = torch.rand(sizes.batch, sizes.tokens, width)
        draw = _sampler(masks.random, sizes, _generator())

        def ours() -> tuple[Tensor, Tensor]:
            hidden = draw()
            return tokens[~hidden].view(sizes.batch, -1, width), hidden

        def agree(a: tuple[Tensor, Tensor], b: tuple[Tensor, ...]) -> None:
            _same_masks(a[1], b[1], sizes)
            for visible, hidden in ((a[0], a[1]), (b[0], b[1].bool())):
                kept = tokens[~hidden].view(sizes.batch, -1, width)
                if visible.shape != kept.shape or not torch.allclose(visible.sum(1), kept.sum(1), rtol=1e-3):
                    raise AnotherJob("the tokens gathered are not the visible ones")

        return Pair(ours, partial(published.mae_masking, tokens, ratio=RATIO, generator=_generator()), agree)

    return _masks(f"random masks and the visible tokens, dimension {width}", sizes, 1.0, MAE_PUBLIC, setup)


def coloured(sizes: Sizes, colour: str) -> Case:
    """Masks of one colour, each from fresh noise, beside a crop of a bank that gives the same patterns every time."""
    sampler: Callable[..., Tensor] = getattr(masks, colour)

    def setup() -> Pair:
        return _beside_bank(_sampler(sampler, sizes, _generator()), _bank(sizes, colour), sizes)

    return _masks(f"{colour} masks", sizes, 4.0, COLOUR_PUBLIC, setup)


def banked(sizes: Sizes) -> Case:
    """Green masks from the same bank; ours draws pattern, crop and flips for each image, the peer once for all."""

    def setup() -> Pair:
        bank = _bank(sizes, "green")
        return _beside_bank(_sampler(masks.from_bank, sizes, _generator(), patterns=bank), bank, sizes)

    return _masks("green masks from a bank", sizes, 4.0, COLOUR_PUBLIC, setup)


def block_grown(sizes: Sizes) -> Case:
    """Blocks of at least 16 of 196 patches beside BEiT's growth, which often stops short of the count."""
    smallest = max(1, round(sizes.tokens * 16 / 196))
    return _blocks(
        "block masks, grown patch by patch",
        sizes,
        BEIT_PUBLIC,
        published.grown_blocks,
        smallest / sizes.tokens,
        smallest,
    )


def block_filled(sizes: Sizes) -> Case:
    """Blocks of at least 4 patches beside lightly's loop over images, which often stops short of the count."""
    return _blocks(
        "block masks, filled image by image", sizes, LIGHTLY_PUBLIC, published.filled_blocks, 4 / sizes.tokens, 4
    )


def lattice(sizes: Sizes) -> Case:
    """One visible token in every 2 x 2 cell beside a shuffled table of cells for each image."""

    def setup() -> Pair:
        peer = partial(published.lattice_masks, sizes.batch, sizes.side, rng=_legacy())
        return Pair(_sampler(masks.jittered_grid, sizes, _generator()), peer, lambda a, b: _same_masks(a, b, sizes))

    return _masks("grid masks, one in each cell", sizes, 1.0, HPM_PUBLIC, setup)


def hard_patches(sizes: Sizes) -> Case:
    """Masks that follow a predicted loss, in the middle of the schedule; the prediction itself is timed for neither."""

    def setup() -> Pair:
        predicted, share, ours = torch.rand(sizes.batch, sizes.tokens), 0.25, _generator()
        return Pair(
            lambda: hard.hard_patches(predicted, ratio=RATIO, alpha=share, generator=ours),
            partial(published.hard_masks, predicted, ratio=RATIO, share=share, rng=_legacy()),
            lambda a, b: _same_hard(a, b, predicted, int(share * sizes.hidden), sizes),
        )

    return _masks("hard-patch masks", sizes, 5.0, HPM_PUBLIC, setup)


def ranking(sizes: Sizes) -> Case:
    """The pairwise loss of a loss predictor, forward only; ours does without the peer's 1e-6 under the logarithm."""

    def setup() -> Pair:
        pair = torch.randn(2, sizes.batch, sizes.hidden, generator=_generator()).unbind()
        return Pair(partial(hpm.relative_loss, *pair), partial(published.ranking_loss, *pair), same_value)

    return Case("pairwise ranking loss", "images", sizes.batch, 10.0, HPM_PUBLIC, setup)


def ranking_trained(sizes: Sizes) -> Case:
    """The same loss with its gradient, which is what a training step pays for."""

    def setup() -> Pair:
        predicted, true = torch.randn(2, sizes.batch, sizes.hidden, generator=_generator()).unbind()
        predicted.requires_grad_()

        def gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
            return torch.autograd.grad(loss(predicted, true), predicted)[0]

        ours, peer = partial(gradient, hpm.relative_loss), partial(gradient, published.ranking_loss)
        return Pair(ours, peer, lambda a, b: same_value(a, b, what="gradients"))

    return Case("pairwise ranking loss and its gradient", "images", sizes.batch, 10.0, HPM_PUBLIC, setup)


def _masks(name: str, sizes: Sizes, target: float, peer: str, setup: Callable[[], Pair]) -> Case:
    return Case(name, "masks", sizes.batch, target, peer, setup)


def _blocks(
    name: str, sizes: Sizes, peer_version: str, grow: Callable[..., Tensor], share: float, smallest: int
) -> Case:
    def setup() -> Pair:
        peer = partial(grow, sizes.batch, sizes.side, count=sizes.hidden, rng=random.Random(0), smallest=smallest)
        ours = _sampler(masks.block, sizes, _generator(), smallest=share)
        return Pair(ours, peer, lambda a, b: _same_masks(a, b, sizes, short=0.1))

    return _masks(name, sizes, 10.0, peer_version, setup)


def _beside_bank(ours: Callable[[], Tensor], bank: Tensor, sizes: Sizes) -> Pair:
    peer = partial(published.colour_masking, bank, sizes.batch, side=sizes.side, ratio=RATIO, generator=_generator())
    return Pair(ours, peer, lambda a, b: _same_masks(a, b[0], sizes))


def _sampler(
    sampler: Callable[..., Tensor], sizes: Sizes, generator: torch.Generator, **options: Any
) -> Callable[[], Tensor]:
    return partial(sampler, sizes.batch, sizes.side, ratio=RATIO, generator=generator, **options)


def _bank(sizes: Sizes, colour: str) -> Tensor:
    filters = {name: getattr(masks, f"{name}_filter") for name in ("red", "blue", "green", "purple")}
    return masks.bank(sizes.patterns, sizes.pattern_side, colour=filters[colour](), generator=_generator())


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _legacy() -> np.random.RandomState:
    """numpy's old generator, which the public code uses; its shuffle of rows is the faster one."""
    return np.random.RandomState(0)


def _same_masks(ours: Tensor, peer: Tensor, sizes: Sizes, *, short: float = 0.0) -> None:
    """Check shapes and counts: ours exact, the peer's exact too or, on average, at most a share ``short`` below."""
    shape = (sizes.batch, sizes.tokens)
    if tuple(ours.shape) != shape or tuple(peer.shape) != shape:
        raise AnotherJob(f"masks must have shape {shape}, got {tuple(ours.shape)} and {tuple(peer.shape)}")
    counts = ours.bool().sum(1), peer.bool().sum(1)
    if (counts[0] != sizes.hidden).any():
        raise AnotherJob(f"ours must hide {sizes.hidden} tokens, got {counts[0].unique().tolist()}")
    if (counts[1] > sizes.hidden).any() or counts[1].float().mean() < (1 - short) * sizes.hidden:
        raise AnotherJob(f"the peer must hide {sizes.hidden} tokens, got {counts[1].unique().tolist()}")


def _same_hard(ours: Tensor, peer: Tensor, predicted: Tensor, hardest: int, sizes: Sizes) -> None:
    _same_masks(ours, peer, sizes)
    first = predicted.topk(hardest, dim=1).indices
    for mask in (ours, peer):
        if not mask.bool().gather(1, first).all():
            raise AnotherJob(f"the {hardest} patches of highest predicted loss must be hidden")
