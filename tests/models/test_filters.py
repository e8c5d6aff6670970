import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lib import train
from lib.models.filters import LineCNN, line_kernels, line_maps


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_line(direction: int) -> Tensor:
    """One light line through the middle: vertical, rising, horizontal, falling; float32 (1, 1, 33, 33)."""
    x, steps = torch.zeros(1, 1, 33, 33), torch.arange(33)
    rows, columns = [(steps, 0 * steps + 16), (steps, 32 - steps), (0 * steps + 16, steps), (steps, steps)][direction]
    x[0, 0, rows, columns] = 1.0
    return x


def toy(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Maps of noisy films with a vertical (0) or a horizontal (1) line somewhere: (n, 16, 8, 8) and (n,)."""
    chance = generator(seed)
    x, y = 0.3 * torch.randn(n, 1, 32, 32, generator=chance), torch.randint(0, 2, (n,), generator=chance)
    for film, label, place in zip(x, y.tolist(), torch.randint(4, 28, (n,), generator=chance).tolist(), strict=True):
        film[0, place if label else slice(None), slice(None) if label else place] += 1.5
    return line_maps(x, scales=(1.0,), grid=8), y.float()


def trained(seed: int) -> LineCNN:
    maps, y = toy(192, seed=1)
    torch.manual_seed(seed)
    model = LineCNN(maps.shape[1], grid=8, width=8).fit_scale(maps)
    train.fit(
        model,
        lambda net, batch, _: functional.binary_cross_entropy_with_logits(net(batch[0]), batch[1]),
        [maps, y], epochs=8, batch_size=16, lr=4e-3, generator=generator(seed),
    )  # fmt: skip
    return model


def test_kernels_ignore_flat_grey_and_have_unit_size() -> None:
    kernels = line_kernels(scales=(1.0, 2.0), orientations=6)
    assert kernels.shape[:2] == (12, 1)
    torch.testing.assert_close(kernels.sum((1, 2, 3)), torch.zeros(12), atol=1e-6, rtol=0)  # float32 sums
    torch.testing.assert_close(kernels.abs().sum((1, 2, 3)), torch.ones(12))


@pytest.mark.parametrize("direction", range(4))
def test_turning_a_line_moves_the_response_to_the_channel_of_its_direction(direction: int) -> None:
    maps = line_maps(a_line(direction), scales=(1.0,), orientations=4, grid=1)[0, :, 0, 0]
    assert maps[:4].argmax() == direction
    dark = line_maps(-a_line(direction), scales=(1.0,), orientations=4, grid=1)[0, :, 0, 0]
    torch.testing.assert_close(
        dark, maps.roll(4)
    )  # a dark line answers in the second half, as a light one in the first


def test_a_flat_image_gives_nothing() -> None:
    flat = torch.tensor([0.0, 0.3, 1.0]).view(3, 1, 1, 1).expand(3, 1, 32, 32)
    torch.testing.assert_close(line_maps(flat), torch.zeros(3, 32, 16, 16), atol=1e-6, rtol=0)  # float32 mean


def test_window_and_exposure_do_not_matter() -> None:
    x = torch.rand(3, 1, 32, 32, generator=generator())
    torch.testing.assert_close(line_maps(0.3 * x + 0.5), line_maps(x), atol=1e-4, rtol=1e-4)  # float32 scaling


def test_maps_do_not_depend_on_the_batch_and_keep_the_place() -> None:
    x = torch.rand(70, 1, 32, 32, generator=generator(1))
    whole = line_maps(x, scales=(1.0, 1.8), orientations=5, grid=8)
    assert whole.shape == (70, 2 * 2 * 5, 8, 8)
    assert whole.dtype == torch.float32
    alone = line_maps(x[-1:], orientations=5, grid=8)
    torch.testing.assert_close(whole[-1:], alone, atol=1e-5, rtol=1e-4)  # other convolution order
    assert line_maps(a_line(0)[..., :32, :32], grid=8)[0, 0].amax(0).argmax() == 4  # column 16 of 32 is in cell 4 of 8


def test_scale_is_taken_from_the_training_maps_and_kept_with_the_weights() -> None:
    maps = torch.rand(20, 6, 8, 8, generator=generator(2)) * torch.arange(1, 7).view(6, 1, 1) + 5
    model = LineCNN(6, grid=8, width=4).fit_scale(maps)
    scaled = (maps - model.mean) / model.std
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)  # float32 sums
    torch.testing.assert_close(scaled.std((0, 2, 3), correction=0), torch.ones(6), atol=1e-5, rtol=0)
    assert {"mean", "std"} <= model.state_dict().keys()
    assert not {"mean", "std"} & dict(model.named_parameters()).keys()


@pytest.mark.parametrize("grid", [8, 9, 16])
def test_one_logit_per_film_and_every_weight_has_a_gradient(grid: int) -> None:
    model = LineCNN(6, grid=grid, width=8)
    logits = model(torch.rand(3, 6, grid, grid, generator=generator(3)))
    assert logits.shape == (3,)
    functional.binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1.0, 1.0])).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_learns_the_direction_of_a_line_and_follows_the_seed() -> None:
    maps, y = toy(200, seed=2)
    first, again, other = (train.predict(trained(seed), maps) for seed in (0, 0, 1))
    assert ((first > 0) == (y > 0.5)).float().mean() > 0.95  # chance is one half; 200 films
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="resize"):
        line_maps(torch.rand(2, 3, 32, 32))
    with pytest.raises(ValueError, match="resize"):
        line_maps(torch.rand(2, 1, 5, 32))
    with pytest.raises(ValueError, match="grid must be at least 1, got 0"):
        line_maps(torch.rand(2, 1, 32, 32), grid=0)
    with pytest.raises(ValueError, match="positive"):
        line_kernels(scales=(0.0,))
    with pytest.raises(ValueError, match=r"width must be a positive multiple of 4, got 10; pass"):
        LineCNN(32, width=10)
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        LineCNN(0)
    with pytest.raises(ValueError, match=r"maps must be \(n, 32, 16, 16\), got \(2, 32, 8, 8\); make the model"):
        LineCNN(32)(torch.rand(2, 32, 8, 8))
    with pytest.raises(ValueError, match="at least one row"):
        LineCNN(32).fit_scale(torch.rand(0, 32, 16, 16))
