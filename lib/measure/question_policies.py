"""How far any way of asking for columns can come: the best tree of questions, greedy information, the best fixed set.

All three are computed from the exact posterior of a table of binary columns (`lib.data.binary_tables`), without data
and without training. The best tree looks ahead (dynamic programming over all states of knowledge); greedy information
asks for the column with most conditional mutual information, as DIME does when its guesses are right (Gadgil, Covert
and Lee, ICLR 2024, arXiv:2306.03301); the best fixed set asks every row for the same columns.

Conventions: the value is the probability in [0, 1] that the likeliest class is the right one, the mean over all rows;
position k of a result belongs to k questions, position 0 to none. The best tree >= greedy, the best tree >= fixed.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from lib.data.binary_tables import UNKNOWN, information

__all__ = ["best_fixed", "best_tree", "greedy_questions", "unconditional_information"]


def best_tree(known: np.ndarray, *, questions: int) -> np.ndarray:
    """Accuracy of the best way to ask, which may look at every answer before the next question.

    Parameters
    ----------
    known : ndarray of shape (3,) * d + (classes,)
        From `lib.data.binary_tables.posterior`.
    questions : int
        At most d.

    Returns
    -------
    ndarray of shape (questions + 1,)

    Examples
    --------
    >>> from lib.data.binary_tables import law, posterior
    >>> best_tree(posterior(law("silent pointer")), questions=2).round(3).tolist()
    [0.5, 0.725, 0.95]
    """
    value = known.max(axis=-1)
    start = (UNKNOWN,) * value.ndim
    found = [float(value[start])]
    for _ in range(_checked(known, questions)):
        better = value.copy()
        for column in range(value.ndim):
            at = (slice(None),) * column
            asked = (value[(*at, 0)] + value[(*at, 1)]) / 2
            better[(*at, UNKNOWN)] = np.maximum(better[(*at, UNKNOWN)], asked)
        value = better
        found.append(float(value[start]))
    return np.array(found)


def greedy_questions(known: np.ndarray, *, questions: int) -> np.ndarray:
    """Accuracy of asking for the column with most conditional mutual information; the first one of equals.

    Parameters
    ----------
    known, questions
        As :func:`best_tree`.

    Returns
    -------
    ndarray of shape (questions + 1,)
    """
    n_columns = known.ndim - 1
    exact = information(known).round(12)
    rows = np.indices((2,) * n_columns).reshape(n_columns, -1).T
    state = np.full_like(rows, UNKNOWN)
    found = [float(known[tuple(state.T)].max(axis=-1).mean())]
    for _ in range(_checked(known, questions)):
        column = np.nanargmax(exact[tuple(state.T)], axis=1)[:, None]  # (rows, 1)
        np.put_along_axis(state, column, np.take_along_axis(rows, column, axis=1), axis=1)
        found.append(float(known[tuple(state.T)].max(axis=-1).mean()))
    return np.array(found)


def best_fixed(known: np.ndarray, *, questions: int) -> np.ndarray:
    """Accuracy of the best set of so many columns, the same for every row; found by trying all sets.

    Parameters
    ----------
    known, questions
        As :func:`best_tree`.

    Returns
    -------
    ndarray of shape (questions + 1,)
    """
    n_columns = known.ndim - 1
    likeliest = known.max(axis=-1)
    found = []
    for size in range(_checked(known, questions) + 1):
        values = []
        for chosen in combinations(range(n_columns), size):
            at = tuple(slice(0, 2) if column in chosen else UNKNOWN for column in range(n_columns))
            values.append(float(np.mean(likeliest[at])))
        found.append(max(values))
    return np.array(found)


def unconditional_information(known: np.ndarray, states: np.ndarray) -> np.ndarray:
    """What a guess would say that sees which columns are known, but not their values.

    Parameters
    ----------
    known : ndarray of shape (3,) * d + (classes,)
    states : ndarray of shape (states, d), int64
        From `lib.data.binary_tables.partial_rows`.

    Returns
    -------
    ndarray of shape (states, d)
        I(class; column | known columns), nats: the exact information, mean over the values of the known columns; NaN
        where the column is known.
    """
    exact = information(known)[tuple(states.T)]  # (states, d)
    sets = (states != UNKNOWN) @ (1 << np.arange(states.shape[1]))
    found = np.empty_like(exact)
    for one in np.unique(sets):
        found[sets == one] = exact[sets == one].mean(axis=0)
    return found


def _checked(known: np.ndarray, questions: int) -> int:
    if not 0 <= questions <= known.ndim - 1:
        raise ValueError(f"questions must be in 0..{known.ndim - 1}, the number of columns, got {questions}")
    return questions
