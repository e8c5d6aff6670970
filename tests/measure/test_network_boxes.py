"""The network box: its answers are scikit-learn's, and its quick probing equals asking for every column."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from lib.measure.network_boxes import train_box
from lib.measure.rules import answer_change, top_columns

Table = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def rows() -> Table:
    rng = np.random.default_rng(0)
    X = 3 + 2 * rng.normal(size=(200, 12))
    X[:, 5] = 1.0
    return X, (X[:, 2] - X[:, 7] > 0).astype(int)


def test_answers_are_those_of_the_library(rows: Table) -> None:
    X, y = rows
    box = train_box(X, y, n_hidden=6, n_epochs=15, seed=3)
    model = MLPClassifier((6,), alpha=1.0, batch_size=32, max_iter=15, random_state=3)
    spread = np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit((X - X.mean(axis=0)) / spread, y)
    expected = model.predict_proba((X - X.mean(axis=0)) / spread)[:, 1]
    np.testing.assert_allclose(box.answer(X), expected, atol=1e-12)


def test_quick_probing_equals_slow_probing(rows: Table) -> None:
    X, y = rows
    box = train_box(X, y, n_hidden=8, n_epochs=20, seed=0)
    quick = box.column_change(X[:50], generator=np.random.default_rng(4))
    slow = answer_change(box.answer, X[:50], generator=np.random.default_rng(4))
    np.testing.assert_allclose(quick, slow, atol=1e-12)
    assert quick[5] == 0


def test_it_learns_and_looks_at_the_right_columns(rows: Table) -> None:
    X, y = rows
    box = train_box(X[:150], y[:150], n_epochs=40, seed=0)
    assert np.mean((box.answer(X[150:]) > 0.5) == y[150:]) > 0.85
    change = box.column_change(X, generator=np.random.default_rng(0))
    assert set(top_columns(change, 2).tolist()) == {2, 7}


def test_the_seed_decides(rows: Table) -> None:
    X, y = rows
    same = [train_box(X, y, n_epochs=3, seed=seed).answer(X) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])


@pytest.mark.parametrize("y", [np.zeros(200, int), np.arange(200) % 3])
def test_other_classes_are_refused(rows: Table, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="classes 0 and 1"):
        train_box(rows[0], y, seed=0)
