"""Linear surrogates of a black box over groups of features: KernelSHAP and LIME.

Papers: Lundberg & Lee 2017 (arXiv:1705.07874), theorem 2: Shapley values are the weighted least squares fit of an
additive model whose ends are exact; Ribeiro et al. 2016 (arXiv:1602.04938), equation 1: a sparse or shrunken linear fit
near the input; Covert & Lee 2021 (arXiv:2012.01536): subsets in pairs with their complements vary less.

Differences: the constraint that the values sum to the whole change of the score is met exactly, by elimination, where
captum gives the two end points a large weight; where all subsets fit the budget they are all asked, and the result is
the exact Shapley value. Subsets are drawn once and asked in pieces of ``max_batch``. LIME is fitted by ridge
regression, as its public code for images does, with the distance between subsets instead of images; the paper selects
features first. captum is the oracle of the tests on equal subsets.

Conventions: see `lib.explain` and `lib.explain.features`; every pixel of a feature carries the feature's whole value,
not divided by the area. The fit runs on the CPU in float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.explain import Score, check_inputs, need_generator
from lib.explain.features import cells, each, gated, spread
from lib.explain.queries import fill_values, masked_scores
from lib.explain.sampling import draw_seed

GRID = 7  # cells per edge where no features are given


@dataclass(frozen=True)
class Subsets:
    """Subsets of features with the weight of each in a fit.

    Attributes
    ----------
    gates : Tensor, float32 (m, g), 0 or 1
        1 = the feature is kept.
    weights : Tensor, float64 (m,), > 0
    """

    gates: Tensor
    weights: Tensor


def shapley_subsets(n_features: int, n_samples: int, *, generator: torch.Generator, paired: bool = True) -> Subsets:
    """Subsets for KernelSHAP, without the empty and the full one, whose scores are matched exactly.

    Parameters
    ----------
    n_features : int
        g, at least 1.
    n_samples : int
        Subsets asked for. If it covers all ``2**g - 2``, each stands once with its Shapley kernel as weight; otherwise
        sizes are drawn in proportion to the kernel's mass, subsets of a size uniformly, all with weight 1.
    generator : torch.Generator
        On the CPU; not used if all subsets are listed.
    paired : bool
        Draw every second subset as the complement of the one before.

    Raises
    ------
    ValueError
        If a count is not positive.

    Source
    ------
    Lundberg & Lee 2017, arXiv:1705.07874, theorem 2; Covert & Lee 2021, arXiv:2012.01536.

    Examples
    --------
    >>> len(shapley_subsets(3, 100, generator=torch.Generator()).gates)
    6
    """
    if n_features < 1 or n_samples < 1:
        raise ValueError(
            f"n_features and n_samples must be at least 1, got {n_features} and {n_samples}; "
            "several samples per feature are usual"
        )
    if n_features < 63 and 2**n_features - 2 <= n_samples:
        listed = torch.tensor(list(itertools.product((0.0, 1.0), repeat=n_features)))[1:-1]
        kernel = [
            (n_features - 1) / (math.comb(n_features, size) * size * (n_features - size))
            for size in listed.sum(1).int().tolist()
        ]
        return Subsets(listed, torch.tensor(kernel, dtype=torch.float64))
    draws = math.ceil(n_samples / 2) if paired else n_samples
    sizes = torch.arange(1, n_features, dtype=torch.float64)
    mass = 1 / (sizes * (n_features - sizes))
    kept = 1 + torch.multinomial(mass, draws, replacement=True, generator=generator)
    places = torch.rand(draws, n_features, generator=generator).argsort(1).argsort(1)
    gates = (places < kept[:, None]).float()
    if paired:
        gates = torch.stack([gates, 1 - gates], 1).flatten(0, 1)[:n_samples]
    return Subsets(gates, torch.ones(len(gates), dtype=torch.float64))


def additive_fit(subsets: Subsets, values: Tensor, total: Tensor) -> Tensor:
    """Weighted least squares fit of ``gates @ coefficients`` whose coefficients sum to the total exactly.

    Parameters
    ----------
    subsets : Subsets
    values : Tensor (n, m)
        Score of each subset minus that of the empty one.
    total : Tensor (n,)
        Score of the full subset minus that of the empty one.

    Returns
    -------
    Tensor, float64 (n, g)
        Where the subsets do not decide, the solution nearest to equal shares.

    Source
    ------
    Lundberg & Lee 2017, arXiv:1705.07874, theorem 2.

    Examples
    --------
    >>> found = shapley_subsets(2, 2, generator=torch.Generator())
    >>> additive_fit(found, (found.gates @ torch.tensor([1.0, 3.0]))[None], torch.tensor([4.0])).round()
    tensor([[1., 3.]], dtype=torch.float64)
    """
    gates, values, total = subsets.gates.double(), values.double().cpu(), total.double().cpu()
    n_features = gates.shape[1]
    share = (total / n_features)[:, None].expand(-1, n_features)  # (n, g)
    if n_features == 1:
        return share.clone()
    # columns 2 to g of an orthogonal matrix whose first column is constant: what is left once the sum is given
    start = torch.eye(n_features, dtype=torch.float64)
    start[:, 0] = 1.0
    free = torch.linalg.qr(start).Q[:, 1:]  # (g, g - 1)
    root = subsets.weights.sqrt()[:, None]
    rest = values - share @ gates.T  # (n, m)
    found = torch.linalg.lstsq(root * (gates @ free), root * rest.T, driver="gelsd").solution  # (g - 1, n)
    return share + (free @ found).T


def ridge_fit(subsets: Subsets, values: Tensor, *, ridge: float) -> Tensor:
    """Coefficients of a weighted ridge regression with a free offset, float64 (n, g), from values (n, m).

    Source: Ribeiro et al. 2016, arXiv:1602.04938, equation 1, with the penalty of the public code for images.
    """
    gates, values, weights = subsets.gates.double(), values.double().cpu(), subsets.weights[:, None]
    centred = gates - (weights * gates).sum(0) / weights.sum()
    rest = values.T - (weights * values.T).sum(0) / weights.sum()  # (m, n)
    if ridge == 0:
        root = weights.sqrt()
        return torch.linalg.lstsq(root * centred, root * rest, driver="gelsd").solution.T
    gram = centred.T @ (weights * centred) + ridge * torch.eye(gates.shape[1], dtype=torch.float64)
    return torch.linalg.solve(gram, centred.T @ (weights * rest)).T


def _fitted(
    score: Score,
    images: Tensor,
    target: Tensor,
    base: int,
    max_batch: int,
    features: Tensor | None,
    fill: Tensor | float,
    draw: Callable[[int, torch.Generator], Subsets],
    fit: Callable[[Subsets, Tensor], Tensor],
) -> Tensor:
    """Ask every image its subsets and spread the fitted values; ``fit`` gets float64 (m + 2,), the ends first."""
    size = (int(images.shape[2]), int(images.shape[3]))
    groups = each(cells(size, min(GRID, *size)) if features is None else features, images)
    values = fill_values(fill, images)
    designs: dict[int, Subsets] = {}
    maps = []
    for image, label, group in zip(images, target.tolist(), groups, strict=True):
        g = int(group.max()) + 1
        if g not in designs:  # chance of its own for each g: an image's subsets do not depend on the other images
            designs[g] = draw(g, torch.Generator().manual_seed(base + g))
        gates = torch.cat([torch.zeros(1, g), torch.ones(1, g), designs[g].gates])
        asked = [
            masked_scores(score, image, label, gated(piece.to(image.device), group), values, max_batch)
            for piece in gates.split(max_batch)
        ]
        maps.append(spread(fit(designs[g], torch.cat(asked).double().cpu()).float().to(images.device), group))
    return torch.stack(maps)


def kernel_shap(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    features: Tensor | None = None,
    n_samples: int = 512,
    fill: Tensor | float = 0.0,
    paired: bool = True,
) -> Tensor:
    """Shapley values of groups of pixels, from a weighted least squares fit to the scores of subsets.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to (m, classes); any scale, differences are explained.
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : Tensor, int64 (n,)
    generator : torch.Generator
        On the CPU; images with equally many features share their subsets.
    max_batch : int, images
    features : Tensor, int64 (h, w) or (n, h, w), optional
        Feature of every pixel; without it, 7 x 7 cells.
    n_samples : int
        Queries per image besides the whole and the empty image; from ``2**g - 2`` on the values are exact.
    fill : Tensor (c,) or (c, h, w), or float
        What stands where a feature is hidden.
    paired : bool
        See `shapley_subsets`.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Each pixel has the value of its feature; the values of all features sum to the score of the image minus that
        of the fill. 0 = the feature changes nothing in any company.

    Raises
    ------
    ValueError
        If the generator is missing, a number is out of range or shapes do not fit together.

    Source
    ------
    Lundberg & Lee 2017, arXiv:1705.07874, theorem 2.
    """
    check_inputs(images, target, max_batch)
    base = draw_seed(need_generator(generator, "kernel_shap"))

    def draw(g: int, chance: torch.Generator) -> Subsets:
        return shapley_subsets(g, n_samples, generator=chance, paired=paired)

    def fit(subsets: Subsets, asked: Tensor) -> Tensor:
        return additive_fit(subsets, asked[None, 2:] - asked[0], asked[1:2] - asked[0])[0]

    return _fitted(score, images, target, base, max_batch, features, fill, draw, fit)


def lime_subsets(n_features: int, n_samples: int, *, generator: torch.Generator, width: float = 0.25) -> Subsets:
    """Subsets for LIME: every feature kept with probability one half, weighted by nearness to the full subset.

    Parameters
    ----------
    n_features, n_samples : int
    generator : torch.Generator
        On the CPU.
    width : float, > 0
        Of the Gaussian kernel over the cosine distance, 1 - sqrt(share kept), which runs from 0 to 1.

    Raises
    ------
    ValueError
        If a number is not positive.

    Source
    ------
    Ribeiro et al. 2016, arXiv:1602.04938, section on sparse linear explanations.
    """
    if n_features < 1 or n_samples < 1 or width <= 0:
        raise ValueError(
            f"n_features, n_samples and width must be positive, got {n_features}, {n_samples} and {width}; "
            "use e.g. n_samples=512, width=0.25"
        )
    gates = (torch.rand(n_samples, n_features, generator=generator) < 0.5).float()
    distance = 1 - gates.double().mean(1).sqrt()
    return Subsets(gates, torch.exp(-distance.square() / (2 * width**2)))


def lime(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    features: Tensor | None = None,
    n_samples: int = 512,
    fill: Tensor | float = 0.0,
    width: float = 0.25,
    ridge: float = 1.0,
) -> Tensor:
    """Slopes of a ridge regression of the score on which groups of pixels are kept, near the whole image.

    Parameters
    ----------
    score, images, target, generator, max_batch, features, n_samples, fill
        As `kernel_shap`; the whole and the empty image do not enter the fit.
    width : float, > 0
        See `lime_subsets`; a wide kernel weighs all subsets alike.
    ridge : float, >= 0
        Penalty on the squared slopes against the sum of weighted squared errors; 0 = plain least squares.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Each pixel has the slope of its feature; 0 = keeping it changes nothing on average.

    Raises
        As `kernel_shap`.

    Source
    ------
    Ribeiro et al. 2016, arXiv:1602.04938, equation 1.
    """
    check_inputs(images, target, max_batch)
    base = draw_seed(need_generator(generator, "lime"))
    if ridge < 0:
        raise ValueError(f"ridge must be at least 0, got {ridge}; 1.0 is the public code's penalty")

    def draw(g: int, chance: torch.Generator) -> Subsets:
        return lime_subsets(g, n_samples, generator=chance, width=width)

    def fit(subsets: Subsets, asked: Tensor) -> Tensor:
        return ridge_fit(subsets, asked[None, 2:], ridge=ridge)[0]

    return _fitted(score, images, target, base, max_batch, features, fill, draw, fit)
