"""Grad-CAM: where a layer's channels that raise the score are active.

Paper: Selvaraju et al. 2017 (arXiv:1610.02391), equations 1 and 2: channel weights are the spatial means of the
gradient, the map is the positive part of the weighted sum of channels.

Differences: the layer is watched by a hook, so no network is rewritten; layers that return tokens, as those of vision
transformers do, take part through ``as_map``. The map is enlarged bilinearly and not smoothed further. captum is the
oracle of the tests.

Conventions: see `lib.explain`; layers are named as in `lib.explain.normgrad`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.explain import Score, check_inputs
from lib.explain.normgrad import AsMap, enlarged, taps


def gradcam(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    layer: nn.Module | str,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    as_map: AsMap | None = None,
    positive: bool = True,
) -> Tensor:
    """Positive part of a layer's channels, weighted by their mean gradient and enlarged to the image.

    Parameters
    ----------
    score, images, target, generator, max_batch, layer, as_map
        As `lib.explain.normgrad.norm_grad`; the layer is as a rule the last one with places.
    positive : bool
        False keeps evidence against the class as negative values.

    Returns
    -------
    Tensor, float32 (n, h, w)
        At least 0 if ``positive``; 0 = no channel that raises the score is active there.

    Raises
    ------
    ValueError
        If the layer is unknown, has no places or does not run once, or shapes do not fit together.

    Source
    ------
    Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.
    """
    check_inputs(images, target, max_batch)
    coarse = []
    for ((seen, gradient),) in taps(score, images, target, layers=[layer], max_batch=max_batch, as_map=as_map):
        coarse.append((gradient.mean((2, 3), keepdim=True) * seen).sum(1).detach())  # (m, h', w')
    found = torch.cat(coarse)
    return enlarged(found.relu() if positive else found, images.shape[-2:])
