"""Losses of hidden patches are those of a loop over images, and rank correlations those of scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from lib import masks
from lib.measure import difficulty, pretraining
from lib.models import mae

SIZES = {"patch": 7, "width": 32, "depth": 1}


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(6, 1, 28, 28, generator=chance())


def test_hidden_losses_are_those_of_a_loop_over_places(images):
    model = pretraining.empty_mae("digits-twin", seed=0, norm_targets=True, **SIZES)
    hidden = masks.random(6, model.grid, ratio=0.5, generator=chance())
    hidden[:, 3] = False  # a place that no mask hides
    hidden[:, 4] = torch.arange(6) > 0
    hidden[:, 5:] = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]).bool()
    hidden[:, :3] = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]]).bool()
    losses = []
    with torch.no_grad():
        predicted = model(images, hidden)
    for place in hidden.any(dim=0).nonzero().flatten().tolist():
        rows = hidden[:, place]
        losses.append((predicted[rows, place] - model.targets(images)[rows, place]).square().mean())
    found = difficulty.hidden_losses(model, images, hidden)
    assert float(found.mean()) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)  # float32
    parts = difficulty.hidden_losses(model, images, hidden, batch_size=4)
    assert torch.allclose(found, parts, rtol=1e-5)
    assert not found.requires_grad


def test_where_no_place_is_preferred_it_is_the_reconstruction_loss(images):
    model = pretraining.empty_mae("digits-twin", seed=0, norm_targets=True, **SIZES)
    x = images[:4]
    hidden = torch.ones(4, 16, dtype=torch.bool)
    hidden[torch.arange(16) // 4, torch.arange(16)] = False  # each image shows four places, each place is shown once
    with torch.no_grad():
        plain = mae.reconstruction_loss(model(x, hidden), model.targets(x), hidden)
    assert float(difficulty.hidden_losses(model, x, hidden).mean()) == pytest.approx(float(plain), rel=1e-5)


def test_rank_correlation_is_scipys_with_ties_and_without_order():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (30, 9)), rng.normal(size=(30, 9))
    found = difficulty.rank_correlation(torch.from_numpy(a), torch.from_numpy(b))
    assert found.numpy() == pytest.approx([spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)])
    flat = difficulty.rank_correlation(torch.ones(2, 5), torch.rand(2, 5, generator=chance()))
    assert flat.tolist() == [0.0, 0.0]
    upside_down = difficulty.rank_correlation(torch.arange(5.0)[None], -torch.arange(5.0)[None])
    assert float(upside_down) == pytest.approx(-1.0)


def test_maps_are_means_over_the_masks_that_hid_a_patch(images):
    model = pretraining.empty_hpm("digits-twin", seed=0, **SIZES)
    losses, guesses = difficulty.loss_maps(model, images, ratio=0.5, draws=1, generator=chance(5))
    hidden = masks.random(6, model.mae.grid, ratio=0.5, generator=chance(5))
    assert torch.equal(losses.isnan(), ~hidden)
    with torch.no_grad():
        painted, guessed = model(images, hidden)
    assert torch.allclose(losses[hidden], mae.patch_losses(painted, model.mae.targets(images))[hidden])
    assert torch.allclose(guesses[hidden], guessed[hidden])
    many, _ = difficulty.loss_maps(model, images, ratio=0.5, draws=20, generator=chance(5))
    assert not many.isnan().any()


def test_a_perfect_guess_is_recognised_and_each_guess_is_its_own(images, monkeypatch):
    model = pretraining.empty_hpm("digits-twin", seed=0, **SIZES)
    options = {"ratio": 0.75, "draws": 3}
    place = torch.rand(16, generator=chance(1))
    found = difficulty.guess_correlations(model, images, by_place=place, generator=chance(2), **options)
    assert tuple(found) == difficulty.GUESSES
    assert all(part.shape == (6,) and part.dtype == torch.float64 for part in found.values())
    assert all(part.abs().max() <= 1 for part in found.values())
    losses = torch.rand(6, 16, generator=chance(3))
    monkeypatch.setattr("lib.models.mae.patch_losses", lambda painted, goal: losses)
    monkeypatch.setattr(type(model), "difficulty", lambda self, x: 2 * losses)
    exact = difficulty.guess_correlations(model, images, by_place=place, generator=chance(2), **options)
    assert exact["as used"].tolist() == pytest.approx([1.0] * 6)
    assert exact["as trained"].abs().max() < 1
    other = difficulty.guess_correlations(model, images, by_place=-place, generator=chance(2), **options)
    assert torch.allclose(other["mean of the place"], -exact["mean of the place"])
    assert torch.equal(other["pixel variance"], exact["pixel variance"])
