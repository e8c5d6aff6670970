"""Normal images and images with planted defects: generated textures and one class of real objects, with exact masks.

Protocol of Bergmann et al. 2021, MVTec AD (doi:10.1007/s11263-020-01400-4): training images are normal, test images
are normal or carry a defect whose pixels are known, and every category (a texture or a kind of object) is learnt alone.
Difference: defects are painted by us, of four kinds, one in an image, so that their masks are exact and their supply
does not end; the images are small.

- *scratch*: a thin straight line, brighter or darker than what it crosses;
- *blob*: a soft round spot, brighter or darker;
- *swap*: a square from another place of another normal image of the same category;
- *missing*: a rectangle of the object gone (background shows); in a texture, a rectangle without texture.

Conventions: float32 NCHW in [0, 1], one channel, ``SIDE`` px square; a mask is bool (n, SIDE, SIDE), True = defect,
one 8-connected region. Outside its mask an image equals the normal image it was made from, bit for bit; inside, at
least half of the pixels differ by ``VISIBLE`` or more. A seed decides everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.data.images import images

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

SIDE = 32  # px
VISIBLE = 0.05  # smallest change of a pixel that counts as one, of the range 0 to 1
BLACK = 0.1  # pixels of an object set that are brighter belong to the object
MIN_PIXELS = 6  # of a defect
TEXTURES = ("grain", "weave")
CATEGORIES = (*TEXTURES, "objects")
DEFECTS = ("scratch", "blob", "swap", "missing")
TRIES = 200


@dataclass(frozen=True)
class Inspection:
    """Test images of one category.

    Attributes
    ----------
    x : float32 Tensor (n, 1, SIDE, SIDE), in [0, 1]
    normal : float32 Tensor (n, 1, SIDE, SIDE)
        The same images before anything was planted.
    masks : bool Tensor (n, SIDE, SIDE)
        True = defect; empty for a normal image.
    defect : int64 Tensor (n,)
        0 = normal, k = ``DEFECTS[k - 1]``. The first half of the images is normal.
    """

    x: torch.Tensor
    normal: torch.Tensor
    masks: torch.Tensor
    defect: torch.Tensor


def normal_images(category: str, n: int, *, source: str, split: str = "train", label: int = 9, seed: int) -> Floats:
    """Images without a defect.

    Parameters
    ----------
    category : {"grain", "weave", "objects"}
        Irregular grains of one size; woven threads; one class of a set of bright objects on black.
    n : int
    source : str
        Id of an image set of at most ``SIDE`` px, for "objects"; colours are averaged, smaller images framed in black.
    split : {"train", "test"}
        Of ``source``; for textures only another stream of chance.
    label : int
        Class of the objects; 9 is the ankle boot of Fashion-MNIST and the digit nine.
    seed : int

    Returns
    -------
    float64 ndarray (n, SIDE, SIDE), in [0, 1]

    Raises
    ------
    ValueError
        An unknown category, images that are too large, or fewer of them than asked for.
    """
    if category not in CATEGORIES:
        raise ValueError(f"category must be one of {', '.join(CATEGORIES)}, got {category!r}")
    if category == "objects":
        return _objects(source, n, split=split, label=label, seed=seed)
    rng = np.random.default_rng([seed, CATEGORIES.index(category), split == "test"])
    return {"grain": _grain, "weave": _weave}[category](n, rng)


def training(category: str, n: int, *, source: str, label: int = 9, seed: int) -> torch.Tensor:
    """Normal images to learn from: float32 Tensor (n, 1, SIDE, SIDE); arguments as in `normal_images`."""
    import torch

    found = normal_images(category, n, source=source, split="train", label=label, seed=seed)
    return torch.from_numpy(found.astype(np.float32))[:, None]


def inspection(category: str, n: int, *, source: str, label: int = 9, seed: int) -> Inspection:
    """Test images: the first half normal, the others with one defect each, the four kinds in turn.

    Parameters
    ----------
    category, source, label, seed
        As in `normal_images`; no test image is a training image.
    n : int
        Images, even, at least 8 so that every kind occurs.

    Returns
    -------
    Inspection

    Raises
    ------
    ValueError
        As in `normal_images`, or ``n`` is odd or too small.
    """
    import torch

    if n < 2 * len(DEFECTS) or n % 2:
        raise ValueError(f"n must be even and at least {2 * len(DEFECTS)}, got {n}; half of the images are defective")
    normal = normal_images(category, n, source=source, split="test", label=label, seed=seed).astype(np.float32)
    rng = np.random.default_rng([seed, CATEGORIES.index(category), 2])
    x, masks, kinds = normal.copy(), np.zeros(normal.shape, dtype=bool), np.zeros(n, dtype=np.int64)
    for row in range(n // 2, n):
        kinds[row] = 1 + (row - n // 2) % len(DEFECTS)
        donor = normal[rng.integers(n // 2)]  # a normal one, never the image itself
        x[row], masks[row] = plant(
            normal[row], DEFECTS[kinds[row] - 1], donor=donor, on_black=category == "objects", rng=rng
        )
    found = [torch.from_numpy(array)[:, None] for array in (x, normal)]
    return Inspection(found[0], found[1], torch.from_numpy(masks), torch.from_numpy(kinds))


def plant(
    image: NDArray[np.float32], defect: str, *, donor: NDArray[np.float32], on_black: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Paint one defect.

    Parameters
    ----------
    image : float32 ndarray (h, w), in [0, 1]
        Stays as it is.
    defect : {"scratch", "blob", "swap", "missing"}
    donor : float32 ndarray (h, w)
        Another normal image, for "swap".
    on_black : bool
        True: the image is an object on black, the defect lies on it, and what is missing is black. False: a texture.
    rng : numpy Generator

    Returns
    -------
    float32 ndarray (h, w), bool ndarray (h, w)
        The image with its defect, and the defect's pixels.

    Raises
    ------
    ValueError
        An unknown defect, or an image on which none can be seen.
    """
    if defect not in DEFECTS:
        raise ValueError(f"defect must be one of {', '.join(DEFECTS)}, got {defect!r}")
    paint: dict[str, Callable[..., tuple[Floats, NDArray[np.bool_]]]] = {
        "scratch": _scratch, "blob": _blob, "swap": _swap, "missing": _missing,
    }  # fmt: skip
    inside = image > BLACK if on_black else np.ones(image.shape, dtype=bool)
    places = np.argwhere(inside)
    for _ in range(TRIES if len(places) else 0):
        centre = places[rng.integers(len(places))]
        painted, region = paint[defect](image.astype(float), centre, donor=donor, on_black=on_black, rng=rng)
        if defect != "swap":
            region &= inside
        region = _largest(region)
        result = np.where(region, painted.clip(0, 1), image).astype(np.float32)
        changed = (np.abs(result - image) >= VISIBLE) & region
        if region.sum() >= MIN_PIXELS and 2 * changed.sum() >= region.sum():
            return result, region
    raise ValueError(f"image must show a {defect} somewhere, got one that does not in {TRIES} tries; is it blank?")


