"""What a masked model predicts: pixels, standardised pixels, gradient histograms, or gradients that ignore speckle.

Papers: He et al. 2022, MAE (arXiv:2111.06377), section 3, for pixels standardised patch by patch; Wei et al. 2022,
MaskFeat (arXiv:2112.09133), section on HOG; Li et al. 2025, SARATR-X (arXiv:2405.09365), multi-scale gradient features.

Differences: sizes of cells and windows are arguments, because the pictures here have 28 to 64 pixels and not 224;
gradients are taken in every channel, where radar images have one.

Conventions: a target is a callable ``(images, patch) -> (n, tokens, d)``; images are float32 NCHW in [0, 1], tokens run
row by row over the patch grid, and within a token the channels come last. Targets have no gradient to the images.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

Target = Callable[[Tensor, int], Tensor]

CENTRE, SCALE = 0.5, 0.25
NORM_EPS = 1e-6  # added to a patch's variance, as in MAE's public code
RADII = (9, 13, 17)  # px, for images of 224 px
FLOOR = 1e-2


def patches(images: Tensor, patch: int) -> Tensor:
    """Cut images (n, c, h, w) into square patches of side ``patch``, row by row.

    Returns
    -------
    Tensor (n, tokens, patch * patch * c)
        Pixels of a patch row by row, channels last.

    Raises
    ------
    ValueError
        The side does not divide the image.
    """
    n, c, h, w = images.shape
    if h % patch or w % patch:
        raise ValueError(f"patch must divide the image, got {patch} px for {h} x {w} px; crop or resize the images")
    cut = images.reshape(n, c, h // patch, patch, w // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, patch * patch * c)


def images_from(tokens: Tensor, patch: int, *, grid: tuple[int, int]) -> Tensor:
    """Put patches back into images: the inverse of `patches`.

    Parameters
    ----------
    tokens : Tensor (n, tokens, patch * patch * c)
    patch : int
        Side in pixels.
    grid : (int, int)
        Patches along height and width.

    Returns
    -------
    Tensor (n, c, h, w)
    """
    rows, columns = grid
    cut = tokens.reshape(len(tokens), rows, columns, patch, patch, -1)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), -1, rows * patch, columns * patch)


def centred(images: Tensor) -> Tensor:
    """Bring pixels from [0, 1] to [-2, 2], about what ImageNet's mean and deviation do in MAE's public code."""
    return (images - CENTRE) / SCALE


def normalised(tokens: Tensor) -> Tensor:
    """Standardise every patch by its own mean and (unbiased) variance; shape (n, tokens, pixels) is kept."""
    variance, mean = torch.var_mean(tokens, dim=-1, keepdim=True)
    return (tokens - mean) / (variance + NORM_EPS).sqrt()


def pixels(images: Tensor, patch: int) -> Tensor:
    """Centred pixels of every patch: float (n, tokens, patch * patch * c) in [-2, 2]."""
    return patches(centred(images), patch)


def normalised_pixels(images: Tensor, patch: int) -> Tensor:
    """Pixels standardised patch by patch: float (n, tokens, patch * patch * c); 0 everywhere = a flat patch."""
    return normalised(pixels(images, patch))


@torch.no_grad()
def hog(images: Tensor, patch: int, *, cell: int | None = None, bins: int = 9) -> Tensor:
    """Histograms of oriented gradients: which directions of edges a cell holds, whatever its contrast.

    Parameters
    ----------
    images : Tensor (n, c, h, w), float32
    patch : int
        Side of a patch in px.
    cell : int, optional
        Side of a cell in px, a divisor of ``patch``. None: half a patch, as in the paper, or a whole odd one.
    bins : int
        Directions over half a turn; light-to-dark and dark-to-light count alike.

    Returns
    -------
    Tensor (n, tokens, cells * c * bins), float32, in [0, 1]
        Each cell and channel has unit length over its bins; 0 everywhere = a flat cell.

    Raises
    ------
    ValueError
        The cell does not divide the patch, or there is no bin.

    Source
    ------
    arXiv:2112.09133 and its public code: Sobel filters on images mirrored at the border, each pixel counts for one bin
    with its gradient's length, cells are normalised alone and not in blocks.
    """
    cell = cell or (patch // 2 if patch % 2 == 0 else patch)
    if bins < 1 or cell < 1 or patch % cell:
        raise ValueError(f"cell must divide the patch and bins be positive, got {cell} of {patch} px and {bins} bins")
    across, down = _sobel(images)
    length = (across.square() + down.square()).sqrt()
    turn = torch.atan2(across, down) / math.pi * bins  # in [-bins, bins]; half a turn is all bins
    place = turn.floor().remainder(bins)
    # one bin after the other: no array of bins times pixels, and no sum whose order is left to chance
    counts = torch.stack([functional.avg_pool2d(length * (place == b), cell) for b in range(bins)], dim=2)
    unit = functional.normalize(counts, dim=2)  # (n, c, bins, rows, columns)
    return patches(unit.flatten(1, 2), patch // cell)


def _sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Differences left minus right and top minus bottom, smoothed across; by slices, so that flat areas give just 0."""
    x = functional.pad(images, (1, 1, 1, 1), mode="reflect")
    rows = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    columns = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return rows[..., :-2] - rows[..., 2:], columns[..., :-2, :] - columns[..., 2:, :]


