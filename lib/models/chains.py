"""Networks that are one chain of layers: two whose right attribution is known, and a small classifier.

Shrikumar et al. 2017 (arXiv:1704.02685) argue with a unit that saturates and with the minimum of two inputs; both are
written here as ReLU networks with fixed weights. Their digit network has two convolutions with strides; ours pools
maxima instead, so that the rule for pooling is used as well.

Conventions: `nn.Sequential` of modules used once, so that rules for single layers apply. A table's row is an image
(1, 1, 2). Weights of the classifier follow torch's global seed.
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


def small_chain(channels: int, side: int, classes: int, *, width: int = 8) -> nn.Sequential:
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
    >>> small_chain(1, 28, 3)(torch.zeros(2, 1, 28, 28)).shape
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


def _fixed(hidden: list[list[float]], offsets: list[float], output: list[float], offset: float) -> nn.Sequential:
    """One hidden layer of ReLUs with given weights."""
    first, last = nn.Linear(len(hidden[0]), len(hidden)), nn.Linear(len(hidden), 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor(hidden))
        first.bias.copy_(torch.tensor(offsets))
        last.weight.copy_(torch.tensor([output]))
        last.bias.fill_(offset)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).requires_grad_(False).eval()
