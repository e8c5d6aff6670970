"""Windows as a reader's gaze would leave them: a few fixations, blurred, of which the hottest part is shown.

Paper: Pham et al. 2024, I-AI, arXiv:2309.13550, where a heat map of gaze masks the film and a classifier sees the rest.
Differences: fixations are drawn, not recorded; every window shows the same number of pixels, so that its area cannot
tell the label; and pixels can be kept out of a window, for windows that must miss a lesion.

Conventions: points are float (n, k, 2), row and column in pixels, k fixations on each film; a window is bool (n, h, w),
True = shown (the house's hidden masks are its complement). Randomness comes from a passed generator.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["centres", "crops", "fixations", "random_pixels", "window"]


def random_pixels(allowed: Tensor, count: int, *, rng: np.random.Generator) -> Tensor:
    """Draw pixels of a region, with replacement.

    Parameters
    ----------
    allowed : Tensor
        bool (n, h, w), not empty for any film.
    count : int
        Pixels for each film.
    rng : numpy.random.Generator

    Returns
    -------
    Tensor
        float64 (n, count, 2), row and column.

    Raises
    ------
    ValueError
        If a film allows no pixel.
    """
    flat = allowed.flatten(1)
    if not flat.any(1).all():
        raise ValueError(f"allowed must hold a pixel of every film, got none in {int((~flat.any(1)).sum())}; widen it")
    width = allowed.shape[2]
    drawn = [rng.choice(np.flatnonzero(film), count) for film in flat.cpu().numpy()]
    place = torch.from_numpy(np.stack(drawn))  # (n, count)
    return torch.stack([place // width, place % width], 2).double()


def fixations(centre: Tensor, count: int, *, scatter: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Scatter fixations around one point of each film.

    Parameters
    ----------
    centre : Tensor
        float (n, 2), row and column in pixels.
    count : int
        Fixations on each film, >= 1.
    scatter : ndarray, float (n,)
        Standard deviation along each axis, pixels; 0 = all on the point.
    rng : numpy.random.Generator

    Returns
    -------
    Tensor
        float64 (n, count, 2).

    Raises
    ------
    ValueError
        If there is no fixation.

    Examples
    --------
    >>> fixations(torch.tensor([[3.0, 5.0]]), 2, scatter=np.zeros(1), rng=np.random.default_rng(0)).tolist()
    [[[3.0, 5.0], [3.0, 5.0]]]
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}; pass the number of fixations on a film")
    steps = rng.standard_normal((len(centre), count, 2)) * np.asarray(scatter)[:, None, None]
    return centre.double()[:, None] + torch.from_numpy(steps)


def window(points: Tensor, shape: tuple[int, int], *, pixels: int, blur: float, never: Tensor | None = None) -> Tensor:
    """Show the part of a film that was looked at most.

    Parameters
    ----------
    points : Tensor
        float (n, k, 2), from `fixations` or `random_pixels`.
    shape : (int, int)
        Height and width of the films.
    pixels : int
        Shown in every film, 1 to all that may be shown.
    blur : float
        Standard deviation of the Gaussian around a fixation, pixels, > 0.
    never : Tensor, optional
        bool (n, h, w), pixels that stay hidden.

    Returns
    -------
    Tensor
        bool (n, h, w), exactly ``pixels`` True in each: those of highest summed heat.

    Raises
    ------
    ValueError
        If the blur is not positive or so many pixels cannot be shown.

    Examples
    --------
    >>> seen = window(torch.tensor([[[2.0, 2.0]]]), (5, 5), pixels=5, blur=1.0)
    >>> seen[0].int().tolist()[1:4]
    [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]]
    """
    room = shape[0] * shape[1] if never is None else int((~never).flatten(1).sum(1).min())
    if not 1 <= pixels <= room or not blur > 0:
        raise ValueError(f"pixels must be in 1..{room} and blur > 0, got {pixels} and {blur}; show less")
    lines = [torch.arange(side, dtype=torch.float64) for side in shape]
    axes = [torch.exp(-0.5 * ((line - points[..., k : k + 1]) / blur) ** 2) for k, line in enumerate(lines)]
    heat = torch.einsum("nkh,nkw->nhw", *axes)
    if never is not None:
        heat = heat.masked_fill(never, -1.0)
    order = heat.flatten(1).argsort(dim=1, descending=True, stable=True)[:, :pixels]
    shown = torch.zeros(heat.flatten(1).shape, dtype=torch.bool).scatter_(1, order, True)
    return shown.view_as(heat)


def centres(shown: Tensor) -> Tensor:
    """Centre of mass of each window: bool (n, h, w), not empty -> float64 (n, 2), row and column in pixels."""
    weight = shown.double()
    rows, columns = (torch.arange(side, dtype=torch.float64) for side in shown.shape[1:])
    total = weight.sum((1, 2)).clamp_min(1)
    return torch.stack([(weight.sum(2) @ rows) / total, (weight.sum(1) @ columns) / total], 1)


def crops(images: Tensor, centre: Tensor, *, side: int) -> Tensor:
    """Cut a square out of each film; what lies beyond the film is black.

    Parameters
    ----------
    images : Tensor
        float (n, 1, h, w).
    centre : Tensor
        float (n, 2), row and column; rounded to a pixel, within the film.
    side : int
        Of the square, pixels, >= 1.

    Returns
    -------
    Tensor
        float (n, 1, side, side); the pixel at the centre stands in row and column ``side // 2``.

    Raises
    ------
    ValueError
        If images and centres do not pair up, or the side is below 1.

    Examples
    --------
    >>> crops(torch.arange(16.0).view(1, 1, 4, 4), torch.tensor([[0.0, 1.0]]), side=3)[0, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]
    """
    if len(images) != len(centre) or side < 1:
        raise ValueError(f"centre must be (n, 2) for {len(images)} images and side >= 1, got {len(centre)} and {side}")
    corner = centre.round().long()
    padded = functional.pad(images, [side] * 4)
    low = corner + side - side // 2
    parts = [film[:, r : r + side, c : c + side] for film, (r, c) in zip(padded, low.tolist(), strict=True)]
    return torch.stack(parts)
