"""Where linear Sequential Attention becomes matching pursuit."""

from __future__ import annotations

import numpy as np

from lib.measure.pursuit import correlated_design, one_against_rest, place_agreement, problems_agreement


def test_designs_are_standardised_and_correlate_by_one_half() -> None:
    columns, answer = correlated_design(seed=3, rows=4_000, columns=6, active=6)
    gram = columns.T @ columns
    np.testing.assert_allclose(np.diag(gram), 1.0)
    np.testing.assert_allclose(gram[~np.eye(6, dtype=bool)], 0.5, atol=0.06)  # 4 standard errors
    np.testing.assert_allclose([answer.mean(), (answer**2).sum()], [0.0, 1.0], atol=1e-12)
    assert (correlated_design(seed=4)[0] != correlated_design(seed=3)[0]).any()


def test_every_class_is_one_problem() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), np.repeat([2, 5, 9], 10)
    problems = one_against_rest(X, y)
    assert len(problems) == 3
    for (_, answer), label in zip(problems, (2, 5, 9), strict=True):
        assert ((answer[:, 0] > 0) == (y == label)).all()


def test_near_the_limit_the_order_is_the_pursuit_and_far_from_it_not() -> None:
    problems = [correlated_design(seed=s, rows=60, columns=20) for s in range(6)]
    found = problems_agreement(problems, [0.2, 0.999], n_picks=5).pivot(index="problem", columns="penalty")
    near, far = found["agreement"][0.999], found["agreement"][0.2]
    assert near.mean() > 0.95 and far.mean() < near.mean()


def test_first_pick_agrees_at_the_limit_and_rows_come_in_order() -> None:
    problem = correlated_design(seed=1, rows=40, columns=10)
    assert place_agreement(problem, [0.9999], n_picks=1).tolist() == [1.0]
    table = problems_agreement([problem, problem], [0.9, 0.99], n_picks=2)
    assert table["problem"].tolist() == [0, 0, 1, 1] and table["penalty"].tolist() == [0.9, 0.99] * 2
