"""Makers of fakes: shapes, who learns from what, and the algebra of noise."""

from __future__ import annotations

import math

import pytest
import torch

from lib.models import generators as g


def images(n: int = 3, channels: int = 3, side: int = 16) -> torch.Tensor:
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [g.Autoencoder, g.Upsampler])
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (3, 64)])
def test_makers_keep_the_shape_of_any_size(kind, channels, side):
    model, x = kind(channels, width=8), images(2, channels, side)
    assert model(x).shape == x.shape
    torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-5)


def test_the_upsampler_sees_half_the_resolution_only():
    model, x = g.Upsampler(3, width=8), images()
    other = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(model(x), model(other), rtol=1e-4, atol=1e-5)


def test_the_game_is_the_sum_of_its_parts_and_each_player_learns_from_its_own():
    torch.manual_seed(0)
    game, x = g.Game(g.Upsampler(3, width=8), g.Critic(3, width=8), weight=0.5), images()
    loss = game(x)
    fake, soft = game.generator(x), torch.nn.functional.softplus
    real, caught = game.critic(x), game.critic(fake)
    own = soft(-real).mean() + soft(caught).mean()
    makes = (fake - x).abs().mean() + 0.5 * soft(-caught).mean()
    torch.testing.assert_close(loss, own + makes)
    loss.backward()
    makers, critics = list(game.generator.parameters()), list(game.critic.parameters())
    for player, mine in ((makers, makes), (critics, own)):
        for weight, expected in zip(player, torch.autograd.grad(mine, player, retain_graph=True), strict=True):
            torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-6)


def test_noise_at_the_ends():
    x, noise = images(), torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(g.noised(x, torch.zeros(3), noise), x - 0.5)
    torch.testing.assert_close(g.noised(x, torch.ones(3), noise), noise, atol=1e-6, rtol=0)
    torch.testing.assert_close(g.noised(x, torch.full((3,), 0.5), noise), (x - 0.5 + noise) / math.sqrt(2))


class Oracle(g.Denoiser):
    """Knows the clean picture."""

    def __init__(self, clean: torch.Tensor) -> None:
        super().__init__(clean.shape[1], width=4)
        self.clean = clean

    def forward(self, noisy: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        return self.clean - 0.5


def test_an_oracle_gives_the_picture_back_and_another_seed_other_noise():
    x = images()
    seeds = [torch.Generator().manual_seed(s) for s in (0, 0, 1)]
    torch.testing.assert_close(g.denoised(Oracle(x), x, generator=seeds[0], start=0.7), x)
    model = g.Denoiser(3, width=8)
    first, again, other = (g.denoised(model, x, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not first.requires_grad


def test_without_noise_the_denoiser_returns_its_input():
    x = images()
    torch.testing.assert_close(g.Denoiser(3, width=8)(x - 0.5, torch.zeros(3)), x - 0.5)


def test_errors():
    with pytest.raises(ValueError, match="multiple of 4"):
        g.Autoencoder(3)(images(side=18))
    with pytest.raises(ValueError, match="start"):
        g.denoised(g.Denoiser(3), images(), generator=torch.Generator(), start=0)
    with pytest.raises(ValueError, match="steps"):
        g.denoised(g.Denoiser(3), images(), generator=torch.Generator(), steps=0)
