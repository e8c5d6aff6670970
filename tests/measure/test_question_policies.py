"""Best tree, greedy information and best fixed set against each other, brute force and the laws' closed forms."""

import itertools

import numpy as np
import pytest

from lib.data.binary_tables import LAWS, information, law, partial_rows, posterior
from lib.measure.question_policies import best_fixed, best_tree, greedy_questions, unconditional_information


def small(seed: int) -> np.ndarray:
    """Posterior of a random law of four columns and three classes."""
    table = np.random.default_rng(seed).dirichlet([0.3] * 3, size=(2,) * 4)
    return posterior(table)


def tree_value(known: np.ndarray, state: tuple[int, ...], questions: int) -> float:
    """The best tree by plain recursion."""
    best = float(known[state].max())
    for column in [place for place, value in enumerate(state) if value == 2] if questions else []:
        answers = [(*state[:column], value, *state[column + 1 :]) for value in (0, 1)]
        best = max(best, float(np.mean([tree_value(known, answer, questions - 1) for answer in answers])))
    return best


@pytest.mark.parametrize("seed", range(3))
def test_best_tree_is_the_recursion(seed: int) -> None:
    known = small(seed)
    expected = [tree_value(known, (2,) * 4, questions) for questions in range(4)]
    np.testing.assert_allclose(best_tree(known, questions=3), expected)


@pytest.mark.parametrize("seed", range(3))
def test_no_policy_beats_the_tree_and_all_end_alike(seed: int) -> None:
    known = small(seed)
    tree, greedy, fixed = (found(known, questions=4) for found in (best_tree, greedy_questions, best_fixed))
    assert (tree >= greedy - 1e-12).all() and (tree >= fixed - 1e-12).all()
    np.testing.assert_allclose([greedy[0], fixed[0], greedy[-1], fixed[-1]], [tree[0], tree[0], tree[-1], tree[-1]])


def test_fixed_sets_agree_with_rows_grouped_by_their_values() -> None:
    known = small(5)
    table = known[(slice(0, 2),) * 4]
    values = []
    for pair in itertools.combinations(range(4), 2):
        rest = tuple(axis for axis in range(4) if axis not in pair)
        values.append(table.mean(axis=rest).max(axis=-1).mean())
    assert best_fixed(known, questions=2)[2] == pytest.approx(max(values))


def test_the_laws_are_what_they_are_for() -> None:
    found = {
        name: [policy(posterior(law(name)), questions=3) for policy in (best_tree, greedy_questions, best_fixed)]
        for name in LAWS
    }
    tree, greedy, fixed = found["pointer"]
    assert tree[2] == pytest.approx(0.9) and greedy[2] == pytest.approx(0.9)
    assert fixed[2] == pytest.approx((0.9 + 0.5) / 2)  # one of two pointers leads to the message that is known
    np.testing.assert_allclose(found["independent"][0], found["independent"][2])
    np.testing.assert_allclose(found["independent"][0][3], 0.95 * 0.85 * 0.75)
    tree, greedy, fixed = found["silent pointer"]
    assert tree[2] == pytest.approx(0.95) and greedy[2] == pytest.approx(fixed[2]) == pytest.approx(0.725)


def test_blind_information_is_the_mean_over_values() -> None:
    known, states = posterior(law("silent pointer")), partial_rows(6, most=1)
    blind = unconditional_information(known, states)
    exact = information(known)
    both = np.mean([exact[(value, *(2,) * 5)][1] for value in (0, 1)])
    at = [place for place, state in enumerate(states) if state[0] != 2]
    np.testing.assert_allclose(blind[at, 1], both)
    np.testing.assert_array_equal(np.isnan(blind), states != 2)


def test_more_questions_than_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"questions must be in 0\.\.4"):
        best_tree(small(0), questions=5)
