"""Cells described without labels: scale, place, neighbourhood, and spots that are found where they are."""

import pytest
import torch

from lib.models.patch_features import PatchFeatures, _blobs, _whitened


def films(n=6, seed=0):
    return torch.rand(n, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


def fitted(**changes):
    options = {"grid": 8, "units": 7} | changes
    return PatchFeatures(films(), generator=torch.Generator().manual_seed(1), **options)


def test_features_have_mean_zero_and_deviation_one_on_the_films_they_were_fitted_on():
    rows = fitted()(films()).flatten(0, 1)
    torch.testing.assert_close(rows.mean(0), torch.zeros(rows.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(rows.std(0), torch.ones(rows.shape[1]), atol=1e-3, rtol=0)


def test_a_film_is_described_alone_and_the_same_way_twice():
    backbone, again, x = fitted(), fitted(), films(3, seed=5)
    torch.testing.assert_close(backbone(x)[1:2], backbone(x[1:2]), atol=1e-4, rtol=1e-4)
    assert torch.equal(backbone(x), again(x))


def test_a_change_in_one_corner_stays_near_it():
    backbone, x = fitted(), films(1, seed=5)
    changed = x.clone()
    changed[:, :, :2, :2] += 1e-3  # small: line maps are scaled by the whole film's deviation
    moved = (backbone(changed) - backbone(x)).abs().amax(2).reshape(8, 8)
    assert moved[0, 0] > 10 * moved[5:, 5:].max()


def test_the_largest_spot_response_is_at_the_spot():
    at = torch.arange(32.0)
    spot = torch.exp(-((at[:, None] - 21) ** 2 + (at[None] - 10) ** 2) / (2 * 1.6**2))
    light, dark = (_blobs(sign * spot[None, None], 8)[0, 2 + k] for k, sign in enumerate((1, -1)))
    edge = _blobs((at[None] > 15).float().expand(32, 32)[None, None], 8)[0, 2]
    for response in (light, dark):
        assert response.argmax() == (21 // 4) * 8 + 10 // 4
    assert edge[2:6].max() < 0.01 * light.max()  # along a straight edge nothing bends, so it is no spot


def test_whitened_components_are_uncorrelated_with_deviation_at_most_one():
    rows = torch.randn(500, 6, generator=torch.Generator().manual_seed(2)) @ torch.diag(torch.arange(1.0, 7.0))
    mean, basis = _whitened(rows, 3)
    found = torch.cov(((rows - mean) @ basis).T)
    assert basis.shape == (6, 3)
    torch.testing.assert_close(found, torch.eye(3), atol=0.01, rtol=0)


def test_bad_films_and_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of 7"):
        fitted(grid=7)
    with pytest.raises(ValueError, match="grid and units"):
        fitted(units=0)
    with pytest.raises(ValueError, match="n >= 2"):
        PatchFeatures(films(1), grid=8, units=2, generator=torch.Generator())
