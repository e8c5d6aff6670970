"""How well maps of suspicion find defects: whole images, pixels, and regions.

Bergmann et al. 2021, MVTec AD (doi:10.1007/s11263-020-01400-4), section on metrics: the area under the ROC curve of
images and of pixels (scikit-learn), and the per-region overlap PRO, which gives every defect the same weight whatever
its size. Differences: none intended; thresholds are all values that occur, so nothing is binned.

Conventions: maps are float (n, h, w), higher = more suspicious; masks bool (n, h, w), True = defect; regions are
8-connected and never reach from one image into another. The statistics over seeds are made elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Floats = NDArray[np.float64]

FPR_LIMIT = 0.3


@dataclass(frozen=True)
class Overlap:
    """Per-region overlap against the false positive rate, over falling thresholds.

    Attributes
    ----------
    fpr : float64 ndarray (thresholds,)
        Share of all normal pixels, in normal and in defective images, at or above the threshold; rises from 0.
    overlap : float64 ndarray (thresholds,)
        Share of a region's pixels at or above the threshold, mean over all regions; rises from 0.
    area : float in [0, 1]
        Area under the curve up to the limit, over the limit. 1 = every region is found whole before any normal
        pixel; half the limit = chance.
    regions : int
        Number of regions.
    """

    fpr: Floats
    overlap: Floats
    area: float
    regions: int


def image_scores(maps: Tensor) -> Tensor:
    """One score per image, the highest value of its map: float (n, h, w) -> (n,)."""
    return maps.flatten(1).amax(dim=1)


def image_auroc(maps: Tensor, masks: Tensor) -> float:
    """Area under the ROC curve of images, scored by `image_scores`; defective = the mask is not empty.

    Returns
    -------
    float in [0, 1]
        0.5 = chance: the probability that a defective image scores higher than a normal one, ties counting half.

    Raises
    ------
    ValueError
        Shapes that do not fit, or images of one kind only.
    """
    return _auroc(image_scores(maps), masks.flatten(1).any(dim=1), maps, masks)


def pixel_auroc(maps: Tensor, masks: Tensor) -> float:
    """Area under the ROC curve of all pixels of all images together; arguments and errors as in `image_auroc`."""
    return _auroc(maps.flatten(), masks.flatten(), maps, masks)


def per_region_overlap(maps: Tensor, masks: Tensor, *, limit: float = FPR_LIMIT) -> Overlap:
    """Per-region overlap, integrated up to a false positive rate.

    Parameters
    ----------
    maps : float Tensor (n, h, w)
    masks : bool Tensor (n, h, w)
    limit : float in (0, 1]
        Where integration ends; between two thresholds the curve is a straight line.

    Returns
    -------
    Overlap

    Raises
    ------
    ValueError
        Shapes that do not fit, no region or no normal pixel, or a limit out of range.

    Source: Bergmann et al. 2021, section on metrics; the limit of 0.3 is theirs.
    """
    _check(maps, masks)
    if not 0 < limit <= 1:
        raise ValueError(f"limit must be in (0, 1], got {limit}; it is a false positive rate, 0.3 as a rule")
    truth = masks.cpu().numpy()
    weights, regions = region_weights(truth)
    scores = maps.detach().cpu().double().numpy().ravel()
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last pixel of each threshold
    found, false = (
        np.concatenate([[0], np.cumsum(part.ravel()[order])[ends]]).astype(np.float64) for part in (weights, ~truth)
    )
    fpr, overlap = false / false[-1], found / found[-1]  # both end at 1 exactly
    return Overlap(fpr, overlap, _area(fpr, overlap, limit), regions)


def region_weights(masks: NDArray[np.bool_]) -> tuple[Floats, int]:
    """Weights (n, h, w) of pixels that add up to 1 and give every region the same share, and the number of regions."""
    one_image = np.zeros((3, 3, 3), dtype=bool)
    one_image[1] = True  # neighbours in the same image only
    parts, count = ndimage.label(masks, structure=one_image)
    sizes = np.bincount(parts.ravel())
    shares = np.zeros(len(sizes))
    shares[1:] = 1 / (sizes[1:] * max(count, 1))
    return shares[parts], int(count)


def measures(maps: Tensor, masks: Tensor) -> dict[str, float]:
    """The three measures in percent: "image AUROC", "pixel AUROC" and "PRO" (up to ``FPR_LIMIT``)."""
    region = per_region_overlap(maps, masks).area
    found = {"image AUROC": image_auroc(maps, masks), "pixel AUROC": pixel_auroc(maps, masks), "PRO": region}
    return {name: 100 * value for name, value in found.items()}


def redraw_spread(scores: Tensor) -> float:
    """How far a score depends on the draw: its deviation over draws, relative to that between images.

    Parameters
    ----------
    scores : float Tensor (draws, n)
        The same images, scored with other masks; at least two of each.

    Returns
    -------
    float
        Root mean square over images of the standard deviation over draws, over the standard deviation between images
        of their means. 0 = every draw says the same; 1 = a redraw moves an image as far as another image would be.
    """
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise ValueError(f"scores must be (draws, n) with two of each at least, got {tuple(scores.shape)}")
    within = scores.double().var(dim=0).mean().sqrt()
    return float(within / scores.double().mean(dim=0).std())


def _area(fpr: Floats, overlap: Floats, limit: float) -> float:
    """Trapezoids up to the limit, the last one cut by a straight line."""
    last = int(np.searchsorted(fpr, limit))  # the first threshold at or beyond the limit
    share = (limit - fpr[last - 1]) / (fpr[last] - fpr[last - 1])
    at_limit = overlap[last - 1] + share * (overlap[last] - overlap[last - 1])
    return float(np.trapezoid(np.append(overlap[:last], at_limit), np.append(fpr[:last], limit)) / limit)


def _auroc(scores: Tensor, truth: Tensor, maps: Tensor, masks: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    _check(maps, masks)
    return float(roc_auc_score(truth.cpu().numpy(), scores.detach().cpu().double().numpy()))


def _check(maps: Tensor, masks: Tensor) -> None:
    if maps.ndim != 3 or maps.shape != masks.shape or not maps.dtype.is_floating_point or masks.dtype.is_floating_point:
        raise ValueError(
            f"maps must be float and masks bool, both (n, h, w), got {maps.dtype} {tuple(maps.shape)} and "
            f"{masks.dtype} {tuple(masks.shape)}; average the channels of an error first"
        )
    hurt = masks.flatten(1).any(dim=1)
    if not hurt.any() or hurt.all():
        raise ValueError("masks must hold normal and defective images, got one kind only; add the other")
