"""What a run that nobody has made yet will cost: seconds of the CPU, with an interval, from runs that were made.

A run at another scale takes

    seconds = start + (anchor - start) * sum over terms of share[term] * exp(change[term])

where *anchor* is a measured run of the same notebook, *start* the part of its smoke run that does not grow, and the
terms are those of :mod:`lib.reproduce.cost_roles`: products of counts (samples seen, questions asked, draws) and of the
operations for one sample. How the work of a notebook is divided between the terms is not known; the shares follow a
Dirichlet distribution, and its mean and concentration are weighed over a grid by how well they explain the notebooks
that were run at two scales, those of its own family above all. Each measured run of a notebook then sharpens its own
shares. A sum of terms is convex: far from the anchor the term that grows fastest decides, and the
interval is as wide as the terms disagree.

:func:`check` leaves one notebook out: a small run of it predicts its committed cpu receipt by what the *other*
notebooks say. CPU seconds, not wall: receipts are made beside other work, two hardware threads on one core slow each
other down, and one key has taken up to 1.7 times as long as on another day. :data:`REPEAT_SD` stands for that.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lib.reproduce import cost_receipts, store
from lib.reproduce.cost_roles import TERMS, change
from lib.reproduce.store import Layout

REPEAT_SD = 0.15  # of the logarithm of the CPU seconds of one key, from receipts that were made again
WITHIN = 0.30
LOW, HIGH = 0.1, 0.9  # the interval holds 80 of 100 cases
STEP = 0.2  # of the grid of mean shares
CONCENTRATIONS = (1.0, 3.0, 10.0, 30.0)
START_SHARES = (0.3, 0.5, 0.7, 0.9)
SLOWEST_OPERATIONS = 0.5  # exponent of the operations between this and 1: small networks wait more than they compute
DRAWS = 64
ELSEWHERE = 0.25  # how much a notebook of another family counts in the fit
OUTLIER = 4.0  # standard deviations beyond which a pair of runs says no more
LEAST = 0.1  # share of a run that grows, at least
NEGLIGIBLE = 1e-4


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
    """

    experiment: str
    share: float
    seconds: float
    memory_mb: float
    parameters: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The family of the notebook."""
        return self.experiment.split("/")[0]


@dataclass(frozen=True)
class Model:
    """A fitted cost model.

    Attributes
    ----------
    weights : dict of ndarray, (points, starts)
        How much each point of the grid counts, by family, and with the name "" for any other; they sum to 1.
    notebooks : int
        Whose runs the fit has seen.
    """

    weights: dict[str, np.ndarray]
    notebooks: int


@dataclass(frozen=True)
class Estimate:
    """A quantity with an interval that should hold it in 80 of 100 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Held:
    """One held-out cpu receipt and what a small run of the same notebook said about it."""

    experiment: str
    share: float
    small: float
    estimate: Estimate
    measured: float

    @property
    def error(self) -> float:
        """Logarithm of predicted over measured."""
        return math.log(self.estimate.value / self.measured)


def runs(root: Path) -> dict[str, dict[float, Run]]:
    """Every measured run of a project, by experiment and share: the small ones of the table, and the cpu receipts."""
    found: dict[str, dict[float, Run]] = {}
    for row in cost_receipts.read(root):
        share, parameters = float(row["share"]), json.loads(row["parameters"])
        made = Run(row["experiment"], share, float(row["cpu_seconds"]), float(row["peak_memory_mb"]), parameters)
        found.setdefault(made.experiment, {})[share] = made
    for experiment, profile, folder in Layout(root).receipts():
        content = store.receipt(folder) if profile == "cpu" else None
        if content and content["outcome"] == "ok" and (content.get("seconds") or {}).get("cpu"):
            seconds, memory = content["seconds"]["cpu"], content.get("peak_memory_mb") or math.nan
            made = Run(experiment, 1.0, float(seconds), float(memory), content["parameters"])
            found.setdefault(experiment, {})[1.0] = made
    return found


def chain(taken: Mapping[float, Run], until: float = 1.0) -> list[Run]:
    """The runs of one notebook, the smallest first, up to a share."""
    return [run for share, run in sorted(taken.items()) if share <= until]


@cache
def _drawn() -> np.ndarray:
    """Shares of the terms, (points, draws, terms), drawn once: a point is a mean and a concentration."""
    steps = round(1 / STEP)
    means = [point for point in itertools.product(range(steps + 1), repeat=len(TERMS)) if sum(point) == steps]
    shapes = np.array([wide * (np.array(mean) / steps + 0.02) for mean in means for wide in CONCENTRATIONS])
    drawn = np.random.default_rng(0).gamma(shapes[:, None], size=(len(shapes), DRAWS, len(TERMS))) + 1e-12
    return drawn / drawn.sum(axis=2, keepdims=True)


