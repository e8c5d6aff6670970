"""Two objects in one picture: what a class-specific map must tell apart.

Two labelled images of different classes stand side by side, so that each picture has two right answers and for either
one a known place. Chefer et al. 2021 (arXiv:2012.09838) show such pictures to compare maps of different classes;
the generator and its measure are ours.

Conventions: NCHW in [0, 1]; place 0 is left, 1 is right; an object's pixels are those of `lib.data.objects`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.data.images import images
from lib.data.objects import object_labels
from lib.data.registry import entry


@dataclass(frozen=True)
class Composites:
    """Pictures of two objects.

    Attributes
    ----------
    x : Tensor, float32 (n, channels, h, 2 * w), [0, 1]
    y : Tensor, int64 (n, 2)
        Class of the left and of the right object; never the same.
    masks : Tensor, bool (n, 2, h, 2 * w)
        Pixels of the left and of the right object.
    classes : tuple of str
    source : str
        What a report says the images are.
    """

    x: Tensor
    y: Tensor
    masks: Tensor
    classes: tuple[str, ...]
    source: str


def composites(id: str, *, split: str = "train", n: int, seed: int = 0) -> Composites:
    """Pair images of different classes.

    Parameters
    ----------
    id : str
        Understood by `lib.data.images`.
    split : {"train", "test"}
        Both objects come from it.
    n : int
        Pictures. Objects come back in other pairs where the split has fewer than 2 * n.
    seed : int
        Choice of objects and of pairs.

    Returns
    -------
    Composites

    Raises
    ------
    DataError, ValueError
        As `lib.data.images`; ``n`` below 1.

    Examples
    --------
    >>> composites("digits-twin", n=3).x.shape
    torch.Size([3, 1, 28, 56])
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}; it counts pictures of two objects")
    found = entry(id)
    count = max(2 * n, 2 * len(found.classes))
    if not found.is_twin:
        count = min(count, found.rows[0 if split == "train" else 1])
    single = images(id, split=split, n=count, seed=seed)
    inside = object_labels(single) > 0
    left, right = _pairs(single.y, n, torch.Generator().manual_seed(seed))
    empty = torch.zeros_like(inside[left])
    masks = torch.stack([torch.cat([inside[left], empty], 2), torch.cat([empty, inside[right]], 2)], 1)
    return Composites(
        x=torch.cat([single.x[left], single.x[right]], 3),
        y=torch.stack([single.y[left], single.y[right]], 1),
        masks=masks,
        classes=single.classes,
        source=f"pairs of {single.source}",
    )


def _pairs(y: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows of the left and of the right object: every row about equally often, classes of a pair different."""
    if len(y.unique()) < 2:
        raise ValueError(f"pairs need two classes, got {len(y.unique())} among {len(y)} images; take a larger n")

    def shuffled(count: int) -> Tensor:
        rounds = [torch.randperm(len(y), generator=generator) for _ in range(-(-count // len(y)))]
        return torch.cat(rounds)[:count]

    left, right = shuffled(n), shuffled(n)
    while bool((same := y[left] == y[right]).any()):
        right[same] = torch.randint(len(y), (int(same.sum()),), generator=generator)
    return left, right
