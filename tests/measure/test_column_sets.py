"""Networks trained side by side are the networks trained alone, and good columns score better."""

from __future__ import annotations

import numpy as np
import pytest

from lib.measure.column_sets import set_accuracies

Part = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def parts() -> tuple[Part, Part]:
    """Three classes that follow from columns 1 and 4; column 5 is constant."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(450, 6))
    X[:, 5] = 2.0
    y = (X[:, 1] > 0).astype(np.int64) + ((X[:, 1] > 0) & (X[:, 4] > 0))
    return (X[:300], y[:300]), (X[300:], y[300:])


def test_company_changes_nothing(parts: tuple[Part, Part]) -> None:
    sets = [[1, 4], [0], [2, 3, 4]]
    together = set_accuracies(*parts, sets, epochs=6, seed=1)
    alone = [set_accuracies(*parts, [one], epochs=6, seed=1)[0] for one in sets]
    np.testing.assert_allclose(together, alone, atol=1.01 / 150)  # a row on the boundary may fall to either side


def test_columns_that_decide_are_worth_most(parts: tuple[Part, Part]) -> None:
    found = set_accuracies(*parts, [[1, 4], [1], [0, 2], [5]], epochs=30, seed=0)
    shares = np.bincount(parts[1][1]) / 150
    assert found[0] > 0.93 and 0.6 < found[1] < 0.85 and found[2] < 0.6
    assert found[3] in shares  # a constant column: one class for all rows


def test_order_and_unit_of_columns_hardly_matter(parts: tuple[Part, Part]) -> None:
    (X, y), (X_test, y_test) = parts
    scale = 10.0 ** np.arange(-2, 4)
    plain = set_accuracies((X, y), (X_test, y_test), [[1, 4, 0]], epochs=10, seed=0)
    scaled = set_accuracies((X * scale, y), (X_test * scale, y_test), [[1, 4, 0]], epochs=10, seed=0)
    np.testing.assert_allclose(plain, scaled, atol=1.01 / 150)


def test_seeds_decide(parts: tuple[Part, Part]) -> None:
    first, again, other = (set_accuracies(*parts, [[0, 4], [2, 4]], epochs=4, seed=s) for s in (0, 0, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("sets", [[], [[6]], [[-1]]])
def test_columns_that_are_not_there_are_refused(parts: tuple[Part, Part], sets: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"sets must hold column numbers in 0\.\.5"):
        set_accuracies(*parts, sets, epochs=1, seed=0)
