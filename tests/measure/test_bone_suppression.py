"""Learnt removal subtracts a planted pattern, and the low-pass matches the change it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from lib.measure.bone_suppression import WIDEST, change, equal_blur, low_pass, suppress, train_suppressor


def striped(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Smooth films with and without bright stripes, and the whole film as region."""
    noise = torch.rand(n, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    bare = low_pass(noise, 3.0)
    stripes = 0.2 * ((torch.arange(16) // 3) % 3 == 0).float().view(1, 1, 16, 1)
    return bare + stripes, bare, torch.ones(n, 16, 16, dtype=torch.bool)


def test_a_planted_pattern_is_learnt_from_others_and_taken_out():
    plain, bare, _ = striped(24, 0)
    other, goal, region = striped(6, 1)
    model = train_suppressor(plain, bare, epochs=10, seed=0)
    assert change(suppress(model, other), goal, region) < 0.4 * change(other, goal, region)
    short, again = (suppress(train_suppressor(plain, bare, epochs=1, seed=0), other) for _ in range(2))
    assert torch.equal(short, again)


def test_low_pass_is_a_gaussian():
    films = striped(2, 2)[0]
    ours = low_pass(films, 1.5)[:, 0].double().numpy()
    theirs = [gaussian_filter(film[0].double().numpy(), 1.5, mode="nearest", truncate=4.0) for film in films]
    assert ours == pytest.approx(np.stack(theirs), abs=1e-5)
    assert torch.equal(low_pass(films, 0.0), films)


def test_blur_of_equal_change():
    plain, bare, region = striped(5, 3)
    half = plain + 0.3 * (bare - plain)
    sigma = equal_blur(plain, half, region)
    assert 0 < sigma < WIDEST
    assert change(plain, low_pass(plain, sigma), region) == pytest.approx(change(plain, half, region), rel=0.01)
    assert equal_blur(plain, 5 * plain, region) == WIDEST  # no low-pass changes so much
    assert equal_blur(plain, plain + 0.1, region) < 0.25  # no pattern but rounding; narrower blurs move nothing


def test_unpaired_films_are_refused():
    with pytest.raises(ValueError, match="bare must have the shape of plain"):
        train_suppressor(torch.zeros(2, 1, 8, 8), torch.zeros(3, 1, 8, 8), epochs=1, seed=0)
