"""What a run that nobody has made yet will cost: seconds of the CPU, with an interval, from runs that were made.

A notebook is the sum of its code cells, and a cell is a constant and one term of :mod:`lib.reproduce.cost_roles` (a
product of counts, times a power of the operations for one sample). Which term, and how much of the cell is constant, is
a grid of :data:`POINTS`: how well a point explains the cell's own small runs (smoke, and shares 0.3 and 0.6 of the way
to cpu, see :mod:`lib.reproduce.cost_receipts`) times how often the cells of the *other* notebooks have chosen it is its
chance. On this way each term grows in proportion to the share, in logarithms, so two small runs tell the terms apart.
Cells of less than :data:`LUMP` of a run are one cell. Draws of a point for each cell give the seconds of the notebook,
their median is the prediction, and the spread of their logarithms says how far the terms disagree.

The interval is calibrated, not assumed. Every run in the table is predicted from the smaller ones of its notebook
(smoke -> 0.3, 0.3 -> 0.6, 0.3 -> cpu, 0.6 -> cpu ...), and the error is divided by

    scale = sqrt(spread² + (REPEAT_SD * (1 + distance))²),    distance = |log(predicted / last measured run)|

The quantile of that over the other notebooks, where as many runs were known, times the scale is the half width of the
interval in logarithms (split conformal prediction). So it grows in proportion to the distance, also beyond what can be
checked, as in the paper profile; that it goes on growing at this rate there is an assumption.

CPU seconds, not wall: two runs at once on one machine, as receipts are made, slow each other down. A receipt counts
with what trainings that it found done took their maker. The median of measured over predicted of the other notebooks,
the *factor*, corrects what all receipts have in common, and nothing of what each has for itself; :func:`repeats` says
how far apart two runs of one key are, which is the error that no model can be without. A cpu run of the table (share 1)
takes the place of the receipt.

:func:`check` leaves one notebook out: its small runs predict its cpu run, and terms, factor and quantile come from the
others. A notebook without small runs, of which only the receipt is known, is taken for :data:`ALIKE` cells that took
the same and grow as those of the others do, with an interval that is calibrated on single runs.
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
from lib.reproduce.cost_roles import TERMS, change
from lib.reproduce.store import Layout

REPEAT_SD = 0.15  # of the logarithm of the CPU seconds of one key, from receipts that were made again
CELL_SD = 0.10  # of one cell, between small runs
SMOKE_SD = 0.30  # likewise of smoke, which has other data and networks
CLOCK_S = 0.03  # of any cell, whatever it takes
OUTLIER = 4.0  # standard deviations beyond which a run says no more
WITHIN = 0.30
COVERED = 0.80  # of the intervals hold what was measured
UNKNOWN, FEWEST = 1.5, 5  # quantile of the errors where fewer were measured; the factor is then 1
LUMP = 0.01
ALIKE = 8
MOST = 3
DRAWS = 400
EVEN = 0.2  # share of the chances that is the same for all points
CONSTANT = (0.0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 0.99)  # what hardly grows yet may grow most later
OPERATIONS = (0.5, 1.0)  # small networks wait more than they compute
_growing = itertools.product(range(1, len(TERMS)), CONSTANT, OPERATIONS)
POINTS = np.array([(0, 1.0, 1.0), *_growing])  # (points, 3): index of the term, constant share, exponent of operations


@dataclass(frozen=True)
class Run:
    """One measured run.

    Attributes
    ----------
    experiment : str
    share : float
        0 for smoke, 1 for cpu, between for a small run.
    seconds : float
        Of the CPU, in the notebook.
    memory_mb : float
        Peak of the process.
    parameters : mapping
    cells : tuple of float
        Seconds of each code cell; empty for a receipt, which does not tell them.
    """

    experiment: str
    share: float
    seconds: float
    memory_mb: float
    parameters: Mapping[str, Any]
    cells: tuple[float, ...] = ()


@dataclass(frozen=True)
class Model:
    """What the notebooks say about another one.

    Attributes
    ----------
    chances : ndarray, (points,)
        Of each of :data:`POINTS` for a cell that was not measured.
    factor : float
        Measured over predicted of cpu receipts, the median.
    widths : dict of float
        Quantile of the scaled errors, by how many runs of the notebook were known.
    notebooks : int
        Whose runs the fit has seen.
    """

    chances: np.ndarray
    factor: float
    widths: dict[int, float]
    notebooks: int


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
    factor : float
        In the estimate; 1 where the cpu run is one of the table.
    receipt : bool
        Whether it is not one of the table.
    """

    experiment: str
    share: float
    small: float
    estimate: Estimate
    measured: float
    factor: float
    receipt: bool

    @property
    def error(self) -> float:
        """Logarithm of predicted over measured."""
        return math.log(self.estimate.value / self.measured)