def _walk(path: Sequence[Run], start_share: float, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow runs of one notebook from the smallest: how well draws of shares explain them, and the shares at the last.

    Returns
    -------
    ndarray, (draws,)
        Log-likelihood.
    ndarray, (draws, terms)
        Shares at the last run: the term that grew fastest has gained.
    """
    start, likelihood = start_share * path[0].seconds if path[0].share == 0 else 0.0, np.zeros(len(shares))
    exponent = _exponents(len(shares))
    for before, after in itertools.pairwise(path):
        terms, sized = change(before.parameters, after.parameters)
        grown = shares * np.exp(terms + exponent[:, None] * sized)
        factor = grown.sum(axis=1)
        took = [max(run.seconds - start, LEAST * run.seconds) for run in (before, after)]
        # an error of the whole run weighs more on the part of it that grows
        sd = REPEAT_SD * math.hypot(before.seconds / took[0], after.seconds / took[1])
        left = (math.log(took[1] / took[0]) - np.log(factor)) / sd
        likelihood -= 0.5 * np.minimum(left**2, OUTLIER**2) + math.log(sd)
        shares = grown / factor[:, None]
    return likelihood, shares


@cache
def _exponents(n: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(SLOWEST_OPERATIONS, 1.0, size=n)


def _likelihoods(chains: Sequence[Sequence[Run]]) -> np.ndarray:
    """Log-likelihood of the runs of each notebook, (points, starts, notebooks)."""
    drawn = _drawn()
    found = np.empty((len(drawn), len(START_SHARES), len(chains)))
    for column, path in enumerate(chains):
        for index, start in enumerate(START_SHARES):
            likelihood, _ = _walk(path, start, drawn.reshape(-1, len(TERMS)))
            found[:, index, column] = np.logaddexp.reduce(likelihood.reshape(-1, DRAWS), axis=1) - math.log(DRAWS)
    return found


def _model(likelihoods: np.ndarray, family: Sequence[str]) -> Model:
    def weighed(own: str) -> np.ndarray:
        counts = np.array([1.0 if name == own else ELSEWHERE for name in family])
        total = likelihoods @ counts if len(counts) else np.zeros(likelihoods.shape[:2])
        weights = np.exp(total - total.max())
        return np.asarray(weights / weights.sum())

    return Model({name: weighed(name) for name in {*family, ""}}, len(family))


def fit(chains: Sequence[Sequence[Run]]) -> Model:
    """Weigh the points of the grid by how well they explain the runs of notebooks; none leaves them equal.

    Parameters
    ----------
    chains : sequence of sequence of Run
        As :func:`chain` gives them.
    """
    return _model(_likelihoods(chains), [path[0].family for path in chains])


def predict(model: Model, path: Sequence[Run], parameters: Mapping[str, Any]) -> Estimate:
    """CPU seconds of a run that was not made, from the runs of the same notebook.

    Parameters
    ----------
    path : sequence of Run
        At least one, as :func:`chain` gives them; the last is the anchor.
    """
    weights = model.weights.get(path[0].family, model.weights[""])
    chance, values, counts = np.random.default_rng(0), [], []
    terms, sized = change(path[-1].parameters, parameters)
    for index, start in enumerate(START_SHARES):
        points = np.flatnonzero(weights[:, index] > NEGLIGIBLE)
        likelihood, shares = _walk(path, start, _drawn()[points].reshape(-1, len(TERMS)))
        factor = (shares * np.exp(terms + _exponents(len(shares))[:, None] * sized)).sum(axis=1)
        factor *= np.exp(math.sqrt(2) * REPEAT_SD * chance.standard_normal(len(shares)))
        anchor, begins = path[-1].seconds, start * path[0].seconds if path[0].share == 0 else 0.0
        grows = max(anchor - begins, LEAST * anchor)
        values.append(anchor - grows + grows * factor)
        counts.append(likelihood + np.repeat(np.log(weights[points, index]), DRAWS))
    return _quantiles(np.concatenate(values), np.concatenate(counts))


def _quantiles(values: np.ndarray, likelihood: np.ndarray) -> Estimate:
    """The median and the interval of weighed draws."""
    order = np.argsort(values)
    total = np.cumsum(np.exp(likelihood[order] - likelihood.max()))
    low, middle, high = (float(values[order][np.searchsorted(total, at * total[-1])]) for at in (LOW, 0.5, HIGH))
    return Estimate(middle, low, high)


def check(measured: Mapping[str, Mapping[float, Run]]) -> list[Held]:
    """Predict every cpu receipt that has a small run, from the runs up to that one and from the *other* notebooks."""
    names = sorted(name for name, taken in measured.items() if len(taken) > 1)
    likelihoods, found = _likelihoods([chain(measured[name]) for name in names]), []
    for column, name in enumerate(names):
        taken = measured[name]
        model = _model(
            np.delete(likelihoods, column, axis=2), [other.split("/")[0] for other in names if other != name]
        )
        for share in sorted(share for share in taken if 0 < share < 1 and 1.0 in taken):
            estimate = predict(model, chain(taken, share), taken[1.0].parameters)
            found.append(Held(name, share, taken[share].seconds, estimate, taken[1.0].seconds))
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
