"""Functions whose Sobol' indices are known in closed form, as scores of an image with one row.

Ishigami & Homma 1990; the g-function of Sobol' 1993 (formulas also in Saltelli et al., Global Sensitivity Analysis:
The Primer, 2008). The four small logical models are ours; their integrals are elementary.

Conventions: a score maps gates, float (m, 1, 1, d) with independent uniform values in [0, 1], to (m, 1); see `row` for
the image that turns gates into themselves. Indices are float64 (d,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.explain import Score
from lib.explain.features import pixels


@dataclass(frozen=True)
class Known:
    """A function and its indices.

    Attributes
    ----------
    name : str
    score : callable
        Images (m, 1, 1, d) to (m, 1).
    first, total : Tensor, float64 (d,)
    """

    name: str
    score: Score
    first: Tensor
    total: Tensor


def row(d: int) -> tuple[Tensor, Tensor]:
    """An image of ones (1, 1, d) and features (1, d): hidden by 0, a query shows the score its gates.

    Examples
    --------
    >>> [part.shape for part in row(3)]
    [torch.Size([1, 1, 3]), torch.Size([1, 3])]
    """
    return torch.ones(1, 1, d), pixels((1, d))


def ishigami(*, a: float = 7.0, b: float = 0.1) -> Known:
    """sin(x1) + a sin²(x2) + b x3⁴ sin(x1) on [-π, π]³: the third input acts only through the first."""

    def score(images: Tensor) -> Tensor:
        x, y, z = ((2 * images.flatten(1) - 1) * math.pi).unbind(1)
        return (x.sin() + a * y.sin() ** 2 + b * z**4 * x.sin())[:, None]

    alone = torch.tensor([(1 + b * math.pi**4 / 5) ** 2 / 2, a * a / 8, 0.0], dtype=torch.float64)
    joint = 8 * b * b * math.pi**8 / 225
    variance = float(alone.sum()) + joint
    both = alone + torch.tensor([joint, 0.0, joint], dtype=torch.float64)
    return Known("Ishigami", score, alone / variance, both / variance)


def g_function(a: Sequence[float] = (0.0, 1.0, 4.5, 9.0, 99.0, 99.0, 99.0, 99.0)) -> Known:
    """Product of (|4 x - 2| + a) / (1 + a): a = 0 makes an input matter, 99 hardly at all."""
    weights = torch.tensor(a, dtype=torch.float64)

    def score(images: Tensor) -> Tensor:
        at = weights.to(images)
        return (((4 * images.flatten(1) - 2).abs() + at) / (1 + at)).prod(1, keepdim=True)

    part = 1 / (3 * (1 + weights) ** 2)
    everything = (1 + part).prod()
    first = part / (everything - 1)
    return Known("g-function", score, first, first * everything / (1 + part))


def logical(*, spare: int = 2) -> list[Known]:
    """Four models of two inputs, AND as a product, OR, XOR and a saturated sum, beside inputs that do nothing.

    Parameters
    ----------
    spare : int
        Further inputs without any effect, >= 0; their indices are 0.

    Returns
    -------
    list of Known
        Extended from {0, 1} to the square: ``x y``, ``x + y - x y``, ``x + y - 2 x y``, ``min(1, x + y)``.

    Examples
    --------
    >>> [round(float(model.total[0]), 3) for model in logical()]
    [0.571, 0.571, 1.0, 0.6]
    """
    if spare < 0:
        raise ValueError(f"spare must be at least 0 inputs, got {spare}; 2 shows that noise gets no index")

    def known(name: str, score: Score, first: float, total: float) -> Known:
        padding = [0.0] * spare
        indices = [torch.tensor([value, value, *padding], dtype=torch.float64) for value in (first, total)]
        return Known(name, score, *indices)

    def pair(images: Tensor) -> tuple[Tensor, Tensor]:
        return images[:, 0, 0, :1], images[:, 0, 0, 1:2]

    def product(images: Tensor) -> Tensor:
        x, y = pair(images)
        return x * y

    def either(images: Tensor) -> Tensor:
        x, y = pair(images)
        return x + y - x * y

    def differs(images: Tensor) -> Tensor:
        x, y = pair(images)
        return x + y - 2 * x * y

    def saturated(images: Tensor) -> Tensor:
        x, y = pair(images)
        return (x + y).clamp_max(1)

    return [
        known("product", product, 3 / 7, 4 / 7),
        known("OR", either, 3 / 7, 4 / 7),
        known("XOR", differs, 0.0, 1.0),
        known("saturated sum", saturated, 2 / 5, 3 / 5),
    ]
