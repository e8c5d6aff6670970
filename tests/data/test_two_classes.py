"""Two classes: halves of the classes, one row for each individual, no more rows than asked for."""

import numpy as np
import pytest

from lib.data import table
from lib.data.tables import Table
from lib.data.two_classes import two_classes


def make(y: list[int], n_classes: int, groups: list[int] | None = None) -> Table:
    X = np.arange(2.0 * len(y)).reshape(-1, 2)
    who = None if groups is None else np.array(groups)
    return Table(X, np.array(y), ("a", "b"), tuple("klmnop"[:n_classes]), "made up", who)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("n_classes", "expected"), [(2, [0, 1]), (3, [0, 0, 1]), (4, [0, 0, 1, 1])])
def test_the_later_half_of_the_classes_is_one(n_classes: int, expected: list[int]) -> None:
    made = make(list(range(n_classes)), n_classes)
    X, y = two_classes(made, generator=rng())
    order = np.argsort(X[:, 0])
    assert y[order].tolist() == expected
    np.testing.assert_array_equal(X[order], made.X)


def test_rows_stay_with_their_classes() -> None:
    found = table("wine")
    X, y = two_classes(found, max_rows=60, generator=rng(1))
    assert X.shape == (60, 13)
    for row, label in zip(X, y, strict=True):
        place = np.flatnonzero((row == found.X).all(axis=1))
        assert ((found.y[place] == 2) == label).all()
    other = two_classes(found, max_rows=60, generator=rng(2))[0]
    assert not np.array_equal(X, other)


def test_an_individual_becomes_its_mean() -> None:
    made = make([0, 0, 1, 1, 1], 2, groups=[7, 7, 3, 3, 3])
    X, y = two_classes(made, generator=rng())
    assert sorted(zip(y.tolist(), X[:, 0].tolist(), strict=True)) == [(0, 1.0), (1, 6.0)]


@pytest.mark.parametrize(
    ("made", "max_rows", "message"),
    [
        (make([0, 1], 2), 3, "max_rows must be at least 4"),
        (make([0, 0], 1), None, "classes at least 2"),
        (make([0, 1, 1, 0], 2, groups=[0, 0, 1, 1]), None, "share their class"),
    ],
)
def test_errors(made: Table, max_rows: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        two_classes(made, max_rows=max_rows, generator=rng())
