"""XRAI: whole regions instead of pixels, ranked by what integrated gradients say about them.

Paper: Kapishnikov et al. 2019, XRAI: Better Attributions Through Regions (arXiv:1906.02825). Integrated gradients from
a black and a white baseline are averaged; Felzenszwalb segments of several scales, slightly dilated, overlap each
other; the region whose not yet covered pixels have the highest mean attribution is added first, and so on until no
region adds enough new pixels. Every pixel carries the mean of the step that covered it. The fast variant sorts the
regions once, by their mean over all their pixels.

Differences: baselines are 0 and 1, the ends of our range, where the public code takes each image's own extremes; the
quadrature of `lib.explain.gradients`; no area threshold. Which pixel lies in which region is one sparse matrix, from
which the sums of all regions are brought up to date together, each pixel being covered once: no stack of masks is
held, and the cost is that of one pass over the pixels instead of one pass for each region and step.

Conventions: see `lib.explain`. Segments depend on the image alone: compute them once with `segmentations` and pass them
as ``labels`` when several models explain the same images.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, sparse
from torch import Tensor

from lib.explain import Score, check_inputs
from lib.explain.gradients import integrated_gradients

SCALES = (50.0, 100.0, 150.0, 250.0, 500.0, 1200.0)  # of Felzenszwalb's algorithm, as in the public code
SIDE = 224  # px; images are segmented at this size, since scales and sizes of segments mean pixels of it

Order = Literal["greedy", "fast"]


def xrai(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    labels: Tensor | None = None,
    order: Order = "greedy",
    baselines: tuple[float, ...] = (0.0, 1.0),
    n_steps: int = 32,
    dilation: int = 5,
    min_new: int = 50,
    side: int = SIDE,
) -> Tensor:
    """Mean integrated gradients of the region that covered each pixel first.

    Parameters
    ----------
    score, images, target, generator, max_batch
        As `lib.explain.gradients.integrated_gradients`; there is no chance in it.
    labels : Tensor, int64 (n, scales, h, w), optional
        From `segmentations`, which is called if left out.
    order, dilation, min_new
        As `ranked_regions`. The defaults are those of the public code, for images of 224 px or more.
    baselines, n_steps
        As `base_maps`.
    side : int, px
        As `segmentations`; not used with ``labels``.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed, piecewise constant; its sum is that of `base_maps`.

    Raises
    ------
    ValueError
        If shapes do not fit together or a number is out of range.

    Source
    ------
    Kapishnikov et al. 2019, arXiv:1906.02825.
    """
    check_inputs(images, target, max_batch)
    if labels is not None and (labels.ndim != 4 or labels.shape[::2] != images.shape[::2]):
        raise ValueError(
            f"labels must be int64 (n, scales, h, w) for images {tuple(images.shape)}, got {tuple(labels.shape)}; "
            "make them with segmentations(images)"
        )
    maps = base_maps(score, images, target, max_batch=max_batch, baselines=baselines, n_steps=n_steps)
    found = []
    for index, values in enumerate(maps):  # one image at a time: only its regions are in memory
        one = segmentations(images[index : index + 1], side=side)[0] if labels is None else labels[index]
        found.append(ranked_regions(values, one, order=order, dilation=dilation, min_new=min_new))
    return torch.stack(found)


def base_maps(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    max_batch: int = 128,
    baselines: tuple[float, ...] = (0.0, 1.0),
    n_steps: int = 32,
) -> Tensor:
    """Integrated gradients averaged over baselines, then the largest channel: what XRAI averages over regions.

    Parameters
    ----------
    score, images, target, max_batch, n_steps
        As `lib.explain.gradients.integrated_gradients`.
    baselines : tuple of float, [0, 1]
        Grey levels where the paths start; black and white together leave no colour without attribution.

    Returns
    -------
    Tensor, float32 (n, h, w)

    Raises
    ------
    ValueError
        If there is no baseline, or shapes do not fit together.
    """
    check_inputs(images, target, max_batch)
    if not baselines:
        raise ValueError("baselines must hold at least one grey level, got none; (0.0, 1.0) is black and white")
    shape = images.shape
    beside = images.flatten(1, 2)[:, None]  # channels below each other, so that they are not summed: (n, 1, c * h, w)
    total = torch.zeros_like(beside[:, 0], dtype=torch.float32)
    for level in baselines:
        total += integrated_gradients(
            lambda x: score(x.view(-1, *shape[1:])), beside, target,
            max_batch=max_batch, baseline=level, n_steps=n_steps,
        )  # fmt: skip
    return (total / len(baselines)).view(shape).amax(1)


def segmentations(
    images: Tensor,
    *,
    scales: tuple[float, ...] = SCALES,
    sigma: float = 0.8,
    min_size: int = 150,
    side: int = SIDE,
) -> Tensor:
    """Felzenszwalb segments of every image at every scale.

    Parameters
    ----------
    images : Tensor, float32 (n, c, h, w)
        Each is stretched to [-1, 1] and resized to ``side`` first, so that scales mean the same for all images.
    scales : tuple of float
        Larger = larger segments.
    sigma : float, px
        Blur before segmenting.
    min_size : int, px
        Smallest segment at the size of ``side``.
    side : int, px
        Edge of the image that is segmented.

    Returns
    -------
    Tensor, int64 (n, scales, h, w)
        Number of each pixel's segment within its scale.

    Source
    ------
    Felzenszwalb & Huttenlocher 2004, through scikit-image; the numbers are those of XRAI's public code.
    """
    from skimage.segmentation import felzenszwalb
    from skimage.transform import resize

    if images.ndim != 4 or side < 2 or not scales:
        raise ValueError(
            f"images must be (n, c, h, w), side at least 2 and scales not empty, got {tuple(images.shape)}, {side} and "
            f"{scales}; side=224 and the default scales belong together"
        )
    size = tuple(images.shape[-2:])
    found = np.empty((len(images), len(scales), *size), dtype=np.int64)
    for index, image in enumerate(images.detach().cpu().double().numpy()):
        low, span = image.min(), np.ptp(image)
        even = 2 * (image.transpose(1, 2, 0) - low) / (span if span > 0 else 1.0) - 1  # (h, w, c)
        large = resize(even, (side, side), order=3, mode="constant", preserve_range=True, anti_aliasing=True)
        for place, scale in enumerate(scales):
            labels = felzenszwalb(large, scale=scale, sigma=sigma, min_size=min_size)
            back = resize(labels, size, order=0, mode="constant", preserve_range=True, anti_aliasing=False)
            found[index, place] = back.astype(np.int64)
    return torch.from_numpy(found).to(images.device)


def ranked_regions(
    values: Tensor, labels: Tensor, *, order: Order = "greedy", dilation: int = 5, min_new: int = 50
) -> Tensor:
    """Give every pixel the mean of the new pixels of the region that covered it first.

    Parameters
    ----------
    values : Tensor, float (h, w)
        Any attribution of one image.
    labels : Tensor, int64 (scales, h, w)
        Segments of that image, from `segmentations`.
    order : "greedy" or "fast"
        Choose again after each step by the mean of new pixels, or once by the mean of all pixels.
    dilation : int, px
        Radius of the disk by which each segment grows; 0 = not at all.
    min_new : int, px
        A region that adds fewer pixels is left out.

    Returns
    -------
    Tensor, float32 (h, w)
        Pixels that no region covers share the mean of what is left, so the sum is that of ``values``.

    Raises
    ------
    ValueError
        If shapes do not fit together or a number is out of range.

    Source
    ------
    Kapishnikov et al. 2019, arXiv:1906.02825, the algorithm of the paper; details from its public code.
    """
    if values.ndim != 2 or labels.ndim != 3 or labels.shape[1:] != values.shape or labels.is_floating_point():
        raise ValueError(
            f"values must be (h, w) and labels int64 (scales, h, w), got {tuple(values.shape)} and {labels.dtype} "
            f"{tuple(labels.shape)}; pass one image at a time"
        )
    if order not in ("greedy", "fast") or dilation < 0 or min_new < 1:
        raise ValueError(
            f"order must be 'greedy' or 'fast', dilation at least 0 and min_new at least 1 pixel, got {order!r}, "
            f"{dilation} and {min_new}; the public code has 5 and 50"
        )
    member = regions(labels, dilation=dilation)
    flat = values.detach().cpu().double().flatten().numpy()
    covered = (_greedy if order == "greedy" else _fast)(flat, member, min_new)
    rest = np.isnan(covered)
    if rest.any():
        covered[rest] = flat[rest].mean()
    return torch.from_numpy(covered).view(values.shape).to(values.device, torch.float32)


def regions(labels: Tensor, *, dilation: int) -> sparse.csc_array:
    """Which pixel lies in which dilated segment.

    Parameters
    ----------
    labels : Tensor, int64 (scales, h, w)
    dilation : int, px

    Returns
    -------
    csc_array, float64 (h * w, segments of all scales)
        1 inside; segments in the order of scales, then of their numbers.

    Examples
    --------
    >>> regions(torch.tensor([[[0, 0, 1]]]), dilation=1).toarray().T.tolist()
    [[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """
    from skimage.morphology import disk

    height, width = labels.shape[1:]
    footprint, columns = disk(dilation).astype(bool), []
    for plane in labels.cpu().numpy():
        for number, box in enumerate(ndimage.find_objects(plane - plane.min() + 1), start=int(plane.min())):
            if box is None:
                continue
            top, left = (max(0, cut.start - dilation) for cut in box)
            around = plane[top : min(height, box[0].stop + dilation), left : min(width, box[1].stop + dilation)]
            inside = around == number
            grown = ndimage.binary_dilation(inside, footprint) if dilation else inside
            row, column = np.nonzero(grown)
            columns.append((row + top) * width + column + left)
    ends = np.cumsum([0, *map(len, columns)])
    at = np.concatenate(columns)
    return sparse.csc_array((np.ones(len(at)), at, ends), shape=(height * width, len(columns)))


def _greedy(values: NDArray[np.float64], member: sparse.csc_array, min_new: int) -> NDArray[np.float64]:
    """Value of each covered pixel, NaN elsewhere; the best region by its new pixels is added at every step."""
    by_pixel = member.tocsr()
    covered = np.full(len(values), np.nan)
    both = np.stack([values, np.ones_like(values)], 1)  # (pixels, 2)
    sums, counts = (member.T @ both).T.copy()
    while (alive := counts >= min_new).any():
        gains = np.divide(sums, counts, out=np.full(len(sums), -np.inf), where=alive)
        new = _new_pixels(member, int(gains.argmax()), covered)
        covered[new] = values[new].mean()
        spent = by_pixel[new].T @ both[new]  # (regions, 2)
        sums -= spent[:, 0]
        counts -= spent[:, 1]
    return covered


def _fast(values: NDArray[np.float64], member: sparse.csc_array, min_new: int) -> NDArray[np.float64]:
    """As `_greedy`, in the order of the regions' means over all their pixels."""
    covered = np.full(len(values), np.nan)
    gains = (member.T @ values) / (member.T @ np.ones_like(values))
    for region in np.argsort(-gains, kind="stable"):
        new = _new_pixels(member, int(region), covered)
        if len(new) >= min_new:
            covered[new] = values[new].mean()
    return covered


def _new_pixels(member: sparse.csc_array, region: int, covered: NDArray[np.float64]) -> NDArray[np.int64]:
    inside = member.indices[member.indptr[region] : member.indptr[region + 1]]
    return inside[np.isnan(covered[inside])]
