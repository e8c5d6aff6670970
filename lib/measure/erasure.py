"""Take a yes-or-no attribute out of features by a linear map, in closed form.

Belrose et al. 2023, LEACE (arXiv:2306.03819): of all affine maps after which no linear classifier does better than a
constant, take the one that moves the features least in the mean square. For one attribute with two values it is
x - s r'(x - m), with m the mean, s the covariance of features and attribute, and r = C^-1 s / (s' C^-1 s), C being the
covariance of the features. The simpler map, an orthogonal projection along the difference of the two means, also makes
the means equal, and knows nothing of C.

Differences: one attribute with two values only; the inverse leaves out directions in which the features do not vary.

Conventions: features float (n, d), computed in float64; the attribute is 0 or 1. A map is fitted on some rows and
applied to others; the promise about linear classifiers holds for the rows on which it was fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Erasure", "leace", "mean_difference"]

TOLERANCE = 1e-9  # variance, as a share of the largest one, below which a direction counts as constant


@dataclass(frozen=True)
class Erasure:
    """An affine map of rank d - 1.

    Attributes
    ----------
    centre, read, shift : Tensor, float64 (d,)
        A row loses as much of ``shift`` as it lies along ``read`` from the centre; ``read @ shift`` = 1.
    """

    centre: Tensor
    read: Tensor
    shift: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Features without the attribute, float64 (m, d): features float (m, d)."""
        x = features.double()
        return x - ((x - self.centre) @ self.read)[:, None] * self.shift


def mean_difference(features: Tensor, attribute: Tensor) -> Erasure:
    """Orthogonal projection along the difference of the two means.

    Parameters
    ----------
    features : Tensor, float (n, d)
    attribute : Tensor, 0 or 1, (n,)
        Both values must occur.

    Returns
    -------
    Erasure
        On these rows the two means are equal; nothing changes at right angles to their difference.

    Raises
    ------
    ValueError
        If shapes differ, a value is neither 0 nor 1 or does not occur, or the means are equal already.

    Examples
    --------
    >>> erase = mean_difference(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 1]))
    >>> erase(torch.tensor([[5.0, 7.0]])).tolist()
    [[1.0, 7.0]]
    """
    x, covariance = _checked(features, attribute)
    along = covariance / covariance.norm()
    return Erasure(x.mean(0), along, along)


def leace(features: Tensor, attribute: Tensor) -> Erasure:
    """Least-squares concept erasure.

    Parameters
    ----------
    features, attribute
        As in `mean_difference`.

    Returns
    -------
    Erasure
        On these rows features and attribute are uncorrelated, and no affine map that achieves this moves the rows less.

    Raises
    ------
    ValueError
        As `mean_difference`.

    Source
    ------
    Belrose et al. 2023, arXiv:2306.03819, theorem 4.3 for one attribute.

    Examples
    --------
    >>> rows, group = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 0, 1, 1])
    >>> erased = leace(rows, group)(rows)
    >>> torch.allclose(erased[group == 0].mean(0), erased[group == 1].mean(0))
    True
    """
    x, covariance = _checked(features, attribute)
    centred = x - x.mean(0)
    values, axes = torch.linalg.eigh(centred.T @ centred / len(x))
    known = values > values.max() * TOLERANCE
    axes = axes[:, known]
    read = axes @ ((axes.T @ covariance) / values[known])
    return Erasure(x.mean(0), read / (read @ covariance), covariance)


def _checked(features: Tensor, attribute: Tensor) -> tuple[Tensor, Tensor]:
    """Features in float64, and their covariance (d,) with the attribute."""
    if features.ndim != 2 or attribute.shape != features.shape[:1]:
        shapes = f"{tuple(features.shape)} and {tuple(attribute.shape)}"
        raise ValueError(f"features must be (n, d) and attribute (n,), got {shapes}; pass one value for each row")
    if sorted(attribute.unique().tolist()) != [0, 1]:
        raise ValueError(f"attribute must hold 0 and 1, both of them, got {attribute.unique().tolist()}; recode it")
    x, z = features.double(), attribute.double()
    covariance = (x - x.mean(0)).T @ (z - z.mean()) / len(x)
    if float(covariance.norm()) <= 1e-12 * max(float(x.abs().max()), 1e-300):
        raise ValueError(
            "features must differ in mean between the two values, got equal means; nothing is to be erased"
        )
    return x, covariance
