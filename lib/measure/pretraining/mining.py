"""Pretraining in which a predicted loss chooses what is hidden.

Wang et al. 2023, HPM (arXiv:2304.05919): each step the teacher looks at whole images, a growing share of the mask
follows its prediction, the student reconstructs and learns to predict its own losses, and the teacher follows.

Difference: the teacher follows before a step instead of after the one before, so it has not seen the very last step.

Conventions: all strategies of one seed start alike, the autoencoder from the weights of `empty_mae`.
"""

import math

import torch
from torch import Tensor, nn

from lib import masks
from lib.measure.pretraining.images import seen
from lib.measure.pretraining.loop import pretrain
from lib.measure.pretraining.untrained import empty_mae
from lib.models import hpm, mae

STRATEGIES = ("random", "easy-to-hard", "hard-to-easy", "hardest", "easiest")


def pretrain_hpm(
    source: str,
    *,
    seed: int,
    ratio: float,
    n_images: int,
    epochs: int,
    strategy: str = "easy-to-hard",
    relative: bool = True,
    decay_start: float = 0.999,
    decay_end: float = 0.9999,
    decay_epochs: int = 100,
    norm_targets: bool = True,
    patch: int = 7,
    width: int = 64,
    depth: int = 2,
    batch_size: int = 64,
    lr: float = 2e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Pretrain a masked autoencoder with a loss predictor.

    Parameters
    ----------
    source, seed, ratio, n_images, epochs, norm_targets, patch, width, depth, batch_size, lr, device, checkpoint
        As in `lib.measure.pretraining.pretrain_mae`.
    strategy : {"random", "easy-to-hard", "hard-to-easy", "hardest", "easiest"}
        As in `choose`.
    relative : bool
        Train the predictor by pairs; False = on standardised losses.
    decay_start, decay_end, decay_epochs
        Of the teacher, see `lib.models.hpm.ema_decay`; the paper's values need far more steps than a laptop takes.

    Returns
    -------
    dict of str to Tensor
        The state of an `HPM`, and under "loss" the mean of each epoch (epochs,): squared error on hidden patches plus
        the predictor's loss.

    Raises
    ------
    ValueError
        An unknown strategy; sizes or decays that do not fit.
    """
    _check(strategy)
    model = empty_hpm(source, seed=seed, patch=patch, width=width, depth=depth, norm_targets=norm_targets)
    images = seen(source, n_images=n_images, seed=seed)
    steps = math.ceil(len(images) / batch_size)  # of an epoch, as `lib.train.fit` counts them

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        epoch = int(model.steps) // steps
        model.follow(hpm.ema_decay(epoch, start=decay_start, end=decay_end, rising=decay_epochs))
        expected = model.difficulty(batch[0])
        hidden = choose(strategy, expected, ratio=ratio, epoch=epoch, epochs=epochs, generator=generator)
        return hpm_loss(trained, model, batch[0], hidden, relative=relative)

    return pretrain(
        model, loss, images, seed=seed, epochs=epochs, batch_size=batch_size, lr=lr, device=device,
        checkpoint=checkpoint, label=strategy,
    )  # fmt: skip


def choose(
    strategy: str, expected: Tensor, *, ratio: float, epoch: int, epochs: int, generator: torch.Generator
) -> Tensor:
    """Hide patches by their expected loss, as one of the arms of the paper's ablation.

    Parameters
    ----------
    strategy : {"random", "easy-to-hard", "hard-to-easy", "hardest", "easiest"}
        The share of the mask that follows ``expected``: none; growing to a half; shrinking from a half; all, the
        hardest first; all, the easiest first.
    expected : Tensor (n, tokens), float
        Losses that a teacher expects.
    ratio : float in (0, 1)
        Share of patches hidden.
    epoch, epochs : int
        Epoch about to run, from 0, and of the whole training.
    generator : torch.Generator
        Draws the rest.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    ValueError
        An unknown strategy, or an epoch out of range.
    """
    _check(strategy)
    rising, falling = masks.easy_to_hard(epoch, epochs=epochs), masks.hard_to_easy(epoch, epochs=epochs)
    share = {"random": 0.0, "easy-to-hard": rising, "hard-to-easy": falling, "hardest": 1.0, "easiest": 1.0}[strategy]
    scores = -expected if strategy == "easiest" else expected
    return masks.hard_patches(scores, ratio=ratio, alpha=share, generator=generator)


def _check(strategy: str) -> None:
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")


def hpm_loss(trained: nn.Module, model: hpm.HPM, images: Tensor, hidden: Tensor, *, relative: bool) -> Tensor:
    """Reconstruction loss plus the predictor's, both on hidden patches, with weight one each.

    Parameters
    ----------
    trained : nn.Module
        ``model`` as the training loop wraps it.
    model : HPM
        Gives the targets.
    images : Tensor (n, c, h, w)
    hidden : bool Tensor (n, tokens)
        True = hidden, the same count in every row.
    relative : bool
        `lib.models.hpm.relative_loss`, or `absolute_loss`.

    Returns
    -------
    Tensor ()
    """
    predicted, guessed = trained(images, hidden)
    losses = mae.patch_losses(predicted, model.mae.targets(images))  # (n, tokens)
    learn = hpm.relative_loss if relative else hpm.absolute_loss
    rows = (part[hidden].view(len(images), -1) for part in (guessed, losses))  # two of (n, hidden)
    return mae.over_hidden(losses, hidden) + learn(*rows)


def empty_hpm(source: str, *, seed: int, patch: int, width: int, depth: int, norm_targets: bool = True) -> hpm.HPM:
    """Build the untrained model that `pretrain_hpm` starts from; both decoders have the same size.

    Raises
    ------
    ValueError
        As `empty_mae`.
    """
    model = empty_mae(source, seed=seed, patch=patch, width=width, depth=depth, norm_targets=norm_targets)
    return hpm.HPM(model, depth=len(model.decoder_blocks), generator=torch.Generator().manual_seed(seed + 2))
