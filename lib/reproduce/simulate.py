"""A rehearsal at scale: thousands of declared notebooks, planned and scheduled by the real code on a made-up cluster.

No kernel starts. A throwaway project of N notebooks (studies times seeds) is written to disk; :func:`plan.stream`
reads, keys and looks up all of them; :func:`runner.perform` hands them to :class:`Cluster`, an executor whose slots
follow a virtual clock and whose jobs last and fail as drawn from a generator. Infrastructure faults go through the same
retries as real ones. What is measured is the runner's own time and memory, nothing of the notebooks'.

Memory is *flat* when all tasks take no more than :data:`FLAT` times what a tenth of them takes: what waits lies on disk
(:mod:`lib.reproduce.spool`), where it lies is some ten bytes a task, and what went wrong is remembered.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TextIO

from lib.reproduce import plan, runner, schedule
from lib.reproduce.child import CELL_ERROR, INFRASTRUCTURE, OK
from lib.reproduce.execute import Job, Outcome, tried
from lib.reproduce.simulate_project import SEEDS, write_project
from lib.reproduce.store import Layout

PROFILE = "cpu"
SLOTS = 64
PLAN_LIMIT_S, TASK_LIMIT_MS, FLAT = 60.0, 5.0, 1.1
MEDIAN_S, SPREAD = 300.0, 0.6  # of the log-normal durations
CELL_SHARE, LOST_SHARE, DEATH_SHARE = 0.01, 0.03, 0.002


class KilledWorker(Exception):
    """What Dask raises for a job whose workers died again and again; the runner knows it by its name."""


@dataclass
class Cluster:
    """An executor of so many slots on a virtual clock; a :class:`schedule.Executor`.

    A job takes the slot that was free first. The earliest running job ends as soon as no slot is free, or when nothing
    more will be handed in: whoever waits for a job never waits for a real clock.

    Attributes
    ----------
    slots : int
    expected : int
        Jobs that will be handed in.
    seed : int
        The draws of a job depend on this and on its name only, not on the order of the jobs.
    tries : int
        Attempts in all.
    most : int
        Jobs that ran at once at most.
    makespan_s : float
        Virtual seconds until the last job ended.
    spent_s : float
        Real seconds that its own draws took.
    """

    slots: int
    expected: int
    seed: int = 0
    busy: list[tuple[float, int, Future[Outcome], Outcome | Exception]] = field(default_factory=list)
    free: list[float] = field(default_factory=list)
    tries: int = 0
    most: int = 0
    makespan_s: float = 0.0
    spent_s: float = 0.0
    handed_in: int = 0

    def __post_init__(self) -> None:
        self.free = [0.0] * self.slots

    def capacity(self) -> dict[str, int]:
        """Its slots, all of them for the CPU."""
        if self.handed_in == self.expected:
            self._end_one()
        return {schedule.CPU: self.slots, schedule.GPU: 0}

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job in the slot that was free first."""
        began = time.perf_counter()
        if not self.free:
            raise RuntimeError(f"{job.name} was handed in while all {self.slots} slots were busy")
        lasts, result, tries = drawn(job, self.seed)
        self.tries += tries
        future: Future[Outcome] = Future()
        self.handed_in += 1
        heapq.heappush(self.busy, (heapq.heappop(self.free) + lasts, self.handed_in, future, result))
        self.most = max(self.most, len(self.busy))
        if not self.free or self.handed_in == self.expected:
            self._end_one()
        self.spent_s += time.perf_counter() - began
        return future

    def _end_one(self) -> None:
        if self.busy:
            end, _, future, result = heapq.heappop(self.busy)
            heapq.heappush(self.free, end)
            self.makespan_s = max(self.makespan_s, end)
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def close(self) -> None:
        """Nothing is held."""


def drawn(job: Job, seed: int) -> tuple[float, Outcome | Exception, int]:
    """How long a job lasts, in virtual seconds, how it ends, and after how many attempts.

    The retries are the runner's own (:func:`execute.tried`): an attempt that is lost is drawn again.
    """
    chance, total = random.Random(f"{seed} {job.name}"), 0.0
    if chance.random() < DEATH_SHARE:
        return MEDIAN_S, KilledWorker(job.name), 1

    def attempt() -> Outcome:
        nonlocal total
        lasts = chance.lognormvariate(0.0, SPREAD) * MEDIAN_S
        point = chance.random()
        kind = INFRASTRUCTURE if point < LOST_SHARE else CELL_ERROR if point < LOST_SHARE + CELL_SHARE else OK
        total += lasts
        return Outcome(kind, "" if kind == OK else "as drawn", seconds=lasts)

    outcome = tried(attempt)
    return total, outcome, len(outcome.tries)


