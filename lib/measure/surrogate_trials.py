"""Rules for a black box on one split of a table, with the controls that say what they owe to the box.

Karim et al. 2022 (arXiv:2208.13405) fit a small tree on the first k columns to the box's answers and judge it by the
answers it reproduces. One trial does so over a grid of sizes, on the rows fitted and on rows held out, and beside it
fits: rules on random columns, rules on all columns, and rules on the labels themselves in place of the answers.

Difference: the last control is ours. A box that fits its training rows answers them with their labels, and a tree that
learned the labels would then pass for an explanation of the box.

Conventions: the box answers with a probability; rules and box *agree* on a row where both are above one half or
neither; R squared (`lib.measure.rules.fidelity`) is of the probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.measure.rules import Rules, fidelity, fit_rules, top_columns

__all__ = ["ARMS", "Split", "judge_rules", "surrogate_trial", "used_columns"]

ARMS = ("probed", "random", "all", "labels")
Answer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Split:
    """Rows to fit on and rows held out, with their classes (0 or 1)."""

    X: np.ndarray
    y: np.ndarray
    held: np.ndarray
    y_held: np.ndarray


def used_columns(rules: Rules, n_columns: int) -> np.ndarray:
    """Which of the table's columns a rule has a bound for, bool (d,)."""
    used = np.zeros(n_columns, dtype=bool)
    for rule in rules.rules:
        used[[*rule.low, *rule.high]] = True
    return used


def judge_rules(rules: Rules, answer: Answer, split: Split) -> dict[str, float]:
    """How well rules say what the box says, and what is true.

    Parameters
    ----------
    rules : Rules
        Of probabilities.
    answer : callable
        The box: rows to probabilities of class 1.
    split : Split

    Returns
    -------
    dict
        ``agreement_fit, agreement`` (shares of rows fitted on and held out), ``r2_fit, r2`` (NaN where the box's
        answers do not vary), ``accuracy`` (held out, against the classes) and ``n_rules``.
    """
    found: dict[str, float] = {"n_rules": len(rules.rules)}
    for suffix, rows in (("_fit", split.X), ("", split.held)):
        asked, said = np.asarray(answer(rows)), rules.predict(rows)
        found[f"agreement{suffix}"] = float(np.mean((asked > 0.5) == (said > 0.5)))
        found[f"r2{suffix}"] = float(fidelity(asked, said).mean())
    return found | {"accuracy": float(np.mean((said > 0.5) == (split.y_held > 0.5)))}


def surrogate_trial(
    answer: Answer,
    split: Split,
    importance: np.ndarray,
    *,
    n_columns: Sequence[int],
    n_rules: Sequence[int],
    main: tuple[int, int],
    n_random: int,
    generator: np.random.Generator,
) -> tuple[pd.DataFrame, Rules]:
    """All arms of one split.

    Parameters
    ----------
    answer : callable
        Rows (n, d) to probabilities of class 1 (n,).
    split : Split
    importance : ndarray of shape (d,)
        Of the columns for the box, from the rows fitted on.
    n_columns, n_rules : sequence of int
        The grid; ``n_columns`` in 1..d.
    main : (int, int)
        Columns and rules where the arms are compared; both stand in the grid.
    n_random : int, >= 1
        Draws of random columns.
    generator : numpy.random.Generator

    Returns
    -------
    DataFrame
        ``arm, columns, rules, draw`` and the measures of :func:`judge_rules`. "probed" covers the grid, "labels" every
        number of rules at the main number of columns, "random" every number of columns at the main number of rules,
        "all" the main number of rules.
    Rules
        Those of the probed columns at the main sizes.

    Raises
    ------
    ValueError
        If ``main`` is not on the grid, ``n_random`` is below 1, or as `lib.measure.rules.fit_rules`.
    """
    k, size = main
    if k not in n_columns or size not in n_rules or n_random < 1:
        raise ValueError(
            f"main must lie on the grid and n_random be at least 1, got {main} with {list(n_columns)} columns, "
            f"{list(n_rules)} rules and {n_random}; add the main sizes to the grid"
        )
    asked, d = np.asarray(answer(split.X), dtype=np.float64), split.X.shape[1]
    arms = [("probed", top_columns(importance, c), r, 0, asked) for c in n_columns for r in n_rules]
    arms += [("labels", top_columns(importance, k), r, 0, split.y.astype(np.float64)) for r in n_rules]
    arms += [("all", np.arange(d), size, 0, asked)]
    draws = [(c, draw) for c in n_columns for draw in range(n_random)]
    arms += [("random", generator.choice(d, c, replace=False), size, draw, asked) for c, draw in draws]
    rows, kept = [], None
    for arm, columns, most, draw, target in arms:
        rules = fit_rules(split.X, target, columns=columns, n_rules=most)
        place = {"arm": arm, "columns": len(columns), "rules": most, "draw": draw}
        rows.append(place | judge_rules(rules, answer, split))
        kept = rules if (arm, len(columns), most) == ("probed", k, size) else kept
    assert kept is not None
    return pd.DataFrame(rows), kept