def _objects(source: str, n: int, *, split: str, label: int, seed: int) -> Floats:
    found = images(source, split=split, n=1)
    side = max(found.x.shape[2:])
    if side > SIDE:
        raise ValueError(f"images of {source!r} must have at most {SIDE} px a side, got {side}; take a smaller set")
    try:  # in every prefix the classes have their shares, give or take two images
        found = images(source, split=split, n=len(found.classes) * (n + 2), seed=seed)
    except ValueError:
        found = images(source, split=split, seed=seed)
    kept = found.x[found.y == label][:n].mean(dim=1).double().numpy()  # (n, h, w)
    if len(kept) < n:
        raise ValueError(f"n must be at most {len(kept)} for class {label} of {source!r}, {split} split, got {n}")
    frame = [((SIDE - length) // 2, SIDE - length - (SIDE - length) // 2) for length in kept.shape[1:]]
    return np.pad(kept, [(0, 0), *frame])


def _grain(n: int, rng: np.random.Generator) -> Floats:
    """Band-pass filtered white noise, wrapped round: grains about 4 px wide, of the same contrast in every image."""
    noise = rng.normal(size=(n, SIDE, SIDE))
    fine, coarse = (ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="wrap") for sigma in (1.2, 2.4))
    band = fine - coarse
    return np.clip(0.5 + 0.1 * band / band.std(axis=(1, 2), keepdims=True), 0, 1)


def _weave(n: int, rng: np.random.Generator) -> Floats:
    """Threads over and under each other, 8 px apart, shifted and slightly turned at random, with a little noise."""
    turn = rng.normal(0, 0.03, (n, 1, 1))  # rad
    shift = rng.uniform(0, 2 * np.pi, (2, n, 1, 1))
    row, column = np.mgrid[0:SIDE, 0:SIDE]
    down = np.sin(2 * np.pi / 8 * (row * np.cos(turn) + column * np.sin(turn)) + shift[0])
    across = np.sin(2 * np.pi / 8 * (column * np.cos(turn) - row * np.sin(turn)) + shift[1])
    threads = 0.5 + 0.12 * (down + across) + 0.12 * down * across
    return np.clip(threads + rng.normal(0, 0.02, threads.shape), 0, 1)


def _away(image: Floats, centre: NDArray[np.int64], rng: np.random.Generator) -> float:
    """A change of brightness that does not run into the end of the range at this pixel."""
    value = image[tuple(centre)]
    sign = 1.0 if value < 0.3 else -1.0 if value > 0.7 else float(rng.choice([-1.0, 1.0]))
    return sign * float(rng.uniform(0.25, 0.45))


def _scratch(
    image: Floats, centre: NDArray[np.int64], *, rng: np.random.Generator, **_: object
) -> tuple[Floats, NDArray[np.bool_]]:
    angle, half = rng.uniform(0, np.pi), rng.uniform(4, 9)
    row, column = np.indices(image.shape)
    along = (row - centre[0]) * np.sin(angle) + (column - centre[1]) * np.cos(angle)
    aside = (row - centre[0]) * np.cos(angle) - (column - centre[1]) * np.sin(angle)
    region = (np.abs(along) <= half) & (np.abs(aside) <= 0.75)
    return image + _away(image, centre, rng), region


def _blob(
    image: Floats, centre: NDArray[np.int64], *, rng: np.random.Generator, **_: object
) -> tuple[Floats, NDArray[np.bool_]]:
    radius = rng.uniform(2, 4)
    row, column = np.indices(image.shape)
    far = np.hypot(row - centre[0], column - centre[1]) / radius
    return image + _away(image, centre, rng) * (1 - 0.5 * far**2), far <= 1


def _swap(
    image: Floats, centre: NDArray[np.int64], *, donor: NDArray[np.float32], rng: np.random.Generator, **_: object
) -> tuple[Floats, NDArray[np.bool_]]:
    side = int(rng.integers(6, 10))
    top, left = np.clip(centre - side // 2, 0, np.array(image.shape) - side)
    down, across = rng.integers(0, np.array(donor.shape) - side + 1)
    painted = image.copy()
    painted[top : top + side, left : left + side] = donor[down : down + side, across : across + side]
    region = np.zeros(image.shape, dtype=bool)
    region[top : top + side, left : left + side] = True
    return painted, region


def _missing(
    image: Floats, centre: NDArray[np.int64], *, on_black: bool, rng: np.random.Generator, **_: object
) -> tuple[Floats, NDArray[np.bool_]]:
    sides = rng.integers(5, 10, size=2)
    top, left = np.clip(centre - sides // 2, 0, np.array(image.shape) - sides)
    region = np.zeros(image.shape, dtype=bool)
    region[top : top + sides[0], left : left + sides[1]] = True
    return np.full(image.shape, 0.0 if on_black else float(image[region].mean())), region


def _largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 8-connected part of a region."""
    parts, count = ndimage.label(region, structure=np.ones((3, 3)))
    if count < 2:
        return region
    return parts == 1 + np.bincount(parts.ravel())[1:].argmax()
