import pytest
import torch
from torch.nn import functional

from lib.models import cnn
from lib.models.cnn import small_cnn


@pytest.mark.parametrize(("channels", "side"), [(1, 16), (1, 28), (3, 33), (1, 64)])
def test_shapes(channels: int, side: int) -> None:
    model = small_cnn(channels, 5, width=8)
    x = torch.rand(3, channels, side, side)
    assert model(x).shape == (3, 5)
    assert model.features(x).shape == (3, model.n_features) == (3, 64)
    torch.testing.assert_close(model.head(model.features(x)), model(x))


def test_an_image_does_not_feel_its_batch() -> None:
    torch.manual_seed(0)
    model = small_cnn(1, 2)
    x = torch.rand(4, 1, 28, 28)
    together = model.train()(x)
    alone = torch.cat([model.eval()(row[None]) for row in x])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)  # float32 sums in another order


def test_blocks_start_as_their_shortcut() -> None:
    block = small_cnn(1, 2).stages[0]
    x = torch.rand(2, 16, 5, 5)
    torch.testing.assert_close(block(x), torch.nn.functional.silu(x))


def test_another_seed_gives_other_weights_and_the_same_seed_the_same() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return small_cnn(1, 2).stem.weight.detach()

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_learns_the_side_of_a_bright_dot() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    x = 0.1 * torch.rand(64, 1, 16, 16, generator=generator)
    y = torch.randint(0, 2, (64,), generator=generator)
    x[torch.arange(64), 0, 8, torch.where(y == 1, 12, 3)] = 1.0
    model = small_cnn(1, 2, width=8)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    assert (model(x).argmax(1) == y).float().mean() > 0.95


def test_every_weight_is_reached_by_the_gradient() -> None:
    model = small_cnn(1, 2, width=8)
    for block in model.stages:
        torch.nn.init.ones_(block.second_norm.weight)
    model(torch.rand(2, 1, 28, 28)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("arguments", [(0, 2, 16), (1, 0, 16), (1, 2, 0)])
def test_sizes_below_one_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        small_cnn(arguments[0], arguments[1], width=arguments[2])


def test_a_shortcut_is_a_strided_one_by_one_convolution():
    block = cnn.Block(3, 6, stride=2)
    images = torch.rand(2, 3, 9, 8)
    strided = functional.conv2d(images, block.shortcut[1].weight, stride=2)
    torch.testing.assert_close(block.shortcut(images), strided, atol=1e-6, rtol=1e-5)  # order of summation only
