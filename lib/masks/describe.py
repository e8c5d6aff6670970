"""Numbers that describe a mask: spectrum, clustering, components, distance to the visible, coverage, reuse.

Papers: Hinojosa et al. 2024 (ColorMAE, arXiv:2407.13036) tells masks apart by their radial power spectrum; Xie et al.
2022 (SimMIM, arXiv:2111.09886, section 4.1.1) by AvgDist; Moran 1950, "Notes on continuous stochastic phenomena",
gives the measure of clustering.

Differences: powers are given relative to random masking with the same count, AvgDist in patches, not pixels.
Conventions: masks are bool (n, tokens), ``True`` = hidden, row by row on ``grid``. One value per mask comes back.
Neighbours share an edge.
"""

import torch
from torch import Tensor

from lib.masks.contract import Grid, grid_size


def radial_power(mask: Tensor, grid: Grid, *, edges: tuple[float, ...]) -> Tensor:
    """Power of each mask in rings of spatial frequency, relative to random masking.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = hidden.
    grid : int or (int, int)
        Patch grid.
    edges : tuple of float
        Rising edges of the rings, cycles per patch; a ring holds its lower edge. Frequency 0 is left out.

    Returns
    -------
    float64 Tensor (n, len(edges) - 1)
        1 = as random masking, 0 = no power in this ring; NaN where the grid has no frequency in the ring.

    Raises
    ------
    ValueError
        If the edges do not rise.
    """
    image = _image(mask, grid).double()
    if len(edges) < 2 or any(low >= high for low, high in zip(edges, edges[1:], strict=False)):
        raise ValueError(f"edges must rise and number at least two, got {edges}; for example (0.0, 0.125, 0.3, 0.71)")
    tokens = image[0].numel()
    deviation = image - image.mean((1, 2), keepdim=True)
    expected = deviation.square().sum((1, 2)) * tokens / (tokens - 1)  # white masks of this count, per mode
    power = torch.fft.fft2(deviation).abs().square().flatten(1) / expected[:, None]  # (n, tokens)
    down, across = (torch.fft.fftfreq(side, dtype=torch.float64, device=mask.device) for side in image.shape[1:])
    radius = torch.hypot(down[:, None], across[None, :]).flatten()
    rings = [(radius >= low) & (radius < high) & (radius > 0) for low, high in zip(edges, edges[1:], strict=False)]
    return torch.stack([power[:, ring].mean(1) for ring in rings], 1)


def morans_i(mask: Tensor, grid: Grid) -> Tensor:
    """Moran's I: how much a token resembles its neighbours.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = hidden; neither all hidden nor all visible.
    grid : int or (int, int)
        Patch grid.

    Returns
    -------
    float64 Tensor (n,)
        ``-1 / (tokens - 1)`` in expectation for random masking, 1 = large regions, -1 = a chessboard.

    Source: Moran 1950, with weight 1 for each pair of tokens that share an edge.
    """
    image = _image(mask, grid).double()
    deviation = image - image.mean((1, 2), keepdim=True)
    pairs = deviation[:, 1:] * deviation[:, :-1], deviation[:, :, 1:] * deviation[:, :, :-1]
    count = pairs[0][0].numel() + pairs[1][0].numel()
    return (pairs[0].sum((1, 2)) + pairs[1].sum((1, 2))) / count / deviation.square().mean((1, 2))


def components(mask: Tensor, grid: Grid) -> Tensor:
    """Label the connected regions of hidden tokens; pass ``~mask`` for the visible ones.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = belongs to a region.
    grid : int or (int, int)
        Patch grid.

    Returns
    -------
    int64 Tensor (n, tokens)
        0 outside; inside, a positive number shared by exactly the tokens of one region.
    """
    image = _image(mask, grid)
    n, height, width = image.shape
    label = torch.arange(1, height * width + 1, device=mask.device).view(1, height, width) * image
    while True:
        padded = torch.nn.functional.pad(label, (1, 1, 1, 1))
        around = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
        spread = torch.stack((label, *around)).amax(0) * image
        if torch.equal(spread, label):
            return label.view(n, -1)
        label = spread


def component_count(mask: Tensor, grid: Grid) -> Tensor:
    """Number of connected regions of hidden tokens; pass ``~mask`` for the visible ones.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = belongs to a region.
    grid : int or (int, int)
        Patch grid.

    Returns
    -------
    int64 Tensor (n,)
    """
    return (_component_sizes(mask, grid) > 0).sum(1)