def runs(root: Path) -> dict[str, dict[float, Run]]:
    """Every measured run of a project, by experiment and share: those of the table, and other cpu receipts."""
    found: dict[str, dict[float, Run]] = {}
    for experiment, profile, folder in Layout(root).receipts():
        content = store.receipt(folder) if profile == "cpu" else None
        if content and content["outcome"] == "ok" and (content.get("seconds") or {}).get("cpu"):
            memory = content.get("peak_memory_mb") or math.nan
            made = Run(experiment, 1.0, store.alone_s(content, "cpu"), float(memory), content["parameters"])
            found.setdefault(experiment, {})[1.0] = made
    for row in cost_receipts.current(root)[0]:
        share, parameters, cells = float(row["share"]), json.loads(row["parameters"]), tuple(json.loads(row["cells"]))
        seconds, memory = float(row["cpu_seconds"]), float(row["peak_memory_mb"])
        made = Run(row["experiment"], share, seconds, memory, parameters, cells)
        found.setdefault(made.experiment, {})[share] = made
    return found


def repeats(root: Path) -> list[float]:
    """``log(table / receipt)`` of the CPU seconds of every cpu run that the table holds again, parameters the same."""
    rows, found = cost_receipts.current(root)[0], []
    for row in rows:
        content = store.receipt(Layout(root).report(row["experiment"], "cpu")) if float(row["share"]) == 1.0 else None
        if content and content["outcome"] == "ok" and content["parameters"] == json.loads(row["parameters"]):
            found.append(math.log(float(row["cpu_seconds"]) / store.alone_s(content, "cpu")))
    return found


def chain(taken: Mapping[float, Run], until: float = 1.0) -> list[Run]:
    """The runs of one notebook, the smallest first, up to a share."""
    return [run for share, run in sorted(taken.items()) if share <= until]


def _known(path: Sequence[Run]) -> int:
    """How many runs tell their cells, from 1 to :data:`MOST`: with one or none, growth was not seen."""
    return min(max(sum(bool(run.cells) for run in path), 1), MOST)


def _cells(path: Sequence[Run]) -> np.ndarray:
    """Seconds, (runs, cells): small cells as one; a run without cells has :data:`ALIKE` cells that take the same."""
    cells = np.array([run.cells or (run.seconds / ALIKE,) * ALIKE for run in path])
    small = cells.max(axis=0) < LUMP * cells.sum(axis=1).max()
    cells = np.column_stack([cells[:, ~small], cells[:, small].sum(axis=1)]) if small.any() else cells
    return np.asarray(np.maximum(cells, CLOCK_S))


def _growth(before: Run, parameters: Mapping[str, Any]) -> np.ndarray:
    """How a cell of each of :data:`POINTS` grows from a run, (points,)."""
    terms, sized = change(before.parameters, parameters)
    index, constant, exponent = POINTS.T
    return np.asarray(constant + (1 - constant) * np.exp(terms[index.astype(int)] + exponent * sized))


