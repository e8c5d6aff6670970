"""Regions of a film that are hidden: the lungs or all else, their box, a box all films share; and what fills them.

Papers: Sourget et al. 2024, arXiv:2412.04030 (lungs, everything but the lungs, the same two with the lungs' bounding
box, hidden by zeros) and the same group's study of eye fundus films (the mask grown step by step). Differences: a mask
grows by millimetres, not by passes of a small kernel, so that films of different pixel sizes are treated alike; the box
holds its last row and column; and there are controls whose shape does not depend on the film: a fixed box and the
outline of a population.

Conventions: a region is bool (n, h, w), True = inside; a hidden mask is bool (n, h, w) too, True = hidden; images are
float (n, 1, h, w). Nothing is changed in place. Fills take their grey values as arguments, from the training films, so
that nothing of the hidden part and nothing of a test film gets into them. A region that is not bool (n, h, w), and
images and masks that do not fit each other, raise ValueError everywhere.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.ndimage import distance_transform_edt
from torch import Tensor

FIVE = ("full", "no lungs", "only lungs", "no box", "only box")
TOUCH = 1e-9  # mm, so that a distance equal to the radius counts as reached


def five_masks(region: Tensor) -> dict[str, Tensor]:
    """The five ways to hide a region that the paper crosses with each other.

    Parameters
    ----------
    region : Tensor
        bool (n, h, w), the lungs.

    Returns
    -------
    dict of str to Tensor
        By the names in FIVE, bool (n, h, w), True = hidden: nothing, the region, all but the region, its bounding box,
        all but its bounding box.

    Examples
    --------
    >>> lung = torch.tensor([[[0, 1, 0], [1, 0, 0], [0, 0, 0]]], dtype=torch.bool)
    >>> {name: int(hidden.sum()) for name, hidden in five_masks(lung).items()}
    {'full': 0, 'no lungs': 2, 'only lungs': 7, 'no box': 4, 'only box': 5}
    """
    boxed = box(region)
    return dict(zip(FIVE, (torch.zeros_like(region), region.clone(), ~region, boxed, ~boxed), strict=True))


def box(region: Tensor) -> Tensor:
    """The smallest upright rectangle around each film's region, all of its parts together.

    Parameters
    ----------
    region : Tensor
        bool (n, h, w).

    Returns
    -------
    Tensor
        bool (n, h, w), the last row and column included; empty where the region is.
    """
    _region(region)
    return _span(region.any(2))[:, :, None] & _span(region.any(1))[:, None, :]


def fixed_box(reference: Tensor, *, covers: float = 1.0) -> Tensor:
    """One rectangle for all films, so that neither its place nor its size can tell anything about a film.

    Parameters
    ----------
    reference : Tensor
        bool (n, h, w), regions of the training films; films without a region do not count.
    covers : float in (0, 1]
        Share of the films that each side of the rectangle holds; 1 = it holds every region.

    Returns
    -------
    Tensor
        bool (h, w).

    Raises
    ------
    ValueError
        For a reference that holds no region, or ``covers`` out of range.

    Examples
    --------
    >>> lungs = torch.zeros(2, 4, 4, dtype=torch.bool)
    >>> lungs[0, 1, 1] = lungs[1, 2, 3] = True
    >>> fixed_box(lungs).sum().item()
    6
    """
    _share("covers", covers)
    known = _known(reference)
    height, width = known.shape[1:]
    kept = torch.zeros(height, width, dtype=torch.bool, device=known.device)
    rows, columns = (_limits(known.any(axis), covers) for axis in (2, 1))
    kept[rows, columns] = True
    return kept


def population_mask(reference: Tensor, *, share: float = 0.5) -> Tensor:
    """The outline of a population: pixels that lie inside the region in at least this share of the films.

    Parameters
    ----------
    reference : Tensor
        bool (n, h, w), regions of the training films; films without a region do not count.
    share : float in (0, 1]
        0.5 = the region of most films; 1 = where all regions meet.

    Returns
    -------
    Tensor
        bool (h, w), the same for every film: it has the shape of a lung and nothing of this film's lung.

    Raises
    ------
    ValueError
        For a reference that holds no region, or ``share`` out of range.
    """
    _share("share", share)
    known = _known(reference)
    return known.sum(0) >= share * len(known) - 1e-9


def dilate(region: Tensor, mm: float, *, pixel_mm: float | ArrayLike) -> Tensor:
    """Grow a region by a distance in millimetres.

    Parameters
    ----------
    region : Tensor
        bool (n, h, w).
    mm : float
        Distance >= 0 between centres of pixels: a pixel is in if a pixel of the region is at most this far.
    pixel_mm : float or array_like (n,)
        Side of a pixel, one for all films or one for each.

    Returns
    -------
    Tensor
        bool (n, h, w); an empty region stays empty, 0 changes nothing.

    Raises
    ------
    ValueError
        For a negative distance or a pixel side that is not positive.

    Examples
    --------
    >>> dot = torch.zeros(1, 5, 5, dtype=torch.bool)
    >>> dot[0, 2, 2] = True
    >>> [int(dilate(dot, mm, pixel_mm=6.0).sum()) for mm in (0, 6, 9)]
    [1, 5, 9]
    """
    _region(region)
    return region | _within(region, mm, pixel_mm)


def erode(region: Tensor, mm: float, *, pixel_mm: float | ArrayLike) -> Tensor:
    """Shrink a region by a distance in millimetres; what lies beyond the film counts as inside.

    Parameters
    ----------
    region, mm, pixel_mm
        As in `dilate`: a pixel stays if no pixel outside the region is as near as ``mm``.

    Returns
    -------
    Tensor
        bool (n, h, w); `erode` of a region is the complement of `dilate` of its complement.
    """
    _region(region)
    return region & ~_within(~region, mm, pixel_mm)


def fill_zero(images: Tensor, hidden: Tensor) -> Tensor:
    """Hide with black, as the paper does: float (n, 1, h, w), bool (n, h, w) or (h, w) -> a new float (n, 1, h, w)."""
    return fill_mean(images, hidden, mean=0.0)


def fill_mean(images: Tensor, hidden: Tensor, *, mean: float | Tensor) -> Tensor:
    """Hide with an average.

    Parameters
    ----------
    images : Tensor
        float (n, 1, h, w).
    hidden : Tensor
        bool (n, h, w), or (h, w) for one mask on all films; True = hidden.
    mean : float or Tensor
        One grey value, or the mean training film, float (1, h, w).

    Returns
    -------
    Tensor
        float (n, 1, h, w), a new tensor; pixels that are not hidden are the image's own.
    """
    over = _over(images, hidden)
    value = torch.as_tensor(mean, dtype=images.dtype, device=images.device)
    if value.ndim and value.shape != images.shape[1:]:
        raise ValueError(f"mean must be a number or {tuple(images.shape[1:])}, got {tuple(value.shape)}; average films")
    return torch.where(over, value, images)


def fill_noise(images: Tensor, hidden: Tensor, *, mean: float, deviation: float, generator: torch.Generator) -> Tensor:
    """Hide with independent normal grey values, cut to [0, 1].

    Parameters
    ----------
    images, hidden
        As in `fill_mean`.
    mean, deviation : float
        Of the noise before the cut; those of all pixels of the training films. Deviation 0 = one grey value.
    generator : torch.Generator
        Source of the noise, on the CPU.

    Returns
    -------
    Tensor
        float (n, 1, h, w), a new tensor.

    Raises
    ------
    ValueError
        If the deviation is negative.
    """
    over = _over(images, hidden)
    if deviation < 0:
        raise ValueError(f"deviation must be >= 0, got {deviation}; pass the spread of the training pixels")
    noise = torch.randn(images.shape, generator=generator).to(images)
    return torch.where(over, (mean + deviation * noise).clamp(0, 1), images)


def silhouette(hidden: Tensor) -> Tensor:
    """The mask as the image, without any grey value: bool (n, h, w) -> float32 (n, 1, h, w), 1 = shown, 0 = hidden."""
    _region(hidden)
    return (~hidden).to(torch.float32)[:, None]


def _region(region: Tensor) -> None:
    if region.ndim != 3 or region.dtype != torch.bool:
        raise ValueError(
            f"region must be bool (n, h, w), got {region.dtype} {tuple(region.shape)}; threshold or stack it"
        )


def _known(reference: Tensor) -> Tensor:
    """The films that have a region, (m, h, w) with m >= 1."""
    _region(reference)
    known = reference[reference.flatten(1).any(1)]
    if not len(known):
        raise ValueError("reference must hold a region in at least one film, got none; pass the training films' masks")
    return known


def _share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {value}; write a percentage as a fraction")


def _span(line: Tensor) -> Tensor:
    """From the first True to the last, both included: bool (n, k) -> bool (n, k)."""
    after_first = line.to(torch.int64).cumsum(1) > 0
    before_last = line.flip(1).to(torch.int64).cumsum(1).flip(1) > 0
    return after_first & before_last


def _limits(line: Tensor, covers: float) -> slice:
    """First and last place that hold this share of the films' spans: bool (n, k)."""
    place = torch.arange(line.shape[1], device=line.device)
    first = torch.where(line, place, line.shape[1]).amin(1).cpu().numpy()
    last = torch.where(line, place, -1).amax(1).cpu().numpy()
    low = int(np.quantile(first, 1 - covers, method="lower"))
    return slice(low, int(np.quantile(last, covers, method="higher")) + 1)


