"""Token masks that follow a predicted loss: hard patches hidden first, the share of them growing while training.

Paper: Wang et al. 2023, HPM (arXiv:2304.05919), section on easy-to-hard mask generation and its ablation: a teacher
sees the whole image and predicts the reconstruction loss of each patch; the patches with the highest prediction are
hidden, the rest of the count is filled at random, and the share of predicted patches rises from 0 to one half.

Differences: the public code shuffles one image at a time on the CPU; here a batch is one `topk`. The teacher and its
loss predictor are a model's business and not here. The paper's "hardest only" and "easiest" are read as a whole mask
taken from one end of the prediction, without a random part.

Conventions: see `lib.masks.contract`. Predictions are float (n, tokens); only their order within an image counts. The
mask lies on the prediction's device. As in the code, the number of predicted patches is rounded down.
"""

import torch
from torch import Tensor

from lib.masks.contract import check_call, hidden_count, hide_highest
from lib.masks.draws import check_rows, uniform


def hard_patches(predicted: Tensor, *, ratio: float, alpha: float, generator: torch.Generator) -> Tensor:
    """Hide the patches with the highest predicted loss and fill the count with random ones.

    Parameters
    ----------
    predicted : float Tensor (n, tokens)
        Predicted loss of each patch. Its negative puts the easiest first.
    ratio : float in (0, 1)
        Share of tokens to hide.
    alpha : float in [0, 1]
        Share of the hidden tokens that follow the prediction; 0 = the law of `lib.masks.tokens.random`,
        1 = `hardest_patches`.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    TypeError
        If the prediction is not floating point, or the generator is not a ``torch.Generator``.
    ValueError
        If the prediction is not a finite matrix, or ``alpha`` is out of range.

    Source: HPM, section on easy-to-hard mask generation.
    """
    check_rows(predicted, "predicted")
    check_call(len(predicted), (1, predicted.shape[1]), ratio=ratio, generator=generator)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha:g}; 0.5 takes half of the mask from the prediction")
    certain = int(alpha * hidden_count(predicted.shape[1], ratio=ratio))
    scores = uniform(tuple(predicted.shape), generator=generator, device=predicted.device)
    hardest = predicted.topk(certain, dim=1, sorted=False).indices  # (n, certain)
    return hide_highest(scores.scatter_(1, hardest, 2.0), ratio=ratio)


def hardest_patches(predicted: Tensor, *, ratio: float) -> Tensor:
    """Hide the patches with the highest predicted loss (n, tokens), nothing at random: bool (n, tokens)."""
    check_rows(predicted, "predicted")
    return hide_highest(predicted, ratio=ratio)


def easiest_patches(predicted: Tensor, *, ratio: float) -> Tensor:
    """Hide the patches with the lowest predicted loss (n, tokens), nothing at random: bool (n, tokens)."""
    check_rows(predicted, "predicted")
    return hide_highest(-predicted, ratio=ratio)


def easy_to_hard(epoch: int, *, epochs: int, start: float = 0.0, end: float = 0.5) -> float:
    """Share of the mask that follows the prediction, growing over the training.

    Parameters
    ----------
    epoch : int
        Epoch about to run, counted from 0.
    epochs : int
        Epochs of the whole training.
    start, end : float in [0, 1]
        Share before the first epoch and in the last one; the paper goes from 0 to 0.5.

    Returns
    -------
    float in [0, 1]
        ``start + (end - start) * (epoch + 1) / epochs``, the `alpha` of `hard_patches`.

    Raises
    ------
    ValueError
        If the epoch lies outside the training, or a share outside [0, 1].

    Source: HPM, public code.

    Examples
    --------
    >>> [easy_to_hard(epoch, epochs=4) for epoch in range(4)]
    [0.125, 0.25, 0.375, 0.5]
    """
    if not 0 <= epoch < epochs:
        raise ValueError(f"epoch must be in [0, {epochs}), got {epoch}; the first epoch is 0")
    for name, share in (("start", start), ("end", end)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {share:g}; 0.5 takes half of the mask from the prediction")
    return start + (end - start) * (epoch + 1) / epochs


def hard_to_easy(epoch: int, *, epochs: int, start: float = 0.5, end: float = 0.0) -> float:
    """Run `easy_to_hard` backwards: the share falls from ``start`` in the first epoch to ``end`` after the last.

    Parameters
    ----------
    epoch, epochs, start, end
        As in `easy_to_hard`.

    Returns
    -------
    float in [0, 1]
        ``start + (end - start) * epoch / epochs``.

    Examples
    --------
    >>> [hard_to_easy(epoch, epochs=4) for epoch in range(4)]
    [0.5, 0.375, 0.25, 0.125]
    """
    return easy_to_hard(epochs - 1 - epoch, epochs=epochs, start=end, end=start)
