"""A small residual network that trains in seconds on one CPU thread and exposes its penultimate features.

He et al. 2015, Deep Residual Learning for Image Recognition (arXiv:1512.03385), equation 1: y = F(x) + x.
Differences: a stride-2 5x5 stem instead of 7x7 and max pooling, one block per stage, four stages at most, SiLU, and
GroupNorm (Wu & He 2018, arXiv:1803.08494) instead of batch normalisation, so that the output of one image does not
depend on the other images of its batch and training and evaluation mode agree.

Conventions: images are float32 NCHW in [0, 1]; the net centres them itself (x - 0.5). Weights follow torch's global
seed, as every torch layer does. On a CPU `model.to(memory_format=torch.channels_last)` is usually faster.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUPS = 8


def _norm(width: int) -> nn.GroupNorm:
    """GroupNorm with at most 8 groups that divide the width."""
    groups = max(g for g in range(1, min(GROUPS, width) + 1) if width % g == 0)
    return nn.GroupNorm(groups, width)


class Block(nn.Module):
    """Residual block: two 3x3 convolutions, with a 1x1 projection where the shape changes.

    Parameters
    ----------
    width_in, width_out : int
        Channels before and after.
    stride : int
        Stride of the first convolution.
    """

    def __init__(self, width_in: int, width_out: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.first_norm = _norm(width_out)
        self.second = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.second_norm = _norm(width_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            # every stride-th pixel, then 1x1: the same map as a strided 1x1 convolution, whose backward pass on the CPU
            # writes outside its memory in torch 2.13 when there are few channels
            mix = nn.Conv2d(width_in, width_out, 1, bias=False)
            self.shortcut = nn.Sequential(nn.MaxPool2d(1, stride), mix)
        nn.init.zeros_(self.second_norm.weight)  # the block starts as its shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, width_in, h, w) -> (n, width_out, ceil(h / stride), ceil(w / stride))."""
        inner = functional.silu(self.first_norm(self.first(x)))
        return functional.silu(self.second_norm(self.second(inner)) + self.shortcut(x))


class SmallCNN(nn.Module):
    """Stem, three residual stages, global average and maximum pooling, one linear layer.

    Parameters
    ----------
    channels : int
        Channels of the images.
    classes : int
        Outputs (logits).
    width : int
        Channels of the stem; the stages have 1, 2 and 4 times as many.
    """

    def __init__(self, channels: int, classes: int, *, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 5, 2, 2, bias=False)
        self.stem_norm = _norm(width)
        self.stages = nn.Sequential(
            Block(width, width, stride=1),
            Block(width, 2 * width, stride=2),
            Block(2 * width, 4 * width, stride=2),
        )
        self.n_features = 8 * width
        self.head = nn.Linear(self.n_features, classes)

    def maps(self, x: Tensor) -> Tensor:
        """Last feature maps: float (n, c, h, w) in [0, 1] -> (n, 4 * width, ~h / 8, ~w / 8)."""
        x = functional.silu(self.stem_norm(self.stem(x - 0.5)))
        return self.stages(x)

    def features(self, x: Tensor) -> Tensor:
        """Penultimate features: float (n, c, h, w) in [0, 1] -> (n, 8 * width), averages then maxima of the maps."""
        maps = self.maps(x)
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, c, h, w) in [0, 1] -> logits (n, classes)."""
        return self.head(self.features(x))


def small_cnn(channels: int, classes: int, *, width: int = 16) -> SmallCNN:
    """Make a small residual network for images of 16 pixels or more.

    Parameters
    ----------
    channels : int
        Channels of the images, 1 or 3 as a rule.
    classes : int
        Number of logits.
    width : int
        Channels of the stem; 16 gives about 80 thousand weights.

    Returns
    -------
    SmallCNN
        `model(x)` are logits (n, classes), `model.features(x)` the penultimate features (n, 8 * width).

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> small_cnn(1, 3)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 3])
    """
    for name, value in (("channels", channels), ("classes", classes), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}; pass a positive whole number")
    return SmallCNN(channels, classes, width=width)
