"""Heads on a kernel: random features and scikit-learn as oracles, gradient descent ends where the minimum is."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lib.measure.kernel_heads import arc_cosine, coordinates, penalised, pooled, standardised_twins, stopped


def rows(n=30, d=6, seed=0):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x, (x[:, 0] + 0.8 * x[:, 1] > 0.2) ^ (torch.arange(n) % 7 == 0)


def test_arc_cosine_is_a_wide_layer_of_rectified_units():
    x, _ = rows(6)
    generator = torch.Generator().manual_seed(1)
    units = torch.randn(6, 60_000, generator=generator, dtype=torch.float64)
    hidden = (x @ units).relu()
    squares = x.square().sum(1)
    exact = arc_cosine(x @ x.T, squares, squares)
    torch.testing.assert_close(exact, 2 * hidden @ hidden.T / 60_000, rtol=0, atol=0.25)  # a mean over units
    torch.testing.assert_close(exact.diagonal(), squares)


def test_coordinates_give_back_the_centred_kernel():
    x, _ = rows()
    asked = rows(5, seed=3)[0]
    points, others = coordinates(x @ x.T, asked @ x.T)
    centred, moved = x - x.mean(0), asked - x.mean(0)
    ratio = (points @ points.T)[0, 0] / (centred @ centred.T)[0, 0]
    torch.testing.assert_close(points @ points.T, ratio * (centred @ centred.T))
    torch.testing.assert_close(others @ points.T, ratio * (moved @ centred.T))
    assert float(torch.linalg.eigvalsh(points.T @ points / 30)[-1]) == pytest.approx(1)


def test_a_head_on_the_kernel_is_logistic_regression_on_the_rows():
    x, y = rows()
    asked = rows(8, seed=2)[0]
    points, others = coordinates(x @ x.T, asked @ x.T)
    scale = float(np.linalg.svd((x - x.mean(0)).numpy(), compute_uv=False)[0] ** 2 / 30) ** 0.5
    peer = LogisticRegression(C=1 / (0.1 * 30), tol=1e-8).fit(x.numpy() / scale, y.numpy())
    ours = penalised(points, y, others, penalties=[0.1])[0]
    np.testing.assert_allclose(ours, peer.decision_function(asked.numpy() / scale), atol=2e-3)


def test_long_descent_reaches_the_minimum_and_a_short_one_does_not():
    x, y = rows(60)
    asked = rows(8, seed=2)[0]
    paths = stopped(x[None], y, asked[None], passes=[1, 3000])[0]
    free = penalised(x, y, asked, penalties=[1e-9])[0]
    torch.testing.assert_close(paths[1], free, rtol=0, atol=1e-2)
    assert float(paths[0].abs().max()) < float(free.abs().max())


def test_training_sets_do_not_influence_each_other():
    x, y = rows()
    other, asked = 3 * rows(seed=5)[0], rows(4, seed=2)[0]
    together = stopped(torch.stack([x, other]), y, torch.stack([asked, asked]), passes=[2, 9])
    torch.testing.assert_close(together[:1], stopped(x[None], y, asked[None], passes=[2, 9]))


def test_pooled_greys_forget_window_and_exposure():
    films = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pooled(films, 8), pooled(0.4 * films + 0.3, 8))
    assert pooled(films, 8).shape == (3, 64)


def test_standardised_rows_have_mean_zero_and_length_one_on_average():
    films = torch.rand(2, 20, 5, generator=torch.Generator().manual_seed(0))
    films[..., 4] = 0.3
    ours, others = standardised_twins(films, films[:1])
    torch.testing.assert_close(ours.mean(0), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-7)
    assert float(ours.square().sum(1).mean()) == pytest.approx(0.8, abs=1e-6)  # four of five features vary
    torch.testing.assert_close(others, ours[:20])


def test_what_cannot_be_meant_is_refused():
    x, y = rows()
    with pytest.raises(ValueError, match="both classes"):
        penalised(x, torch.ones(30, dtype=torch.bool), x, penalties=[1.0])
    with pytest.raises(ValueError, match="penalties must be > 0"):
        penalised(x, y, x, penalties=[0.0])
    with pytest.raises(ValueError, match="passes must be at least 1"):
        stopped(x[None], y, x[None], passes=[0])
    with pytest.raises(ValueError, match="must differ"):
        coordinates(torch.ones(4, 4), torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"kernel must be \(n, n\)"):
        coordinates(torch.ones(4, 3), torch.ones(2, 4))
    with pytest.raises(ValueError, match="one length per row"):
        arc_cosine(torch.ones(4, 3), torch.ones(4), torch.ones(4))
