"""Performance information curves: how well a model decides when it is given so much of an image's information.

Paper: Kapishnikov et al. 2019, XRAI (arXiv:1906.02825), section on performance information curves. From a few random
pixels an image is rebuilt by linear interpolation; then the pixels that a map ranks highest are added, share by share.
The horizontal axis is the size of the rebuilt image after lossless compression, the vertical one the probability of the
class (softmax information curve, SIC) or whether it is the decision (accuracy information curve, AIC), both scaled from
the interpolated to the original image.

Differences: both curves come from the same rebuilt images; all channels of an image share one triangulation; curves of
skipped images are NaN and carry the reason, where the public code raises an error. Values otherwise follow the
public code, including its rounding to 8 bits and its thresholds. Sizes in bytes depend on the coder, which is therefore
a part of the protocol.

Conventions: ``score`` maps images (m, c, h, w) to logits; ``known`` are the random pixels, drawn once with
`random_pixels` and shared by all maps that are compared; areas are in [0, 1], larger = better.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.explain import Score, check_inputs, check_maps

THRESHOLDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75)
UNSURE, NO_LESS_INFORMATION, NO_LESS_SCORE = (
    "score below the minimum",
    "interpolated image is no smaller",
    "interpolated image scores no lower",
)

Coder = Literal["webp", "png"]


@dataclass(frozen=True)
class Protocol:
    """What a performance information curve depends on besides the map.

    Parameters
    ----------
    thresholds : tuple of float, (0, 1), ascending
        Shares of the highest ranked pixels that are shown.
    min_score : float, [0, 1]
        Images whose original score is lower are skipped.
    coder : "webp" or "png"
        Lossless coder whose bytes stand for information.
    points : int
        Equal steps of the horizontal axis.
    monotone : bool
        Whether a curve keeps its highest value so far.

    Source
    ------
    Public code of the paper, whose numbers are the defaults.
    """

    thresholds: tuple[float, ...] = THRESHOLDS
    min_score: float = 0.8
    coder: Coder = "webp"
    points: int = 1000
    monotone: bool = True

    def __post_init__(self) -> None:
        shares = self.thresholds
        if not shares or min(shares) <= 0 or max(shares) >= 1 or any(np.diff(shares) <= 0):
            raise ValueError(f"thresholds must ascend within (0, 1), got {shares}; a tenth of the pixels is 0.1")
        if not 0 <= self.min_score <= 1 or self.points < 1 or self.coder not in ("webp", "png"):
            raise ValueError(
                f"min_score must be in [0, 1], points at least 1 and coder 'webp' or 'png', got {self.min_score}, "
                f"{self.points} and {self.coder!r}; the paper's code has 0.8, 1000 and 'webp'"
            )


@dataclass(frozen=True)
class Curve:
    """One curve per image, or the reason why there is none.

    Attributes
    ----------
    values : Tensor, float64 (n, points + 1), [0, 1]
        NaN where the image was skipped.
    area : Tensor, float64 (n,), [0, 1]
        Area under each curve, NaN where skipped.
    reasons : tuple of str, n
        Why an image was skipped; empty where it was not.
    """

    values: Tensor
    area: Tensor
    reasons: tuple[str, ...]

    @property
    def used(self) -> Tensor:
        """Which images have a curve, bool (n,)."""
        return torch.tensor([not reason for reason in self.reasons])

    @property
    def skipped(self) -> dict[str, int]:
        """How many images were skipped for each reason."""
        return dict(Counter(reason for reason in self.reasons if reason))

    def median(self) -> tuple[Tensor, float]:
        """The paper's aggregate: the median curve over the used images, float64 (points + 1,), and its area."""
        if not bool(self.used.any()):
            raise ValueError(
                f"a median needs at least one used image, got {len(self.reasons)} skipped: {self.skipped}; "
                "lower min_score or explain other images"
            )
        middle = np.median(self.values[self.used].numpy(), axis=0)
        return torch.from_numpy(middle), float(np.trapezoid(middle, np.linspace(0, 1, len(middle))))


