"""What is hidden in a picture, and where a picture ends, made visible."""

from __future__ import annotations

import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from lib.plots.style import PALETTE

EDGE = "0.75"


def framed(sheet: Figure) -> Figure:
    """Draw a thin grey line around each picture of a sheet, whose edge may be as white as the page."""
    for ax in sheet.axes:
        if ax.images:
            ax.axis("on")
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set(visible=True, color=EDGE, linewidth=0.6)
    return sheet


def covered(pictures: Tensor, hidden: Tensor) -> Tensor:
    """Pictures with what is hidden in blue, which is neither black, white nor grey.

    Parameters
    ----------
    pictures : Tensor (n, 1 or 3, h, w)
        Values in [0, 1].
    hidden : bool Tensor (n, h, w) or (n, tokens)
        True where covered; tokens are square patches, row by row.

    Returns
    -------
    Tensor (n, 3, h, w)

    Examples
    --------
    >>> import torch
    >>> seen = covered(torch.ones(1, 1, 4, 4), torch.tensor([[True, False, False, False]]))
    >>> seen[0, 0, 0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    n, _, height, width = pictures.shape
    if hidden.ndim == 2:
        patch = round((height * width / hidden.shape[1]) ** 0.5)
        if hidden.shape[1] * patch**2 != height * width or height % patch or width % patch:
            raise ValueError(
                f"hidden must have one token for each square patch of {height} x {width} pixels, got "
                f"{hidden.shape[1]} tokens; give (n, h, w) for other shapes"
            )
        grid = hidden.view(n, height // patch, width // patch)
        hidden = grid.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
    blue = pictures.new_tensor(to_rgb(PALETTE[0])).view(3, 1, 1)
    return torch.where(hidden[:, None], blue, pictures.expand(-1, 3, -1, -1))
