"""What every black box is asked: the score of an image of which a part is hidden.

Fong & Vedaldi 2017 (arXiv:1704.03296), section on perturbations: hiding blends an image into a replacement, here with
one weight per pixel for all channels.

Conventions: see `lib.explain`; a mask is float (h, w) in [0, 1], 1 = kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lib.explain import Score


def fill_values(fill: Tensor | float, images: Tensor) -> Tensor:
    """Values of hidden pixels, from a number, one per channel (c,), or an image, as (c, h, w) on the images' device.

    Examples
    --------
    >>> fill_values(0.5, torch.zeros(2, 3, 4, 4)).shape
    torch.Size([3, 4, 4])
    """
    values = torch.as_tensor(fill, dtype=images.dtype, device=images.device)
    if values.ndim == 1:
        values = values[:, None, None]
    return values.expand(images.shape[1:])


@torch.no_grad()
def masked_scores(score: Score, image: Tensor, target: int, masks: Tensor, fill: Tensor, max_batch: int) -> Tensor:
    """Score of one class for one image under each of several masks.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to (m, classes).
    image, fill : Tensor (c, h, w)
        What is seen, and what stands where it is hidden; see `fill_values`.
    target : int
        The class.
    masks : Tensor (m, h, w), [0, 1]
    max_batch : int, images

    Returns
    -------
    Tensor, float32 (m,)
    """
    pieces = []
    for start in range(0, len(masks), max_batch):
        kept = masks[start : start + max_batch, None]  # (m, 1, h, w)
        pieces.append(score(torch.lerp(fill, image, kept))[:, target])
    return torch.cat(pieces).float()