@dataclass(frozen=True)
class Figures:
    """What one rehearsal took.

    Attributes
    ----------
    tasks, slots : int
    plan_s, plan_cpu_s : float
        Seconds to read, key and look up all of them, by the wall and of the CPU.
    task_ms : float
        Milliseconds of the runner's own time for each task: :func:`runner.perform`, less the executor's draws.
    memory_mb : float
        Resident memory of the process at its largest.
    makespan_h : float
        Virtual hours on the cluster.
    outcomes : dict of int
        Tasks by the way they ended.
    tries : int
        Attempts in all.
    """

    tasks: int
    slots: int
    plan_s: float
    plan_cpu_s: float
    task_ms: float
    memory_mb: float
    makespan_h: float
    outcomes: Mapping[str, int]
    tries: int


def rehearse(folder: Path, n: int, *, seeds: int = SEEDS, slots: int = SLOTS, seed: int = 0) -> Figures:
    """Write, plan, key and schedule ``n`` tasks in ``folder``; the outcomes go to ``outcomes.jsonl`` there."""
    write_project(folder, n, seeds=seeds)
    began, cpu = time.perf_counter(), time.process_time()
    jobs = runner.work(plan.stream(folder, PROFILE), folder).jobs
    planned, planned_cpu = time.perf_counter(), time.process_time()
    layout, cluster = Layout(folder), Cluster(min(slots, n), expected=len(jobs), seed=seed)
    with _quiet(), (folder / "outcomes.jsonl").open("w", encoding="utf-8") as stream:
        began_run = time.perf_counter()
        outcomes = runner.perform(jobs, _noted(stream), layout=layout, scheduler=cluster, slots=slots)
        ended = time.perf_counter()
    return Figures(
        tasks=len(jobs),
        slots=cluster.slots,
        plan_s=planned - began,
        plan_cpu_s=planned_cpu - cpu,
        task_ms=1000 * (ended - began_run - cluster.spent_s) / len(jobs),
        memory_mb=peak_mb(),
        makespan_h=cluster.makespan_s / 3600,
        outcomes=dict(outcomes.counts),
        tries=cluster.tries,
    )


def _noted(stream: TextIO) -> runner.Settle:
    """A settler that writes each outcome on a line of its own."""

    def settle(job: Job, outcome: Outcome) -> Outcome:
        told = asdict(replace(outcome, parcel=b"")) | {"name": job.name, "parcel": len(outcome.parcel)}
        stream.write(json.dumps(told) + "\n")
        return outcome

    return settle


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the runner print to nowhere: the lines are made, a terminal's table is not."""
    with Path(os.devnull).open("w", encoding="utf-8") as sink, redirect_stdout(sink):
        yield


def peak_mb() -> float:
    """The largest resident memory of this process so far, MB."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)


def compare(n: int, *, seeds: int = SEEDS, slots: int = SLOTS) -> tuple[Figures, Figures]:
    """Rehearse a tenth of ``n`` tasks, then all of them, in throwaway folders.

    Raises
    ------
    ValueError
        For fewer than 20 tasks.
    """
    if n < 20:
        raise ValueError(f"n must be at least 20, so that a tenth of it says something, got {n}")
    taken = []
    for count in (n // 10, n):
        with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
            taken.append(rehearse(Path(folder), count, seeds=seeds, slots=slots))
    return taken[0], taken[1]


def report(small: Figures, large: Figures) -> list[str]:
    """The lines that ``simulate`` prints; a figure over its limit is marked."""
    growth = large.memory_mb / small.memory_mb
    ends = ", ".join(f"{count} {kind}" for kind, count in sorted(large.outcomes.items(), key=lambda pair: -pair[1]))

    def limited(value: float, limit: float, unit: str) -> str:
        return f"{value:.2f} {unit} (limit {limit:g}{', OVER' if value > limit else ''})"

    return [
        f"{large.tasks} tasks on {large.slots} simulated slots",
        f"plan and key: {limited(large.plan_s, PLAN_LIMIT_S, 's')}, {large.plan_cpu_s:.2f} s of the CPU",
        f"schedule: {limited(large.task_ms, TASK_LIMIT_MS, 'ms a task')}, {small.task_ms:.2f} at {small.tasks}",
        f"memory: {large.memory_mb:.1f} MB at most, {small.memory_mb:.1f} at {small.tasks} tasks; "
        f"{limited(growth, FLAT, 'times as much')}",
        f"simulated: {large.makespan_h:.1f} h, {large.tries} attempts; {ends}",
    ]
