"""A rehearsal on a simulated cluster: every task once, retries only for the infrastructure, nothing that piles up."""

from __future__ import annotations

import gc
import json
from collections import Counter
from pathlib import Path

import pytest

from lib import experiments
from lib.closure import Library
from lib.reproduce import keys, plan, runner, simulate, simulate_project
from lib.reproduce.child import CELL_ERROR, INFRASTRUCTURE, OK
from lib.reproduce.execute import TRIES, Job, Outcome, tried
from lib.reproduce.store import Layout

TASKS, SLOTS = 300, 16
MOST_OBJECTS = 10  # of a task that is over: its job, what the job holds, its outcome


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, simulate.Figures]:
    folder = tmp_path_factory.mktemp("rehearsed")
    return folder, simulate.rehearse(folder, TASKS, slots=SLOTS)


def outcomes(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]


def test_every_task_is_settled_once(rehearsed: tuple[Path, simulate.Figures]) -> None:
    folder, figures = rehearsed
    names = [outcome["name"] for outcome in outcomes(folder)]
    assert len(names) == len(set(names)) == TASKS == figures.tasks
    assert {name.split()[0] for name in names} == set(experiments.load(folder))
    assert sum(figures.outcomes.values()) == TASKS and set(figures.outcomes) <= {OK, CELL_ERROR, INFRASTRUCTURE}


def test_only_faults_of_the_infrastructure_are_tried_again(rehearsed: tuple[Path, simulate.Figures]) -> None:
    folder, figures = rehearsed
    rows = outcomes(folder)
    tried_again = [row for row in rows if len(row["tries"]) > 1]
    assert tried_again, "the draws of this seed lose some attempts"
    for row in rows:
        assert all(kind == INFRASTRUCTURE for kind in row["tries"][:-1]), row
        assert len(row["tries"]) <= TRIES
    lost = sum(not row["tries"] for row in rows)  # their workers died: the scheduler gave them up, not the retries
    assert figures.tries == sum(len(row["tries"]) for row in rows) + lost


def test_the_slots_are_full_and_never_more_than_full(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 60)
    jobs = runner.jobs_of(plan.build(tmp_path, "cpu"), tmp_path, "r", None)
    cluster = simulate.Cluster(8, expected=len(jobs))
    done = runner.perform(jobs, lambda job, outcome: outcome, layout=Layout(tmp_path), scheduler=cluster, slots=1)
    assert len(done) == 60 and cluster.most == 8 and not cluster.busy
    assert len(cluster.free) == 8 and max(cluster.free) == cluster.makespan_s
    chance = Counter[str]()
    lasts = [simulate.drawn(job, 0, chance)[0] for job in jobs]
    assert max(max(lasts), sum(lasts) / 8) <= cluster.makespan_s <= sum(lasts) / 8 + max(lasts)
    assert sum(cluster.free) == pytest.approx(sum(lasts)), "the clock has no gaps"


def test_draws_depend_on_the_job_and_not_on_the_order(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 20)
    jobs = runner.jobs_of(plan.build(tmp_path, "cpu"), tmp_path, "r", None)
    once = [simulate.drawn(job, 1, Counter()) for job in jobs]
    again = [simulate.drawn(job, 1, Counter()) for job in reversed(jobs)][::-1]
    assert [lasts for lasts, _ in once] == [lasts for lasts, _ in again]
    assert [lasts for lasts, _ in once] != [simulate.drawn(job, 2, Counter())[0] for job in jobs]


def test_a_job_whose_workers_die_is_the_infrastructures_fault(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 20)
    jobs = runner.jobs_of(plan.build(tmp_path, "cpu"), tmp_path, "r", None)

    class Deadly(simulate.Cluster):
        def submit(self, job: Job) -> simulate.Future[Outcome]:
            future = super().submit(job)
            last = self.busy[0] if self.busy else None
            if last is not None:
                self.busy[0] = (*last[:3], simulate.KilledWorker(job.name))
            return future

    done = runner.perform(
        jobs, lambda job, outcome: outcome, layout=Layout(tmp_path), scheduler=Deadly(4, expected=20), slots=1
    )
    died = [outcome for outcome in done.values() if "died again and again" in outcome.message]
    assert died and all(outcome.kind == INFRASTRUCTURE for outcome in died)


def test_the_real_keys_are_taken_and_studies_differ(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 20, seeds=5)
    items = plan.build(tmp_path, "cpu")
    digests = {item.experiment.id: keys.digest(item.parts) for item in items}
    assert len(set(digests.values())) == 20
    modules = keys.library(tmp_path)
    alone = keys.components(items[7].experiment, "cpu", items[7].parameters, root=tmp_path, modules=modules)
    assert alone == items[7].parts, "what is shared between keys changes none"
    cells = keys.code_cells(items[7].experiment.notebook)
    fresh = Library(modules.folder).closure([source for _, source, _ in cells])
    assert items[7].parts["modules"] == fresh and "lib.stats" in fresh
    programs = {tuple(cell["sha256"] for cell in item.parts["cells"]) for item in items}
    assert len(programs) == 4, "seeds share the code of their study"
    assert len({id(item.parts["modules"]) for item in items}) == 1, "one closure is held once"


def test_what_is_held_grows_by_a_few_objects_a_task(tmp_path: Path) -> None:
    def held(n: int) -> int:
        folder = tmp_path / str(n)
        simulate_project.write_project(folder, n)
        gc.collect()
        before = len(gc.get_objects())
        jobs = runner.jobs_of(plan.build(folder, "cpu"), folder, "r", None)
        cluster = simulate.Cluster(8, expected=n)
        done = runner.perform(jobs, lambda job, out: out, layout=Layout(folder), scheduler=cluster, slots=1)
        assert len(done) == n
        gc.collect()
        return len(gc.get_objects()) - before

    held(20)  # what is imported once
    few, many = held(40), held(240)
    assert (many - few) / 200 < MOST_OBJECTS


def test_a_waiting_queue_is_not_walked_for_every_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_project.write_project(tmp_path, 200)
    jobs = runner.jobs_of(plan.build(tmp_path, "cpu"), tmp_path, "r", None)
    looked = 0
    real = runner.schedule.slot

    def counting(job: Job) -> str:
        nonlocal looked
        looked += 1
        return real(job)

    monkeypatch.setattr(runner.schedule, "slot", counting)
    cluster = simulate.Cluster(4, expected=200)
    runner.perform(jobs, lambda job, outcome: outcome, layout=Layout(tmp_path), scheduler=cluster, slots=1)
    assert looked < 200 * (4 + 2 * 4), "looks at a job for each task: those that run and those that start"


def test_retries_stop_at_the_first_word_of_the_notebook() -> None:
    said = iter([Outcome(INFRASTRUCTURE), Outcome(CELL_ERROR), Outcome(OK)])
    assert tried(lambda: next(said)).tries == (INFRASTRUCTURE, CELL_ERROR)


def test_the_report_marks_what_is_over_its_limit() -> None:
    small = simulate.Figures(10, 4, 1.0, 1.0, 1.0, 50.0, 1.0, {OK: 10}, 10)
    large = simulate.Figures(100, 4, 61.0, 1.0, 6.0, 60.0, 1.0, {OK: 99, CELL_ERROR: 1}, 101)
    text = simulate.report(small, large)
    assert "61.00 s (limit 60, OVER)" in text[1] and "6.00 ms a task (limit 5, OVER)" in text[2]
    assert "grows by 111.11 KB a task (limit 12, OVER)" in text[3] and text[4].endswith("99 ok, 1 cell error")
    with pytest.raises(ValueError, match="at least 20"):
        simulate.compare(10)
