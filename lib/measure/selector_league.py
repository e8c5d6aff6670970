"""A league of selectors: every one of them on the same halves of a table, with accuracy, stability and seconds.

Demšar 2006 (JMLR 7) compares methods over data sets by one number for each; Dietterich 1998 (Neural Computation 10)
repeats two-fold cross-validation, which is used here because one fit then serves three measures: the half that chose
is judged on the other half, its seconds are counted, and Nogueira's stability (JMLR 18(174)) compares the choices.

Differences: wide tables are thinned to columns drawn at random and long ones to rows of every class, so that all
selectors can be run; every selector keeps the same number of columns of a table. OutRank sees columns in five bins,
since it counts values. ``LEFT_OUT`` names the selectors of `lib.select` that take no part, and why.

Conventions: accuracy is a share in [0, 1] of a linear support vector machine, seconds are processor seconds of fitting
the selector alone; the controls "random" and "all" are those of `lib.measure.selection_scores`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib import select
from lib.data.tables import table
from lib.measure.selection import evaluate_columns, folds
from lib.measure.selection_scores import ALL, LEAST_DRAWS, RANDOM
from lib.measure.stability import half_samples, nogueira, reseeded
from lib.select.discretised import discretise
from lib.select.table_network import TableNetwork

__all__ = ["CONTROL", "KINDS", "LEFT_OUT", "Entrant", "kept_columns", "league", "play", "roster", "thinned"]

KINDS = ("one column", "graph", "what a column adds", "trained")
CONTROL = "control"
LEFT_OUT = {
    "InfFSSupervised": "two classes only; several tables have more",
    "ThreeMR": "looks at every column beside every pick: costs about as much as all the others together",
    "DisCo": "a distance matrix for every candidate at every pick; one pick is affordable, twenty are not",
    "AspectSelector": "cross-validates a model for every candidate at every pick",
    "DRCFS": "fits regressions for every column; tests causes of a number, not classes",
    "DIME": "chooses another set of columns for every row",
}


@dataclass(frozen=True)
class Entrant:
    """A selector and where it belongs.

    Attributes
    ----------
    kind : str
        One of ``KINDS``: looks at one column at a time, at a graph of columns, at what a column adds to those picked,
        or is trained by gradients.
    labels : bool
        Whether it uses the classes.
    selector : estimator
        Not fitted.
    """

    kind: str
    labels: bool
    selector: Any


class _BinnedOutRank(select.OutRank):
    """OutRank on columns in at most five bins of equal frequency."""

    def _column_scores(self, X: np.ndarray, y: np.ndarray | None) -> np.ndarray:
        return super()._column_scores(discretise(X).values.astype(np.float64), y)


def roster(size: int, *, effort: float = 1.0) -> dict[str, Entrant]:
    """Every selector that plays.

    Parameters
    ----------
    size : int
        Columns to keep.
    effort : float in (0, 1]
        Share of the default epochs or steps of the trained selectors, at least one.

    Returns
    -------
    dict of str to Entrant
        In the order of ``KINDS``.

    Raises
    ------
    ValueError
        If ``effort`` is out of range.

    Examples
    --------
    >>> list(roster(5))[:3]
    ['variance', 'F test', 'mutual information']
    """
    if not 0 < effort <= 1:
        raise ValueError(f"effort must be in (0, 1], got {effort}; 1 trains as long as the defaults say")

    def share(steps: int) -> int:
        return max(1, round(effort * steps))

    single, graph, adds, trained = KINDS
    jmi = select.InformationSelector
    gates = select.SequentialAttention(size, epochs=share(5), warmup_epochs=share(5))
    network = TableNetwork(epochs=share(30))
    return {
        "variance": Entrant(single, False, select.Variance(size)),
        "F test": Entrant(single, True, select.FTest(size)),
        "mutual information": Entrant(single, True, select.MutualInformation(size)),
        "OutRank": Entrant(single, True, _BinnedOutRank(size)),
        "Inf-FS": Entrant(graph, False, select.InfFS(size)),
        "ILFS": Entrant(graph, True, select.ILFS(size)),
        "EC-FS": Entrant(graph, True, select.ECFS(size)),
        "mRMR": Entrant(adds, True, jmi(size, criterion="mrmr")),
        "JMI": Entrant(adds, True, jmi(size, criterion="jmi")),
        "CMIM": Entrant(adds, True, jmi(size, criterion="cmim")),
        "matching pursuit": Entrant(adds, True, select.OMP(size)),
        "linear attention": Entrant(adds, True, select.LinearSequentialAttention(size)),
        "QuickSelection": Entrant(trained, False, select.QuickSelection(size, epochs=share(10))),
        "Sequential Attention": Entrant(trained, True, gates),
        "LLY": Entrant(trained, True, select.LLY(size, epochs=share(20))),
        "group lasso": Entrant(trained, True, select.GroupLasso(size, max_steps=share(200))),
        "Deep Lasso": Entrant(trained, True, select.DeepLasso(size, epochs=share(30))),
        "Feature Gradients": Entrant(trained, True, select.FeatureGradients(size, steps=share(60))),
        "elimination": Entrant(trained, True, select.AttributionElimination(size, estimator=network)),
    }


def kept_columns(n_columns: int, *, largest: int) -> int:
    """Columns to keep of a table: ``largest``, but at most a fifth of them and at least two.

    Examples
    --------
    >>> kept_columns(1000, largest=20), kept_columns(34, largest=20)
    (20, 6)
    """
    return min(largest, max(2, n_columns // 5))


def thinned(name: str, *, max_rows: int, max_columns: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A table with at most about ``max_rows`` rows, classes in their shares, and ``max_columns`` columns.

    Parameters
    ----------
    name : str
        As `lib.data.tables.table`.
    max_rows, max_columns : int
        Rows may be a few more, since every class keeps two.
    seed : int
        Of the draws.

    Returns
    -------
    ndarray of shape (n, d), float64, and ndarray of shape (n,), int64
        Rows and columns in their order.
    """
    whole = table(name)
    generator = np.random.default_rng([seed, 1])
    columns = np.sort(generator.permutation(whole.X.shape[1])[:max_columns])
    rows = np.arange(whole.y.size)
    if rows.size > max_rows:
        rows = half_samples(whole.y, n_resamples=1, fraction=max_rows / rows.size, generator=generator)[0]
    return whole.X[np.ix_(rows, columns)], whole.y[rows]


