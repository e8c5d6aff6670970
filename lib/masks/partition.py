"""Random masks that together hide every patch exactly once.

Zavrtanik et al. 2021, RIAD (doi:10.1016/j.patcog.2020.107706): patches are dealt at random into disjoint sets, one set
is hidden at a time, and the restored sets are put together to one image. Difference: one size of patch, where the paper
averages over several.

Conventions: see `lib.masks.contract`; each set is a token mask of that contract.
"""

import torch
from torch import Tensor

from lib.masks.contract import Grid, check_call


def deal(n: int, grid: Grid, *, sets: int, generator: torch.Generator) -> Tensor:
    """Deal the patches of every image into equally large sets.

    Parameters
    ----------
    n : int
        Images; each is dealt anew.
    grid : int or (int, int)
        Patch grid.
    sets : int
        At least 2; divides the number of patches.
    generator : torch.Generator
        Source of randomness; its device is the masks' device.

    Returns
    -------
    bool Tensor (sets, n, tokens)
        True = hidden in this set; over the sets every patch is hidden once.

    Raises
    ------
    ValueError
        If the patches cannot be dealt evenly.

    Examples
    --------
    >>> deal(1, 2, sets=4, generator=torch.Generator().manual_seed(0)).sum(0).tolist()
    [[1, 1, 1, 1]]
    """
    if sets < 2:
        raise ValueError(f"sets must be at least 2, got {sets}; one set would hide the whole image")
    height, width = check_call(n, grid, ratio=1 / sets, generator=generator)
    tokens = height * width
    if tokens % sets:
        raise ValueError(
            f"sets must divide the {tokens} patches of the grid, got {sets}; take {_divisor(tokens, sets)}"
        )
    place = torch.rand(n, tokens, generator=generator, device=generator.device).argsort(dim=1)  # (n, tokens)
    return torch.stack([place % sets == index for index in range(sets)])


def _divisor(tokens: int, near: int) -> int:
    return min((k for k in range(2, tokens + 1) if tokens % k == 0), key=lambda k: abs(k - near))