@torch.no_grad()
def gradients(images: Tensor, patch: int, *, radii: tuple[int, ...] = RADII, floor: float = FLOOR) -> Tensor:
    """Multi-scale gradients by ratio, standardised patch by patch: edges that multiplicative noise does not move.

    Parameters
    ----------
    images : Tensor (n, c, h, w), float32, not negative
    patch : int
        Side of a patch in px.
    radii : tuple of int
        Half sides of the windows in px, each below the image's side; a window has ``2 * radius + 1`` px.
    floor : float
        Added to every pixel, so that a black window has a logarithm.

    Returns
    -------
    Tensor (n, tokens, patch * patch * len(radii) * c), float32
        0 everywhere = a patch whose gradients are all alike.

    Raises
    ------
    ValueError
        As `gradient_maps`.

    Source
    ------
    arXiv:2405.09365: standardised over all scales of a patch together.
    """
    return normalised(patches(gradient_maps(images, radii=radii, floor=floor), patch))


@torch.no_grad()
def gradient_maps(images: Tensor, *, radii: tuple[int, ...] = RADII, floor: float = FLOOR) -> Tensor:
    """Length of the gradient by ratio in every pixel: logarithms of the two halves' means, subtracted, on both axes.

    Parameters
    ----------
    images, radii, floor
        As in `gradients`. Both halves of a window contain its middle line.

    Returns
    -------
    Tensor (n, len(radii) * c, h, w), float32, at least 0
        One scale after the other. 0 = the halves are equally bright; log 2 = twice as bright on one axis. Images and
        ``floor`` times a constant give the same maps: a gain of the sensor does not show.

    Raises
    ------
    ValueError
        A window that does not fit, or a floor that is not positive.

    Examples
    --------
    >>> gradient_maps(torch.ones(2, 1, 8, 8), radii=(1, 3)).amax().item()
    0.0
    """
    most = min(images.shape[2:]) - 1
    if not radii or not all(1 <= radius <= most for radius in radii):
        raise ValueError(f"radii must be in [1, {most}] px for images of {tuple(images.shape[2:])} px, got {radii}")
    if floor <= 0:
        raise ValueError(f"floor must be positive, got {floor:g}; the paper adds 0.01 to pixels in [0, 1]")
    margin, maps = max(radii), []
    x = functional.pad(images, (margin,) * 4, mode="reflect").double() + floor
    table = functional.pad(x.cumsum(dim=2).cumsum(dim=3), (1, 0, 1, 0))  # sums of all that is above and left
    for radius in radii:
        spare = margin - radius
        part = table[..., spare : table.shape[2] - spare, spare : table.shape[3] - spare]
        down, across = _log_ratio(part, radius), _log_ratio(part.mT, radius).mT
        maps.append((down.square() + across.square()).sqrt())
    return torch.cat(maps, dim=1)


def _log_ratio(table: Tensor, radius: int) -> Tensor:
    """Log sum of the upper half of each window minus that of the lower, from a summed-area table."""
    wide = table[..., 2 * radius + 1 :] - table[..., : -2 * radius - 1]  # (n, c, h + 2 * radius + 1, w)
    halves = (wide[..., radius + 1 :, :] - wide[..., : -radius - 1, :]).float().log()  # (n, c, h + radius, w)
    return halves[..., :-radius, :] - halves[..., radius:, :]


KINDS: dict[str, Target] = {
    "pixels": pixels,
    "normalised": normalised_pixels,
    "hog": hog,
    "gradients": gradients,
}


def named(kind: str, *, cell: int | None = None, radii: tuple[int, ...] = RADII) -> Target:
    """Choose a target by a literal, for runs that are named by their arguments.

    Parameters
    ----------
    kind : {"pixels", "normalised", "hog", "gradients"}
    cell : int, optional
        Of `hog`; the others have none.
    radii : tuple of int
        Of `gradients`; the others have none.

    Returns
    -------
    callable
        ``(images, patch) -> (n, tokens, d)``.

    Raises
    ------
    ValueError
        An unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"target must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "hog":
        return partial(hog, cell=cell)
    return partial(gradients, radii=radii) if kind == "gradients" else KINDS[kind]


def target_size(target: Target, patch: int, *, channels: int, grid: tuple[int, int]) -> int:
    """Numbers that a target holds for one patch, in images with so many channels and patches."""
    rows, columns = grid
    return target(torch.zeros(1, channels, rows * patch, columns * patch), patch).shape[-1]
