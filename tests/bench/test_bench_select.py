"""The benchmarks of column selection: one job on both sides, or it is noticed; unequal amounts are compared."""

from __future__ import annotations

import importlib.util
from itertools import permutations

import numpy as np
import pytest

from lib.bench import __main__ as command
from lib.bench import harness, published_selection, select
from lib.bench.harness import AnotherJob, Case

SMALL = select.Sizes(
    paths=80, paths_peer=30, growth=(20, 60), picks=(200, 24, 5), picks_peer=(200, 12, 4), events=4000,
    cardinalities=(4, 300), sparse=((200, 40),), distances=(150, 3, 2),
)  # fmt: skip
HOW = "pip install --no-deps -r requirements-peers.txt"


def ready(case: Case) -> Case:
    if case.needs and importlib.util.find_spec(case.needs) is None:
        pytest.skip(HOW)
    return case


@pytest.mark.parametrize("case", select.cases(SMALL), ids=lambda one: one.name)
def test_every_case_does_one_job(case):
    pair = harness.checked(ready(case))
    assert pair.ours is not pair.peer


@pytest.mark.parametrize(
    ("build", "name", "words"),
    [
        (select.infinite_paths, "inf_fs", "scores of the smaller table must be"),
        (lambda sizes: select.information("jmi", sizes), "greedy_information", "picks must be the same"),
        (lambda sizes: select.cardinality(4, 4000), "cardinality_information", "information must be the same"),
        (select.joint_distances, "joint_scores", "squared distance correlations must be"),
    ],
    ids=["paths", "information", "cardinality", "distances"],
)
def test_another_result_is_refused(monkeypatch, build, name, words):
    case, inner = ready(build(SMALL)), getattr(select, name)

    def other(*given, **options):
        found = inner(*given, **options)
        if hasattr(found, "order"):
            return type(found)(found.order[::-1].copy(), found.path, found.rest)
        return 1.1 * found + 0.01

    monkeypatch.setattr(select, name, other)
    with pytest.raises(AnotherJob, match=words):
        harness.checked(case)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_weights_used_as_scratch_are_noticed(monkeypatch):
    """The published defect: the kernel writes the slopes into the weights."""
    case = ready(select.sparse_epoch(200, 40))

    def shared(network, layer, activity, delta):
        found = network.weights[layer].tocoo(copy=False)
        network.kernel(activity, delta, found.row, found.col, found.data)
        return found.tocsr()

    monkeypatch.setattr(published_selection.SparseNetwork, "_slope", shared)
    with pytest.raises(AnotherJob, match="gradients of a batch"):
        harness.checked(case)


def test_cases_have_their_own_names_and_the_targets_that_were_set():
    full = {case.name: case for case in select.cases()}
    assert len(full) == len(select.cases()) == 10
    assert full["Inf-FS, 5,000 columns"].target == 20.0
    assert [full[f"{name}, 1,000 x 500, 50 picks"].target for name in ("mRMR", "JMI", "CMIM")] == [50.0] * 3
    assert [full[f"cardinality-aware information, {values} values"].target for values in ("10", "1,000")] == [2.0] * 2
    assert [case.target for name, case in full.items() if "epoch" in name] == [3.0, 3.0]
    assert full["DisCo's greedy step, 2,048 rows beside 5 columns"].target == 5.0
    assert [case.name for case in command.BENCHES["select"](False)] == list(full)


def test_the_amounts_are_what_both_sides_look_at(monkeypatch):
    """Counted in the loops: pairs of columns, and candidates in all steps."""
    case = select.information("mrmr", SMALL)
    seen = []
    inner = published_selection._conditional_information
    monkeypatch.setattr(published_selection, "_conditional_information", lambda *one: seen.append(1) or inner(*one))
    case.setup().peer()
    rows, columns, picks = SMALL.picks_peer
    assert case.amounts == (sum(24 - step for step in range(5)), len(seen) + columns)
    assert select.infinite_paths(SMALL).amounts == (80**2, 30**2)
    assert (rows, picks) == (200, 4)


def test_rates_of_unequal_amounts():
    """A peer that needs as long for a tenth of the work is ten times slower."""
    ticks = iter(np.arange(1, 10_000, dtype=float))
    clocks = harness.Clocks(cpu=lambda: next(ticks), wall=lambda: next(ticks))
    case = Case("a job", "pairs", 100, 1.0, "a peer", lambda: harness.Pair(int, int, lambda *_: None), peer_amount=10)
    table = harness.measure(case, threads=(1,), least_s=0.5, clocks=clocks)
    assert (table["ratio"] == 10.0).all()
    assert Case("a job", "pairs", 7, 1.0, "a peer", case.setup).amounts == (7, 7)


def test_published_information_is_the_definition():
    """Against sums over the joint distribution of codes, written out."""
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(3, size=(3, 60))

    def share(*pairs):
        return np.mean(np.all([one == value for one, value in pairs], axis=0))

    values = range(3)
    mutual = sum(
        joint * np.log2(joint / (share((a, i)) * share((b, j))))
        for i in values
        for j in values
        if (joint := share((a, i), (b, j)))
    )
    given = sum(
        joint * np.log2(joint * share((c, k)) / (share((a, i), (c, k)) * share((b, j), (c, k))))
        for i in values
        for j in values
        for k in values
        if (joint := share((a, i), (b, j), (c, k)))
    )
    assert published_selection._information(a, b) == pytest.approx(mutual, abs=1e-12)
    assert published_selection._conditional_information(a, b, c) == pytest.approx(given, abs=1e-12)


def test_published_paths_do_not_depend_on_the_order_of_columns():
    table = np.random.default_rng(0).standard_normal((20, 4)) * [1.0, 2.0, 3.0, 4.0]
    scores = published_selection.infinite_paths(table, alpha=0.5)
    for order in permutations(range(4)):
        moved = published_selection.infinite_paths(table[:, order], alpha=0.5)
        np.testing.assert_allclose(moved, scores[list(order)], rtol=1e-10)
