"""The benchmarks of chest X-rays: the same draws on both sides and the same patients, or it is noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lib.bench import __main__ as command
from lib.bench import films, harness
from lib.bench.harness import AnotherJob
from lib.data import thorax

SMALL = films.Sizes(
    rows=4000, patients=900, findings=2, draws=20, draws_peer=2, pixels=(16, 24), films=(2, 5), batch=2
)  # fmt: skip


@pytest.fixture(autouse=True)
def commoner(monkeypatch):
    """So small a table needs findings that are not as rare."""
    monkeypatch.setattr(films, "RAREST", 0.1)


@pytest.mark.parametrize("case", films.cases(SMALL), ids=lambda one: one.name)
def test_every_case_does_one_job(case):
    harness.checked(case)


def test_another_draw_is_refused(monkeypatch):
    inner = films.by_copies
    monkeypatch.setattr(films, "by_copies", lambda table, draws: inner(table, draws + 1)[1:])
    with pytest.raises(AnotherJob, match="AUCs of the same draws must be equal to 1e-12"):
        harness.checked(films.bootstrap(SMALL))


def test_a_missing_auc_is_refused(monkeypatch):
    monkeypatch.setattr(films, "RAREST", 0.001)
    monkeypatch.setattr(films, "by_copies", lambda table, draws: np.full((draws, 16), 0.5))
    with pytest.raises(AnotherJob, match="got nan apart"):
        harness.checked(films.bootstrap(SMALL))


def test_films_that_depend_on_their_number_are_refused(monkeypatch):
    inner = thorax.render
    most = max(SMALL.films)

    def render(patients, **options):
        found = inner(patients, **options)
        return replace(found, x=found.x * 0.9) if len(patients) == most else found

    monkeypatch.setattr(thorax, "render", render)
    with pytest.raises(AnotherJob, match="must not depend on the number of films"):
        harness.checked(films.more_films(SMALL))


def test_films_of_other_patients_are_refused(monkeypatch):
    inner = thorax.render
    largest = max(SMALL.pixels)

    def render(patients, *, size, batch):
        return inner(patients.iloc[[1, 0]] if size == largest else patients, size=size, batch=batch)

    monkeypatch.setattr(thorax, "render", render)
    with pytest.raises(AnotherJob, match="must show the same patients"):
        harness.checked(films.more_pixels(SMALL))


def test_the_table_has_the_shape_of_the_archive():
    sizes = films.Sizes()
    table = films.drawn_table(sizes)
    films_of = np.bincount(table.patients)
    assert len(table.scores) == 112_120 and films_of.size == 30_805 and films_of.min() == 1 and films_of.max() > 20
    assert table.positive.mean().is_monotonic_increasing and table.positive.sum().min() > 100
    assert {name: np.unique(group).size for name, group in table.groupings.items()} == {"sex": 2, "view": 2, "age": 4}


def test_cases_have_their_own_names_and_the_targets_that_were_set():
    full = films.cases()
    assert [case.target for case in full] == [20.0, 0.9, 0.9]
    assert [case.amounts for case in full] == [(2000, 2), (32 * 128**2, 32 * 64**2), (256, 32)]
    assert [case.name for case in command.BENCHES["cxr"](False)] == [case.name for case in full]
