"""The cases of column selection: scores and greedy picks beside their public Python forms, sparse training, distances.

Targets are those set before anything was timed. A public form that loops over pairs or candidates in Python is given a
smaller table (`Case.peer_amount`) and rates are compared per pair or candidate: what it does beyond its loops (an
inverse, eigenvalues) grows faster than that, so the smaller table is to its advantage. Before timing, both sides must
agree on a table of the peer's size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from lib.bench import alike, published_selection, setting
from lib.bench.harness import AnotherJob, Case, Pair
from lib.models.sparse_autoencoder import SparseAutoencoder, train_epoch
from lib.select.discretised import discretise
from lib.select.inf_fs import inf_fs
from lib.select.joint_distance_correlation import joint_scores
from lib.select.mutual_information import greedy_information
from lib.select.outrank import cardinality_information

ROWS = 100  # of the tables for Inf-FS, whose cost is that of their columns
SCIKIT_FEATURE = "jundongl/scikit-feature 3db8392, stated anew"


@dataclass(frozen=True)
class Sizes:
    """How large the cases are; the peer's tables are the smaller ones."""

    paths: int = 5000
    paths_peer: int = 1000
    growth: tuple[int, int] = (1000, 8000)
    picks: tuple[int, int, int] = (1000, 500, 50)  # rows, columns, picks
    picks_peer: tuple[int, int, int] = (1000, 60, 6)
    events: int = 1_000_000
    cardinalities: tuple[int, ...] = (10, 1000)
    sparse: tuple[tuple[int, int], ...] = ((2000, 500), (1000, 5000))  # rows, columns
    distances: tuple[int, int, int] = (2048, 5, 6)  # rows, columns selected, candidates


def cases(sizes: Sizes | None = None) -> list[Case]:
    """All cases, in the order of the table; also those whose peer is not installed, see `Case.needs`."""
    sizes = sizes or Sizes()
    found = [infinite_paths(sizes), growth(sizes)]
    found += [information(name, sizes) for name in ("mrmr", "jmi", "cmim")]
    found += [cardinality(values, sizes.events) for values in sizes.cardinalities]
    found += [sparse_epoch(rows, columns) for rows, columns in sizes.sparse]
    return [*found, joint_distances(sizes)]


def infinite_paths(sizes: Sizes) -> Case:
    """Inf-FS of 2015 beside the loops over pairs, the eigenvalues and the inverse of PyIFS."""
    peer = partial(published_selection.infinite_paths, alpha=0.5)
    return _paths(
        f"Inf-FS, {sizes.paths:,} columns", 20.0, "PyIFS 0.0.3, stated anew", sizes.paths, sizes.paths_peer, peer
    )


def growth(sizes: Sizes) -> Case:
    """Inf-FS beside itself on fewer columns: 1 = the cost of a pair does not grow with their number."""
    few, many = sizes.growth
    return _paths(f"Inf-FS, {many:,} columns beside {few:,}, per pair", 1.0, "ours", many, few, inf_fs)


def _paths(
    name: str, target: float, version: str, columns: int, peer_columns: int, method: Callable[[np.ndarray], np.ndarray]
) -> Case:
    def setup() -> Pair:
        table = _numbers(ROWS, columns)
        small = table[:, :peer_columns]

        def agree(_: np.ndarray, other: np.ndarray) -> None:
            _equal(inf_fs(small), other, what="scores of the smaller table", tolerance=1e-7)

        return Pair(lambda: inf_fs(table), lambda: method(small), agree)

    return Case(name, "pairs", columns**2, target, version, setup, peer_amount=peer_columns**2)


def information(criterion: str, sizes: Sizes) -> Case:
    """Greedy selection by mRMR, JMI or CMIM from codes; the work is the candidates looked at."""
    (rows, columns, picks), (few_rows, few_columns, few_picks) = sizes.picks, sizes.picks_peer

    def setup() -> Pair:
        table, y = _classes(rows, columns)
        small, labels = _classes(few_rows, few_columns)
        codes, few = discretise(table), discretise(small)
        values = few.values.astype(np.int64)

        def agree(_: np.ndarray, other: np.ndarray) -> None:
            found = greedy_information(few, labels, size=few_picks, criterion=criterion).order
            if not np.array_equal(found, other):
                raise AnotherJob(f"the picks must be the same, got {found} and {other}")

        return Pair(
            lambda: greedy_information(codes, y, size=picks, criterion=criterion).order,
            lambda: published_selection.information_order(values, labels, size=few_picks, criterion=criterion),
            agree,
        )

    name = {"mrmr": "mRMR", "jmi": "JMI", "cmim": "CMIM"}[criterion]
    return Case(
        f"{name}, {rows:,} x {columns}, {picks} picks", "candidates", _looked_at(columns, picks), 50.0, SCIKIT_FEATURE,
        setup, peer_amount=_looked_at(few_columns, few_picks),
    )  # fmt: skip