def _chances(path: Sequence[Run], before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of the cells in the last run, (cells,), and the chances of each, (cells, points)."""
    cells = _cells(path)
    likelihood = np.tile(np.log(before), (cells.shape[1], 1))
    for run, seconds in zip(path[:-1], cells[:-1], strict=True):
        left = np.log(seconds / cells[-1])[:, None] - np.log(_growth(path[-1], run.parameters))
        sd = np.hypot(CELL_SD if run.share else SMOKE_SD, CLOCK_S * np.hypot(1 / seconds, 1 / cells[-1]))
        likelihood -= 0.5 * np.minimum((left / sd[:, None]) ** 2, OUTLIER**2)
    chances = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    return cells[-1], chances / chances.sum(axis=1, keepdims=True)


def _grown(path: Sequence[Run], parameters: Mapping[str, Any], before: np.ndarray) -> tuple[float, float]:
    """Seconds of a run that was not made, before any correction, and the scale of their error in logarithms.

    Where the last run has no cells, those of the smaller ones say how it grows.
    """
    known = [run for run in path if run.cells] or path[-1:]
    seconds, chances = _chances(known, before)
    random = np.random.default_rng(0)
    drawn = np.array([random.choice(len(POINTS), size=DRAWS, p=own) for own in chances])  # (cells, draws)
    totals = seconds @ _growth(known[-1], parameters)[drawn]
    if known[-1] is not path[-1]:
        totals *= path[-1].seconds / (seconds @ _growth(known[-1], path[-1].parameters)[drawn])
    value = float(np.median(totals))
    distance = abs(math.log(value / path[-1].seconds))
    return value, math.hypot(float(np.std(np.log(totals))), REPEAT_SD * (1 + distance))


def _chosen(measured: Mapping[str, Mapping[float, Run]]) -> dict[str, np.ndarray]:
    """How often the cells of each notebook choose each point, by what they took; from its small runs."""
    even, found = np.full(len(POINTS), 1 / len(POINTS)), {}
    for name, taken in measured.items():
        path = [run for run in chain(taken) if run.cells and run.share < 1]
        if len(path) > 1:
            seconds, chances = _chances(path, even)
            found[name] = seconds @ chances / seconds.sum()
    return found


def _prior(chosen: Mapping[str, np.ndarray], without: str) -> np.ndarray:
    """Chances of the points for the cells of a notebook, (points,): what those of the others have chosen."""
    even = np.full(len(POINTS), 1 / len(POINTS))
    others = [own for name, own in chosen.items() if name != without]
    return EVEN * even + (1 - EVEN) * np.mean(others, axis=0) if others else even


@dataclass(frozen=True)
class _Tried:
    """A run that smaller ones have predicted.

    Attributes
    ----------
    known : int
        How many runs, as :func:`_known` counts them.
    receipt : bool
        Whether a receipt was predicted.
    error, scale : float
        Logarithm of measured over predicted, and what divides it.
    """

    known: int
    receipt: bool
    error: float
    scale: float


def _tried(taken: Mapping[float, Run], before: np.ndarray) -> list[_Tried]:
    """Predict every run of a notebook from those up to each smaller one, and from that one alone without its cells.

    Not from smoke alone: what is known of a notebook by one run is its receipt.
    """
    path, found = chain(taken), []
    for at, last in enumerate(path):
        for target in path[at + 1 :]:
            single = [[replace(last, cells=())]] if last.share else []
            for known in single + ([path[: at + 1]] if at else []):
                value, scale = _grown(known, target.parameters, before)
                error = math.log(target.seconds / value)
                found.append(_Tried(_known(known), not target.cells, error, scale))
    return found


def _model(chosen: Mapping[str, np.ndarray], tried: Mapping[str, Sequence[_Tried]], without: str = "") -> Model:
    """What all notebooks but one say: chances of the points, factor, and quantiles of the scaled errors."""
    others = [own for name, own in tried.items() if name != without]
    every = [one for own in others for one in own]
    crossed = [[one.error for one in own if one.known > 1 and one.receipt] for own in others]
    errors = [own[-1] for own in crossed if own]  # from all small runs
    factor = float(np.median(errors)) if len(errors) >= FEWEST else 0.0
    widths = dict[int, float]()
    for known in range(1, MOST + 1):
        scores = [abs(one.error - factor * one.receipt) / one.scale for one in every if one.known == known]
        rank = min(math.ceil((len(scores) + 1) * COVERED), len(scores))  # of a new case among those seen
        widths[known] = sorted(scores)[rank - 1] if len(scores) >= FEWEST else UNKNOWN
    return Model(_prior(chosen, without), math.exp(factor), widths, len(tried) - (without in tried))


def _evidence(
    measured: Mapping[str, Mapping[float, Run]],
) -> tuple[dict[str, np.ndarray], dict[str, list[_Tried]]]:
    """What :func:`_model` makes of runs."""
    chosen = _chosen(measured)
    return chosen, {name: _tried(taken, _prior(chosen, name)) for name, taken in measured.items() if len(taken) > 1}


def fit(measured: Mapping[str, Mapping[float, Run]]) -> Model:
    """What notebooks say about another one.

    Parameters
    ----------
    measured : mapping
        As :func:`runs` gives it.
    """
    return _model(*_evidence(measured))


def predict(model: Model, path: Sequence[Run], parameters: Mapping[str, Any], *, alone: bool = False) -> Estimate:
    """CPU seconds of a run that was not made, from the runs of the same notebook.

    Parameters
    ----------
    path : sequence of Run
        At least one, as :func:`chain` gives them.
    alone : bool
        Whether the run is made as those of the table are; else as the receipts were, and the factor corrects it.
    """
    value, scale = _grown(path, parameters, model.chances)
    width = model.widths[_known(path)] * scale
    value *= model.factor if path[-1].cells and not alone else 1.0
    return Estimate(value, value * math.exp(-width), value * math.exp(width))


def check(measured: Mapping[str, Mapping[float, Run]]) -> list[Held]:
    """Predict every cpu run that has small runs, from those up to each of them and from the *other* notebooks."""
    (chosen, tried), found = _evidence(measured), []
    for name, taken in sorted(measured.items()):
        smaller = [share for share in sorted(taken) if 0 < share < 1]
        if 1.0 not in taken or not smaller:
            continue
        model, cpu = _model(chosen, tried, name), taken[1.0]
        for share in smaller:
            estimate = predict(model, chain(taken, share), cpu.parameters, alone=bool(cpu.cells))
            factor, receipt = 1.0 if cpu.cells else model.factor, not cpu.cells
            found.append(Held(name, share, taken[share].seconds, estimate, cpu.seconds, factor, receipt))
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
