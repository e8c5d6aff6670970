"""Masks from saliency for inpainting: one deterministic mask per image, and a mosaic as a hint of what it covers.

Paper: Park et al. 2023, EAR (arXiv:2310.04010), sections on single deterministic masking and on hint-providing: the
attention of a pretrained DINO-ViT marks suspected regions; these are replaced by a mosaic of themselves, which shows
colour and position but no detail, and a network restores them.

Differences: the paper's threshold and mosaic scale were not in the text we could read. `salient` puts the threshold at
a quantile of each image's own map, so that the count is exact; `salient_above` takes a fixed threshold and lets the
hidden area vary. The mosaic's cell is a free parameter.

Conventions: see `lib.masks.contract` for token masks. A pixel mask is bool (n, height, width), True = hidden. Images
are float (n, channels, height, width). Everything here is deterministic.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lib.masks.contract import Grid, grid_size, hidden_count
from lib.masks.draws import check_rows


def salient(saliency: Tensor, *, ratio: float) -> Tensor:
    """Hide what is salient: the highest values of each row, the first ones where values are equal.

    Parameters
    ----------
    saliency : float Tensor (n, tokens)
        Attention or any other map, flattened; only the order within an image counts.
    ratio : float in (0, 1)
        Share of tokens to hide: the threshold is the quantile ``1 - ratio`` of the image's own map.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    TypeError
        If the map is not floating point.
    ValueError
        If it is not a finite matrix, or the ratio is out of range.

    Source: EAR, section on single deterministic masking.

    Examples
    --------
    >>> salient(torch.tensor([[0.2, 0.9, 0.2, 0.2]]), ratio=0.5).tolist()
    [[True, True, False, False]]
    """
    check_rows(saliency, "saliency")
    count = hidden_count(saliency.shape[1], ratio=ratio)
    order = saliency.sort(dim=1, descending=True, stable=True).indices  # (n, tokens)
    mask = torch.zeros(saliency.shape, dtype=torch.bool, device=saliency.device)
    return mask.scatter_(1, order[:, :count], True)


def salient_above(saliency: Tensor, *, threshold: float) -> Tensor:
    """Hide what is more salient than a fixed threshold; the count varies and may be zero.

    Parameters
    ----------
    saliency : float Tensor (n, tokens)
        As in `salient`.
    threshold : float
        In the unit of the map.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden. Not a token mask of the contract: an encoder that drops hidden tokens cannot take it.
    """
    check_rows(saliency, "saliency")
    return saliency > threshold


def to_pixels(mask: Tensor, grid: Grid, size: tuple[int, int]) -> Tensor:
    """Enlarge token masks to pixel masks.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = hidden.
    grid : int or (int, int)
        Patch grid.
    size : (int, int)
        Height and width of the images in pixels, at least those of the grid.

    Returns
    -------
    bool Tensor (n, height, width)
        A pixel takes the token it lies in.

    Raises
    ------
    ValueError
        If the mask does not fit the grid, or the grid is finer than the pixels.

    Examples
    --------
    >>> to_pixels(torch.tensor([[True, False]]), (1, 2), (1, 4)).tolist()
    [[[True, True, False, False]]]
    """
    rows, columns = grid_size(grid)
    if mask.ndim != 2 or mask.shape[1] != rows * columns:
        raise ValueError(
            f"mask must have shape (n, {rows * columns}) for a {rows} x {columns} grid, got {tuple(mask.shape)}; "
            "check the patch size"
        )
    if size[0] < rows or size[1] < columns:
        raise ValueError(f"size must be at least {rows} x {columns} pixels, got {size}; pass the size of the image")
    down, across = (
        torch.arange(pixels, device=mask.device) * tokens // pixels
        for pixels, tokens in zip(size, (rows, columns), strict=True)
    )
    return mask.view(-1, rows, columns)[:, down[:, None], across]


def mosaic(images: Tensor, mask: Tensor, *, cell: int) -> Tensor:
    """Replace the hidden pixels by the mean of the cell they lie in.

    Parameters
    ----------
    images : float Tensor (n, channels, height, width)
        Images.
    mask : bool Tensor (n, height, width)
        True = hidden, for example from `to_pixels`.
    cell : int
        Side of a cell in pixels, aligned with the top left corner; those at the other edges may be smaller. 1 changes
        nothing; a cell as large as the image leaves only its mean colour.

    Returns
    -------
    float Tensor (n, channels, height, width)
        The images where nothing is hidden, the mosaic elsewhere.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the cell is not positive.

    Source: EAR, section on hint-providing.
    """
    if images.ndim != 4 or mask.shape != images[:, 0].shape or mask.dtype != torch.bool:
        raise ValueError(
            f"mask must be bool (n, height, width) for images (n, channels, height, width), got {mask.dtype} "
            f"{tuple(mask.shape)} for {tuple(images.shape)}; enlarge a token mask with `to_pixels`"
        )
    if cell < 1:
        raise ValueError(f"cell must be at least 1 pixel, got {cell}; 16 keeps colour and place of a patch")
    height, width = images.shape[2:]
    means = avg_pool2d(images, cell, ceil_mode=True)  # (n, channels, down, across)
    coarse = means.repeat_interleave(cell, 2).repeat_interleave(cell, 3)[:, :, :height, :width]
    return torch.where(mask[:, None], coarse, images)
