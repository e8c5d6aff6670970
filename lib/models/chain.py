"""A plain chain of convolutions, ReLUs and linear layers, which guaranteed bounds can follow from end to end.

The kind of network on which verified training is shown (Gowal et al. 2018, arXiv:1810.12715): no normalisation, no
shortcuts, no pooling by maximum. Differences: smaller.

Conventions: images are float32 NCHW in [0, 1]; weights follow torch's global seed.
"""

from __future__ import annotations

from torch import nn


def relu_chain(
    channels: int, classes: int, *, size: tuple[int, int], width: int = 8, hidden: int = 64
) -> nn.Sequential:
    """Two strided convolutions and two linear layers, with ReLUs between.

    Parameters
    ----------
    channels, classes : int
        Of the images; logits.
    size : (int, int)
        Height and width of the images, px, multiples of 4.
    width : int
        Channels of the first convolution; the second has twice as many.
    hidden : int
        Units between the linear layers.

    Returns
    -------
    nn.Sequential

    Raises
    ------
    ValueError
        If an edge is no multiple of 4.

    Examples
    --------
    >>> import torch
    >>> relu_chain(1, 3, size=(8, 8))(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 3])
    """
    if size[0] % 4 or size[1] % 4:
        raise ValueError(f"size must be multiples of 4 px, got {tuple(size)}; crop or resize the images")
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * (size[0] // 4) * (size[1] // 4), hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )
