"""DIME beside fixed choices of columns: the arms of one split of a table, and one training set of a known law.

Gadgil, Covert and Lee, ICLR 2024 (arXiv:2306.03301). Every arm asks a row for 0, 1, ... columns and is scored on test
rows after each. Fixed choices are looked at twice: through DIME's own predictor, so that only the choice differs, and,
for joint mutual information, through a predictor trained for that choice, as a user of a fixed choice would do it.

Conventions: scores in percent as in `lib.measure.acquisition_scores`; selection sees training rows only. Tidy tables
with one row per measurement; a table's arm "all columns" has the same score at every budget.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.data.binary_tables import UNKNOWN, all_rows, information, law, partial_rows, posterior
from lib.measure.acquisition import Rows, asking_network, drawn_costs, train_for_order, unit_columns
from lib.measure.acquisition_scores import RULES, along, at_cost, curve, gains, mean_order, same_for_all, stopped
from lib.measure.question_policies import unconditional_information
from lib.select.dime_networks import Dime, acquire
from lib.select.mutual_information import InformationSelector

__all__ = [
    "ALL", "ARMS", "DYNAMIC", "JMI", "JMI_TRAINED", "OWN_ORDER", "RANDOM", "calibration", "cost_arms", "law_guesses",
    "law_policy", "stopping_arms", "table_arms",
]  # fmt: skip

DYNAMIC, OWN_ORDER = "DIME, row by row", "DIME's mean order"
JMI, JMI_TRAINED = "JMI, DIME's predictor", "JMI, own predictor"
RANDOM, ALL = "random order", "all columns"
ARMS = (DYNAMIC, OWN_ORDER, JMI, JMI_TRAINED, RANDOM, ALL)
PER_COST, ALONE = "information per cost", "information alone"
ALL_EPOCHS = 20  # of a predictor that always sees all columns, which is easy to learn
N_BINS = 8


def table_arms(
    weights: dict[str, Tensor], rows: Rows, *, questions: int, epochs: int, n_random: int, seed: int
) -> pd.DataFrame:
    """Score of every arm at every budget.

    Parameters
    ----------
    weights : dict
        Of `lib.measure.acquisition.train_on_table` on the same rows.
    rows : Rows
    questions : int
        Largest budget, in columns; d where there are fewer.
    epochs : int
        Of the predictor trained for the fixed choice.
    n_random : int
        Random orders; their scores are averaged.
    seed : int
        Of random orders and of the fixed choice's predictor.

    Returns
    -------
    DataFrame
        Columns ``arm`` (one of `ARMS`), ``budget`` (0..questions) and ``score``.
    """
    network, n_columns, y = asking_network(weights), rows.x.shape[1], rows.y_test.numpy()
    columns = unit_columns(n_columns, questions=questions)

    def fixed(order: Tensor, model: Dime = network) -> np.ndarray:
        return curve(along(model, rows.x_test, same_for_all(order[: columns.steps], len(y))), y)

    selector = InformationSelector(columns.steps, criterion="jmi").fit(rows.x.numpy(), rows.y.numpy())
    jmi = torch.from_numpy(selector.selection_order_[: columns.steps].copy())
    own = mean_order(acquire(network, rows.x, columns=columns).order, n_columns)
    rng, every = np.random.default_rng(seed), torch.arange(n_columns)
    draws = [fixed(torch.from_numpy(rng.permutation(n_columns))) for _ in range(n_random)]
    whole = train_for_order(rows, every, epochs=ALL_EPOCHS, seed=seed, least=n_columns)
    found = {
        DYNAMIC: curve(along(network, rows.x_test, acquire(network, rows.x_test, columns=columns).order), y),
        OWN_ORDER: fixed(own),
        JMI: fixed(jmi),
        JMI_TRAINED: fixed(jmi, train_for_order(rows, jmi, epochs=epochs, seed=seed)),
        RANDOM: np.mean(draws, axis=0),
        ALL: np.full(columns.steps + 1, curve(along(whole, rows.x_test, same_for_all(every, len(y))), y)[-1]),
    }
    parts = [pd.DataFrame({"arm": arm, "budget": range(len(line)), "score": line}) for arm, line in found.items()]
    return pd.concat(parts, ignore_index=True)


def stopping_arms(weights: dict[str, Tensor], rows: Rows, *, questions: int, means: np.ndarray) -> pd.DataFrame:
    """Score of the three stopping rules at equal mean numbers of questions: ``rule``, ``columns``, ``score``."""
    network, y = asking_network(weights), rows.y_test.numpy()
    found = acquire(network, rows.x_test, columns=unit_columns(rows.x.shape[1], questions=questions))
    answers = along(network, rows.x_test, found.order)
    guesses = found.cmi.double().numpy()
    parts = [
        pd.DataFrame({"rule": rule, "columns": means, "score": stopped(rule, answers, guesses, y, means=means)})
        for rule in RULES
    ]
    return pd.concat(parts, ignore_index=True)


def cost_arms(weights: dict[str, Tensor], rows: Rows, *, ratio: float, means: np.ndarray, seed: int) -> pd.DataFrame:
    """Score at equal mean costs, asked by information per cost and by information alone, with one and the same network.

    Parameters
    ----------
    weights, rows
        As :func:`table_arms`.
    ratio : float
        See `lib.measure.acquisition.drawn_costs`.
    means : ndarray
        Mean costs of a row; 1 = what a column costs on average.
    seed : int
        Of the costs.

    Returns
    -------
    DataFrame
        Columns ``asked by``, ``cost`` and ``score``.
    """
    network, n_columns, y = asking_network(weights), rows.x.shape[1], rows.y_test.numpy()
    costs = drawn_costs(n_columns, ratio=ratio, seed=seed)
    parts = []
    for name, used in ((PER_COST, costs), (ALONE, None)):
        columns = unit_columns(n_columns, questions=n_columns, costs=used)
        order = acquire(network, rows.x_test, columns=columns).order
        line = at_cost(along(network, rows.x_test, order), order, costs, y, means=means)
        parts.append(pd.DataFrame({"asked by": name, "cost": means, "score": line}))
    return pd.concat(parts, ignore_index=True)


def calibration(weights: dict[str, Tensor], rows: Rows, *, questions: int) -> pd.DataFrame:
    """Promised information against what the answers saved on test rows, in bins of equal size.

    Returns
    -------
    DataFrame
        Columns ``bin`` (0 = smallest promises), ``promised`` and ``saved``, means over the questions of a bin, nats.
        Equal in every bin = calibrated; a mean of savings may be below 0, a promise may not.
    """
    network, y = asking_network(weights), rows.y_test.numpy()
    found = acquire(network, rows.x_test, columns=unit_columns(rows.x.shape[1], questions=questions))
    saved = gains(along(network, rows.x_test, found.order), y).ravel()
    promised = found.cmi.double().numpy().ravel()
    parts = np.array_split(np.argsort(promised, kind="stable"), N_BINS)
    rows_of = [(place, promised[part].mean(), saved[part].mean()) for place, part in enumerate(parts)]
    return pd.DataFrame(rows_of, columns=["bin", "promised", "saved"])


def law_policy(weights: dict[str, Tensor], name: str, *, questions: int) -> np.ndarray:
    """Accuracy in percent of trained networks on a known law after 0..questions columns, exactly: over all rows."""
    network, x = asking_network(weights), all_rows()
    order = acquire(network, x, columns=unit_columns(x.shape[1], questions=questions)).order
    chosen = along(network, x, order).argmax(axis=2)  # (rows, questions + 1)
    truth = law(name).reshape(len(x), -1)
    return 100 * np.take_along_axis(truth, chosen, axis=1).mean(axis=0)


def law_guesses(weights: dict[str, Tensor], name: str, *, questions: int) -> pd.DataFrame:
    """Guessed and exact information of every question that may come up within so many, under a known law.

    Returns
    -------
    DataFrame
        One row per state of knowledge and unknown column: ``known`` (columns), ``guess``, ``exact``, and ``blind``,
        the exact information averaged over the values that are known, all in nats.
    """
    exact = posterior(law(name))
    states = partial_rows(exact.ndim - 1, most=questions - 1)
    known = states != UNKNOWN
    x = torch.from_numpy(np.where(known, 2.0 * states - 1, 0.0)).float()
    with torch.no_grad():
        guess = asking_network(weights)(x, torch.from_numpy(known))[1].double().numpy()
    columns = {
        "known": np.broadcast_to(known.sum(axis=1)[:, None], known.shape)[~known],
        "guess": guess[~known],
        "exact": information(exact)[tuple(states.T)][~known],
        "blind": unconditional_information(exact, states)[~known],
    }
    return pd.DataFrame(columns)
