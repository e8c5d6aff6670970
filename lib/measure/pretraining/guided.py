"""Pretraining in which a teacher's attention chooses what is hidden.

Kakogeorgiou et al. 2022, AttMask (arXiv:2203.12719): the teacher sees the whole image, the student a masked one, and
what the teacher attends to is hidden. Yang et al. 2023, A-CLIP (arXiv:2212.08653), keep it visible instead.

Differences: see `lib.models.guided` for the network and its loss. All images are masked at one ratio, where AttMask
masks half of them at a ratio between .1 and .5, and A-CLIP learns from captions. Nothing is augmented.

Conventions: all guides of one seed start alike, from the weights of `empty_mae`, and all run the teacher, also those
that do not ask it.
"""

import torch
from torch import Tensor, nn

from lib import masks
from lib.measure.pretraining.images import seen
from lib.measure.pretraining.loop import pretrain
from lib.measure.pretraining.untrained import empty_mae
from lib.models import guided, mae

GUIDES = ("random", "block", "high", "hint", "low", "aclip")


def pretrain_guided(
    source: str,
    *,
    seed: int,
    ratio: float,
    n_images: int,
    epochs: int,
    guide: str = "high",
    decay: float = 0.98,
    patch: int = 7,
    width: int = 64,
    depth: int = 2,
    batch_size: int = 64,
    lr: float = 2e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Pretrain a student whose teacher says where it looks.

    Parameters
    ----------
    source, seed, ratio, n_images, epochs, patch, width, depth, batch_size, lr, device, checkpoint
        As in `lib.measure.pretraining.pretrain_mae`.
    guide : {"random", "block", "high", "hint", "low", "aclip"}
        As in `hide_by`.
    decay : float in [0, 1]
        Of the teacher, which remembers about 1 / (1 - decay) steps.

    Returns
    -------
    dict of str to Tensor
        The state of a `Guided`, and under "loss" the mean of `guided_loss` in each epoch (epochs,), comparable only
        between runs that hide the same patches.

    Raises
    ------
    ValueError
        An unknown guide; a decay or sizes that do not fit.
    """
    _check(guide)
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must be in [0, 1], got {decay:g}; 0.98 remembers about 50 steps")
    model = empty_guided(source, seed=seed, patch=patch, width=width, depth=depth)

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        model.follow(decay)
        tokens, attention = model.look(batch[0], last=blocks_asked(guide, depth))
        hidden = hide_by(guide, attention, model.student.grid, ratio=ratio, generator=generator)
        return guided_loss(trained, model, batch[0], hidden, tokens=tokens)

    return pretrain(
        model, loss, seen(source, n_images=n_images, seed=seed), seed=seed, epochs=epochs, batch_size=batch_size,
        lr=lr, device=device, checkpoint=checkpoint, label=guide,
    )  # fmt: skip


def guided_loss(trained: nn.Module, model: guided.Guided, images: Tensor, hidden: Tensor, *, tokens: Tensor) -> Tensor:
    """Squared error of the teacher's features plus that of pixels, both on hidden patches, with weight one each.

    Parameters
    ----------
    trained, images, hidden
        As in `lib.measure.pretraining.hpm_loss`.
    model : Guided
        Gives the pixels that are predicted.
    tokens : Tensor (n, tokens, width)
        Features of the teacher, which saw everything.

    Returns
    -------
    Tensor ()
    """
    painted, guessed = trained(images, hidden)
    known = mae.reconstruction_loss(guessed, guided.goals(tokens), hidden)
    return known + mae.reconstruction_loss(painted, model.student.targets(images), hidden)


def blocks_asked(guide: str, depth: int) -> int:
    """How many of the teacher's last blocks a guide averages: "aclip" all ``depth``, the others one."""
    return depth if guide == "aclip" else 1


def hide_by(
    guide: str, attention: Tensor, grid: tuple[int, int], *, ratio: float, generator: torch.Generator
) -> Tensor:
    """Hide patches as one of the arms that the papers compare.

    Parameters
    ----------
    guide : {"random", "block", "high", "hint", "low", "aclip"}
        "random" and "block" ignore the attention; "high" hides the most attended, "hint" too, but shows a few of them,
        "low" the least attended; "aclip" keeps the most attended cells of 2 x 2 patches.
    attention : float Tensor (n, tokens)
        Of the teacher, at least 0.
    grid : (int, int)
        Patches along height and width.
    ratio : float in (0, 1)
        Share of patches hidden.
    generator : torch.Generator
        For the guides that draw.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden, the same count for every guide.

    Raises
    ------
    ValueError
        An unknown guide.
    """
    _check(guide)
    if guide in ("random", "block"):
        draw = masks.random if guide == "random" else masks.block
        return draw(len(attention), grid, ratio=ratio, generator=generator).to(attention.device)
    if guide == "aclip":
        return masks.aclip(attention, grid, ratio=ratio)
    if guide == "hint":
        return masks.attmask_hint(attention, ratio=ratio, generator=generator)
    return (masks.attmask_high if guide == "high" else masks.attmask_low)(attention, ratio=ratio)


def empty_guided(source: str, *, seed: int, patch: int, width: int, depth: int) -> guided.Guided:
    """Build the untrained model that `pretrain_guided` starts from; sizes and errors as in `empty_mae`."""
    model = empty_mae(source, seed=seed, patch=patch, width=width, depth=depth)
    return guided.Guided(model, generator=torch.Generator().manual_seed(seed + 2))


def _check(guide: str) -> None:
    if guide not in GUIDES:
        raise ValueError(f"guide must be one of {', '.join(GUIDES)}, got {guide!r}")
