"""What asking row by row is worth: predictions after every question, three ways to stop, and the curve over cost.

Gadgil, Covert and Lee, ICLR 2024 (arXiv:2306.03301), the three stopping rules: a budget, enough confidence, or no
column that promises enough. As long as all columns cost the same the rules stop at different places of one and the
same order of questions, so that all of them are read from it.

Difference: rules are compared at equal mean number of questions over the rows. Thresholds are laid out over the values
that occur, and the score between two thresholds is interpolated linearly; labels play no part in it.

Conventions: ``order`` is int64 (n, k), one order per row; position j of a curve belongs to j questions. Scores are in
percent: the area under the receiver operating curve for two classes (50 = chance), accuracy for more.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from lib.select.dime_networks import Dime

__all__ = ["RULES", "along", "at_cost", "curve", "gains", "mean_order", "same_for_all", "score", "stopped"]

RULES = ("budget", "confidence", "penalty")
N_THRESHOLDS = 41


def along(network: Dime, x: Tensor, order: Tensor) -> np.ndarray:
    """Class probabilities after every question.

    Parameters
    ----------
    network : Dime
    x : Tensor, float32 (n, d)
    order : Tensor, int64 (n, k)
        See :func:`same_for_all` for an order that all rows share.

    Returns
    -------
    ndarray of shape (n, k + 1, classes), float64

    Examples
    --------
    >>> x = torch.zeros(5, 3)
    >>> along(Dime(3, 2), x, same_for_all(torch.tensor([2, 0]), 5)).shape
    (5, 3, 2)
    """
    known = torch.zeros(x.shape, dtype=torch.bool, device=x.device)
    found = []
    with torch.no_grad():
        for step in range(order.shape[1] + 1):
            found.append(network(x, known)[0].softmax(dim=1))
            if step < order.shape[1]:
                known = known.scatter(1, order[:, step : step + 1], True)
    return torch.stack(found, dim=1).double().cpu().numpy()


def same_for_all(order: Tensor, n: int) -> Tensor:
    """An order (k,) for each of n rows, (n, k)."""
    return order.expand(n, -1)


def mean_order(order: Tensor, n_columns: int) -> Tensor:
    """Columns by how early and often the rows asked for them, as `lib.select.DIME` ranks them.

    Parameters
    ----------
    order : Tensor, int64 (n, k)
    n_columns : int

    Returns
    -------
    Tensor, int64 (n_columns,)
        First = known longest over rows and questions; columns never asked for come last, by number.

    Examples
    --------
    >>> mean_order(torch.tensor([[2, 0], [2, 1], [0, 2]]), 4).tolist()
    [2, 0, 1, 3]
    """
    steps = order.shape[1]
    worth = torch.arange(steps, 0, -1).expand_as(order).reshape(-1)
    total = torch.zeros(n_columns, dtype=torch.int64).scatter_add(0, order.reshape(-1), worth)
    return total.argsort(descending=True, stable=True)


def score(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Area under the curve (two classes) or accuracy (more), percent.

    Parameters
    ----------
    probabilities : ndarray of shape (n, classes)
    y : ndarray of shape (n,), int64

    Returns
    -------
    float, in [0, 100]

    Examples
    --------
    >>> score(np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]), np.array([0, 0, 1]))
    75.0
    """
    if probabilities.shape[1] > 2:
        return 100 * float((probabilities.argmax(axis=1) == y).mean())
    positive = y == 1
    n_pairs = int(positive.sum()) * int((~positive).sum())
    if n_pairs == 0:
        return float("nan")
    ranks = rankdata(probabilities[:, 1])
    return 100 * float(ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2) / n_pairs


def curve(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Score after every question, (k + 1,), from :func:`along`'s (n, k + 1, classes)."""
    return np.array([score(probabilities[:, step], y) for step in range(probabilities.shape[1])])


def gains(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What every question saved: cross entropy before minus after it, nats, (n, k); its mean is what a guess is of."""
    of_class = np.take_along_axis(probabilities, y[:, None, None], axis=2)[..., 0]  # (n, k + 1)
    return np.diff(np.log(np.maximum(of_class, 1e-12)), axis=1)


def stopped(
    rule: str, probabilities: np.ndarray, guesses: np.ndarray, y: np.ndarray, *, means: np.ndarray
) -> np.ndarray:
    """Score of a stopping rule at given mean numbers of questions.

    Parameters
    ----------
    rule : {"budget", "confidence", "penalty"}
        The same number for every row; stop at a probability of the likeliest class; stop when the best column promises
        too little.
    probabilities : ndarray of shape (n, k + 1, classes)
        From :func:`along`.
    guesses : ndarray of shape (n, k)
        Promised information of each question, nats (`Acquired.cmi`).
    y : ndarray of shape (n,), int64
    means : ndarray, in [0, k]
        Mean numbers of questions over the rows.

    Returns
    -------
    ndarray, one score in percent per mean

    Raises
    ------
    ValueError
        For an unknown rule or a mean out of range.
    """
    steps = guesses.shape[1]
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if np.min(means) < 0 or np.max(means) > steps:
        raise ValueError(f"means must be in 0..{steps}, the questions of each row, got {np.asarray(means).tolist()}")
    if rule == "budget":
        return np.interp(means, np.arange(steps + 1), curve(probabilities, y))
    values = probabilities[:, :-1].max(axis=2) if rule == "confidence" else -guesses  # (n, k); stop where >= threshold
    levels = np.quantile(values, np.linspace(0, 1, N_THRESHOLDS))
    found = []
    for threshold in [-np.inf, *levels, np.inf]:
        stops = values >= threshold
        count = np.where(stops.any(axis=1), stops.argmax(axis=1), steps)
        found.append((count.mean(), score(probabilities[np.arange(len(y)), count], y)))
    mean, scores = np.array(sorted(found)).T
    return np.interp(means, mean, scores)


def at_cost(probabilities: np.ndarray, order: Tensor, costs: Tensor, y: np.ndarray, *, means: np.ndarray) -> np.ndarray:
    """Score at given mean costs, all rows asked equally often, linear between two numbers of questions.

    Parameters
    ----------
    probabilities : ndarray of shape (n, k + 1, classes)
    order : Tensor, int64 (n, k)
    costs : Tensor, float32 (d,)
    y : ndarray of shape (n,), int64
    means : ndarray
        Mean costs of a row, in the unit of ``costs``, at most that of all k questions.

    Returns
    -------
    ndarray, one score in percent per mean

    Raises
    ------
    ValueError
        If the questions together cost less than a mean asks for.
    """
    spent = np.concatenate([[0.0], costs[order].double().numpy().mean(axis=0).cumsum()])
    if np.max(means) > spent[-1] + 1e-6:
        raise ValueError(f"means must be at most {spent[-1]:.3g}, what all questions cost, got {np.max(means):.3g}")
    return np.interp(means, spent, curve(probabilities, y))
