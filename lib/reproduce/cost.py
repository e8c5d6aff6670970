"""What a run that nobody has made yet will cost: seconds of the CPU, with an interval, from runs that were made.

A notebook is the sum of its code cells. A cell is a sum of a constant and at most :data:`MOST_TERMS` terms of
:mod:`lib.reproduce.cost_roles` (products of counts, times a power of the operations for one sample), each with a
coefficient above 0. Every such sum is fitted to the cell's own small runs by least squares of the relative errors, and
the sums are averaged: the chance of one is exp(-BIC / 2), BIC = misfit + log(runs) x coefficients, shared among all
sums of as many terms (Raftery 1995, *Sociological Methodology* 25). Draws of a sum for each cell give the seconds of
the notebook, their median is the prediction, and the spread of their logarithms says how far the sums disagree. Cells
of less than :data:`LUMP` of a run are one cell.

The small runs (see :mod:`lib.reproduce.cost_receipts`) are smoke, shares 0.3 and 0.6 of the way to cpu, and mixed ones,
which tell apart what a cell multiplies. Smoke, which has other data and networks, counts where there are fewer than
:data:`ENOUGH` others.

The interval is calibrated, not assumed. Every run that is not mixed is predicted from the smaller ones of its notebook
(smoke and 0.3 -> 0.6, ... -> cpu), and the error is divided by

    scale = sqrt(spread² + (REPEAT_SD * (1 + distance))²),    distance = |log(predicted / last measured run)|

The quantile of that over the other notebooks, where as many shares were known, times the scale is the half width of the
interval in logarithms (split conformal prediction). So it grows in proportion to the distance, also beyond what can be
checked, as in the paper profile; that it goes on growing at this rate there is an assumption.

CPU seconds, not wall: two runs at once on one machine, as receipts are made, slow each other down. A receipt counts
with what trainings that it found done took their maker. :func:`repeats` says how far apart two runs of one key are,
which is the error that no model can be without. A cpu run of the table (share 1) takes the place of the receipt.

:func:`check` leaves one notebook out: its small runs predict its cpu run, and quantiles come from the others. Where
only the receipt is known, a notebook is taken for :data:`ALIKE` cells that took the same and follow any of the terms,
with an interval that is calibrated on single runs.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lib.reproduce import cost_receipts, store
from lib.reproduce.cost_receipts import Design
from lib.reproduce.cost_roles import growth, moved, operations, terms
from lib.reproduce.store import Layout

REPEAT_SD = 0.15  # of the logarithm of the CPU seconds of one key, from receipts that were made again
CELL_SD = 0.10  # of one cell, between small runs
SMOKE_SD = 0.30  # likewise of smoke, which has other data and networks
CLOCK_S = 0.03  # of any cell, whatever it takes
WITHIN = 0.30
COVERED = 0.80  # of the intervals hold what was measured
UNKNOWN, FEWEST = 1.5, 5  # quantile of the errors where fewer were measured
LUMP = 0.01
MOST_TERMS = 2
ENOUGH = 3  # runs beside smoke, whose data and networks are others: with so many it counts no more
TINY = 1e-9
ALIKE = 8
MOST = 3
DRAWS = 300
OPERATIONS = (0.5, 0.75, 1.0)  # exponents; small networks wait more than they compute
CPU = Design(1.0)


@dataclass(frozen=True)
class Run:
    """One measured run.

    Attributes
    ----------
    experiment : str
    design : Design
        Share 0 for smoke, 1 for cpu, between for a small run.
    seconds : float
        Of the CPU, in the notebook.
    memory_mb : float
        Peak of the process; NaN for a run that found trainings done, which take memory.
    parameters : mapping
    cells : tuple of float
        Seconds of each code cell; empty for a receipt, which does not tell them.
    """

    experiment: str
    design: Design
    seconds: float
    memory_mb: float
    parameters: Mapping[str, Any]
    cells: tuple[float, ...] = ()


@dataclass(frozen=True)
class Model:
    """What the notebooks say about another one.

    Attributes
    ----------
    widths : dict of float
        Quantile of the scaled errors, by how many shares of the notebook were known.
    """

    widths: dict[int, float]


@dataclass(frozen=True)
class Estimate:
    """A quantity with an interval that should hold it in 80 of 100 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Held:
    """One held-out cpu run and what the small runs of the same notebook said about it.

    Attributes
    ----------
    experiment : str
    share, small : float
        Of the last small run, and its seconds.
    estimate : Estimate
    measured : float
        Seconds.
    receipt : bool
        Whether it is not one of the table.
    """

    experiment: str
    share: float
    small: float
    estimate: Estimate
    measured: float
    receipt: bool

    @property
    def error(self) -> float:
        """Logarithm of predicted over measured."""
        return math.log(self.estimate.value / self.measured)


