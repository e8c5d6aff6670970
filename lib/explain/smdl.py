"""Submodular search over sub-regions: regions are chosen one after another, each time the one that helps a set most.

Paper: Chen et al. 2024, Less is More: Fewer Interpretable Region via Submodular Subset Selection (arXiv:2402.09164).
The value of a set S of regions of an image x is the weighted sum of four terms,

    confidence      1 - K / sum_c (exp(e_c(x_S)) + 1)          an evidential network with outputs e is sure of x_S
    effectiveness   sum_{i in S} min_{j in S, j != i} angle(F_i, F_j) / pi         the regions differ from each other
    consistency     p(target | x_S)                            what is kept shows the class
    collaboration   1 - p(target | x without S)                what is left does not

and the greedy algorithm adds the region with the largest value.

Differences: features F_i of single regions are computed once per image, and all candidates of a step go through the
networks together, in pieces of ``max_batch``. A term of weight 0 is not asked for. A lone region counts as different
by 1, the largest value, as in the public code. Values within ``TIE`` of the best count as equal and the region with
the lowest number wins, so that float32 rounding in batches of another size does not decide.

Conventions: see `lib.explain`; regions are ``features`` of `lib.explain.features`; ``score`` returns probabilities; a
subset is bool (regions,), True = kept; what is hidden takes ``fill``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.explain import Score, check_inputs
from lib.explain.features import cells, each, gated, spread
from lib.explain.queries import fill_values, masked_scores

TERMS = ("confidence", "effectiveness", "consistency", "collaboration")
TIE = 1e-5  # values closer than this are equal: float32 networks in other batch sizes differ by about 1e-6
EXPONENT = 10.0  # evidence is exp of an output clamped to plus or minus this, as in the public code


@dataclass(frozen=True)
class Networks:
    """What besides ``score`` the value of a set is made of; the functions treat every image on its own.

    Parameters
    ----------
    embed : callable
        Images (m, c, h, w) to features (m, d), for effectiveness; usually the layer before the last.
    evidence : callable, optional
        Images (m, c, h, w) to outputs (m, classes) of an evidential network; left out, confidence is 0 throughout.
    """

    embed: Score
    evidence: Score | None = None


@dataclass(frozen=True)
class SetFunction:
    """The value of every set of regions of one image; see `set_function`.

    Attributes
    ----------
    score, networks, weights, max_batch
        As in `smdl`.
    image, fill : Tensor, float32 (c, h, w)
    target : int
    features : Tensor, int64 (h, w)
        Region of every pixel.
    distances : Tensor, float32 (k, k), [0, 1]
        Angle between the features of single regions, as a share of half a turn; 1 on the diagonal.
    """

    score: Score
    networks: Networks
    image: Tensor
    target: int
    features: Tensor
    fill: Tensor
    distances: Tensor
    weights: tuple[float, float, float, float]
    max_batch: int

    def terms(self, subsets: Tensor) -> Tensor:
        """The four terms of subsets bool (m, k), float32 (m, 4), before weighting; 0 where the weight is 0."""
        found = torch.zeros(len(subsets), len(TERMS), device=self.image.device)
        for start in range(0, len(subsets), self.max_batch):
            piece = subsets[start : start + self.max_batch].to(self.image.device)
            rows = slice(start, start + len(piece))
            kept = gated(piece.float(), self.features)  # (m, h, w)
            if self.weights[0] and self.networks.evidence is not None:
                found[rows, 0] = self._confidence(kept, self.networks.evidence)
            if self.weights[1]:
                found[rows, 1] = self._effectiveness(piece)
            if self.weights[2]:
                found[rows, 2] = self._probability(kept)
            if self.weights[3]:
                found[rows, 3] = 1 - self._probability(1 - kept)
        return found

    def values(self, subsets: Tensor) -> Tensor:
        """Weighted sum of the terms of subsets bool (m, k), float32 (m,)."""
        return (self.terms(subsets) * torch.tensor(self.weights, device=self.image.device)).sum(1)

    def _probability(self, masks: Tensor) -> Tensor:
        return masked_scores(self.score, self.image, self.target, masks, self.fill, self.max_batch)

    @torch.no_grad()
    def _confidence(self, masks: Tensor, evidence: Score) -> Tensor:
        outputs = evidence(torch.lerp(self.fill, self.image, masks[:, None])).clamp(-EXPONENT, EXPONENT)
        return 1 - outputs.shape[1] / (outputs.exp() + 1).sum(1)

    def _effectiveness(self, subsets: Tensor) -> Tensor:
        absent = ~subsets[:, None, :]  # (m, 1, k)
        nearest = self.distances.expand(len(subsets), -1, -1).masked_fill(absent, 1.0).amin(2)  # (m, k)
        return (nearest * subsets).sum(1)


@torch.no_grad()
def set_function(
    score: Score,
    image: Tensor,
    target: int,
    *,
    networks: Networks,
    features: Tensor,
    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
    fill: Tensor | float = 0.0,
    max_batch: int = 128,
) -> SetFunction:
    """The set function of one image; its single regions are looked at here, once.

    Parameters
    ----------
    image : Tensor, float32 (c, h, w)
    target : int
    features : Tensor, int64 (h, w)
        Region of every pixel, numbered from 0.
    score, networks, weights, fill, max_batch
        As in `smdl`.

    Returns
    -------
    SetFunction

    Raises
    ------
    ValueError
        If the regions are not numbered without a gap.
    """
    regions = each(features, image[None])[0]
    values = fill_values(fill, image[None])
    alone = torch.eye(int(regions.max()) + 1, device=image.device)
    seen = []
    for start in range(0, len(alone) if weights[1] else 0, max_batch):
        kept = gated(alone[start : start + max_batch], regions)[:, None]
        seen.append(F.normalize(networks.embed(torch.lerp(values, image, kept)).float().flatten(1), dim=1))
    distances = torch.ones_like(alone)
    if seen:
        found = torch.cat(seen)
        distances = torch.arccos((found @ found.T).clamp(-1, 1)) / math.pi
        distances = distances.fill_diagonal_(1.0)
    return SetFunction(score, networks, image, target, regions, values, distances, weights, max_batch)


@dataclass(frozen=True)
class Search:
    """The order in which the greedy algorithm takes the regions.

    Attributes
    ----------
    order : Tensor, int64 (k,)
        Region taken at each step.
    terms : Tensor, float32 (k, 4)
        The terms of the set after each step, in the order of ``TERMS``.
    values : Tensor, float32 (k,)
        Their weighted sums.
    """

    order: Tensor
    terms: Tensor = field(repr=False)
    values: Tensor


def greedy(function: SetFunction) -> Search:
    """Take the regions of one image one after another, each time the one that gives the set with the largest value.

    Parameters
    ----------
    function : SetFunction
        Asked for k (k + 1) / 2 sets of k regions.

    Returns
    -------
    Search
        All regions, on the image's device; a prefix is the choice for a smaller budget.

    Source
    ------
    Chen et al. 2024, arXiv:2402.09164, greedy algorithm.
    """
    device = function.image.device
    weights = torch.tensor(function.weights, device=device)
    chosen = torch.zeros(len(function.distances), dtype=torch.bool, device=device)
    order, terms = [], []
    for _ in range(len(chosen)):
        left = (~chosen).nonzero()[:, 0]
        subsets = chosen.repeat(len(left), 1)
        subsets[torch.arange(len(left), device=device), left] = True
        found = function.terms(subsets)
        values = (found * weights).sum(1)
        best = int((values >= values.max() - TIE).nonzero()[0, 0])
        order.append(left[best])
        terms.append(found[best])
        chosen = subsets[best]
    return Search(torch.stack(order), torch.stack(terms), (torch.stack(terms) * weights).sum(1))


def smdl(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    networks: Networks,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    features: Tensor | None = None,
    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
    fill: Tensor | float = 0.0,
) -> Tensor:
    """SMDL as a map: the earlier the greedy search takes a region, the more important it is.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to probabilities (m, classes).
    images, generator, max_batch
        As `lib.explain.gradients.saliency`.
    target : Tensor, int64 (n,)
        For a wrong prediction the paper explains the true class.
    networks : Networks
        Features and evidence.
    features : Tensor, int64 (h, w) or (n, h, w), optional
        Region of every pixel; left out, a grid of at most 7 x 7 cells.
    weights : four floats
        Of confidence, effectiveness, consistency and collaboration.
    fill : Tensor (c,) or (c, h, w), or float
        Value of hidden pixels.

    Returns
    -------
    Tensor, float32 (n, h, w), (0, 1]
        1 in the region taken first, 1 / k in the one taken last.
    """
    check_inputs(images, target, max_batch)
    if features is None:
        features = cells((int(images.shape[2]), int(images.shape[3])), min(7, *images.shape[2:]))
    maps = []
    for image, label, regions in zip(images, target.tolist(), each(features, images), strict=True):
        function = set_function(
            score, image, label, networks=networks, features=regions, weights=weights, fill=fill, max_batch=max_batch
        )
        order = greedy(function).order
        ranks = torch.empty(len(order), device=images.device)
        ranks[order] = torch.arange(len(order), 0, -1, device=images.device) / len(order)
        maps.append(spread(ranks, regions))
    return torch.stack(maps)
