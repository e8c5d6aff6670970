"""Masks that grow and shrink by millimetres: distances are measured once, each size of a mask is a threshold of them.

Paper: Sourget and colleagues' study of eye fundus films grows the mask of the optic disc step by step and reads from
the scores how far the signal reaches (code beside arXiv:2412.04030). Differences: millimetres instead of passes of a
small kernel; a mask may also shrink; and the distance is kept, since a dozen sizes of one mask need it a dozen times.

Conventions: a region is bool (n, h, w), True = inside; distances are float64 (n, h, w) in millimetres between centres
of pixels, negative inside, positive outside, never 0. Equal to `lib.masks.regions.dilate` and ``erode`` for every size.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from lib.masks.regions import TOUCH


def signed_distance(region: Tensor, *, pixel_mm: float | ArrayLike) -> Tensor:
    """How far each pixel lies from the other side of the outline.

    Parameters
    ----------
    region : Tensor
        bool (n, h, w).
    pixel_mm : float or array_like (n,)
        Side of a pixel, one for all films or one for each.

    Returns
    -------
    Tensor
        float64 (n, h, w), mm: outside, the distance to the nearest pixel inside; inside, minus the distance to the
        nearest pixel outside. All +inf where a region is empty, all -inf where it fills the film.

    Raises
    ------
    ValueError
        If the region is not bool (n, h, w) or a pixel side is not positive.

    Examples
    --------
    >>> line = torch.tensor([[[False, True, True, True, False]]])
    >>> signed_distance(line, pixel_mm=2.0).flatten().tolist()
    [2.0, -2.0, -4.0, -2.0, 2.0]
    """
    if region.ndim != 3 or region.dtype != torch.bool:
        raise ValueError(
            f"region must be bool (n, h, w), got {region.dtype} {tuple(region.shape)}; threshold or stack it"
        )
    sides = np.broadcast_to(np.asarray(pixel_mm, dtype=np.float64), (len(region),))
    if not (sides > 0).all():
        raise ValueError(f"pixel_mm must be positive, got {sides.min()}; pass the side of a pixel in millimetres")
    inside = region.cpu().numpy()
    distance = np.where(inside, -np.inf, np.inf)
    for film, side, out in zip(inside, sides, distance, strict=True):
        if film.any() and not film.all():
            out[:] = distance_transform_edt(~film, sampling=side) - distance_transform_edt(film, sampling=side)
    return torch.from_numpy(distance).to(region.device)


def grown(distance: Tensor, mm: float) -> Tensor:
    """The region at one size.

    Parameters
    ----------
    distance : Tensor
        float (n, h, w), mm: from `signed_distance`, or the distance from a point, whose region is then a disc.
    mm : float
        > 0 grows the region by this distance (the disc has this radius), < 0 shrinks it, 0 = the region itself.

    Returns
    -------
    Tensor
        bool (n, h, w). A pixel exactly this far outside is in; one exactly this far inside is not, as in
        `lib.masks.regions.dilate` and ``erode``.

    Examples
    --------
    >>> line = signed_distance(torch.tensor([[[False, True, True, True, False]]]), pixel_mm=2.0)
    >>> [int(grown(line, mm).sum()) for mm in (-4, -2, 0, 2)]
    [0, 1, 3, 5]
    """
    return distance <= mm + TOUCH if mm >= 0 else distance < mm - TOUCH
