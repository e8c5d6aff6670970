"""Fillings: by hand, by brute force, and what each may see."""

from __future__ import annotations

import numpy as np
import pytest

from lib.data import filling


def gappy(seed: int = 0, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return filling.hide(rng.normal(size=(30, 4)), share, generator=rng), np.arange(30) % 3


def test_hiding_is_exact_and_nested():
    X = np.arange(40.0).reshape(10, 4)
    X[0, 0] = np.nan
    few = np.isnan(filling.hide(X, 0.1, generator=np.random.default_rng(3)))
    many = np.isnan(filling.hide(X, 0.5, generator=np.random.default_rng(3)))
    assert few.sum() == 1 + round(0.1 * 39)
    assert many.sum() == 1 + round(0.5 * 39)
    assert (few <= many).all()
    assert np.isnan(X).sum() == 1


def test_class_means_by_brute_force():
    X, y = gappy()
    made = filling.by_class(X, y)
    for row, column in np.argwhere(np.isnan(X)):
        assert made[row, column] == pytest.approx(np.nanmean(X[y == y[row], column]))
    assert (made[~np.isnan(X)] == X[~np.isnan(X)]).all()


def test_class_without_values_takes_the_column():
    X = np.array([[np.nan], [np.nan], [2.0], [4.0]])
    assert filling.by_class(X, np.array([0, 0, 1, 1]))[:, 0].tolist() == [3.0, 3.0, 2.0, 4.0]


def test_sentinel_by_brute_force():
    X, y = gappy(1)
    slow = np.where(np.isnan(X), filling.SENTINEL, X)
    for i in range(len(X)):
        for j in range(X.shape[1]):
            if slow[i, j] == filling.SENTINEL:
                slow[i, j] = np.mean([slow[k, j] for k in range(len(X)) if y[k] == y[i]])
    np.testing.assert_allclose(filling.by_class_with_sentinel(X, y), slow, rtol=1e-12)


def test_sentinel_tends_to_class_means_when_it_is_one():
    X, y = np.array([[1.0], [3.0], [np.nan], [5.0]]), np.array([0, 0, 0, 1])
    assert filling.by_class_with_sentinel(X, y, sentinel=2.0)[2, 0] == filling.by_class(X, y)[2, 0]


@pytest.mark.parametrize("name", filling.FILLINGS)
def test_every_filling_keeps_values_and_leaves_no_hole(name):
    X, y = gappy(2)
    made = filling.filled(X, y, np.arange(20), filling=name)
    assert np.isfinite(made).all()
    assert (made[~np.isnan(X)] == X[~np.isnan(X)]).all()


@pytest.mark.parametrize("name", filling.FILLINGS)
def test_who_sees_labels_and_test_rows(name):
    X, y = gappy(4)
    train, other = np.arange(20), X.copy()
    other[20:] *= 3.0  # test rows change
    base = filling.filled(X, y, train, filling=name)[:20]
    blind = name.startswith("training")
    assert np.array_equal(base, filling.filled(other, y, train, filling=name)[:20]) == blind
    assert np.array_equal(base, filling.filled(X, np.roll(np.sort(y), 3), train, filling=name)[:20]) == blind


def test_empty_training_column_becomes_zero():
    X = np.array([[np.nan], [np.nan], [7.0]])
    assert filling.by_column(X, np.array([0, 1]))[:, 0].tolist() == [0.0, 0.0, 7.0]


def test_errors():
    X, y = gappy()
    with pytest.raises(ValueError, match="share must be"):
        filling.hide(X, 20, generator=np.random.default_rng(0))
    with pytest.raises(ValueError, match="statistic must be"):
        filling.by_column(X, np.arange(3), statistic="mode")
    with pytest.raises(ValueError, match="one class per row"):
        filling.by_class(X, y[:5])
    with pytest.raises(ValueError, match="filling must be"):
        filling.filled(X, y, np.arange(3), filling="zero")