def _within(region: Tensor, mm: float, pixel_mm: float | ArrayLike) -> Tensor:
    """Pixels at most mm from the region: bool (n, h, w)."""
    sides = np.broadcast_to(np.asarray(pixel_mm, dtype=np.float64), (len(region),))
    if mm < 0:
        raise ValueError(f"mm must be >= 0, got {mm}; use erode to shrink a region and dilate to let it grow")
    if not (sides > 0).all():
        raise ValueError(f"pixel_mm must be positive, got {sides.min()}; pass the side of a pixel in millimetres")
    inside = region.cpu().numpy()
    near = np.zeros(inside.shape, bool)
    for i, (film, side) in enumerate(zip(inside, sides, strict=True)):
        if film.any():
            near[i] = distance_transform_edt(~film, sampling=side) <= mm + TOUCH
    return torch.from_numpy(near).to(region.device)


def _over(images: Tensor, hidden: Tensor) -> Tensor:
    """The mask with the axes of the images, (n or 1, 1, h, w)."""
    fits = images.ndim == 4 and images.shape[1] == 1 and hidden.dtype == torch.bool
    whole = hidden[None] if hidden.ndim == 2 else hidden
    if not fits or whole.ndim != 3 or whole.shape[1:] != images.shape[2:] or len(whole) not in (1, len(images)):
        shapes = f"{tuple(images.shape)} and {hidden.dtype} {tuple(hidden.shape)}"
        raise ValueError(f"images must be (n, 1, h, w) and hidden bool (n, h, w) or (h, w), got {shapes}; match them")
    return whole[:, None]