def runs(root: Path) -> dict[str, dict[Design, Run]]:
    """Every measured run of a project, by experiment and design: those of the table, and other cpu receipts."""
    found: dict[str, dict[Design, Run]] = {}
    for experiment, profile, folder in Layout(root).receipts():
        content = store.receipt(folder) if profile == "cpu" else None
        if content and content["outcome"] == "ok" and (content.get("seconds") or {}).get("cpu"):
            memory = math.nan if store.found_trainings(content) else float(content.get("peak_memory_mb") or math.nan)
            made = Run(experiment, CPU, store.alone_s(content, "cpu"), memory, content["parameters"])
            found.setdefault(experiment, {})[CPU] = made
    for row in cost_receipts.current(root)[0]:
        parameters, cells = json.loads(row["parameters"]), tuple(json.loads(row["cells"]))
        seconds, memory = float(row["cpu_seconds"]), float(row["peak_memory_mb"])
        made = Run(row["experiment"], cost_receipts.design(row), seconds, memory, parameters, cells)
        found.setdefault(made.experiment, {})[made.design] = made
    return found


def repeats(root: Path) -> list[float]:
    """``log(table / receipt)`` of the CPU seconds of every cpu run that the table holds again, parameters the same."""
    rows, found = cost_receipts.current(root)[0], []
    for row in rows:
        content = store.receipt(Layout(root).report(row["experiment"], "cpu"))
        if cost_receipts.design(row) != CPU or not content or content["outcome"] != "ok":
            continue
        if content["parameters"] == json.loads(row["parameters"]):
            found.append(math.log(float(row["cpu_seconds"]) / store.alone_s(content, "cpu")))
    return found


def chain(taken: Mapping[Design, Run], until: float = 1.0) -> list[Run]:
    """The runs of one notebook up to a share, the smallest first and of each share the mixed ones first."""
    found = (run for design, run in taken.items() if design.share <= until)
    return sorted(found, key=lambda run: (run.design.share, not run.design.mix, run.design.mix))


def _known(path: Sequence[Run]) -> int:
    """How many shares tell their cells, from 1 to :data:`MOST`: with one or none, growth was not seen."""
    return min(max(len({run.design.share for run in path if run.cells}), 1), MOST)


def _cells(path: Sequence[Run]) -> np.ndarray:
    """Seconds, (runs, cells): small cells as one; a run without cells has :data:`ALIKE` cells that take the same."""
    cells = np.array([run.cells or (run.seconds / ALIKE,) * ALIKE for run in path])
    small = cells.max(axis=0) < LUMP * cells.sum(axis=1).max()
    cells = np.column_stack([cells[:, ~small], cells[:, small].sum(axis=1)]) if small.any() else cells
    return np.asarray(np.maximum(cells, CLOCK_S))


def _sums(count: int) -> list[list[np.ndarray]]:
    """The sums of some of so many terms, of which the first is the constant.

    Returns
    -------
    list of list of ndarray, (sums, coefficients)
        Indices of terms; outer: by how many terms beside the constant, inner: without it and with it.
    """
    found = [[np.zeros((1, 1), dtype=int)]]
    for size in range(1, min(MOST_TERMS, count - 1) + 1):
        chosen = np.array(list(itertools.combinations(range(1, count), size)))
        found.append([chosen, np.column_stack([np.zeros(len(chosen), dtype=int), chosen])])
    return found