def _looked_at(columns: int, picks: int) -> int:
    """Candidates in all steps together."""
    return sum(columns - step for step in range(picks))


def cardinality(values: int, events: int) -> Case:
    """Information against OutRank's shifted background, of one column with so many values about a binary target."""

    def setup() -> Pair:
        from outrank.algorithms.feature_ranking.ranking_mi_numba import mutual_info_estimator_numba

        rng = np.random.default_rng(0)
        x, y = rng.integers(values, size=events).astype(np.int32), rng.integers(2, size=events).astype(np.int32)

        def agree(one: float, other: float) -> None:
            if not abs(one - other) <= 1e-5:  # theirs sums in float32
                raise AnotherJob(f"the information must be the same, got {one} and {other}")

        return Pair(
            lambda: cardinality_information(x, y),
            lambda: float(mutual_info_estimator_numba(y, x, np.float32(1.0), True)),
            agree,
        )

    name = f"cardinality-aware information, {values:,} values"
    return Case(name, "rows", events, 2.0, "outrank 0.97.5 (numba)", setup, needs="outrank")


def sparse_epoch(rows: int, columns: int) -> Case:
    """One epoch of QuickSelection's sparse autoencoder with 1,000 hidden units and as many weights on both sides."""

    def setup() -> Pair:
        from scipy.sparse import csr_matrix

        table = _numbers(rows, columns)
        table = (table - table.mean(axis=0)) / table.std(axis=0)
        narrow = table.astype(np.float32)
        ours = SparseAutoencoder(columns, generator=np.random.default_rng(0))
        layers = [csr_matrix(layer.dense().T, dtype=np.float64) for layer in (ours.encoder, ours.decoder)]
        theirs = published_selection.SparseNetwork(layers, published_selection.compiled_kernel())
        noisy = table + 0.2 * np.random.default_rng(1).standard_normal(table.shape)
        exact = SparseAutoencoder(columns, generator=np.random.default_rng(0), dropout=0.0, dtype="float64")
        plain = published_selection.SparseNetwork(list(layers), theirs.kernel, dropout=0.0)
        generator, rng = np.random.default_rng(2), np.random.RandomState(2)

        def agree(_: float, __: None) -> None:
            slopes = exact.gradients(noisy[:100].T.copy(), table[:100].T.copy())
            pairs = zip((slopes.encoder, slopes.decoder), plain.gradients(noisy[:100], table[:100], rng), strict=True)
            for (weights, _bias), (other, _delta) in pairs:
                _equal(weights, other.T.tocsr().sorted_indices().data, what="gradients of a batch", tolerance=1e-5)

        return Pair(
            lambda: train_epoch(ours, narrow, generator=generator),
            lambda: theirs.epoch(noisy, table, batch_size=100, rng=rng),
            agree,
        )

    return Case(
        f"QuickSelection's epoch, {rows:,} x {columns:,}", "rows", rows, 3.0,
        "zahraatashgahi/QuickSelection 04bfea8, stated anew (numba for Cython)", setup, needs="numba",
    )  # fmt: skip


def joint_distances(sizes: Sizes) -> Case:
    """A greedy step of DisCo: every candidate beside the selected columns, beside dcor on each set of columns anew."""
    rows, selected, candidates = sizes.distances

    def setup() -> Pair:
        import dcor

        table, y = _classes(rows, selected + candidates)
        chosen, tried, target = table[:, :selected], table[:, selected:], y.astype(np.float64)

        def peer() -> np.ndarray:
            sets = (np.c_[chosen, tried[:, one]] for one in range(candidates))
            return np.array([dcor.distance_correlation_af_inv_sqr(both, target[:, None]) for both in sets])

        return Pair(
            lambda: joint_scores(chosen, tried, target),
            peer,
            partial(_equal, what="squared distance correlations", tolerance=1e-8),
        )

    name = f"DisCo's greedy step, {rows:,} rows beside {selected} columns"
    return Case(name, "candidates", candidates, 5.0, setting.version("dcor"), setup, needs="dcor")


def _numbers(rows: int, columns: int) -> np.ndarray:
    """Correlated columns of unequal spread, standard normal factors underneath, (rows, columns)."""
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((rows, columns)) + rng.standard_normal((rows, 5)) @ rng.standard_normal((5, columns))
    return mixed * rng.uniform(0.5, 2.0, columns)


def _classes(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """A table and two classes that depend on its first three columns."""
    table = _numbers(rows, columns)
    y = (table[:, :3].sum(axis=1) + np.random.default_rng(1).standard_normal(rows) > 0).astype(np.int64)
    return table, y


def _equal(ours: np.ndarray, peer: np.ndarray, *, what: str, tolerance: float) -> None:
    alike.equal(torch.from_numpy(np.asarray(ours)), torch.from_numpy(np.asarray(peer)), what=what, tolerance=tolerance)
