"""RemOve And Retrain: does a model that never saw the pixels a map calls important do worse?

Paper: Hooker et al. 2019, A Benchmark for Interpretability Methods in Deep Neural Networks (arXiv:1806.10758): rank
pixels in training and test images, replace the top fraction by the channel mean, train anew, report test accuracy.

Differences: equal values of a map are removed in random order, because maps that are exactly 0 on a black background
would otherwise be cut in reading order; the result keeps every test image's hit or miss, and its area is taken over
the fractions tried, fraction 0 included when it is among them.

Conventions: a good map makes accuracy fall faster than a random one; areas are in percentage points of accuracy,
averaged over the fraction removed. Generators are on the CPU; the same seed gives the same first weights and batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lib.measure.classifiers import Training, train_network
from lib.train import predict


@dataclass(frozen=True)
class Split:
    """Images float32 (n, c, h, w), labels int64 (n,), and one map float32 (n, h, w) per image."""

    images: Tensor
    labels: Tensor
    maps: Tensor


@dataclass(frozen=True)
class Roar:
    """Hits and misses after each retraining.

    Attributes
    ----------
    fractions : tuple of float, (0, 1)
        Shares of pixels removed, ascending.
    correct : Tensor, bool (fractions, n_test)
        Whether each test image was classified rightly.
    training : Training
    seed : int
        First weights, batches and ties.
    """

    fractions: tuple[float, ...]
    correct: Tensor
    training: Training
    seed: int

    @property
    def accuracy(self) -> Tensor:
        """Test accuracy at each fraction, float32 (fractions,), in percent."""
        return 100 * self.correct.float().mean(1)


def remove_top(images: Tensor, maps: Tensor, *, fraction: float, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Replace the highest ranked share of pixels, in all channels.

    Parameters
    ----------
    images : Tensor, float32 (n, c, h, w)
    maps : Tensor, float32 (n, h, w)
        Larger = removed first.
    fraction : float, [0, 1]
        Exactly ``round(fraction * h * w)`` pixels are replaced in every image.
    fill : Tensor, float32 (c,)
        Usually the channel mean of the training images.
    generator : torch.Generator
        On the CPU; breaks ties.

    Returns
    -------
    Tensor, float32 (n, c, h, w)

    Raises
    ------
    ValueError
        If the fraction is no share, or shapes do not fit together.

    Source
    ------
    Hooker et al. 2019, arXiv:1806.10758.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], got {fraction}; half of the pixels is 0.5")
    if maps.shape != (len(images), *images.shape[-2:]) or fill.shape != images.shape[1:2]:
        raise ValueError(
            f"maps must be {(len(images), *images.shape[-2:])} and fill ({images.shape[1]},), got "
            f"{tuple(maps.shape)} and {tuple(fill.shape)}; merge the channels of the maps first"
        )
    flat = maps.flatten(1)
    shuffle = torch.rand(flat.shape, generator=generator).argsort(1).to(maps.device)
    ranking = flat.gather(1, shuffle).argsort(dim=1, descending=True, stable=True)
    top = shuffle.gather(1, ranking[:, : round(fraction * flat.shape[1])])
    gone = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, top, True).view(maps.shape)
    return torch.where(gone[:, None], fill.to(images)[None, :, None, None], images)


def remove_and_retrain(train: Split, test: Split, *, fractions: Sequence[float], training: Training, seed: int) -> Roar:
    """Measure one kind of map: for every fraction, remove on both splits, train anew, test.

    Parameters
    ----------
    train, test : Split
        Maps of both splits come from the same method and network.
    fractions : sequence of float, [0, 1], ascending
        Shares of pixels removed; 0 trains on whole images.
    training : Training
        Of `lib.measure.classifiers`; the same for every fraction: what ROAR holds fixed while the images change.
    seed : int
        First weights and batches, the same for every fraction and every map, so that methods can be paired.

    Returns
    -------
    Roar

    Raises
    ------
    ValueError
        If the fractions are not ascending, or shapes do not fit together.

    Source
    ------
    Hooker et al. 2019, arXiv:1806.10758.
    """
    if not fractions or list(fractions) != sorted(set(fractions)):
        raise ValueError(f"fractions must ascend without repeats, got {list(fractions)}; use e.g. (0.3, 0.6, 0.9)")
    fill = train.images.mean((0, 2, 3))
    hits = []
    for fraction in fractions:
        ties = torch.Generator().manual_seed(seed)
        cut_train, cut_test = (
            replace(part, images=remove_top(part.images, part.maps, fraction=fraction, fill=fill, generator=ties))
            for part in (train, test)
        )
        model = train_network(cut_train.images, cut_train.labels, training=training, seed=seed)
        hits.append(predict(model, cut_test.images).argmax(1) == test.labels)
    return Roar(tuple(fractions), torch.stack(hits), training, seed)


def area_between(reference: Roar, other: Roar) -> float:
    """Mean accuracy of ``reference`` minus that of ``other`` over the fraction removed, in percentage points.

    With the random map as reference: positive = the other map removes more of what the network can learn from,
    0 = no better than random. One fraction gives the plain difference.

    Raises
    ------
    ValueError
        If the two were measured at different fractions or with different seeds.
    """
    if reference.fractions != other.fractions or reference.seed != other.seed:
        raise ValueError(
            f"both must share fractions and seed, got {reference.fractions}, seed {reference.seed} and "
            f"{other.fractions}, seed {other.seed}; measure both in one loop"
        )
    gap = (reference.accuracy - other.accuracy).double()
    if len(gap) == 1:
        return float(gap[0])
    where = torch.tensor(reference.fractions, dtype=torch.float64, device=gap.device)
    return float(torch.trapezoid(gap, where) / (where[-1] - where[0]))
