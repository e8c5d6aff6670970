"""D-RISE: which pixels a detector needs to find one object.

Paper: Petsiuk et al. 2021, Black-box Explanation of Object Detectors via Saliency Maps (arXiv:2006.03204): random masks
as in RISE; the weight of a mask is how similar the most similar detection in the masked image is to the explained one,

    max over detections j of  IoU(L_t, L_j) * cos(P_t, P_j) * O_j

for boxes L, class probabilities P and objectness O.

Differences: the detector is any function from images to lists of boxes and scores; nothing is known of its proposals.
Like RISE's map here, the sum is divided by the number of masks and by the share that a mask keeps, and not centred.

Conventions: see `lib.explain`; a box is (left, top, right, bottom) in pixels with right and bottom excluded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.explain import check_inputs, need_generator
from lib.explain.queries import fill_values
from lib.masks.designs import rise_design


@dataclass(frozen=True)
class Detections:
    """What a detector found in one image.

    Attributes
    ----------
    boxes : Tensor, float (k, 4), px
        Left, top, right, bottom.
    scores : Tensor, float (k, classes), >= 0
        Class probabilities; one column where there is one class.
    objectness : Tensor, float (k,), [0, 1], optional
        Left out for detectors that have none: 1.
    """

    boxes: Tensor
    scores: Tensor
    objectness: Tensor | None = None

    def __post_init__(self) -> None:
        k = len(self.boxes)
        fits = self.objectness is None or self.objectness.shape == (k,)
        if self.boxes.shape != (k, 4) or self.scores.ndim != 2 or len(self.scores) != k or not fits:
            raise ValueError(
                f"boxes must be (k, 4) and scores (k, classes), objectness (k,), got {tuple(self.boxes.shape)} and "
                f"{tuple(self.scores.shape)}; with no detections pass torch.zeros(0, 4) and torch.zeros(0, classes)"
            )


Detector = Callable[[Tensor], Sequence[Detections]]


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (a, 4) and (b, 4), float (a, b); 0 = disjoint, 1 = equal.

    Examples
    --------
    >>> overlaps(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]]))
    tensor([[0.3333]])
    """
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clamp_min(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1] - shared
    return torch.where(union > 0, shared / union, torch.zeros_like(shared))


def similarity(wanted: Detections, found: Detections) -> Tensor:
    """How well the best of the detections found matches each wanted one, float (wanted,), [0, 1].

    Parameters
    ----------
    wanted, found : Detections
        The objectness of the wanted ones is not used.

    Returns
    -------
    Tensor
        0 where nothing is found or nothing overlaps.

    Source
    ------
    Petsiuk et al. 2021, arXiv:2006.03204, similarity of detections.
    """
    if not len(found.boxes):
        return torch.zeros(len(wanted.boxes), device=wanted.boxes.device)
    likeness = F.cosine_similarity(wanted.scores[:, None], found.scores[None], dim=2)
    match = overlaps(wanted.boxes, found.boxes) * likeness
    return (match if found.objectness is None else match * found.objectness).amax(1).float()


@torch.no_grad()
def drise(
    detect: Detector,
    images: Tensor,
    target: Sequence[Detections],
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_masks: int = 2000,
    grid: int = 16,
    keep: float = 0.5,
    fill: Tensor | float = 0.0,
) -> Tensor:
    """The mean of random masks, each weighted by how well the masked image still yields the detection.

    Parameters
    ----------
    detect : callable
        Images float32 (m, c, h, w) to a list of m `Detections`; it treats every image on its own.
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : sequence of n Detections
        One detection for each image: the one explained.
    generator : torch.Generator
        On the CPU; one design is drawn and shared by all images.
    max_batch : int, images
    n_masks, grid, keep, fill
        As `lib.explain.rise.rise`.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0
        0 everywhere if no masked image yields anything that overlaps the detection.

    Raises
    ------
    ValueError
        If the generator is missing, or there is not exactly one target detection per image.

    Source
    ------
    Petsiuk et al. 2021, arXiv:2006.03204.
    """
    check_inputs(images, torch.zeros(len(images), dtype=torch.int64), max_batch)
    counts = [len(one.boxes) for one in target]
    if counts != [1] * len(images):
        raise ValueError(
            f"target must hold one detection for each of {len(images)} images, got {counts}; "
            "repeat an image to explain several of its detections"
        )
    size = (int(images.shape[2]), int(images.shape[3]))
    design = rise_design(n_masks, size, generator=need_generator(generator, "drise"), grid=grid, keep=keep)
    values = fill_values(fill, images)
    total = torch.zeros(len(images), size[0] * size[1], dtype=torch.float64, device=images.device)
    for start in range(0, n_masks, max_batch):
        masks = design.render(start, min(start + max_batch, n_masks), device=images.device)
        for index, image in enumerate(images):
            found = detect(torch.lerp(values, image, masks[:, None]))
            weights = torch.cat([similarity(target[index], one) for one in found])  # (m,)
            total[index] += weights.double() @ masks.flatten(1).double()
    return (total / (n_masks * keep)).view(len(images), *size).float()