def _fitted(
    terms_at: np.ndarray, seconds: np.ndarray, sds: np.ndarray, sums: Sequence[Sequence[np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Fit every sum to one cell.

    Parameters
    ----------
    terms_at : ndarray, (runs, terms)
        The terms in each run.
    seconds, sds : ndarray, (runs,)
        Of the cell, and standard deviations of their logarithms.
    sums : sequence
        As :func:`_sums` gives them.

    Returns
    -------
    ndarray, (sums, terms); ndarray, (sums,)
        Coefficients of the sums whose coefficients are all above 0, and the chance of each.
    """
    scaled = terms_at / (sds * seconds)[:, None]
    products, goal = scaled.T @ scaled, scaled.T @ (1 / sds)
    products += np.diag(TINY * np.diag(products))  # of two terms that the runs cannot tell apart each gets half
    found, worth = [], []
    for alike in sums:
        among = math.log(sum(map(len, alike)))
        for chosen in alike:
            fitted = np.linalg.solve(products[chosen[:, :, None], chosen[:, None, :]], goal[chosen][..., None])[..., 0]
            misfit = np.sum(sds**-2.0) - np.sum(fitted * goal[chosen], axis=1)
            coefficients = np.zeros((len(chosen), terms_at.shape[1]))
            np.put_along_axis(coefficients, chosen, fitted, axis=1)
            above = (fitted > 0).all(axis=1)
            found.append(coefficients[above])
            worth.append((-0.5 * (misfit + math.log(len(seconds)) * chosen.shape[1]) - among)[above])
    chances = np.exp(np.concatenate(worth) - max(map(np.max, filter(len, worth))))
    return np.concatenate(found), chances / chances.sum()


def _drawn(path: Sequence[Run], wanted: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Seconds of runs that were not made, (draws, wanted). Each cell of a single run follows any one term."""
    last, random = path[-1].parameters, np.random.default_rng(0)
    every = [*(run.parameters for run in path), *wanted]
    among = terms(moved(every))
    sums, cells = _sums(len(among)), _cells(path)
    sd = np.array([CELL_SD if run.design.share else SMOKE_SD for run in path])
    found = []
    sized = {round(operations(parameters), 9) for parameters in every}
    for exponent in OPERATIONS if len(sized) > 1 else (1.0,) * len(OPERATIONS):
        grown = np.array([growth(among, last, parameters, exponent) for parameters in every])
        known, asked = np.split(grown, [len(path)])
        drawn = np.zeros((DRAWS // len(OPERATIONS), len(wanted)))
        for seconds in cells.T:
            if len(path) > 1:
                coefficients, chances = _fitted(known, seconds, np.hypot(sd, CLOCK_S / seconds), sums)
                totals = coefficients @ asked.T
            else:
                totals, chances = seconds * asked.T, np.full(len(among), 1 / len(among))
            drawn += totals[random.choice(len(totals), size=len(drawn), p=chances)]
        found.append(drawn)
    return np.concatenate(found)


def _grown(path: Sequence[Run], parameters: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds of a run that was not made, and the scale of their error in logarithms.

    The last run is met: where it has no cells, those of the smaller ones say how it grows.
    """
    known, last = [run for run in path if run.cells] or path[-1:], path[-1]
    beside = [run for run in known if run.design.share]
    known = beside if len(beside) >= ENOUGH else known
    totals, met = _drawn(known, [parameters, last.parameters]).T
    totals = totals * last.seconds / met
    value = float(np.median(totals))
    distance = abs(math.log(value / last.seconds))
    return value, math.hypot(float(np.std(np.log(totals))), REPEAT_SD * (1 + distance))


@dataclass(frozen=True)
class Tried:
    """A run that smaller ones have predicted.

    Attributes
    ----------
    known : int
        How many shares, as :func:`_known` counts them.
    error, scale : float
        Logarithm of measured over predicted, and what divides it.
    """

    known: int
    error: float
    scale: float


def _tried(taken: Mapping[Design, Run]) -> list[Tried]:
    """Predict every run of a notebook from those up to each smaller share, and from a single one without its cells.

    Not from smoke alone: what is known of a notebook by one run is its receipt.
    """
    even, found = [run for run in chain(taken) if not run.design.mix], []
    for at, last in enumerate(even):
        for target in even[at + 1 :]:
            single = [[replace(last, cells=())]] if last.design.share else []
            for known in single + ([chain(taken, last.design.share)] if at else []):
                value, scale = _grown(known, target.parameters)
                found.append(Tried(_known(known), math.log(target.seconds / value), scale))
    return found


def tried(measured: Mapping[str, Mapping[Design, Run]]) -> dict[str, list[Tried]]:
    """Every run that smaller ones of its notebook predict, by experiment; takes seconds."""
    return {name: _tried(taken) for name, taken in measured.items() if len(taken) > 1}


def fit(every: Mapping[str, Sequence[Tried]], without: str = "") -> Model:
    """What all notebooks but one say about another one: quantiles of the scaled errors.

    Parameters
    ----------
    every : mapping
        As :func:`tried` gives it.
    without : str
        The experiment that is left out.
    """
    scored = [one for name, own in every.items() for one in own if name != without]
    widths = dict[int, float]()
    for known in range(1, MOST + 1):
        scores = [abs(one.error) / one.scale for one in scored if one.known == known]
        rank = min(math.ceil((len(scores) + 1) * COVERED), len(scores))  # of a new case among those seen
        widths[known] = sorted(scores)[rank - 1] if len(scores) >= FEWEST else UNKNOWN
    return Model(widths)


def predict(model: Model, path: Sequence[Run], parameters: Mapping[str, Any]) -> Estimate:
    """CPU seconds of a run that was not made, from the runs of the same notebook.

    Parameters
    ----------
    path : sequence of Run
        At least one, as :func:`chain` gives them.
    """
    value, scale = _grown(path, parameters)
    width = model.widths[_known(path)] * scale
    return Estimate(value, value * math.exp(-width), value * math.exp(width))


def check(measured: Mapping[str, Mapping[Design, Run]], every: Mapping[str, Sequence[Tried]]) -> list[Held]:
    """Predict every cpu run that has small runs, from those up to each share; intervals by the *other* notebooks.

    Parameters
    ----------
    measured, every : mapping
        As :func:`runs` and :func:`tried` give them.
    """
    found = []
    for name, taken in sorted(measured.items()):
        smaller = [run for run in chain(taken) if 0 < run.design.share < 1 and not run.design.mix]
        if CPU not in taken or not smaller:
            continue
        model, cpu = fit(every, name), taken[CPU]
        for last in smaller:
            estimate = predict(model, chain(taken, last.design.share), cpu.parameters)
            found.append(Held(name, last.design.share, last.seconds, estimate, cpu.seconds, not cpu.cells))
    return found


def baseline(held: Sequence[Held]) -> list[float]:
    """Errors of a guess that looks at no small run: the median of the other cpu receipts. A model must beat it."""
    known = {one.experiment: one.measured for one in held}
    rest = {name: [own for other, own in known.items() if other != name] for name in known}
    return [math.log(float(np.median(rest[name])) / own) for name, own in known.items() if rest[name]]


def skill(errors: Sequence[float]) -> tuple[float, float]:
    """Median of ``|log(predicted / measured)|`` and the share within 30 percent.

    Examples
    --------
    >>> skill([0.0, 0.1, -1.0])[0]
    0.1
    """
    within = [math.log(1 - WITHIN) <= error <= math.log(1 + WITHIN) for error in errors]
    return float(np.median(np.abs(errors))), float(np.mean(within))
