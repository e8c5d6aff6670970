"""Principal components of films: scikit-learn as the oracle, nothing learnt from the other films, scale of the film."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from lib.measure.film_components import film_components, principal


def films(n, seed=0):
    return torch.rand(n, 1, 40, 40, generator=torch.Generator().manual_seed(seed))


def test_they_are_scikit_learns_up_to_signs():
    rows, others = films(30).flatten(1), films(7, seed=1).flatten(1)
    peer = PCA(5, svd_solver="full", whiten=True).fit(rows.double().numpy())
    ours = principal(rows, others, components=5)
    root = (30 / 29) ** 0.5  # scikit-learn divides by n - 1
    for part, given in zip(ours, (rows, others), strict=True):
        expected = peer.transform(given.double().numpy()) * root
        np.testing.assert_allclose(part.abs().numpy(), np.abs(expected), atol=1e-6)


def test_training_components_are_uncorrelated_with_variance_one():
    rows, _ = principal(films(30).flatten(1), films(2).flatten(1), components=6)
    torch.testing.assert_close(rows.T @ rows / 30, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-8)


def test_other_films_teach_nothing_and_are_projected_one_by_one():
    seen, asked = film_components(films(12), films(6, seed=1), components=4)
    again, one = film_components(films(12), films(6, seed=1)[2:3], components=4)
    assert torch.equal(seen, again)
    torch.testing.assert_close(asked[2:3], one)
    assert seen.shape == (12, 8)


def test_brightness_and_contrast_of_a_film_do_not_matter():
    x = films(12)
    plain, moved = (film_components(x, part, components=4)[1] for part in (x, 0.5 * x + 0.2))
    torch.testing.assert_close(plain, moved, rtol=1e-3, atol=1e-3)  # float32 line maps


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"components must be in 1..5 for 6 films, got 6"):
        principal(torch.rand(6, 9), torch.rand(2, 9), components=6)
    with pytest.raises(ValueError, match="vary in 3 directions"):
        principal(torch.rand(6, 1).repeat(1, 9), torch.rand(2, 9), components=3)
