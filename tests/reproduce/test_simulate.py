"""A rehearsal on a simulated cluster: every task once, retries only for the infrastructure, nothing that piles up."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lib import experiments
from lib.closure import Library
from lib.reproduce import keys, plan, runner, simulate, simulate_project
from lib.reproduce.child import CANCELLED, CELL_ERROR, INFRASTRUCTURE, OK
from lib.reproduce.execute import TRIES, Job, Outcome, tried
from lib.reproduce.spool import Spool
from lib.reproduce.store import Layout

TASKS, SLOTS = 300, 16
MOST_OBJECTS = 0.2  # that a task leaves: of those that went wrong, the outcome


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
    jobs = runner.work(plan.stream(tmp_path, "cpu"), tmp_path).jobs
    cluster = simulate.Cluster(8, expected=len(jobs))
    done = runner.perform(jobs, lambda job, outcome: outcome, layout=Layout(tmp_path), scheduler=cluster, slots=1)
    assert done.counts.total() == 60 and cluster.most == 8 and not cluster.busy
    assert len(cluster.free) == 8 and max(cluster.free) == cluster.makespan_s
    lasts = [simulate.drawn(job, 0)[0] for job in jobs]
    assert max(max(lasts), sum(lasts) / 8) <= cluster.makespan_s <= sum(lasts) / 8 + max(lasts)
    assert sum(cluster.free) == pytest.approx(sum(lasts)), "the clock has no gaps"


def test_draws_depend_on_the_job_and_not_on_the_order(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 20)
    jobs = runner.work(plan.stream(tmp_path, "cpu"), tmp_path).jobs
    once = [simulate.drawn(job, 1)[0] for job in jobs]
    again = [simulate.drawn(job, 1)[0] for job in reversed(jobs)][::-1]
    assert once == again != [simulate.drawn(job, 2)[0] for job in jobs]


def test_a_job_whose_workers_die_is_the_infrastructures_fault(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 20)
    jobs = runner.work(plan.stream(tmp_path, "cpu"), tmp_path).jobs

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
    died = [outcome for outcome in done.bad.values() if "died again and again" in outcome.message]
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


def test_what_is_held_does_not_grow_with_the_tasks(tmp_path: Path) -> None:
    def held(n: int) -> int:
        folder = tmp_path / str(n)
        simulate_project.write_project(folder, n)
        gc.collect()
        before = len(gc.get_objects())
        jobs = runner.work(plan.stream(folder, "cpu"), folder).jobs
        cluster = simulate.Cluster(8, expected=n)
        done = runner.perform(jobs, lambda job, out: out, layout=Layout(folder), scheduler=cluster, slots=1)
        assert done.counts.total() == n
        gc.collect()
        return len(gc.get_objects()) - before

    held(20)  # what is imported once
    few, many = held(40), held(440)
    assert (many - few) / 400 < MOST_OBJECTS


def test_a_spool_gives_back_what_it_was_given(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 20)
    jobs = [plan.job(item, tmp_path, run="r") for item in plan.build(tmp_path, "cpu")]
    jobs[3] = replace(jobs[3], limit_s=0.1 + 0.2, gpu=True, context=jobs[3].context | {"parameters": {"text": "ä\n"}})
    with Spool(jobs) as spool:
        assert list(spool) == jobs and spool[3:5] == jobs[3:5] and spool[-1] == jobs[-1]
        assert [place for place, on_gpu in enumerate(spool.on_gpu) if on_gpu] == [3]
        assert list(spool.estimates) == [job.estimate_s for job in jobs]
        with pytest.raises(IndexError):
            spool[20]


def test_a_budget_starts_the_short_ones_and_names_the_rest(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 20)
    items = plan.build(tmp_path, "cpu")
    jobs = [
        replace(plan.job(item, tmp_path, run="r"), estimate_s=60.0 * (place + 1)) for place, item in enumerate(items)
    ]
    said, cluster = list[str](), simulate.Cluster(4, expected=12)  # which fit
    done = runner.perform(
        Spool(reversed(jobs)),
        lambda job, out: said.append(job.name) or out,
        layout=Layout(tmp_path),
        scheduler=cluster,
        slots=1,
        budget_min=12.5,
    )
    assert sorted(said) == [job.name for job in jobs[:12]], "the expected minutes of twelve fit"
    assert done.counts[runner.NOT_STARTED] == 8 and not any(job.name in done.bad for job in jobs[12:])
    log = (Layout(tmp_path).scratch / "logs" / "r.log").read_text()
    assert log.count(runner.NOT_STARTED) == 8


def test_a_stopped_run_names_what_did_not_end(tmp_path: Path) -> None:
    simulate_project.write_project(tmp_path, 20)
    jobs = runner.work(plan.stream(tmp_path, "cpu"), tmp_path).jobs
    settled = list[str]()

    def settle(job: Job, outcome: Outcome) -> Outcome:
        if len(settled) == 5:
            raise KeyboardInterrupt
        settled.append(job.name)
        return Outcome(OK)

    cluster = simulate.Cluster(4, expected=20)
    done = runner.perform(jobs, settle, layout=Layout(tmp_path), scheduler=cluster, slots=1)
    assert done.counts == {OK: 5, CANCELLED: 15}
    assert set(done.bad) == {job.name for job in jobs} - set(settled)


def test_a_waiting_queue_is_not_walked_for_every_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_project.write_project(tmp_path, 200)
    jobs = runner.work(plan.stream(tmp_path, "cpu"), tmp_path).jobs
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
    assert "1.20 times as much (limit 1.1, OVER)" in text[3] and text[4].endswith("99 ok, 1 cell error")
    with pytest.raises(ValueError, match="at least 20"):
        simulate.compare(10)