@dataclass(frozen=True)
class Information:
    """Both curves of every image, what they were made from, and how.

    Attributes
    ----------
    sic, aic : Curve
    share : Tensor, float64 (points + 1,), [0, 1]
        Share of information, the horizontal axis of both.
    bytes : Tensor, int64 (n, thresholds + 2)
        Coded size of the interpolated image, of every threshold's and of the original.
    probability : Tensor, float64 (n, thresholds + 2)
        Of the target class, in the same order.
    hit : Tensor, bool (n, thresholds + 2)
        Whether the target class is the decision, in the same order.
    protocol : Protocol
    """

    sic: Curve
    aic: Curve
    share: Tensor
    bytes: Tensor
    probability: Tensor
    hit: Tensor
    protocol: Protocol


def random_pixels(n: int, size: tuple[int, int], *, generator: torch.Generator, share: float = 0.01) -> Tensor:
    """The pixels that are known before a map is asked, another draw for every image.

    Parameters
    ----------
    n : int
        Images.
    size : (int, int)
        Height and width, px.
    generator : torch.Generator
        On the CPU.
    share : float, [0, 1]
        Rounded down to whole pixels; 0 leaves the four corners alone, which `rebuilt` always knows.

    Returns
    -------
    Tensor, bool (n, h, w)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}; one pixel in a hundred is 0.01")
    pixels = size[0] * size[1]
    places = torch.stack([torch.randperm(pixels, generator=generator) for _ in range(n)])
    return (places < int(pixels * share)).view(n, *size)


def rebuilt(image: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Linear interpolation of an image between the pixels that are known.

    Parameters
    ----------
    image : ndarray, uint8 (h, w, c)
    known : ndarray, bool (h, w)
        The four corners are taken as known, so that nothing lies outside.

    Returns
    -------
    ndarray, uint8 (h, w, c)
        Equal to the image where it is known.

    Source
    ------
    Public code of Kapishnikov et al. 2019; triangles by Delaunay through SciPy.
    """
    from scipy.interpolate import LinearNDInterpolator

    given = known.copy()
    given[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    out = image.copy()
    if given.all():
        return out
    between = LinearNDInterpolator(np.argwhere(given), image[given].astype(np.float64))
    values = between(np.argwhere(~given))  # (unknown, c)
    values = np.where(np.isnan(values), image.mean((0, 1)), values)
    out[~given] = np.round(values.astype(np.float32)).astype(np.uint8)  # halves are rounded as the public code does
    return out


def coded_bytes(image: NDArray[np.uint8], *, coder: Coder = "webp") -> int:
    """Size of an image (h, w, c) after lossless compression, bytes.

    Raises
    ------
    ValueError
        If Pillow lacks the coder.
    """
    from PIL import Image, features

    if coder == "webp" and not features.check("webp"):
        raise ValueError("coder 'webp' must be part of Pillow, got a Pillow without it; use coder='png'")
    stream = io.BytesIO()
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if coder == "webp":
        picture.save(stream, format="webp", lossless=True, quality=100)
    else:
        picture.save(stream, format="png")
    return stream.tell()


def measure(
    score: Score,
    images: Tensor,
    target: Tensor,
    maps: Tensor,
    known: Tensor,
    *,
    protocol: Protocol | None = None,
    max_batch: int = 256,
) -> Information:
    """Both performance information curves of one map per image.

    Parameters
    ----------
    score, target, max_batch
        As `lib.measure.perturbation.measure`.
    images : Tensor, float32 (n, 1 or 3, h, w), [0, 1]
        Rounded to 8 bits, which is what the model then sees.
    maps : Tensor, float (n, h, w)
        Larger = shown earlier; pixels that tie with the last one shown are shown as well.
    known : Tensor, bool (n, h, w)
        From `random_pixels`; the same for all maps that are compared.
    protocol : Protocol, optional
        The paper's by default.

    Returns
    -------
    Information
        Skipped images have a reason instead of a curve, separately for the two curves.

    Raises
    ------
    ValueError
        If shapes do not fit together.

    Source
    ------
    Kapishnikov et al. 2019, arXiv:1906.02825.
    """
    protocol = protocol or Protocol()
    check_inputs(images, target, max_batch)
    check_maps(maps, images)
    if known.shape != maps.shape or known.dtype != torch.bool or images.shape[1] not in (1, 3):
        raise ValueError(
            f"images must have 1 or 3 channels and known be bool {tuple(maps.shape)}, got {images.shape[1]} and "
            f"{known.dtype} {tuple(known.shape)}; draw known with random_pixels"
        )
    together = max(1, max_batch // (len(protocol.thresholds) + 2))  # images whose rebuilt copies are held at once
    sizes, chances, hits = [], [], []
    for start in range(0, len(images), together):
        part = slice(start, start + together)
        copies = _copies(images[part], maps[part], known[part], protocol)  # uint8 (k, thresholds + 2, h, w, c)
        sizes += [[coded_bytes(copy, coder=protocol.coder) for copy in of_image] for of_image in copies]
        chance, hit = _decisions(score, copies, target[part], images, max_batch)
        chances.append(chance)
        hits.append(hit)
    n_bytes, chance, hit = np.array(sizes, dtype=np.int64), np.concatenate(chances), np.concatenate(hits)
    return Information(
        _curve(n_bytes, chance, protocol),
        _curve(n_bytes, hit.astype(np.float64), protocol),
        torch.linspace(0, 1, protocol.points + 1, dtype=torch.float64),
        torch.from_numpy(n_bytes),
        torch.from_numpy(chance),
        torch.from_numpy(hit),
        protocol,
    )


def _copies(images: Tensor, maps: Tensor, known: Tensor, protocol: Protocol) -> NDArray[np.uint8]:
    """Interpolated image, one per threshold, and the original, of every image."""
    whole = (images.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    flat = maps.detach().cpu().double().numpy()
    cuts = np.quantile(flat.reshape(len(flat), -1), 1 - np.array(protocol.thresholds), axis=1)  # (thresholds, n)
    seeds = known.cpu().numpy()
    return np.stack([
        np.stack([
            rebuilt(image, seeds[i]), *(rebuilt(image, seeds[i] | (flat[i] >= cut)) for cut in cuts[:, i]), image,
        ])
        for i, image in enumerate(whole)
    ])  # fmt: skip


@torch.no_grad()
def _decisions(
    score: Score, copies: NDArray[np.uint8], target: Tensor, like: Tensor, max_batch: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probability of the target and whether it is the decision, each (k, copies)."""
    seen = torch.from_numpy(copies).flatten(0, 1).permute(0, 3, 1, 2)  # (k * copies, c, h, w)
    wanted = target.repeat_interleave(copies.shape[1])
    chance, hit = [], []
    for piece, label in zip(seen.split(max_batch), wanted.split(max_batch), strict=True):
        logits = score((piece.to(like.device, like.dtype) / 255).contiguous())
        chance.append(logits.softmax(1).gather(1, label[:, None])[:, 0].double())
        hit.append(logits.argmax(1) == label)
    shape = copies.shape[:2]
    return torch.cat(chance).cpu().numpy().reshape(shape), torch.cat(hit).cpu().numpy().reshape(shape)


def _curve(n_bytes: NDArray[np.int64], scores: NDArray[np.float64], protocol: Protocol) -> Curve:
    """Scaled and interpolated curves from sizes and scores, each (n, thresholds + 2)."""
    share = np.linspace(0, 1, protocol.points + 1)
    values = np.full((len(n_bytes), len(share)), np.nan)
    reasons = []
    for index, (size, shown) in enumerate(zip(n_bytes, scores, strict=True)):
        if shown[-1] < protocol.min_score:
            reasons.append(UNSURE)
        elif size[0] >= size[-1]:
            reasons.append(NO_LESS_INFORMATION)
        elif shown[0] >= shown[-1]:
            reasons.append(NO_LESS_SCORE)
        else:
            reasons.append("")
            x = np.clip((size[1:-1] - size[0]) / (size[-1] - size[0]), 0, 1)
            y = np.clip((shown[1:-1] - shown[0]) / (shown[-1] - shown[0]), 0, 1)
            y = np.maximum.accumulate(y) if protocol.monotone else y
            x, y = np.append(x, [0.0, 1.0]), np.append(y, [0.0, 1.0])
            ascending = np.argsort(x, kind="stable")
            values[index] = np.interp(share, x[ascending], y[ascending])
            values[index, -1] = 1.0
    area = np.trapezoid(values, share, axis=1)
    return Curve(torch.from_numpy(values), torch.from_numpy(area), tuple(reasons))
