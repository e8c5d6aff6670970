"""timm's transformer parts, importable where torchvision's compiled library is not.

timm (Wightman, https://github.com/huggingface/pytorch-image-models) imports torchvision, whose wheel may have been
built for another device than the installed torch. Then its compiled library does not load and the import fails with
"operator torchvision::nms does not exist", although nothing here calls that operator. ``mend_torchvision`` declares
the two operators by name alone; transforms, utilities and all of timm then work, and calling them still fails.

Conventions: this is the only module that imports timm; everyone else takes the parts from here. Importing it loads
nothing heavy, calling it does.
"""

import importlib.util
from functools import cache
from pathlib import Path

import torch
from torch import nn

MISSING = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def mend_torchvision() -> torch.library.Library | None:
    """Make ``import torchvision`` safe; call it before anything that imports torchvision.

    Returns
    -------
    torch.library.Library or None
        The declarations, kept alive by the cache; None where nothing had to be declared: the compiled library loads,
        torchvision is absent, or it was imported before.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or hasattr(torch.ops.torchvision, MISSING[0]):
        return None
    for compiled in sorted(Path(spec.origin).parent.glob("_C*.so")) + sorted(Path(spec.origin).parent.glob("_C*.pyd")):
        try:
            torch.ops.load_library(str(compiled))
        except OSError:
            continue  # built for another torch: go on without it
    library = torch.library.Library("torchvision", "FRAGMENT")
    missing = [name for name in MISSING if not hasattr(torch.ops.torchvision, name)]
    for name in missing:
        library.define(name + SCHEMA)
    return library if missing else None


def vit_block(width: int, heads: int, *, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> nn.Module:
    """One pre-norm transformer block of timm: attention and a GELU perceptron, each added to its input.

    Parameters
    ----------
    width : int
        Token dimension, a multiple of ``heads``.
    heads : int
        Attention heads.
    mlp_ratio : float
        Hidden units of the perceptron over ``width``.
    drop_path : float in [0, 1)
        Probability of skipping a branch for one sample while training.

    Returns
    -------
    nn.Module
        Maps float (n, tokens, width) to the same shape.

    Raises
    ------
    ValueError
        ``width`` is not a multiple of ``heads``.
    """
    if width % heads:
        raise ValueError(f"width must be a multiple of heads, got {width} and {heads}; try heads={max(1, width // 16)}")
    mend_torchvision()
    from timm.models.vision_transformer import Block

    return Block(width, heads, mlp_ratio=mlp_ratio, qkv_bias=True, drop_path=drop_path)


def create(name: str, *, classes: int, channels: int = 3) -> nn.Module:
    """Build an untrained timm model by name, for sizes that the small networks of this package do not reach.

    Parameters
    ----------
    name : str
        timm's name, for example "resnet18".
    classes : int
        Outputs of the head; 0 = pooled features.
    channels : int
        Image channels.

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        timm knows no such name.
    """
    mend_torchvision()
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "see timm.list_models()"
        raise ValueError(f"name must be a timm model, got {name!r}; near: {near}")
    return timm.create_model(name, pretrained=False, num_classes=classes, in_chans=channels)
