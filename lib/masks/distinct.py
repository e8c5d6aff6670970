"""Saliency without a trained network: a patch is salient when its image holds no other patch like it.

Goferman et al. 2012, Context-aware saliency detection (IEEE TPAMI): the dissimilarity of a patch to
the patches most similar to it. Differences: grey or colour values as they are, one scale, no term for distance in the
image, windows that reach beyond the patch, and neighbours from a dense grid so that a shifted copy counts as similar.

It stands in for the attention of a pretrained DINO-ViT, which EAR (Park et al. 2023, arXiv:2310.04010) uses to choose
what to hide: both mark what sticks out of an image without knowing defects. It knows no objects, and on a picture
without repetition it follows contrast.

Conventions: images are float (n, channels, h, w); saliency is float (n, tokens), row by row over the patch grid.
"""

import torch
from torch import Tensor
from torch.nn import functional


def distinctness(images: Tensor, *, patch: int, neighbours: int = 8, reach: int = 2, stride: int = 2) -> Tensor:
    """Mean distance of each patch to the most similar windows elsewhere in its image.

    Parameters
    ----------
    images : float Tensor (n, channels, h, w)
        Sides are multiples of ``patch``.
    patch : int
        Side of a patch, px.
    neighbours : int
        How many of the most similar windows are averaged.
    reach : int
        A window extends the patch by this many px on every side; the image is mirrored at its edges.
    stride : int
        Windows to compare with start every so many px; those that overlap the patch itself are left out.

    Returns
    -------
    float Tensor (n, tokens), >= 0
        Root mean squared difference, in the unit of the images; 0 = the image repeats this patch exactly.

    Raises
    ------
    ValueError
        If the sides do not fit, or fewer than ``neighbours`` windows lie elsewhere.
    """
    _, _, height, width = images.shape
    if height % patch or width % patch:
        raise ValueError(f"images must have sides that are multiples of patch = {patch}, got {height} x {width}")
    framed = functional.pad(images, (reach,) * 4, mode="reflect")
    window = patch + 2 * reach
    own, others = (functional.unfold(framed, window, stride=step).mT for step in (patch, stride))  # (n, places, values)
    away = _apart(height, width, patch, stride, device=images.device)  # (tokens, windows)
    if int(away.sum(dim=1).min()) < neighbours:
        raise ValueError(f"neighbours must be at most {int(away.sum(dim=1).min())} here, got {neighbours}")
    distance = torch.cdist(own, others) / own.shape[2] ** 0.5  # (n, tokens, windows)
    distance = distance.masked_fill(~away, torch.inf)
    return distance.topk(neighbours, dim=2, largest=False).values.mean(dim=2)


def _apart(height: int, width: int, patch: int, stride: int, *, device: torch.device) -> Tensor:
    """Whether a window's own square and a patch do not overlap, bool (tokens, windows)."""
    sides = []
    for length in (height, width):
        tokens = torch.arange(0, length, patch, device=device)
        windows = torch.arange(0, length - patch + 1, stride, device=device)
        sides.append((tokens[:, None] - windows).abs() >= patch)
    down, across = sides
    apart = down[:, None, :, None] | across[None, :, None, :]  # (rows, columns, window rows, window columns)
    return apart.flatten(2).flatten(0, 1)
