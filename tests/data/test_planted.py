"""Planted tables: an ideal choice scores 1, a random one at chance, and the truth is the truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier

from lib.data.planted import Planted, identifiers, madelon, second_order, xor
from lib.data.planted_causal import additive_noise_model
from lib.data.planted_extras import EXTRAS, with_extras


def make(which: str, seed: int = 0, n: int = 600) -> Planted:
    generator = np.random.default_rng(seed)
    if which in EXTRAS:
        X, y = load_wine(return_X_y=True)
        return with_extras(X, y, kind=which, n_extra=20, generator=generator)
    return {
        "madelon": lambda: madelon(n, n_noise=30, generator=generator),
        "xor": lambda: xor(n, order=3, generator=generator),
        "second order": lambda: second_order(n, generator=generator),
        "identifiers": lambda: identifiers(n, generator=generator),
        "causal": lambda: additive_noise_model(n, n_columns=12, n_children=2, generator=generator),
    }[which]()


ALL = ["madelon", "xor", "second order", "identifiers", "causal", *EXTRAS]


@pytest.mark.parametrize("which", ALL)
def test_an_ideal_choice_is_perfect_and_a_random_one_at_chance(which: str) -> None:
    data = make(which)
    d = data.X.shape[1]
    assert data.recall(data.relevant) == 1
    mask = np.zeros(d, dtype=bool)
    assert data.recall(mask) == 0
    mask[data.relevant[0]] = True
    assert data.recall(mask) == pytest.approx(1 / data.relevant.size)
    generator, size = np.random.default_rng(1), d // 3
    draws = [data.recall(generator.choice(d, size, replace=False)) for _ in range(2000)]
    assert np.mean(draws) == pytest.approx(size / d, abs=0.03)  # four standard errors of one relevant column


@pytest.mark.parametrize("which", ALL)
def test_shapes_names_and_seeds(which: str) -> None:
    data, again, other = make(which), make(which), make(which, seed=1)
    assert data.X.dtype == np.float64 and data.X.shape == (data.y.size, len(data.names))
    assert len(set(data.names)) == len(data.names) and not np.intersect1d(data.relevant, data.redundant).size
    for kind, columns in (("relevant", data.relevant), ("redundant", data.redundant)):
        assert [place for place, name in enumerate(data.names) if name.startswith(kind)] == columns.tolist()
    np.testing.assert_array_equal(data.X, again.X)
    np.testing.assert_array_equal(data.y, again.y)
    assert data.names == again.names
    assert (data.X != other.X).any()


def held_out(data: Planted, columns: np.ndarray) -> float:
    half = len(data.y) // 2
    model = KNeighborsClassifier(7).fit(data.X[:half][:, columns], data.y[:half])
    return model.score(data.X[half:][:, columns], data.y[half:])


@pytest.mark.parametrize("which", ["madelon", "xor"])
def test_relevant_columns_predict_and_noise_does_not(which: str) -> None:
    data = make(which, n=3000)
    noise = np.array([place for place, name in enumerate(data.names) if name.startswith("noise")])
    assert held_out(data, data.relevant) > 0.8
    assert abs(held_out(data, noise) - 0.5) < 0.06  # two standard errors of 1,500 rows are 0.026
    if which == "xor":
        assert abs(held_out(data, data.relevant[:2]) - 0.5) < 0.06, "two of three columns say nothing"


def test_redundant_columns_of_madelon_are_linear_in_the_relevant_ones() -> None:
    data = make("madelon")
    fitted = LinearRegression().fit(data.X[:, data.relevant], data.X[:, data.redundant])
    assert fitted.score(data.X[:, data.relevant], data.X[:, data.redundant]) > 1 - 1e-9


def test_flips_turn_classes_over() -> None:
    data = xor(4000, flip=0.2, generator=np.random.default_rng(0))
    parity = (data.X[:, data.relevant] > 0).sum(axis=1) % 2
    assert np.mean(parity != data.y) == pytest.approx(0.2, abs=0.03)


def test_second_order_terms_have_no_linear_trace_and_unit_variance() -> None:
    data = second_order(40_000, n_pairs=1, n_squares=1, noise=0.0, generator=np.random.default_rng(0))
    correlations = [np.corrcoef(column, data.y)[0, 1] for column in data.X.T]
    assert np.abs(correlations).max() < 0.03
    assert data.y.var() == pytest.approx(2, abs=0.15)
    terms = np.stack([a * b for a in data.X[:, data.relevant].T for b in data.X[:, data.relevant].T], axis=1)
    assert LinearRegression().fit(terms, data.y).score(terms, data.y) > 1 - 1e-9


def test_identifiers_are_unique_and_signals_agree() -> None:
    data = identifiers(5000, agreement=0.65, cardinalities=(10, 1000), generator=np.random.default_rng(0))
    for name, column in zip(data.names, data.X.T, strict=True):
        if name.startswith("identifier"):
            assert np.unique(column).size == 5000
        elif name.startswith("noise of"):
            assert np.unique(column).size == pytest.approx(int(name.split()[2]), rel=0.02)
        else:
            assert np.mean(column == data.y) == pytest.approx(0.65, abs=0.03)


def test_extras_are_what_they_say() -> None:
    X, y = load_wine(return_X_y=True)
    names = tuple(load_wine().feature_names)
    copies = with_extras(
        X, y, kind="corrupted", n_extra=9, strength=0.0, names=names, generator=np.random.default_rng(0)
    )
    originals = copies.X[:, copies.relevant]
    assert all((originals == copy[:, None]).all(axis=0).any() for copy in copies.X[:, copies.redundant].T)
    own = [copies.names[one] for one in copies.relevant]
    assert sorted(own) == sorted(names)
    np.testing.assert_allclose(originals[:, own.index("alcohol")], (X[:, 0] - X[:, 0].mean()) / X[:, 0].std())
    assert make("random").redundant.size == 0
    products = make("second-order")
    base = products.X[:, products.relevant]
    every = np.stack([base[:, i] * base[:, j] for i in range(13) for j in range(i)], axis=1)
    for one in products.X[:, products.redundant].T:
        assert np.isclose(every, one[:, None]).all(axis=0).any()


def test_refusals() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="n must be an int >= 2"):
        xor(1, generator=generator)
    with pytest.raises(ValueError, match="order must be an int >= 2"):
        xor(9, order=1, generator=generator)
    with pytest.raises(ValueError, match="flip must be in"):
        madelon(9, flip=0.5, generator=generator)
    with pytest.raises(ValueError, match="one pair or square"):
        second_order(9, n_pairs=0, n_squares=0, generator=generator)
    with pytest.raises(ValueError, match="agreement in"):
        identifiers(9, agreement=0.5, generator=generator)
    with pytest.raises(ValueError, match="kind of"):
        with_extras(np.eye(3), np.arange(3), kind="shuffled", n_extra=1, generator=generator)
    with pytest.raises(ValueError, match="two columns or more"):
        with_extras(np.ones((3, 1)), np.arange(3), kind="redundant", n_extra=1, generator=generator)


def test_classes_belong_to_corners_half_of_them_each() -> None:
    found = madelon(4000, n_relevant=4, n_noise=5, distance=6.0, flip=0.0, generator=np.random.default_rng(0))
    codes = (found.X[:, found.relevant] > 0) @ (1 << np.arange(4))
    of_corner = [np.unique(found.y[codes == one]) for one in range(16)]
    assert all(classes.size == 1 for classes in of_corner), "one class in each corner"
    assert sum(int(classes[0]) for classes in of_corner) == 8


def test_no_single_dimension_is_the_class() -> None:
    best = []
    for seed in range(20):
        found = madelon(2000, n_noise=5, flip=0.0, generator=np.random.default_rng(seed))
        right = ((found.X[:, found.relevant] > 0) == found.y[:, None]).mean(axis=0)
        best.append(np.maximum(right, 1 - right).max())
    assert max(best) < 0.85 and np.mean(best) < 0.75  # 16 of 32 corners at random: 10 or 11 agree with a side


def test_columns_are_scaled_repeats_are_combinations_and_noise_is_noise() -> None:
    found = madelon(3000, n_redundant=6, n_noise=5, generator=np.random.default_rng(1))
    np.testing.assert_allclose(found.X.std(axis=0), 1.0, atol=0.08)
    inside, repeats = found.X[:, found.relevant], found.X[:, found.redundant]
    left = repeats - inside @ np.linalg.lstsq(inside, repeats, rcond=None)[0]
    np.testing.assert_allclose(left, 0.0, atol=1e-10)
    noise = np.setdiff1d(np.arange(16), np.r_[found.relevant, found.redundant])
    assert all(found.names[one].startswith("noise") for one in noise)
    assert np.abs(np.corrcoef(found.X[:, noise].T, found.y)[-1, :-1]).max() < 0.08


def test_seeds_and_flips() -> None:
    one, again, other = (madelon(100, n_noise=5, generator=np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.X, again.X)
    assert (one.X != other.X).any()
    clean = madelon(4000, n_relevant=2, distance=6.0, flip=0.0, generator=np.random.default_rng(2))
    turned = madelon(4000, n_relevant=2, distance=6.0, flip=0.2, generator=np.random.default_rng(2))
    assert abs((clean.y != turned.y).mean() - 0.2) < 0.03
