"""Networks that are one chain of layers: two whose right attribution is known, and two small classifiers.

Shrikumar et al. 2017 (arXiv:1704.02685) argue with a unit that saturates and with the minimum of two inputs; both are
written here as ReLU networks with fixed weights. Their digit network has two convolutions with strides; ours pools
maxima instead, so that the rule for pooling is used as well.

Conventions: `nn.Sequential` of modules used once, so that rules for single layers apply. A table's row is an image
(1, 1, 2). Weights of the classifiers follow torch's global seed.
"""

from __future__ import annotations

import torch
from torch import nn


def minimum() -> nn.Sequential:
    """min(x1, x2) = x1 - relu(x1 - x2), for x1 >= 0; images (n, 1, 1, 2) to (n, 1).

    Examples
    --------
    >>> minimum()(torch.tensor([[[[3.0, 2.0]]]])).item()
    2.0
    """
    return _fixed([[1.0, 0.0], [1.0, -1.0]], [0.0, 0.0], [1.0, -1.0], 0.0)


def saturated() -> nn.Sequential:
    """min(1, x1 + x2) = 1 - relu(1 - x1 - x2); images (n, 1, 1, 2) to (n, 1).

    Examples
    --------
    >>> saturated()(torch.tensor([[[[3.0, 2.0]]], [[[0.25, 0.5]]]]))[:, 0].tolist()
    [1.0, 0.75]
    """
    return _fixed([[-1.0, -1.0]], [1.0], [-1.0], 1.0)


def pooled_chain(channels: int, side: int, classes: int, *, width: int = 8) -> nn.Sequential:
    """Two convolutions with maximum pooling and two dense layers.

    Parameters
    ----------
    channels, side : int
        Channels of the images and their edge, pixels, at least 4.
    classes : int
        Outputs (logits).
    width : int
        Channels of the first convolution; the second has twice as many, the hidden dense layer eight times.

    Returns
    -------
    nn.Sequential
        Images (n, channels, side, side) to logits (n, classes).

    Raises
    ------
    ValueError
        If a size is too small.

    Examples
    --------
    >>> pooled_chain(1, 28, 3)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 3])
    """
    if min(channels, classes, width) < 1 or side < 4:
        raise ValueError(
            f"channels, classes and width must be at least 1 and side at least 4, got {channels}, {classes}, {width} "
            f"and {side}"
        )
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * width * (side // 4) ** 2, 8 * width), nn.ReLU(), nn.Linear(8 * width, classes),
    )  # fmt: skip


def strided_chain(
    channels: int, classes: int, *, size: tuple[int, int], width: int = 8, hidden: int = 64
) -> nn.Sequential:
    """Two strided convolutions and two linear layers, with ReLUs between.

    The kind of network on which verified training is shown (Gowal et al. 2018, arXiv:1810.12715), smaller: no
    normalisation, no shortcuts, no pooling by maximum.

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
    >>> strided_chain(1, 3, size=(8, 8))(torch.zeros(2, 1, 8, 8)).shape
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


def _fixed(hidden: list[list[float]], offsets: list[float], output: list[float], offset: float) -> nn.Sequential:
    """One hidden layer of ReLUs with given weights."""
    first, last = nn.Linear(len(hidden[0]), len(hidden)), nn.Linear(len(hidden), 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor(hidden))
        first.bias.copy_(torch.tensor(offsets))
        last.weight.copy_(torch.tensor([output]))
        last.bias.fill_(offset)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).requires_grad_(False).eval()
