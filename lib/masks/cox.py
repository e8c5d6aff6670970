"""Token masks of a spatial Cox process: the centre is hidden more often, and how much more is random.

Paper: Wu et al. 2025, ORTrack (arXiv:2504.09228), section on occlusion-robust representations: the mask of a tracking
template is a Poisson process with the random intensity ``Gamma * exp(-(x^2 + y^2)) / Z``, so that it falls on the
target in the middle rather than on the background.

Differences: neither the law of Gamma nor the unit of x and y is in the public files (twelve, without the mask's code)
or in the text we could read. In the paper Gamma scales the intensity and so the number of hidden tokens; the contract
fixes that number, and then a factor in front of the intensity changes nothing: points fall until exactly
``round(ratio * tokens)`` tokens are hit, and only their order counts. To stay doubly stochastic we put Gamma into the
exponent, ``exp(-Gamma * (x^2 + y^2))``, drawn for each image from a uniform law on [0, 2] by default, mean 1: a random
mixture of uniform and centred masks. A version with the paper's random count would break the contract and is left out.

Conventions: see `lib.masks.contract`. x and y run from -1 to 1 between the outer edges of the grid; the intensity is
taken at the centre of each token.
"""

import torch
from torch import Tensor

from lib.masks.contract import Grid, check_call, grid_size, hide_highest
from lib.masks.draws import arrivals, uniform


def cox_process(
    n: int, grid: Grid, *, ratio: float, generator: torch.Generator, gamma: tuple[float, float] = (0.0, 2.0)
) -> Tensor:
    """Hide the first tokens hit by points that fall around the centre, each image with its own concentration.

    Parameters
    ----------
    n : int
        Images.
    grid : int or (int, int)
        Patch grid.
    ratio : float in (0, 1)
        Share of tokens to hide.
    generator : torch.Generator
        Source of randomness; its device is the mask's device.
    gamma : (float, float)
        Lowest and highest concentration, uniform between. (0, 0) = the law of `lib.masks.tokens.random`,
        (1, 1) = the printed intensity for every image, large = only the border stays visible.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    ValueError
        If ``gamma`` is not a rising pair of non-negative numbers.

    Source: ORTrack, section on occlusion-robust representations, at a fixed count.
    """
    size = check_call(n, grid, ratio=ratio, generator=generator)
    low, high = _range(gamma)
    drawn = low + (high - low) * uniform((n, 1), generator=generator, device=generator.device)
    time = arrivals(-drawn * centre_distance(size).to(generator.device), generator=generator)  # (n, tokens)
    return hide_highest(-time, ratio=ratio)


def centre_distance(grid: Grid) -> Tensor:
    """Squared distance of each token's centre from the middle, ``x^2 + y^2`` of the intensity.

    Parameters
    ----------
    grid : int or (int, int)
        Patch grid.

    Returns
    -------
    float32 Tensor (tokens,)
        In [0, 2); x and y run from -1 to 1 between the outer edges of the grid.

    Examples
    --------
    >>> centre_distance((1, 2)).tolist()
    [0.25, 0.25]
    """
    down, across = ((2 * torch.arange(side) + 1 - side) / side for side in grid_size(grid))
    return (down[:, None].square() + across.square()).flatten()


def _range(gamma: tuple[float, float]) -> tuple[float, float]:
    """Check the range of the concentration."""
    if len(gamma) != 2 or not 0 <= gamma[0] <= gamma[1]:
        raise ValueError(
            f"gamma must be a pair (lowest, highest) with 0 <= lowest <= highest, got {gamma}; for example (0.0, 2.0)"
        )
    return gamma
