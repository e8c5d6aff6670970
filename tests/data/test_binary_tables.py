"""Laws of binary columns: probabilities, posterior and information against brute force over all rows."""

import itertools

import numpy as np
import pytest

from lib.data.binary_tables import LAWS, all_rows, draw, information, law, partial_rows, posterior


def entropy(p: np.ndarray) -> float:
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def matching(state: np.ndarray) -> list[tuple[int, ...]]:
    """All rows that agree with what is known (2 = not known)."""
    rows = itertools.product((0, 1), repeat=state.size)
    return [row for row in rows if all(known in (2, value) for known, value in zip(state, row, strict=True))]


@pytest.mark.parametrize("name", LAWS)
def test_probabilities_add_up_and_the_last_columns_are_noise(name: str) -> None:
    table = law(name)
    np.testing.assert_allclose(table.sum(axis=-1), 1.0)
    assert table.shape[:-1] == (2,) * 6
    for column in (3, 4, 5):
        np.testing.assert_array_equal(np.take(table, 0, axis=column), np.take(table, 1, axis=column))


@pytest.mark.parametrize("name", LAWS)
def test_posterior_and_information_agree_with_enumeration(name: str) -> None:
    table = law(name)
    known = posterior(table)
    exact = information(known)
    rng = np.random.default_rng(0)
    states = partial_rows(6, most=3)
    for state in states[rng.permutation(len(states))[:12]]:
        rows = matching(state)
        mean = np.mean([table[row] for row in rows], axis=0)
        np.testing.assert_allclose(known[tuple(state)], mean)
        for column in np.flatnonzero(state == 2):
            halves = [np.mean([table[row] for row in rows if row[column] == value], axis=0) for value in (0, 1)]
            expected = entropy(mean) - (entropy(halves[0]) + entropy(halves[1])) / 2
            assert exact[(*state, column)] == pytest.approx(expected, abs=1e-12)
        assert np.isnan(exact[tuple(state)][state != 2]).all()


def test_what_a_column_tells_depends_on_others_only_where_the_law_says_so() -> None:
    states = partial_rows(6, most=2)
    for name, depends in (("independent", False), ("pointer", True), ("silent pointer", True)):
        exact = information(posterior(law(name)))[tuple(states.T)]
        spread = np.nanmax(exact, axis=0) - np.nanmin(exact, axis=0)
        assert (spread.max() > 0.2) == depends


def test_partial_rows_are_all_states_once() -> None:
    states = partial_rows(4, most=2)
    assert len(states) == len({tuple(state) for state in states}) == 1 + 4 * 2 + 6 * 4
    assert ((states != 2).sum(axis=1) <= 2).all()


@pytest.mark.parametrize("name", LAWS)
def test_drawn_classes_follow_the_law(name: str) -> None:
    x, y = draw(name, n=40_000, seed=1)
    table = law(name)
    bits = ((x.numpy() + 1) / 2).astype(int)
    expected = table[tuple(bits.T)].mean(axis=0)
    # a share of 40,000 draws has a standard deviation of at most 0.0025
    np.testing.assert_allclose(np.bincount(y, minlength=expected.size) / len(y), expected, atol=0.012)
    hit = table[(*bits.T, y.numpy())].mean()
    assert hit == pytest.approx((table**2).sum(axis=-1).mean(), abs=0.012)
    assert (draw(name, n=200, seed=2)[1] != draw(name, n=200, seed=3)[1]).any()


def test_all_rows_stand_in_the_order_of_the_law() -> None:
    table = law("pointer").reshape(64, -1)
    bits = ((all_rows().numpy() + 1) / 2).astype(int)
    np.testing.assert_array_equal(law("pointer")[tuple(bits.T)], table)


def test_an_unknown_law_is_refused() -> None:
    with pytest.raises(ValueError, match="law must be one of pointer"):
        law("arrow")
