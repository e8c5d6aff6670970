"""How hard hidden patches are to reconstruct, and how well something told that beforehand.

Hinojosa et al. 2024, ColorMAE (arXiv:2407.13036), compare masks by the loss they leave; Wang et al. 2023, HPM
(arXiv:2304.05919), predict the loss of each patch and hide what is predicted to be hard.

Differences: losses are taken on images held out, under masks drawn for this purpose, and a prediction is judged by its
rank correlation with the true losses within an image, since only their order decides what is hidden. Every place of the
grid weighs the same, whichever places a kind of mask prefers.

Conventions: images float32 (n, c, h, w); masks bool (n, tokens), True = hidden, the same count in every row; one value
per image comes back. Losses are those of the model's own targets.
"""

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from lib import masks
from lib.models import hpm, mae
from lib.models.targets import patches

GUESSES = ("as trained", "as used", "pixel variance", "mean of the place")


@torch.no_grad()
def hidden_losses(model: mae.MAE, images: Tensor, hidden: Tensor, *, batch_size: int = 512) -> Tensor:
    """Mean squared error of hidden patches, every place of the grid weighing the same over all images.

    Masks of large regions hide the middle of the image more often than its corners, and the middle is where objects
    are. So each hidden patch is divided by how many of the masks hide its place: the mean of what comes back is the
    mean over places of the mean loss of a place.

    Parameters
    ----------
    model : MAE
        On the device of the images.
    images : Tensor (n, c, h, w)
    hidden : bool Tensor (n, tokens)
        Enough masks to hide every place at least once; places that none hides do not count.
    batch_size : int
        Bounds memory; does not change the result.

    Returns
    -------
    Tensor (n,), float32
        Each image's share of the mean. 0 = perfect; with standardised targets a mean of about 1 = no better than a
        patch's own mean.
    """
    often = hidden.float().mean(dim=0).clamp(min=1 / len(hidden))  # (tokens,)
    weight = hidden / often / hidden.any(dim=0).sum()  # (n, tokens)
    found = []
    for x, mask, rows in zip(*(part.split(batch_size) for part in (images, hidden, weight)), strict=True):
        found.append((mae.patch_losses(model(x, mask), model.targets(x)) * rows).sum(dim=1))
    return torch.cat(found)


@torch.no_grad()
def loss_maps(
    model: hpm.HPM, images: Tensor, *, ratio: float, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """True and predicted loss of every patch, mean over the random masks that hid it.

    Parameters
    ----------
    model : HPM
    images : Tensor (n, c, h, w)
    ratio : float in (0, 1)
        Share of patches hidden.
    draws : int
        Masks for each image; take enough that every patch is hidden at least once.
    generator : torch.Generator

    Returns
    -------
    two of Tensor (n, tokens), float32
        The student's losses, and what it predicted from the same visible patches; NaN where no mask hid a patch.
    """
    losses, guesses, count = (torch.zeros(len(images), model.mae.tokens, device=images.device) for _ in range(3))
    goal = model.mae.targets(images)
    for _ in range(draws):
        hidden = masks.random(len(images), model.mae.grid, ratio=ratio, generator=generator).to(images.device)
        painted, guessed = model(images, hidden)
        losses += mae.patch_losses(painted, goal) * hidden
        guesses += guessed * hidden
        count += hidden
    return losses / count, guesses / count


@torch.no_grad()
def guess_correlations(
    model: hpm.HPM, images: Tensor, *, by_place: Tensor, ratio: float, draws: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Rank correlation, within an image, of the true losses of hidden patches with four guesses at them.

    Parameters
    ----------
    model : HPM
    images : Tensor (n, c, h, w)
        Not those it was trained on.
    by_place : Tensor (tokens,)
        Mean loss of each place on other images, see `loss_maps`.
    ratio, draws, generator
        As in `loss_maps`.

    Returns
    -------
    dict of str to float64 Tensor (n,), mean over the draws
        "as trained": the student's prediction from the visible patches; "as used": the teacher's, seeing the whole
        image, which is what chooses masks; "pixel variance" of the patch; "mean of the place", the same for all images.
        1 = the right order, 0 = no idea, -1 = upside down.
    """
    whole, goal = model.difficulty(images), model.mae.targets(images)
    variance = patches(images, model.mae.patch).var(dim=2, correction=0)
    total = {name: torch.zeros(len(images), dtype=torch.float64) for name in GUESSES}
    for _ in range(draws):
        hidden = masks.random(len(images), model.mae.grid, ratio=ratio, generator=generator).to(images.device)
        painted, guessed = model(images, hidden)
        losses = mae.patch_losses(painted, goal)
        for name, guess in zip(GUESSES, (guessed, whole, variance, by_place.expand_as(whole)), strict=True):
            rows = (part[hidden].view(len(images), -1) for part in (guess, losses))  # two of (n, hidden)
            total[name] += rank_correlation(*rows) / draws
    return total


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's rank correlation of the rows of two tensors; ties share their mean rank.

    Parameters
    ----------
    first, second : Tensor (n, k)

    Returns
    -------
    float64 Tensor (n,), on the CPU
        1 = the same order, -1 = the reverse; 0 = none, also where one of the rows is constant and has no order.

    Examples
    --------
    >>> rank_correlation(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 5.0, 9.0]])).tolist()
    [1.0]
    """
    ranks = [rankdata(part.detach().cpu().numpy(), axis=1) for part in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    length = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return torch.from_numpy(np.divide((a * b).sum(axis=1), length, out=np.zeros(len(a)), where=length > 0))
