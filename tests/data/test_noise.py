from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lib.data import noise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", noise.MODELS)
def test_mean_and_deviation_at_mid_grey(name: str) -> None:
    clean = torch.full((64, 1, 32, 32), 0.5)
    added = noise.MODELS[name](clean, sigma=0.1, generator=generator()) - clean
    assert abs(float(added.mean())) < 0.003  # 65,536 pixels; correlated ones count as about a sixth of that
    assert float(added.std()) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("name", noise.MODELS)
def test_the_generator_is_the_only_chance(name: str) -> None:
    clean = torch.rand(3, 2, 9, 12, generator=generator(5))
    model = noise.MODELS[name]
    torch.manual_seed(1)
    first = model(clean, sigma=0.2, generator=generator(1))
    torch.manual_seed(2)
    assert torch.equal(first, model(clean, sigma=0.2, generator=generator(1)))
    assert not torch.equal(first, model(clean, sigma=0.2, generator=generator(2)))
    assert first.shape == clean.shape
    assert first.dtype == torch.float32


@pytest.mark.parametrize(("intensity", "read"), [(0.0, 0.2), (0.25, 0.2), (1.0, 0.2), (1.0, 0.0), (0.1, 0.5)])
def test_signal_dependent_variance(intensity: float, read: float) -> None:
    clean = torch.full((64, 1, 32, 32), intensity)
    noisy = noise.signal_dependent(clean, sigma=0.1, generator=generator(), read=read)
    wanted = 0.01 * (read + (1 - read) * intensity / 0.5)
    assert float(noisy.var()) == pytest.approx(wanted, rel=0.03)
    assert float(noisy.mean()) == pytest.approx(intensity, abs=0.003)


def test_pure_photon_noise_is_a_whole_number_of_photons() -> None:
    noisy = noise.signal_dependent(torch.rand(2, 1, 8, 8), sigma=0.1, generator=generator(), read=0.0)
    photons = noisy / (0.1**2 / 0.5)
    torch.testing.assert_close(photons, photons.round(), rtol=0, atol=1e-3)
    black = noise.signal_dependent(torch.zeros(2, 1, 8, 8), sigma=0.1, generator=generator(), read=0.0)
    assert not black.any()


def autocorrelation(added: Tensor, down: int, right: int) -> float:
    """On the torus, by brute force."""
    return float((added * added.roll((down, right), (2, 3))).mean() / added.square().mean())


@pytest.mark.parametrize("width", [0.7, 1.5])
@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (0, 2), (4, 4)])
def test_autocorrelation_has_its_closed_form(width: float, shift: tuple[int, int]) -> None:
    clean = torch.zeros(200, 1, 24, 20)
    added = noise.correlated(clean, sigma=0.1, generator=generator(), width=width)
    distance = sum(step**2 for step in shift)
    wanted = torch.exp(torch.tensor(-distance / (4 * width**2)))
    assert autocorrelation(added, *shift) == pytest.approx(float(wanted), abs=0.03)


def test_white_noise_has_none() -> None:
    added = noise.gaussian(torch.zeros(200, 1, 24, 20), sigma=0.1, generator=generator())
    assert abs(autocorrelation(added, 0, 1)) < 0.02


def test_correlated_noise_is_alike_at_every_pixel() -> None:
    added = noise.correlated(torch.zeros(4000, 1, 6, 5), sigma=0.1, generator=generator())
    assert float((added.std(0) / 0.1 - 1).abs().max()) < 0.06  # 4,000 draws: 1.1 % each


def test_a_bank_gives_its_own_residuals_in_every_orientation() -> None:
    bank = torch.arange(4.0).view(1, 1, 2, 2)
    found = noise.banked(torch.ones(200, 1, 2, 2), bank=bank, generator=generator()) - 1
    seen = {tuple(row.flatten().tolist()) for row in found}
    assert seen == {(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)}


def test_a_bank_is_drawn_from_evenly() -> None:
    bank = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 2, 2)
    found = noise.banked(torch.zeros(5000, 1, 2, 2), bank=bank, generator=generator())
    assert torch.bincount(found[:, 0, 0, 0].long()).tolist() == pytest.approx([1000] * 5, rel=0.12)


CLEAN = torch.rand(2, 1, 4, 4)
WRONG: list[tuple[Callable[..., Tensor], dict, str]] = [
    (noise.gaussian, {"images": CLEAN, "sigma": 0}, "sigma must be positive"),
    (noise.gaussian, {"images": CLEAN[0], "sigma": 0.1}, "must have shape"),
    (noise.signal_dependent, {"images": CLEAN - 1, "sigma": 0.1}, "must not be negative"),
    (noise.signal_dependent, {"images": CLEAN, "sigma": 0.1, "read": 1.0}, "read must be in"),
    (noise.correlated, {"images": CLEAN, "sigma": 0.1, "width": 0}, "width must be positive"),
    (noise.banked, {"images": CLEAN, "bank": torch.rand(3, 1, 4, 5)}, "bank must hold residuals"),
    (noise.banked, {"images": CLEAN, "bank": torch.rand(0, 1, 4, 4)}, "bank must hold residuals"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), WRONG)
def test_wrong_calls_are_refused(function: Callable[..., Tensor], arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(**arguments, generator=generator())
