"""Erasure: nothing linear is left on the fitted rows, and LEACE moves them least, by a solver that knows no formula."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from lib.measure.erasure import leace, mean_difference

MAPS = pytest.mark.parametrize("fit", [leace, mean_difference])


def rows(n=60, d=3, seed=0):
    """Correlated features, two of which lean to one side of a binary attribute."""
    rng = np.random.default_rng(seed)
    z = np.arange(n) % 2
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + z[:, None] * np.linspace(1, 0, d) + 2
    return torch.tensor(x), torch.tensor(z)


@MAPS
def test_means_are_equal_and_one_dimension_is_gone(fit):
    x, z = rows()
    erase = fit(x, z)
    after = erase(x)
    torch.testing.assert_close(after[z == 0].mean(0), after[z == 1].mean(0))
    assert float(erase.read @ erase.shift) == pytest.approx(1)
    assert torch.linalg.matrix_rank(after - after.mean(0)) == 2
    torch.testing.assert_close(erase(after), after)  # a projection: the second time nothing is left to take


@MAPS
def test_a_logistic_regression_finds_nothing_on_the_fitted_rows(fit):
    x, z = rows()
    before = LogisticRegression(C=1e6).fit(x, z)
    after = LogisticRegression(C=1e6).fit(fit(x, z)(x), z)
    assert np.abs(before.coef_).max() > 0.5
    assert np.ptp(after.predict_proba(fit(x, z)(x))[:, 1]) < 1e-3


def test_leace_moves_the_rows_least_among_all_affine_maps():
    x, z = rows(n=24)
    centred = (x - x.mean(0)).numpy()
    s = centred.T @ (z.numpy() - z.double().mean().numpy()) / len(x)

    def moved(flat):
        return np.mean(np.sum((centred @ flat.reshape(3, 3).T - centred) ** 2, 1))

    found = minimize(
        moved, np.eye(3).ravel(), method="SLSQP", tol=1e-14, options={"maxiter": 500},
        constraints={"type": "eq", "fun": lambda flat: flat.reshape(3, 3) @ s},
    )  # fmt: skip
    assert found.success
    ours = leace(x, z)
    best = centred @ found.x.reshape(3, 3).T + x.mean(0).numpy()
    np.testing.assert_allclose(ours(x), best, atol=1e-4)  # the solver's own tolerance
    simple = ((mean_difference(x, z)(x) - x) ** 2).sum(1).mean()
    assert ((ours(x) - x) ** 2).sum(1).mean() < simple - 1e-3


def test_leace_of_decorrelated_rows_is_the_projection_along_the_means():
    x, z = rows()
    centred = x - x.mean(0)
    values, axes = torch.linalg.eigh(centred.T @ centred)
    white = centred @ axes / values.sqrt()
    torch.testing.assert_close(leace(white, z)(white), mean_difference(white, z)(white))


def test_leace_commutes_with_a_change_of_basis_and_the_projection_does_not():
    x, z = rows()
    turn = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0], [1.0, 0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(leace(x @ turn, z)(x @ turn), leace(x, z)(x) @ turn)
    assert not torch.allclose(mean_difference(x @ turn, z)(x @ turn), mean_difference(x, z)(x) @ turn, atol=1e-2)


def test_more_features_than_rows_and_constant_ones_are_no_problem():
    x, z = rows(n=10, d=30)
    x = torch.cat([x, torch.ones(10, 2)], 1)
    after = leace(x, z)(x)
    assert bool(after.isfinite().all())
    torch.testing.assert_close(after[z == 0].mean(0), after[z == 1].mean(0))
    torch.testing.assert_close(after[:, -2:], x[:, -2:])


@pytest.mark.parametrize(
    ("x", "z", "message"),
    [
        (torch.zeros(4), torch.tensor([0, 1, 0, 1]), "features must be"),
        (torch.rand(4, 2), torch.tensor([0, 1]), "features must be"),
        (torch.rand(4, 2), torch.tensor([0, 0, 0, 0]), "attribute must hold 0 and 1"),
        (torch.rand(3, 2), torch.tensor([0, 1, 2]), "attribute must hold 0 and 1"),
        (torch.ones(4, 2), torch.tensor([0, 1, 0, 1]), "must differ in mean"),
    ],
)
@MAPS
def test_errors(fit, x, z, message):
    with pytest.raises(ValueError, match=message):
        fit(x, z)
