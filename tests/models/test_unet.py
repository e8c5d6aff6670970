from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lib.models.unet import UNet


def made(seed: int = 0, channels: int = 1, **sizes: int | bool) -> UNet:
    return UNet(channels, **({"width": 4} | sizes), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("side", "levels"), [((8, 8), 3), ((28, 28), 3), ((13, 9), 4), ((5, 7), 1), ((2, 2), 4)])
def test_any_size_comes_back(side: tuple[int, int], levels: int) -> None:
    model = made(channels=2, levels=levels, out_channels=3)
    assert model(torch.rand(2, 2, *side)).shape == (2, 3, *side)


def test_skips_have_the_promised_shapes() -> None:
    model = made(levels=4)
    skips, bottom = model.encode(torch.rand(2, 1, 13, 20))
    assert [tuple(skip.shape) for skip in skips] == [(2, 4, 13, 20), (2, 8, 7, 10), (2, 16, 4, 5)]
    assert tuple(bottom.shape) == (2, 32, 2, 3)
    assert model.skip_channels == (4, 8, 16)


def test_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = made(0).state_dict()
    torch.manual_seed(2)
    again, other = made(0).state_dict(), made(1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first if name.endswith("weight"))


def test_variance_survives_the_contracting_path() -> None:
    model = made(width=16, levels=3)
    x = 0.5 + torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    skips, _ = model.encode(x)
    assert 0.3 < float(skips[0].detach().square().mean()) < 3  # unit variance in, the same order of magnitude out


def test_attenuate_sees_every_level_once_coarsest_first() -> None:
    model, x, seen = made(levels=4), torch.rand(2, 1, 16, 16), []

    def watch(level: int, skip: Tensor) -> Tensor:
        seen.append((level, skip.shape[1]))
        return skip

    torch.testing.assert_close(model(x, watch), model(x), rtol=0, atol=0)
    assert seen == [(2, 16), (1, 8), (0, 4)]


def test_each_level_matters_and_all_closed_leave_the_bottom_only() -> None:
    model, x = made(levels=3), torch.rand(2, 1, 16, 16)
    whole = model(x)

    def closed(*levels: int) -> Callable[[int, Tensor], Tensor]:
        return lambda level, skip: skip * 0 if level in levels else skip

    assert not torch.allclose(model(x, closed(0)), whole)
    assert not torch.allclose(model(x, closed(1)), whole)
    skips, bottom = model.encode(x)
    alone = model.decode([torch.zeros_like(skip) for skip in skips], bottom)
    torch.testing.assert_close(model(x, closed(0, 1)), alone)


def test_gradients_reach_every_weight_and_the_attenuation() -> None:
    model, scale = made(levels=3), torch.ones(2, requires_grad=True)
    model(torch.rand(2, 1, 16, 16), lambda level, skip: skip * scale[level]).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())
    assert scale.grad is not None and bool((scale.grad != 0).all())


def test_a_residual_net_starts_as_the_identity() -> None:
    x = torch.rand(2, 3, 9, 9)
    model = made(channels=3, residual=True, out_channels=2)
    torch.testing.assert_close(model(x), x[:, :2], rtol=0, atol=0)
    model(x).square().sum().backward()
    assert bool(model.head.weight.grad.abs().sum() > 0)


def test_an_image_does_not_feel_its_batch() -> None:
    model, x = made(), torch.rand(4, 1, 12, 12)
    torch.testing.assert_close(model(x), torch.cat([model(row[None]) for row in x]), rtol=1e-4, atol=1e-6)


def test_a_far_pixel_is_not_felt() -> None:
    model, x = made(levels=2), torch.rand(1, 1, 64, 64)
    changed = x.clone()
    changed[..., 60, 60] += 1
    difference = (model(changed) - model(x)).abs()[0, 0]
    assert float(difference.detach()[:40, :40].max()) == 0
    assert float(difference.detach()[60, 60]) > 0


def test_learns_to_remove_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = (torch.rand(64, 1, 2, 2, generator=generator)).repeat_interleave(8, 2).repeat_interleave(8, 3)
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=generator)
    model = made(width=8, levels=2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(80):
        optimiser.zero_grad()
        loss = (model(noisy) - clean).square().mean()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.25 * 0.3**2  # a quarter of the noise's power


@pytest.mark.parametrize("sizes", [{"width": 0}, {"levels": 0}, {"out_channels": 0}])
def test_sizes_below_one_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(sizes))} must be at least 1"):
        made(**sizes)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="residual needs out_channels <= channels"):
        made(channels=1, out_channels=2, residual=True)
    with pytest.raises(ValueError, match=r"must have shape \(n, 1, h, w\)"):
        made()(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match="must keep the shape"):
        made()(torch.rand(2, 1, 8, 8), lambda level, skip: skip[..., :1])
