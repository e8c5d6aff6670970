"""Bags of labelled images: a bag is positive when it holds images of one class, its witnesses; nobody says which.

Dietterich et al. 1997 (Artificial Intelligence 89) named the problem, multiple instance learning; bags of digits in
which one digit decides are the test of Ilse et al. 2018, Attention-based Deep Multiple Instance Learning
(arXiv:1802.04712). Slides of tissue with a little tumour have the same form (Tang et al. 2023, arXiv:2307.15254).

Differences: all bags have the same size, and all positive ones the same number of witnesses, so that the witness rate
is a condition and not a range.

Conventions: a bag is a row of numbers of images, all different; two bags may share images. Which instances are
witnesses is truth for the judging of a method, never for its training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Bags:
    """Bags of images.

    Attributes
    ----------
    rows : int64 Tensor (n, size)
        Numbers of the images in each bag, in random order.
    y : int64 Tensor (n,)
        1 = holds witnesses, 0 = holds none; exactly half of the bags are positive, the odd one is not.
    witness : bool Tensor (n, size)
        Truth for each instance.
    """

    rows: Tensor
    y: Tensor
    witness: Tensor


def witness_count(size: int, rate: float) -> int:
    """Witnesses in a positive bag of ``size`` instances: ``round(rate * size)``, but at least one.

    Examples
    --------
    >>> [witness_count(50, rate) for rate in (0.001, 0.1)]
    [1, 5]
    """
    return max(1, round(rate * size))


def draw_bags(labels: Tensor, *, witness: int, n: int, size: int, rate: float, generator: torch.Generator) -> Bags:
    """Draw bags from labelled images.

    Parameters
    ----------
    labels : int64 Tensor (images,)
        Class codes.
    witness : int
        The class that makes a bag positive; no other bag holds it.
    n, size : int
        Bags, at least two, and instances in each.
    rate : float in (0, 1)
        Witness rate of positive bags, see `witness_count`.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Bags
        On the CPU, in random order.

    Raises
    ------
    ValueError
        A size or rate out of range, or too few images to fill a bag without repeats.

    Examples
    --------
    >>> labels = torch.tensor([0, 1, 2, 3, 4, 5])
    >>> drawn = draw_bags(labels, witness=5, n=4, size=3, rate=0.1, generator=torch.Generator().manual_seed(0))
    >>> drawn.witness.sum(dim=1).equal(drawn.y)
    True
    """
    if n < 2 or size < 2:
        raise ValueError(
            f"n and size must be at least 2, got {n} and {size}; a bag classifier needs bags of both kinds"
        )
    if not 0 < rate < 1:
        hint = f"use {rate / 100:g} for {rate:g} percent" if 1 < rate < 100 else "0.03 is three in a hundred"
        raise ValueError(f"rate must be in (0, 1), got {rate:g}; {hint}")
    mine, others = (torch.nonzero(part).flatten() for part in (labels == witness, labels != witness))
    count = witness_count(size, rate)
    if count > len(mine) or size > len(others):
        raise ValueError(
            f"labels must hold {count} witnesses of class {witness} and {size} other images to fill a bag, "
            f"got {len(mine)} and {len(others)}; take smaller bags or more images"
        )
    positive = torch.arange(n) < n // 2
    rows = torch.stack([_some(others, size, generator) for _ in range(n)])  # (n, size)
    for bag in range(n // 2):
        rows[bag, :count] = _some(mine, count, generator)
    truth = positive.view(-1, 1) & (torch.arange(size) < count)
    place = torch.rand(n, size, generator=generator).argsort(dim=1)
    order = torch.randperm(n, generator=generator)
    rows, truth = (part.gather(1, place)[order] for part in (rows, truth))
    return Bags(rows, positive[order].long(), truth)


def _some(rows: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` of the rows, none twice."""
    return rows[torch.randperm(len(rows), generator=generator)[:n]]