def play(
    name: str, *, max_rows: int, max_columns: int, largest: int, n_repeats: int, n_random: int, effort: float, seed: int
) -> dict[str, Tensor]:
    """All selectors on one table, for `lib.run.Run.trained`.

    Parameters
    ----------
    name, max_rows, max_columns
        As :func:`thinned`.
    largest
        As :func:`kept_columns`.
    n_repeats : int, >= 1
        Times the rows are cut into halves; every half chooses once and the other half judges.
    n_random : int, >= 20
        Draws of random columns for every half.
    effort
        As :func:`roster`.
    seed : int
        Of tables, halves, selectors and draws.

    Returns
    -------
    dict of Tensor, float64
        With s = 2 n_repeats: ``accuracy`` and ``cpu_s`` (selectors, s), ``stability`` (selectors,), ``random``
        (n_random, s) and ``all`` (s,) accuracies of the controls, and ``shape`` (rows, columns, classes, kept).

    Raises
    ------
    ValueError
        If there are fewer than 20 draws.
    """
    if n_random < LEAST_DRAWS:
        raise ValueError(f"n_random must be at least {LEAST_DRAWS}, got {n_random}; fewer do not show their spread")
    X, y = thinned(name, max_rows=max_rows, max_columns=max_columns, seed=seed)
    size = kept_columns(X.shape[1], largest=largest)
    halves = folds(y, n_splits=2, n_repeats=n_repeats, generator=np.random.default_rng([seed, 2]))
    found = {"accuracy": [], "cpu_s": [], "stability": []}  # type: dict[str, list[Any]]
    for place, entrant in enumerate(roster(size, effort=effort).values()):
        scores, seconds, chosen = _fits(entrant.selector, X, y, halves, size, np.random.default_rng([seed, 3, place]))
        for key, value in {"accuracy": scores, "cpu_s": seconds, "stability": nogueira(chosen).estimate}.items():
            found[key].append(value)
    blind = np.random.default_rng([seed, 4])
    draws = [
        [evaluate_columns(X, y, blind.permutation(X.shape[1])[:size], half)["accuracy"] for half in halves]
        for _ in range(n_random)
    ]
    every = [evaluate_columns(X, y, np.arange(X.shape[1]), half)["accuracy"] for half in halves]
    shape = [*X.shape, np.unique(y).size, size]
    results = {**found, RANDOM: draws, ALL: every, "shape": shape}
    return {key: torch.tensor(np.array(value), dtype=torch.float64) for key, value in results.items()}


