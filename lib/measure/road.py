"""ROAD, remove and debias: how a model's score moves as pixels are removed so that their absence gives little away.

Paper: Rong et al. 2022, A Consistent and Efficient Evaluation Strategy for Attribution Methods (arXiv:2202.00449).
Removed pixels are replaced by noisy linear imputation: each one is the weighted mean of its eight neighbours, direct
ones with twice the weight of diagonal ones, solved for all removed pixels together, plus a little noise. Unlike a
constant it leaves no sharp mask in the image from which the class could be read. Nothing is trained again.

Differences: the weights of neighbours outside the image are given to the others, as in the public code; the same noise
serves an image at every share, so that a curve shows what pixels do and not what noise does; ties in a map are
broken at random, as in `lib.measure.roar`. The curve starts before anything is removed.

Conventions: ``score`` maps images (m, c, h, w) to logits; imputed values are not clipped. With the most important
pixels removed first (MoRF) a low area is good, with the least important first (LeRF) a high one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from lib.explain import Score, check_inputs, check_maps

DIRECT, DIAGONAL = 1 / 6, 1 / 12  # weights of the eight neighbours; they sum to one


@dataclass(frozen=True)
class Protocol:
    """What a curve of removal depends on besides the map.

    Parameters
    ----------
    first : "most" or "least"
        Which pixels are removed first: most important (MoRF, as in deletion) or least important (LeRF).
    shares : tuple of float, [0, 1), ascending
        Share of pixels removed at each point.
    noise : float, >= 0
        Standard deviation added to imputed values, on the scale of the image.

    Source
    ------
    Rong et al. 2022; 0.01 is the noise of the public code.
    """

    first: Literal["most", "least"] = "most"
    shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    noise: float = 0.01

    def __post_init__(self) -> None:
        shares = self.shares
        if len(shares) < 2 or min(shares) < 0 or max(shares) >= 1 or any(np.diff(shares) <= 0):
            raise ValueError(
                f"shares must be at least two, ascending within [0, 1), got {shares}; "
                "some pixels must stay to impute from"
            )
        if self.first not in ("most", "least") or self.noise < 0:
            raise ValueError(
                f"first must be 'most' or 'least' and noise at least 0, got {self.first!r} and {self.noise}; "
                "the paper's code has 0.01"
            )


@dataclass(frozen=True)
class Curves:
    """One curve per image and how it was made.

    Attributes
    ----------
    probability : Tensor, float32 (n, shares), [0, 1]
        Of the target class.
    hit : Tensor, bool (n, shares)
        Whether the target class is the decision; its mean over images is the paper's accuracy.
    area : Tensor, float32 (n,), [0, 1]
        Mean height of each probability curve over the shares (trapezoid).
    protocol : Protocol
    """

    probability: Tensor
    hit: Tensor
    area: Tensor
    protocol: Protocol


def neighbours(size: tuple[int, int]) -> sparse.csr_array:
    """Weights between the pixels of an image, float64 (h * w, h * w), symmetric, 0 except for the eight neighbours.

    Examples
    --------
    >>> neighbours((1, 3)).toarray()[0].tolist() == [0, DIRECT, 0]
    True
    """
    line = [sparse.eye_array(edge, k=1) + sparse.eye_array(edge, k=-1) for edge in size]
    same = [sparse.eye_array(edge) for edge in size]
    direct = sparse.kron(line[0], same[1]) + sparse.kron(same[0], line[1])
    return sparse.csr_array(DIRECT * direct + DIAGONAL * sparse.kron(line[0], line[1]))


def impute(image: Tensor, removed: Tensor, *, weights: sparse.csr_array | None = None) -> Tensor:
    """Replace removed pixels by the weighted mean of their neighbours, all at once; without noise.

    Parameters
    ----------
    image : Tensor, float32 (c, h, w)
    removed : Tensor, bool (h, w)
    weights : csr_array, optional
        From `neighbours`; pass it when many images of one size are imputed.

    Returns
    -------
    Tensor, float32 (c, h, w)
        Imputed values lie between the smallest and largest kept value; no pixel removed = the image itself.

    Raises
    ------
    ValueError
        If shapes do not fit together or no pixel is kept.

    Source
    ------
    Rong et al. 2022, arXiv:2202.00449, noisy linear imputation.
    """
    if image.ndim != 3 or removed.dtype != torch.bool or removed.shape != image.shape[1:]:
        raise ValueError(
            f"image must be (c, h, w) and removed bool (h, w), got {tuple(image.shape)} and {removed.dtype} "
            f"{tuple(removed.shape)}; pass one image at a time"
        )
    gone = removed.flatten().cpu().numpy()
    if gone.all():
        raise ValueError(f"removed must leave a pixel to impute from, got all {gone.size} removed; remove fewer")
    if not gone.any():
        return image.clone()
    weights = neighbours((image.shape[1], image.shape[2])) if weights is None else weights
    values = image.detach().cpu().double().flatten(1).T.numpy()  # (pixels, c)
    among = weights[gone]
    system = sparse.diags_array(among.sum(1)) - among[:, gone]
    solver = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    filled = values.copy()
    filled[gone] = solver.solve(among[:, ~gone] @ values[~gone])
    return torch.from_numpy(filled.T.copy()).view(image.shape).to(image)


def measure(
    score: Score,
    images: Tensor,
    target: Tensor,
    maps: Tensor,
    *,
    generator: torch.Generator,
    protocol: Protocol | None = None,
    max_batch: int = 256,
) -> Curves:
    """Follow the score of every image while its pixels are removed in the order of its map.

    Parameters
    ----------
    score, images, target, maps, max_batch
        As `lib.measure.perturbation.measure`.
    generator : torch.Generator
        On the CPU; ties and noise, image after image. The same seed gives all maps the same noise.
    protocol : Protocol, optional
        Most important first by default.

    Returns
    -------
    Curves

    Raises
    ------
    ValueError
        If shapes do not fit together.

    Source
    ------
    Rong et al. 2022, arXiv:2202.00449.
    """
    protocol = protocol or Protocol()
    check_inputs(images, target, max_batch)
    check_maps(maps, images)
    weights = neighbours((images.shape[2], images.shape[3]))
    waiting: list[Tensor] = []
    labels: list[Tensor] = []
    chances: list[Tensor] = []
    hits: list[Tensor] = []
    for image, label, values in zip(images, target, maps, strict=True):
        place = _places(values, protocol.first, generator)
        noise = protocol.noise * torch.randn(image.shape, generator=generator).to(image)
        for share in protocol.shares:
            removed = place < round(share * place.numel())
            waiting.append(impute(image, removed, weights=weights) + noise * removed.to(image))
            labels.append(label)
            if len(waiting) == max_batch:
                _decide(score, waiting, labels, chances, hits)
    if waiting:
        _decide(score, waiting, labels, chances, hits)
    shape = (len(images), len(protocol.shares))
    probability, hit = torch.cat(chances).view(shape), torch.cat(hits).view(shape)
    at = torch.tensor(protocol.shares, dtype=torch.float64, device=probability.device)
    area = torch.trapezoid(probability.double(), at, dim=1) / (at[-1] - at[0])
    return Curves(probability.float(), hit, area.float(), protocol)


def _places(values: Tensor, first: str, generator: torch.Generator) -> Tensor:
    """Position of every pixel in the order of removal, int64 (h, w)."""
    flat = values.detach().cpu().flatten()
    shuffle = torch.randperm(flat.numel(), generator=generator)
    ranking = shuffle[flat[shuffle].argsort(descending=first == "most", stable=True)]
    place = torch.empty_like(ranking)
    place[ranking] = torch.arange(flat.numel())
    return place.view(values.shape).to(values.device)


@torch.no_grad()
def _decide(
    score: Score, waiting: list[Tensor], labels: list[Tensor], chances: list[Tensor], hits: list[Tensor]
) -> None:
    """Score the images that wait, and empty the list."""
    logits, label = score(torch.stack(waiting)), torch.stack(labels)
    chances.append(logits.softmax(1).gather(1, label[:, None])[:, 0])
    hits.append(logits.argmax(1) == label)
    waiting.clear()
    labels.clear()
