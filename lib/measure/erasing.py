"""What erasing pixels does to a network's choice between two classes.

Shrikumar et al. 2017 (arXiv:1704.02685), experiment on digits: the pixels whose contributions speak most for one class
and against another are erased, and the fall of the log-odds between the two is the score of a method.

Differences: the other class is any class, not a fixed pair of digits; the curve over the share erased is kept.

Conventions: images float32 (n, channels, side, side) in [0, 1], logits; erased = ``fill``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lib.explain import Score, check_inputs


@torch.no_grad()
def erasing(
    score: Score,
    images: Tensor,
    maps: Tensor,
    classes: Tensor,
    *,
    shares: Sequence[float],
    fill: float = 0.0,
    max_batch: int = 256,
) -> Tensor:
    """Fall of the log-odds between two classes as pixels are erased in a map's order.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to logits (m, classes).
    images : Tensor, float32 (n, c, h, w)
    maps : Tensor, float32 (n, h, w)
        Map of the first class minus map of the second; only pixels above 0 are erased, the highest first.
    classes : Tensor, int64 (n, 2)
    shares : sequence of float, [0, 1]
        Shares of the pixels erased at most.
    fill : float
        Value of an erased pixel.
    max_batch : int, images

    Returns
    -------
    Tensor, float32 (n, len(shares)), nats
        0 = nothing changed, large = the map found what decides between the two.

    Raises
    ------
    ValueError
        If shapes do not fit together or a share is none.

    Examples
    --------
    >>> from torch import nn
    >>> flat = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    >>> flat[1].weight.data = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    >>> ones = torch.ones(1, 1, 1, 2)
    >>> erasing(flat, ones, torch.tensor([[[1.0, 3.0]]]), torch.tensor([[0, 1]]), shares=[0.5, 1.0]).tolist()
    [[3.0, 4.0]]
    """
    check_inputs(images, classes[:, 0].contiguous(), max_batch)
    if maps.shape != (len(images), *images.shape[2:]) or classes.shape != (len(images), 2):
        raise ValueError(
            f"maps must be {(len(images), *images.shape[2:])} and classes {(len(images), 2)}, got {tuple(maps.shape)} "
            f"and {tuple(classes.shape)}; pass one difference map and two classes per image"
        )
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"shares must be one or more in [0, 1], got {list(shares)}; a fifth of the pixels is 0.2")

    def odds(pictures: Tensor) -> Tensor:
        parts = zip(pictures.split(max_batch), classes.split(max_batch), strict=True)
        found = torch.cat([score(part).gather(1, pair) for part, pair in parts])
        return found[:, 0] - found[:, 1]

    ranks = maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(1).view(maps.shape)
    whole, falls = odds(images), []
    for share in shares:
        gone = (ranks < round(share * maps[0].numel())) & (maps > 0)
        falls.append(whole - odds(torch.where(gone[:, None], fill, images)))
    return torch.stack(falls, 1).float()
