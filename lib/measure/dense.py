"""How much every single token knows: segmentation of an image from its frozen patch tokens.

The design is that of linear probes for segmentation (Oquab et al. 2023, DINOv2, arXiv:2304.07193, section on dense
recognition): one linear classifier, the same for all places, says the class of each patch. Differences: no batch
normalisation or upsampling of logits, the classifier is the minimiser of its loss as in `lib.measure.probes`, and a
patch that several classes share is trained with their shares of its pixels.

Conventions: tokens float (n, tokens, d), row by row over the patch grid, as ``model.encode_tokens`` gives them; labels
int64 (n, h, w), one class of 0, 1, … for every pixel. Each image has one value; the statistics are made elsewhere.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.measure import probes
from lib.models.targets import patches


@dataclass(frozen=True)
class Dense:
    """What a dense probe found.

    Attributes
    ----------
    iou : float64 Tensor (n,)
        Mean intersection over union of each test image, see `mean_iou`; every pixel has its patch's class.
    token_accuracy : float64 Tensor (n,)
        Share of each image's patches that got the class with the most pixels.
    ceiling : float64 Tensor (n,)
        The ``iou`` of an answer that gives every patch this class: what patches of this size allow.
    predicted : int64 Tensor (n, tokens)
        Class of each patch.
    protocol : str
        What was done, for a table's foot.
    """

    iou: Tensor
    token_accuracy: Tensor
    ceiling: Tensor
    predicted: Tensor
    protocol: str


def segment(
    tokens: Tensor,
    labels: Tensor,
    test_tokens: Tensor,
    test_labels: Tensor,
    *,
    patch: int,
    shares: bool = True,
    penalty: float = 1e-3,
    iterations: int = 200,
) -> Dense:
    """Multinomial logistic regression on frozen, standardised tokens, one row per patch.

    Parameters
    ----------
    tokens, test_tokens : Tensor (n, tokens, d), (m, tokens, d)
    labels, test_labels : int64 Tensor (n, h, w), (m, h, w)
    patch : int
        Side of a patch in px.
    shares : bool
        Train with the classes' shares of a patch's pixels; False = with the class that has most of them.
    penalty, iterations
        As in `lib.measure.probes.linear`.

    Returns
    -------
    Dense

    Raises
    ------
    ValueError
        Shapes that do not fit, negative labels, or a test label that was never trained.
    """
    _check(tokens, labels, test_tokens, test_labels, patch)
    classes = int(labels.max()) + 1
    known, asked = (patch_shares(part, patch, classes=classes) for part in (labels, test_labels))
    goal = known.flatten(0, 1) if shares else known.flatten(0, 1).argmax(dim=1)
    logits = probes.logistic(
        tokens.flatten(0, 1), goal, test_tokens.flatten(0, 1), classes=classes, penalty=penalty, iterations=iterations
    )
    predicted = logits.argmax(dim=1).view(test_tokens.shape[:2])  # (m, tokens)
    right = asked.gather(2, predicted.unsqueeze(-1)).squeeze(-1) == asked.amax(dim=2)
    size = (test_labels.shape[1], test_labels.shape[2])
    iou, ceiling = (
        mean_iou(painted(part, patch, size=size), test_labels, classes=classes)
        for part in (predicted, asked.argmax(dim=2))
    )
    protocol = (
        f"logistic regression on {len(goal)} standardised tokens of {len(tokens)} images, penalty {penalty:g}, trained "
        f"with {'class shares' if shares else 'majority classes'}; IoU at pixels, mean over the classes of an image"
    )
    return Dense(iou, right.double().mean(dim=1), ceiling, predicted, protocol)


def patch_shares(labels: Tensor, patch: int, *, classes: int) -> Tensor:
    """Share of each patch's pixels that each class has.

    Parameters
    ----------
    labels : int64 Tensor (n, h, w)
        Classes 0, …, classes - 1.
    patch : int
        Side of a patch in px.
    classes : int

    Returns
    -------
    Tensor (n, tokens, classes), float32, in [0, 1]
        Adds up to 1 over the classes.

    Examples
    --------
    >>> patch_shares(torch.tensor([[[0, 1], [1, 1]]]), 2, classes=3).tolist()
    [[[0.25, 0.75, 0.0]]]
    """
    cut = patches(labels.unsqueeze(1), patch)  # (n, tokens, pixels)
    empty = torch.zeros(*cut.shape[:2], classes, device=labels.device)
    return empty.scatter_add(2, cut, torch.ones(cut.shape, device=labels.device)) / cut.shape[2]


def painted(classes: Tensor, patch: int, *, size: tuple[int, int]) -> Tensor:
    """Give every pixel its patch's class: int64 (n, tokens) -> (n, h, w) of the given ``size``."""
    rows = classes.view(len(classes), size[0] // patch, size[1] // patch)
    return rows.repeat_interleave(patch, 1).repeat_interleave(patch, 2)


def mean_iou(predicted: Tensor, truth: Tensor, *, classes: int) -> Tensor:
    """Intersection over union, mean over the classes that occur in an image's truth or in its prediction.

    Parameters
    ----------
    predicted, truth : int64 Tensor (n, h, w)
        Classes 0, …, classes - 1.
    classes : int

    Returns
    -------
    Tensor (n,), float64, in [0, 1]
        1 = every pixel right, 0 = none. A class that is predicted where it does not occur counts as 0.

    Examples
    --------
    >>> mean_iou(torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 1, 1, 1]]]), classes=3).tolist()
    [0.5833333333333333]
    """
    n = len(truth)
    image = torch.arange(n, device=truth.device).view(-1, 1, 1)
    place = (image * classes + truth) * classes + predicted
    counts = place.flatten().bincount(minlength=n * classes * classes).view(n, classes, classes).double()
    both = counts.diagonal(dim1=1, dim2=2)  # (n, classes)
    either = counts.sum(dim=1) + counts.sum(dim=2) - both
    return (both / either.clamp(min=1)).sum(dim=1) / (either > 0).sum(dim=1)


def _check(tokens: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, patch: int) -> None:
    for name, rows, truth in (("tokens", tokens, labels), ("test_tokens", test, test_labels)):
        sides = truth.shape[1:] if truth.ndim == 3 else (0, 0)
        fits = rows.ndim == 3 and len(rows) == len(truth) and rows.shape[2] == tokens.shape[-1]
        if not fits or any(side % patch for side in sides) or rows.shape[1] * patch**2 != sides[0] * sides[1]:
            raise ValueError(
                f"{name} must be (n, tokens, d) with one token for every {patch} x {patch} px of labels (n, h, w), "
                f"got {tuple(rows.shape)} and {tuple(truth.shape)}; take them from `model.encode_tokens`"
            )
    if labels.min() < 0 or test_labels.min() < 0:
        raise ValueError("labels must not be negative; give pixels without a class one of their own")
    unseen = sorted(set(test_labels.unique().tolist()) - set(labels.unique().tolist()))
    if unseen:
        raise ValueError(f"test labels must occur among the training labels, got {unseen} besides; use more images")
