"""Whether linear Sequential Attention picks as orthogonal matching pursuit does, penalty by penalty.

Yasuda et al. 2023, Sequential Attention (arXiv:2209.14881): the regularised linear form equals Sequential LASSO (Luo &
Chen 2014), and in the limit of the penalty that lets the first column in, orthogonal matching pursuit. A share of that
limit, from small to just below one, shows where the equality begins.

Conventions: columns have mean 0 and length 1; a pick agrees when it stands at the same place in both orders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.select.linear_sequential_attention import linear_sequential_attention
from lib.select.omp import omp
from lib.select.response import response, standardised

__all__ = ["correlated_design", "one_against_rest", "place_agreement", "problems_agreement"]

Problem = tuple[np.ndarray, np.ndarray]


def correlated_design(
    *, seed: int, rows: int = 100, columns: int = 30, active: int = 10, noise: float = 0.3
) -> Problem:
    """Columns that share a common part, and an answer that some of them make.

    Parameters
    ----------
    seed : int
    rows, columns, active : int
        The answer is a normal combination of the first ``active`` columns.
    noise : float
        Deviation of the answer's noise, as a share of that of the rest of the answer.

    Returns
    -------
    ndarray of shape (rows, columns), float64
        Mean 0, length 1; two columns correlate by one half on average.
    ndarray of shape (rows, 1), float64
        Mean 0, length 1.

    Examples
    --------
    >>> columns, answer = correlated_design(seed=0)
    >>> columns.shape, answer.shape, round(float((answer**2).sum()), 12)
    ((100, 30), (100, 1), 1.0)
    """
    rng = np.random.default_rng(seed)
    made = standardised(rng.normal(size=(rows, columns)) + rng.normal(size=(rows, 1)))[0] / np.sqrt(rows)
    signal = made[:, :active] @ rng.normal(size=(active, 1))
    answer = signal + noise * np.linalg.norm(signal) * rng.normal(size=(rows, 1)) / np.sqrt(rows)
    answer -= answer.mean(axis=0)
    return made, answer / np.linalg.norm(answer)


def one_against_rest(X: np.ndarray, y: np.ndarray) -> list[Problem]:
    """A table as one problem for each class: its standardised columns, and who is in the class.

    Parameters
    ----------
    X : ndarray of shape (n, d), finite
    y : ndarray of shape (n,)

    Returns
    -------
    list of tuple
        Columns (n, d) of length 1 and an answer (n, 1) of length 1, in the order of the classes.

    Examples
    --------
    >>> problems = one_against_rest(np.arange(6.0)[:, None], np.array(["a", "a", "b", "b", "c", "c"]))
    >>> len(problems), problems[0][1].round(2).ravel().tolist()
    (3, [0.58, 0.58, -0.29, -0.29, -0.29, -0.29])
    """
    columns = standardised(X)[0] / np.sqrt(len(X))
    return [(columns, response(y == one, task="classification").indicators) for one in np.unique(y)]


def place_agreement(problem: Problem, penalties: Sequence[float], *, n_picks: int) -> np.ndarray:
    """Share of the first picks that stand at the place that matching pursuit gives them.

    Parameters
    ----------
    problem : tuple
        Columns (n, d) and answers (n, t).
    penalties : sequence of float in (0, 1)
        Shares of the penalty that empties the model.
    n_picks : int in 1..d

    Returns
    -------
    ndarray of shape (len(penalties),), float64, in [0, 1]
        1 = the same order; a single exchange of neighbours costs two places.

    Raises
    ------
    ValueError
        If a penalty is out of range.

    Examples
    --------
    >>> place_agreement(correlated_design(seed=0), [0.999], n_picks=5).tolist()
    [1.0]
    """
    columns, answers = problem
    pursuit = omp(columns, answers, n_picks)
    orders = [linear_sequential_attention(columns, answers, n_picks, penalty=one).order for one in penalties]
    return np.array([np.mean(order[: pursuit.size] == pursuit) for order in orders])


def problems_agreement(problems: Sequence[Problem], penalties: Sequence[float], *, n_picks: int) -> pd.DataFrame:
    """`place_agreement` of several problems.

    Returns
    -------
    DataFrame
        ``problem, penalty, agreement``, one row per problem and penalty.
    """
    rows = [place_agreement(problem, penalties, n_picks=n_picks) for problem in problems]
    places = pd.MultiIndex.from_product([range(len(problems)), penalties], names=["problem", "penalty"])
    return pd.DataFrame({"agreement": np.ravel(rows)}, index=places).reset_index()
