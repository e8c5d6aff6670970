"""The same masked models and targets on a CUDA device, and all of them in half precision."""

from __future__ import annotations

import pytest
import torch

from lib import masks
from lib.measure import pretraining
from lib.models import hpm, mae, simmim, targets

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def images(device: str = "cpu") -> torch.Tensor:
    return torch.rand(4, 3, 28, 28, generator=torch.Generator().manual_seed(0)).to(device)


def hidden(device: str = "cpu") -> torch.Tensor:
    return masks.random(4, 4, ratio=0.75, generator=torch.Generator().manual_seed(1)).to(device)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", targets.KINDS)
def test_targets_agree_with_the_cpu(kind):
    target = targets.named(kind, cell=7, radii=(2, 4))
    assert torch.allclose(target(images("cuda"), 7).cpu(), target(images(), 7), atol=1e-3)  # float32; 1 / deviation


@pytest.mark.gpu
def test_ranking_loss_agrees_with_the_cpu():
    predicted, losses = torch.randn(2, 50, 12, generator=torch.Generator().manual_seed(0))
    losses = losses.mul(3).round()  # ties too
    assert torch.allclose(
        hpm.relative_loss(predicted.cuda(), losses.cuda()).cpu(), hpm.relative_loss(predicted, losses), atol=1e-5
    )


@pytest.mark.parametrize("device", DEVICES)
def test_half_precision_trains_every_model(device):
    """bfloat16 as `lib.train.fit` sets it on a GPU: predictions and losses stay float32 and near the full ones."""
    options = {"channels": 3, "patch": 7, "width": 32, "depth": 1, "generator": torch.Generator().manual_seed(0)}
    plain, fills = mae.MAE(28, decoder_width=16, **options), simmim.SimMIM(28, target=targets.hog, **options)
    mined = hpm.HPM(mae.MAE(28, decoder_width=16, **options), generator=torch.Generator().manual_seed(0))
    x, mask = images(device), hidden(device)

    def losses() -> list[torch.Tensor]:
        return [
            mae.reconstruction_loss(plain(x, mask), plain.targets(x), mask),
            simmim.l1_loss(fills(x, mask), fills.targets(x), mask),
            pretraining.hpm_loss(mined, mined, x, mask, relative=True),
        ]

    for model in (plain, fills, mined):
        model.to(device)
    full = [float(value.detach()) for value in losses()]
    with torch.autocast(device, torch.bfloat16):
        half, expected = losses(), mined.difficulty(x)
    assert expected.dtype == torch.float32
    assert [float(value.detach()) for value in half] == pytest.approx(full, rel=0.02)  # eight bits of mantissa
    for value in half:
        assert value.dtype == torch.float32
        value.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for m in (plain, fills, mined) for p in m.parameters())
