"""The cases of a pretraining step of a masked autoencoder: beside the plain formulation, and beside its bare blocks.

A step is masks, forward, backward and AdamW in float32, on images that lie in memory: no augmentation, clipping or
learning-rate schedule. Before timing, the plain formulation gets the same weights and the same mask, and must give the
same loss and gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib import masks
from lib.bench.harness import AnotherJob, Case, Pair, same_value
from lib.bench.plain_mae import BareBlocks, PlainMAE
from lib.models import mae

PLAIN = "facebookresearch/mae efb2a80 on timm 0.3.2, stated anew"
BARE = "its own encoder and decoder"
RATIO = 0.75


@dataclass(frozen=True)
class Network:
    """Sizes of a masked autoencoder and of its batch."""

    name: str
    batch: int
    pixels: int
    patch: int
    width: int
    depth: int
    heads: int
    decoder_width: int
    decoder_depth: int
    decoder_heads: int

    def model(self) -> mae.MAE:
        """Build it, always with the same weights, ready to train."""
        return mae.MAE(
            self.pixels, channels=3, patch=self.patch, width=self.width, depth=self.depth, heads=self.heads,
            decoder_width=self.decoder_width, decoder_depth=self.decoder_depth, decoder_heads=self.decoder_heads,
            generator=_generator(),
        ).train()  # fmt: skip


TINY = Network("ViT-tiny at 64 px", 32, 64, 8, 192, 12, 3, 128, 4, 4)
BASE = Network("ViT-B/16 at 224 px", 8, 224, 16, 768, 12, 12, 512, 8, 16)


def cases(network: Network) -> list[Case]:
    """Both cases of a network."""
    return [step_plain(network), step_bare(network)]


def step_plain(network: Network) -> Case:
    """One pretraining step: masks, forward, backward, AdamW.

    Both do it in float32 with AdamW, ours with the fused one of `lib.train`, the peer with the default of its public
    code.
    """

    def setup() -> Pair:
        model, images = network.model(), _images(network)
        plain = PlainMAE(model, heads=network.heads, decoder_heads=network.decoder_heads)
        noise, optimiser = _generator(), _adamw(plain)

        def peer() -> Tensor:
            optimiser.zero_grad()
            loss = plain(images, torch.rand(len(images), model.tokens, generator=noise), ratio=RATIO)
            loss.backward()
            optimiser.step()
            return loss.detach()

        return Pair(_step(model, images), peer, lambda *_: _same_step(model, plain, images))

    name = f"one pretraining step, {network.name}"
    return Case(name, "images", network.batch, 1.3, PLAIN, setup)


def step_bare(network: Network) -> Case:
    """The same step beside forward and backward of its own encoder and decoder, without masks, targets and AdamW.

    A ratio of 1 would say that all the rest costs nothing; the target is 1 / 1.15.
    """

    def setup() -> Pair:
        model, images = network.model(), _images(network)
        bare, pixels = BareBlocks(network.model()), model.embed.in_features
        cut = torch.rand(network.batch, model.tokens - round(RATIO * model.tokens), pixels)
        whole = torch.rand(network.batch, model.tokens, network.decoder_width, requires_grad=True)

        def peer() -> None:
            bare.zero_grad()
            bare(cut, whole).backward()

        return Pair(_step(model, images), peer, lambda a, _: same_value(a, a))

    return Case(f"the step's overhead, {network.name}", "images", network.batch, round(1 / 1.15, 2), BARE, setup)


def _step(model: mae.MAE, images: Tensor) -> Callable[[], Tensor]:
    """Our pretraining step as `lib.train` runs it: call it to train on the images once."""
    optimiser, generator = _adamw(model, fused=True), _generator()

    def ours() -> Tensor:
        optimiser.zero_grad()
        hidden = masks.random(len(images), model.grid, ratio=RATIO, generator=generator)
        loss = mae.reconstruction_loss(model(images, hidden), model.targets(images), hidden)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return ours


def _adamw(model: torch.nn.Module, *, fused: bool | None = None) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=fused)


def _images(network: Network) -> Tensor:
    return torch.rand(network.batch, 3, network.pixels, network.pixels, generator=_generator())


def _same_step(model: mae.MAE, plain: PlainMAE, images: Tensor) -> None:
    """With the same weights and the same mask, loss and gradient must be the same up to rounding."""
    plain.copy_from(model)
    noise = torch.rand(len(images), model.tokens, generator=_generator())
    hidden = masks.hide_highest(noise, ratio=RATIO)
    model.zero_grad()
    plain.zero_grad()
    ours = mae.reconstruction_loss(model(images, hidden), model.targets(images), hidden)
    theirs = plain(images, noise, ratio=RATIO)
    same_value(ours, theirs)
    ours.backward()
    theirs.backward()
    others = dict(plain.blocks.named_parameters())
    for name, one in model.blocks.named_parameters():
        other = others[name].grad
        if one.grad is None or other is None or not torch.allclose(one.grad, other, rtol=1e-2, atol=1e-5):
            raise AnotherJob(f"gradients must be equal, those of {name} are not")


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
