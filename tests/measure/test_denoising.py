import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn

from lib import data
from lib.data import noise
from lib.measure import denoising

TINY = {"n_images": 8, "epochs": 1, "batch_size": 4, "width": 4, "side": 12}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Echo(nn.Module):
    """Returns what it was shown, so that an average over masks counts how often each pixel was visible."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1]


def test_crops_are_windows_of_the_grey_images() -> None:
    whole = data.images("tiny-imagenet-50-twin", n=5, seed=3).x.mean(1)
    found = denoising.pictures("tiny-imagenet-50-twin", n=5, seed=3, side=20)
    assert found.shape == (5, 1, 20, 20)
    for crop, image in zip(found[:, 0], whole, strict=True):
        windows = image.unfold(0, 20, 1).unfold(1, 20, 1)  # (45, 45, 20, 20)
        assert bool((windows == crop).all(-1).all(-1).any())


def test_small_images_stay_whole() -> None:
    found = denoising.pictures("digits", n=4, seed=0, side=64)
    assert torch.equal(found, data.images("digits", n=4, seed=0).x)


def test_hidden_pixels_are_zero_and_marked() -> None:
    noisy = 1 + torch.rand(50, 1, 16, 16)
    shown, mask = denoising.masked(noisy, ratio=0.7, generator=generator()).split(1, 1)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(shown, noisy * (1 - mask))
    assert float(mask.mean()) == pytest.approx(0.7, abs=0.02)
    assert mask.flatten(1).sum(1).unique().numel() > 1  # independent pixels, so the count varies
    assert torch.equal(denoising.masked(noisy, ratio=0.0, generator=generator())[:, :1], noisy)


def test_an_average_over_masks() -> None:
    noisy = torch.full((20, 1, 8, 8), 0.5)
    one = denoising.denoise(Echo(), noisy, ratio=0.5, looks=1, generator=generator())
    many = denoising.denoise(Echo(), noisy, ratio=0.5, looks=64, generator=generator())
    assert set(one.unique().tolist()) == {0.0, 0.5}
    assert float((many - 0.25).abs().max()) < 0.15  # 0.5 times a share of 64 visits, five deviations
    assert float(many.mean()) == pytest.approx(0.25, abs=0.005)


def test_without_a_mask_one_look_is_all_and_nothing_is_drawn() -> None:
    noisy, chance = torch.rand(4, 1, 8, 8) * 3 - 1, generator()
    before = chance.get_state()
    assert torch.equal(denoising.denoise(Echo(), noisy, ratio=0.0, looks=5, generator=chance), noisy.clamp(0, 1))
    assert torch.equal(chance.get_state(), before)


def test_batches_do_not_matter() -> None:
    model, noisy = denoising.empty_denoiser(seed=0, width=4), torch.rand(7, 1, 12, 12)
    wide, narrow = (
        denoising.denoise(model, noisy, ratio=0.5, looks=3, generator=generator(), batch_size=size) for size in (7, 2)
    )
    torch.testing.assert_close(wide, narrow, rtol=1e-4, atol=1e-6)  # float32 sums in another order


def test_psnr_against_a_peer() -> None:
    clean, estimate = torch.rand(2, 6, 1, 9, 9, generator=generator())
    found = denoising.psnr(estimate, clean)
    for value, a, b in zip(found, estimate, clean, strict=True):
        wanted = peak_signal_noise_ratio(b.double().numpy(), a.double().numpy(), data_range=1.0)
        assert float(value) == pytest.approx(wanted, rel=1e-9)
    assert float(denoising.psnr(clean + 0.1, clean)[0]) == pytest.approx(20.0, abs=1e-4)
    assert math.isinf(float(denoising.psnr(clean, clean)[0]))


def test_autocorrelation_by_brute_force() -> None:
    field = torch.randn(2, 1, 5, 6, generator=generator())
    found = denoising.autocorrelation(field, reach=2)
    for row in range(2):
        image = field[row, 0].double()
        sums = []
        for step in range(3):
            down = [image[i, j] * image[i + step, j] for i in range(5 - step) for j in range(6)]
            right = [image[i, j] * image[i, j + step] for i in range(5) for j in range(6 - step)]
            sums.append((sum(down) / len(down) + sum(right) / len(right)) / 2)
        torch.testing.assert_close(found[row], torch.stack(sums) / sums[0])


def test_autocorrelation_of_known_noise() -> None:
    flat = torch.zeros(300, 1, 24, 24)
    white = noise.gaussian(flat, sigma=0.1, generator=generator())
    filtered = noise.correlated(flat, sigma=0.1, generator=generator(), width=0.7)
    assert float(denoising.autocorrelation(white)[:, 1:].mean(0).abs().max()) < 0.01
    wanted = torch.exp(-(torch.arange(5.0, dtype=torch.float64) ** 2) / (4 * 0.7**2))
    torch.testing.assert_close(denoising.autocorrelation(filtered).mean(0), wanted, rtol=0, atol=0.02)


@pytest.mark.parametrize("denoiser", [denoising.median, lambda x: denoising.nonlocal_means(x, sigma=0.1)])
def test_classical_denoisers_help_on_flat_regions(denoiser) -> None:
    clean = torch.full((3, 1, 24, 24), 0.3)
    clean[..., 12:] = 0.7
    noisy = noise.gaussian(clean, sigma=0.1, generator=generator())
    found = denoiser(noisy)
    assert found.shape == clean.shape
    assert bool((denoising.psnr(found, clean) > denoising.psnr(noisy, clean) + 3).all())
    torch.testing.assert_close(denoiser(noisy[1:2]), found[1:2])


def arm(**changes: float | int | str) -> dict[str, Tensor]:
    settings = TINY | {"seed": 3, "noise": "gaussian", "sigma": 0.1, "ratio": 0.5} | changes
    return denoising.train_denoiser("digits", **settings)


def test_rounds_are_kept_apart_and_round_0_does_not_know_of_them() -> None:
    alone, twice = arm(), arm(rounds=2)
    assert twice["loss"].shape == (3, 1)
    assert twice["autocorrelation"].shape == (3, 4, 5)
    assert all(torch.equal(alone[name], twice[name]) for name in alone if name.startswith("0/"))
    first, last = (denoising.of_round(twice, number, seed=3, width=4) for number in (0, 2))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), last.parameters(), strict=True))
    with pytest.raises(ValueError, match="no round 1; the last one is 0"):
        denoising.of_round(alone, 1, seed=3, width=4)


def test_the_same_literals_give_the_same_bits_and_another_seed_others() -> None:
    first, again, other = arm(), arm(), arm(seed=4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["loss"], other["loss"])


def test_arms_of_a_seed_share_scenes_noise_and_first_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[float, list[Tensor]] = {}
    original = denoising.masked

    def watched(noisy: Tensor, *, ratio: float, generator: torch.Generator) -> Tensor:
        seen.setdefault(ratio, []).append(noisy.clone())
        return original(noisy, ratio=ratio, generator=generator)

    monkeypatch.setattr(denoising, "masked", watched)
    plain, hidden = arm(ratio=0.0), arm(ratio=0.5)
    assert len(seen[0.0]) == len(seen[0.5]) == 1  # one batch of four clean images
    assert torch.equal(seen[0.0][0], seen[0.5][0])
    torch.testing.assert_close(plain["autocorrelation"], hidden["autocorrelation"], rtol=0, atol=0)


def test_training_makes_the_estimate_better_than_the_noisy_image() -> None:
    sizes = {"n_images": 400, "epochs": 4, "batch_size": 8, "width": 4, "side": 28, "lr": 0.01}
    model = denoising.of_round(arm(**sizes, ratio=0.3, sigma=0.3), 0, seed=3, width=4)
    clean = denoising.pictures("digits", split="test", n=40, seed=0)
    noisy = noise.gaussian(clean, sigma=0.3, generator=generator())
    found = denoising.denoise(model, noisy, ratio=0.3, looks=2, generator=generator())
    gain = denoising.psnr(found, clean) - denoising.psnr(noisy.clamp(0, 1), clean)
    assert float(gain.mean()) > 2


def test_wrong_calls_are_refused() -> None:
    clean = torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match="noise must be one of gaussian"):
        arm(noise="pink")
    with pytest.raises(ValueError, match="target must be one of gaussian"):
        arm(target="pink")
    with pytest.raises(ValueError, match="n_images must be even"):
        arm(n_images=7)
    with pytest.raises(ValueError, match=r"ratio must be in \[0, 1\)"):
        denoising.masked(clean, ratio=1.0, generator=generator())
    with pytest.raises(ValueError, match="looks must be at least 1"):
        denoising.denoise(Echo(), clean, ratio=0.5, looks=0, generator=generator())
    with pytest.raises(ValueError, match="must have the shape of clean"):
        denoising.psnr(clean, clean[:1])
    with pytest.raises(ValueError, match="reach must be in"):
        denoising.autocorrelation(clean, reach=8)
    with pytest.raises(ValueError, match="use grey images"):
        denoising.median(clean.expand(2, 3, 8, 8))
