"""The cases of chest X-rays: AUC of many findings under resampled patients, and how the generator of films grows.

Targets are those set before anything was timed: the clustered bootstrap is to be twenty times a loop over draws with
scikit-learn, with equal AUCs to 1e-12; films are to cost the same per pixel and per film whatever their size and
number, to within a tenth. The rows of the growth cases also say how many films are made in a second.

Conventions: the table of scores has the shape of ChestX-ray14 (rows, patients, findings and their rarity), its values
are drawn. The peer makes a few of the same draws, and rates are compared per draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from lib import resampling
from lib.bench.harness import AnotherJob, Case, Pair
from lib.data import thorax
from lib.data.radiographs import Radiographs
from lib.measure.clustered_auc import AucDraws, auc_draws

EQUAL = 1e-12
BOOTSTRAP_TARGET = 20.0
GROWTH_TARGET = 0.9  # linear to within a tenth
SCIKIT_LEARN = "scikit-learn's roc_auc_score on copied rows, draw by draw"
RAREST, COMMONEST = 0.002, 0.18  # share of positives
GROUPINGS = {"sex": 2, "view": 2, "age": 4}  # groups of each


@dataclass(frozen=True)
class Sizes:
    """How large the cases are; the peer's numbers are the smaller ones."""

    rows: int = 112_120
    patients: int = 30_805
    findings: int = 14
    draws: int = 2000
    draws_peer: int = 2
    pixels: tuple[int, int] = (64, 128)  # sides of the films whose cost per pixel is compared
    films: tuple[int, int] = (32, 256)  # numbers of films whose cost per film is compared
    batch: int = 32


@dataclass(frozen=True)
class Table:
    """Scores, truth, the patient of each row, and the group of each row by grouping."""

    scores: pd.DataFrame
    positive: pd.DataFrame
    patients: NDArray[np.int64]
    groupings: Mapping[str, NDArray[np.int64]]


def cases(sizes: Sizes | None = None) -> list[Case]:
    """All cases, in the order of the table."""
    sizes = sizes or Sizes()
    return [bootstrap(sizes), more_pixels(sizes), more_films(sizes)]


def bootstrap(sizes: Sizes) -> Case:
    """AUC of every finding in every group under resampled patients, beside scikit-learn on copied rows."""

    def setup() -> Pair:
        table = drawn_table(sizes)
        return Pair(lambda: ours(table, sizes.draws), lambda: by_copies(table, sizes.draws_peer), _equal_aucs)

    return Case(
        f"clustered AUCs, {sizes.rows:,} rows, {sizes.findings} findings, {len(GROUPINGS)} groupings", "draws",
        sizes.draws, BOOTSTRAP_TARGET, SCIKIT_LEARN, setup, peer_amount=sizes.draws_peer,
    )  # fmt: skip


def more_pixels(sizes: Sizes) -> Case:
    """Films of more pixels beside films of fewer: 1 = the cost of a pixel does not grow with their number."""
    few, many = sizes.pixels
    n = sizes.films[0]
    return _growth(f"films of {many} px beside {few} px, per pixel", "pixels", (n, many), (n, few), sizes.batch)


def more_films(sizes: Sizes) -> Case:
    """Many films beside few, per film: 1 = the cost of a film does not grow with their number."""
    few, many = sizes.films
    side = sizes.pixels[1]
    return _growth(f"{many} films of {side} px beside {few}, per film", "films", (many, side), (few, side), sizes.batch)


def _growth(name: str, unit: str, larger: tuple[int, int], smaller: tuple[int, int], batch: int) -> Case:
    """Make films of the same patients twice: numbers of films and sides of ours and of the peer."""

    def setup() -> Pair:
        patients = thorax.sample_patients(max(larger[0], smaller[0]), rng=np.random.default_rng(0))
        few = min(larger[0], smaller[0])

        def made(films: int, side: int) -> Radiographs:
            return thorax.render(patients.iloc[:films], size=side, batch=batch)

        def agree(many: Radiographs, other: Radiographs) -> None:
            if not many.findings.iloc[:few].equals(other.findings.iloc[:few]):
                raise AnotherJob("both sides must show the same patients, got different findings")
            if many.x.shape[-1] == other.x.shape[-1] and not many.x[:few].equal(other.x[:few]):
                raise AnotherJob("a patient's film must not depend on the number of films, got different pixels")

        return Pair(lambda: made(*larger), lambda: made(*smaller), agree)

    amounts = [films * (side**2 if unit == "pixels" else 1) for films, side in (larger, smaller)]
    return Case(name, unit, amounts[0], GROWTH_TARGET, "ours", setup, peer_amount=amounts[1])


def drawn_table(sizes: Sizes) -> Table:
    """A table of the shape of ChestX-ray14: few patients with many films, rare and common findings, no tied scores."""
    rng = np.random.default_rng(0)
    more = sizes.rows - sizes.patients
    patients = np.r_[np.arange(sizes.patients), (sizes.patients * rng.random(more) ** 3).astype(np.int64)]
    names = [f"finding {number}" for number in range(sizes.findings)]
    share = np.geomspace(RAREST, COMMONEST, sizes.findings)
    positive = (rng.random((sizes.rows, sizes.findings)) < share).astype(np.int64)
    scores = positive + rng.standard_normal(positive.shape)
    groupings = {name: rng.integers(groups, size=sizes.rows) for name, groups in GROUPINGS.items()}
    return Table(pd.DataFrame(scores, columns=names), pd.DataFrame(positive, columns=names), patients, groupings)


def ours(table: Table, draws: int) -> AucDraws:
    """All draws at once; the generator is that of the peer."""
    rng = np.random.default_rng(1)
    return auc_draws(table.scores, table.positive, table.patients, table.groupings, generator=rng, n_boot=draws)


def by_copies(table: Table, draws: int) -> NDArray[np.float64]:
    """The same draws by copying rows and asking scikit-learn for each AUC, shape (draws, findings x groups)."""
    found = []
    for rows in resampling.resample_rows(table.patients, n_boot=draws, generator=np.random.default_rng(1)):
        aucs = []
        for name in table.scores.columns:
            score, truth = table.scores[name].to_numpy()[rows], table.positive[name].to_numpy()[rows]
            for grouping in table.groupings.values():
                group = grouping[rows]
                aucs += [roc_auc_score(truth[group == one], score[group == one]) for one in np.unique(grouping)]
        found.append(aucs)
    return np.array(found)


def _equal_aucs(ours: AucDraws, peer: NDArray[np.float64]) -> None:
    apart = np.abs(ours.draws[: len(peer)] - peer).max()
    if not apart <= EQUAL:  # NaN is a difference too
        raise AnotherJob(f"AUCs of the same draws must be equal to {EQUAL:g}, got {apart:.2g} apart")