def _fits(
    selector: Any, X: np.ndarray, y: np.ndarray, halves: list[Any], size: int, generator: np.random.Generator
) -> tuple[list[float], list[float], np.ndarray]:
    """Accuracy and processor seconds of every half, and what it chose, bool (halves, d)."""
    scores, seconds, chosen = [], [], np.zeros((len(halves), X.shape[1]), dtype=bool)
    for row, half in enumerate(halves):
        fresh = reseeded(selector, generator)
        start = time.process_time()
        with warnings.catch_warnings(action="ignore"):  # convergence and small classes: the same for all, stated
            fresh.fit(X[half.train], y[half.train])
        seconds.append(time.process_time() - start)
        chosen[row] = fresh.ranking_ <= size
        scores.append(evaluate_columns(X, y, chosen[row], half)["accuracy"])
    return scores, seconds, chosen


def league(results: Mapping[str, Mapping[str, Tensor]]) -> pd.DataFrame:
    """What :func:`play` returned for several tables, as one long table.

    Parameters
    ----------
    results : mapping of str to mapping of str to Tensor
        Name of the table to its tensors.

    Returns
    -------
    DataFrame
        One row per table, method and half: ``table, columns_per_row, method, kind, labels, half, accuracy`` (percent),
        ``gain`` (percentage points beyond the mean of the random draws of that half), ``stability`` (of the table, NaN
        for controls) and ``cpu_s`` (median over the halves, NaN for controls).
    """
    parts = []
    for name, tensors in results.items():
        values = {key: tensor.numpy() for key, tensor in tensors.items()}
        blind = 100 * values[RANDOM].mean(axis=0)  # (halves,)
        ratio = float(values["shape"][1] / values["shape"][0])
        entrants = [(method, one.kind, one.labels) for method, one in roster(1).items()]
        accuracy = [*(100 * values["accuracy"]), blind, 100 * values[ALL]]
        stability = [*values["stability"], np.nan, np.nan]
        seconds = [*np.median(values["cpu_s"], axis=1), np.nan, np.nan]
        everyone = [*entrants, (RANDOM, CONTROL, False), (ALL, CONTROL, False)]
        for place, (method, kind, labels) in enumerate(everyone):
            rows = pd.DataFrame({"half": np.arange(blind.size), "accuracy": accuracy[place]})
            about: dict[str, Any] = {
                "table": name,
                "columns_per_row": ratio,
                "method": method,
                "kind": kind,
                "labels": labels,
            }
            measured = {"gain": accuracy[place] - blind, "stability": stability[place], "cpu_s": seconds[place]}
            parts.append(rows.assign(**about, **measured))
    order = ["table", "columns_per_row", "method", "kind", "labels", "half", "accuracy", "gain", "stability", "cpu_s"]
    return pd.concat(parts, ignore_index=True)[order]