def component_size(mask: Tensor, grid: Grid) -> Tensor:
    """Mean number of tokens in a connected region; pass ``~mask`` for the visible ones.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = belongs to a region.
    grid : int or (int, int)
        Patch grid.

    Returns
    -------
    float64 Tensor (n,)
        Patches; NaN where a row has no region.
    """
    return mask.sum(1).double() / component_count(mask, grid)


def largest_component(mask: Tensor, grid: Grid) -> Tensor:
    """Share of the hidden tokens that lie in the largest connected region; pass ``~mask`` for the visible ones.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = belongs to a region.
    grid : int or (int, int)
        Patch grid.

    Returns
    -------
    float64 Tensor (n,)
        In (0, 1]; 1 = everything hangs together; NaN where a row has no region.
    """
    return _component_sizes(mask, grid).amax(1).double() / mask.sum(1)


def visible_distance(mask: Tensor, grid: Grid, *, chunk: int = 256) -> Tensor:
    """Mean distance from a hidden token's centre to the nearest visible token's centre (AvgDist).

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = hidden; at least one hidden and one visible per row.
    grid : int or (int, int)
        Patch grid.
    chunk : int
        Masks handled at once; bounds memory at ``chunk * tokens ** 2`` numbers and does not change the result.

    Returns
    -------
    float64 Tensor (n,)
        Patches; at least 1.

    Source: SimMIM, section 4.1.1, in patches instead of pixels.
    """
    height, width = _image(mask, grid).shape[1:]
    token = torch.arange(height * width, device=mask.device)
    place = torch.stack((token // width, token % width), 1).float()
    distance = torch.cdist(place, place, compute_mode="donot_use_mm_for_euclid_dist")  # (tokens, tokens)
    means = []
    for part in mask.split(chunk):
        nearest = distance.masked_fill(part[:, None, :], torch.inf).amin(2)  # (chunk, tokens)
        means.append((nearest.double() * part).sum(1) / part.sum(1))
    return torch.cat(means)


def coverage(mask: Tensor) -> Tensor:
    """Share of masks that hide each token.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = hidden.

    Returns
    -------
    float64 Tensor (tokens,)
        In [0, 1]; equal to the mask ratio everywhere when no place is preferred.
    """
    return mask.double().mean(0)


def border(grid: Grid, *, depth: int = 1) -> Tensor:
    """Tokens within ``depth`` patches of the edge of the image.

    Parameters
    ----------
    grid : int or (int, int)
        Patch grid.
    depth : int
        Width of the frame in patches.

    Returns
    -------
    bool Tensor (tokens,)
        True = in the frame.

    Raises
    ------
    ValueError
        If the frame leaves no interior.
    """
    height, width = grid_size(grid)
    if not 0 < 2 * depth < min(height, width):
        raise ValueError(f"depth must leave an interior in a {height} x {width} grid, got {depth}; use 1")
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[depth:-depth, depth:-depth] = True
    return ~inside.flatten()


def distinct(mask: Tensor) -> int:
    """Number of different masks among the rows.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        Masks.

    Returns
    -------
    int in [1, n]
    """
    return len(torch.unique(mask, dim=0))


def overlap(mask: Tensor, other: Tensor) -> Tensor:
    """Share of the visible tokens of one mask that another leaves visible too, row by row.

    Parameters
    ----------
    mask, other : bool Tensor (n, tokens)
        True = hidden; the same count in both.

    Returns
    -------
    float64 Tensor (n,)
        1 = the same mask, ``1 - ratio`` in expectation for independent masks without preferred places.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if mask.shape != other.shape:
        raise ValueError(f"other must have shape {tuple(mask.shape)}, got {tuple(other.shape)}; compare row by row")
    return (~mask & ~other).sum(1).double() / (~mask).sum(1)


def _component_sizes(mask: Tensor, grid: Grid) -> Tensor:
    """Tokens under each label 1 .. tokens: int64 (n, tokens)."""
    label = components(mask, grid)
    sizes = torch.zeros(len(label), label.shape[1] + 1, dtype=torch.long, device=label.device)
    return sizes.scatter_add_(1, label, torch.ones_like(label))[:, 1:]


def _image(mask: Tensor, grid: Grid) -> Tensor:
    """Fold masks to the grid, (n, height, width), after checking type and shape."""
    height, width = grid_size(grid)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be bool with True = hidden, got {mask.dtype}; use `mask.bool()`")
    if mask.ndim != 2 or mask.shape[1] != height * width:
        raise ValueError(
            f"mask must have shape (n, {height * width}) for a {height} x {width} grid, got {tuple(mask.shape)}; "
            "check the patch size"
        )
    return mask.view(-1, height, width)
