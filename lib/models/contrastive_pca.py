"""Directions in which a target set varies more than a background set.

Abid et al. 2018, contrastive principal component analysis (doi:10.1038/s41467-018-04608-8): the leading eigenvectors of
the target's covariance minus ``alpha`` times the background's. The paper looks at several values of ``alpha``; here one
is given. Conventions: rows are (n, d), axes are columns, results are float64; a sign is chosen so that the largest
entry of an axis is positive.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["contrastive_axes"]


def contrastive_axes(target: Tensor, background: Tensor, *, components: int, alpha: float = 1.0) -> Tensor:
    """Leading contrastive components.

    Parameters
    ----------
    target, background : Tensor (n, d), (m, d)
        In one scale; two rows or more of each.
    components : int
        In 1..d.
    alpha : float, >= 0
        0 = principal components of the target; the larger, the less the background may vary along an axis.

    Returns
    -------
    Tensor, float64 (d, components)
        Orthonormal columns, best first.

    Raises
    ------
    ValueError
        If widths differ, there are too few rows, or a number is out of range.

    Examples
    --------
    >>> both = torch.tensor([[3.0, 1.0], [-3.0, -1.0], [3.0, -1.0], [-3.0, 1.0]])
    >>> contrastive_axes(both, both * torch.tensor([1.0, 0.0]), components=1).flatten().tolist()
    [0.0, 1.0]
    """
    if target.ndim != 2 or target.shape[1:] != background.shape[1:] or min(len(target), len(background)) < 2:
        shapes = (tuple(target.shape), tuple(background.shape))
        raise ValueError(f"target and background must be (n, d) and (m, d), two rows or more, got {shapes}")
    if not 1 <= components <= target.shape[1] or alpha < 0:
        raise ValueError(
            f"components must be in 1..{target.shape[1]} and alpha >= 0, got {components} and {alpha}; change them"
        )
    difference = torch.cov(target.double().T) - alpha * torch.cov(background.double().T)
    axes = torch.linalg.eigh(difference.reshape(target.shape[1], -1)).eigenvectors.flip(1)[:, :components]
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    return axes * largest.sign()
