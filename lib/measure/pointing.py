"""Does a map point at the object: the pointing game and the share of its energy that lies inside.

Papers: Zhang et al. 2016, Top-down Neural Attention by Excitation Backprop (arXiv:1608.00507): a hit is a maximum
inside the object, within a tolerance; Wang et al. 2020, Score-CAM (arXiv:1910.01279): the energy-based pointing game.

Differences: a map with several equal maxima scores the share of them that hit, the expectation of choosing one at
random, so a constant map scores what chance scores; a tolerance is a Euclidean distance in pixels. Energy counts values
above a floor that the protocol names, because a map that is positive everywhere, as RISE's, has energy everywhere.

Conventions: a region is bool (n, h, w), True = object; values are per image, float32 (n,) in [0, 1], large is good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Protocol:
    """What two papers may do differently under the same name.

    Parameters
    ----------
    tolerance_px : float, pixels
        A maximum this near to the region is a hit; 0 = it must lie inside. Not used for energy.
    floor : "zero" or "minimum"
        Energy is what exceeds 0, or the map's own minimum. Not used for the game.
    """

    tolerance_px: float = 0.0
    floor: Literal["zero", "minimum"] = "zero"

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance_px < math.inf:
            raise ValueError(f"tolerance_px must be at least 0 pixels, got {self.tolerance_px}; 0 = inside the region")
        if self.floor not in ("zero", "minimum"):
            raise ValueError(f"floor must be 'zero' or 'minimum', got {self.floor!r}")


INSIDE = Protocol()
"""No tolerance; energy above zero."""


@dataclass(frozen=True)
class Located:
    """One value per image, what chance would score, and how it was measured.

    Attributes
    ----------
    value : Tensor, float32 (n,), [0, 1]
    chance : Tensor, float32 (n,), [0, 1]
        Score of a constant map: the share of pixels that count as hits.
    protocol : Protocol
    """

    value: Tensor
    chance: Tensor
    protocol: Protocol


def box_regions(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels whose centre lies in the box of their image, bool (n, h, w).

    Parameters
    ----------
    boxes : Tensor (n, 4)
        x0, y0, x1, y1 in pixels, half open, as in `lib.data.images`.
    size : (int, int)
        Height and width, px.

    Examples
    --------
    >>> box_regions(torch.tensor([[1.0, 0.0, 3.0, 1.0]]), (2, 3)).int().tolist()
    [[[0, 1, 1], [0, 0, 0]]]
    """
    left, top, right, bottom = (side[:, None, None] for side in boxes.unbind(1))
    row = torch.arange(size[0], device=boxes.device)[None, :, None] + 0.5
    column = torch.arange(size[1], device=boxes.device)[None, None, :] + 0.5
    return (row >= top) & (row < bottom) & (column >= left) & (column < right)


def widened(regions: Tensor, *, tolerance_px: float) -> Tensor:
    """Pixels at most a Euclidean distance away from the region, bool (n, h, w).

    Examples
    --------
    >>> widened(torch.tensor([[[True, False, False]]]), tolerance_px=1.5).tolist()
    [[[True, True, False]]]
    """
    reach = math.floor(tolerance_px)
    if reach == 0:
        return regions
    step = torch.arange(-reach, reach + 1)
    disc = (step[:, None] ** 2 + step[None] ** 2 <= tolerance_px**2).float()[None, None].to(regions.device)
    return F.conv2d(regions[:, None].float(), disc, padding=reach)[:, 0] > 0.5


def pointing_game(maps: Tensor, regions: Tensor, *, protocol: Protocol = INSIDE) -> Located:
    """Whether the largest value of each map hits the object.

    Parameters
    ----------
    maps : Tensor, float (n, h, w)
    regions : Tensor, bool (n, h, w)
        At least one pixel of each image is True; see `box_regions`.
    protocol : Protocol

    Returns
    -------
    Located
        1 = a hit, 0 = a miss, between = the share of equal maxima that hit.

    Raises
    ------
    ValueError
        If shapes or types do not fit together, a region is empty or a map is not finite.

    Source
    ------
    Zhang et al. 2016, arXiv:1608.00507, the pointing game.

    Examples
    --------
    >>> pointing_game(torch.tensor([[[0.0, 2.0, 1.0]]]), torch.tensor([[[False, True, False]]])).value
    tensor([1.])
    """
    _check(maps, regions)
    hits = widened(regions, tolerance_px=protocol.tolerance_px).float()
    top = (maps == maps.amax((1, 2), keepdim=True)).float()
    return Located((top * hits).sum((1, 2)) / top.sum((1, 2)), hits.mean((1, 2)), protocol)


def energy_inside(maps: Tensor, regions: Tensor, *, protocol: Protocol = INSIDE) -> Located:
    """Share of a map's energy that lies on the object; parameters and errors as `pointing_game`.

    Returns
    -------
    Located
        1 = nothing outside, ``chance`` = no preference; a map without energy counts as constant.

    Source
    ------
    Wang et al. 2020, arXiv:1910.01279, energy-based pointing game.

    Examples
    --------
    >>> energy_inside(torch.tensor([[[-5.0, 3.0, 1.0]]]), torch.tensor([[[False, True, False]]])).value
    tensor([0.7500])
    """
    _check(maps, regions)
    floor = maps.amin((1, 2), keepdim=True) if protocol.floor == "minimum" else 0.0
    energy = (maps.double() - floor).clamp_min(0)
    energy = torch.where(energy.amax((1, 2), keepdim=True) > 0, energy, 1.0)
    share = (energy * regions).sum((1, 2)) / energy.sum((1, 2))
    return Located(share.float(), regions.float().mean((1, 2)), protocol)


def _check(maps: Tensor, regions: Tensor) -> None:
    if maps.ndim != 3 or not maps.is_floating_point() or not bool(maps.isfinite().all()):
        raise ValueError(f"maps must be finite float (n, h, w), got {maps.dtype} {tuple(maps.shape)}; merge channels")
    if regions.dtype != torch.bool or regions.shape != maps.shape:
        raise ValueError(
            f"regions must be bool {tuple(maps.shape)}, got {regions.dtype} {tuple(regions.shape)}; "
            "make them with box_regions, or compare a mask with a threshold"
        )
    if not bool(regions.flatten(1).any(1).all()):
        raise ValueError("regions must hold a pixel in every image, but one is empty; drop images without an object")
