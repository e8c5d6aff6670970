"""Memory: at 224 px no tensor of a black-box method is larger than the images of one call, however many it asks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lib.explain import (
    baselines,
    captum_family,
    drise,
    gradients,
    hsic,
    meaningful,
    multiscale,
    rise,
    smdl,
    sobol,
    surrogate,
)
from lib.explain.features import cells

SIDE, CHANNELS, CALL = 224, 3, 8
BOUND = 8 * CALL * CHANNELS * SIDE * SIDE  # bytes of the images of one call in float64
GRID = cells((SIDE, SIDE), 6)
SEEN = smdl.Networks(lambda x: x.mean((2, 3)), None)


class Largest(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that any operation made; a view counts what it shows of its memory."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.of = 0, ""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor) and leaf.untyped_storage().nbytes() > self.bytes:
                self.bytes, self.of = leaf.untyped_storage().nbytes(), str(func)
        return found


def score(images: Tensor) -> Tensor:
    return images.mean((2, 3))


def detect(images: Tensor) -> list[drise.Detections]:
    box = torch.tensor([[10.0, 10.0, 90.0, 90.0]])
    return [drise.Detections(box, level[None]) for level in images.mean((2, 3))]


METHODS = {
    "rise": (rise.rise, {"n_masks": 60}),
    "occlusion": (rise.occlusion, {"window": 56, "stride": 24}),
    "sobol": (sobol.sobol, {"n_design": 2, "grid": 5}),
    "hsic": (hsic.hsic, {"n_masks": 60, "grid": 4}),
    "kernel_shap": (surrogate.kernel_shap, {"n_samples": 60}),
    "lime": (surrogate.lime, {"n_samples": 60}),
    "feature_ablation": (captum_family.feature_ablation, {"features": GRID}),
    "meaningful": (meaningful.meaningful, {"n_steps": 2}),
    "regional_multiscale": (multiscale.regional_multiscale, {"n_draws": 1}),
    "smdl": (smdl.smdl, {"networks": SEEN, "features": cells((SIDE, SIDE), 3)}),
    "integrated_gradients": (gradients.integrated_gradients, {"n_steps": 40}),
    "smoothgrad": (gradients.smoothgrad, {"n_samples": 40}),
    "gradient_shap": (captum_family.gradient_shap, {"n_samples": 40}),
    "random": (baselines.random, {}),
}


def largest(name: str) -> Largest:
    method, options = METHODS[name]
    images = torch.rand(1, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with Largest() as found:
        method(
            score, images, torch.zeros(1, dtype=torch.int64), generator=torch.Generator().manual_seed(0),
            max_batch=CALL, **options,
        )  # fmt: skip
    return found


@pytest.mark.parametrize("name", METHODS)
def test_no_tensor_is_larger_than_a_call(name):
    found = largest(name)
    assert found.bytes <= BOUND, f"{found.of} made {found.bytes / BOUND:.1f} times the images of one call"


def test_a_detector_is_asked_in_pieces_too():
    images = torch.rand(1, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with Largest() as found:
        drise.drise(
            detect, images, detect(images), generator=torch.Generator().manual_seed(0), max_batch=CALL, n_masks=60
        )
    assert found.bytes <= BOUND


def test_all_masks_at_once_would_be_noticed():
    with Largest() as found:
        torch.rand(60, SIDE, SIDE).double()
    assert found.bytes > BOUND
