"""The run itself: hand jobs to an executor, publish what succeeds, remember what does not.

One failure never stops the others. A second runner in the same checkout is refused while this one works; what a killed
runner left behind (processes, half-made attempts) is removed by the next one before it starts.
"""

from __future__ import annotations

import errno
import platform
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.reproduce import guard, keys, locks, plan, remote, schedule, store
from lib.reproduce.child import CANCELLED, CELL_ERROR, FULL, INFRASTRUCTURE, OK
from lib.reproduce.execute import Job, Outcome, keep_notebook
from lib.reproduce.live import Live
from lib.reproduce.plan import Item
from lib.reproduce.spool import Spool
from lib.reproduce.store import Layout

NOT_STARTED = "not started"
IDLE_S = 1.0
GIT_S = 180  # a status may pass every notebook through the filter that strips outputs
_stop_asked = threading.Event()  # by a signal to this process
CODE = ("lib", "notebooks", "requirements.lock", "pyproject.toml", "data/registry.toml")
Settle = Callable[[Job, Outcome], Outcome]


@dataclass
class Ended:
    """How the jobs of a run ended: of those that went well, how many.

    Attributes
    ----------
    counts : Counter
        Jobs by the kind of their outcome.
    bad : dict of Outcome
        What makes the exit code 1, by :attr:`Job.name`.
    last : str
        The name of the job that was added last.
    """

    counts: Counter[str] = field(default_factory=Counter)
    bad: dict[str, Outcome] = field(default_factory=dict)
    last: str = ""

    def add(self, job: Job, outcome: Outcome) -> None:
        """One more job is over."""
        self.last = job.name
        self.counts[outcome.kind] += 1
        if outcome.kind not in (OK, NOT_STARTED):
            self.bad[job.name] = outcome


@dataclass
class Work:
    """What a plan leaves to do.

    Attributes
    ----------
    run : str
        The name of the run.
    jobs : Spool
    planned : int
        Experiments that were looked at, those that are done included.
    memory_gb : float
        Of the job that is expected to take most.
    """

    run: str
    jobs: Spool
    planned: int = 0
    memory_gb: float = 0.0


def new_name() -> str:
    """A name for a run: when it was made, and a bit of chance."""
    return time.strftime("%Y%m%d-%H%M%S-") + uuid.uuid4().hex[:6]


def work(items: Iterable[Item], root: Path, limit_min: float | None = None) -> Work:
    """The jobs of those items that have a reason to run; holds one item at a time."""
    found = Work(new_name(), Spool())
    for item in items:
        found.planned += 1
        if item.reasons:
            found.jobs.append(plan.job(item, root, run=found.run, limit_min=limit_min))
            found.memory_gb = max(found.memory_gb, item.memory_gb)
    return found


@contextmanager
def session(layout: Layout) -> Iterator[None]:
    """Hold the checkout and clear what a killed runner left.

    Raises
    ------
    Held
        When another runner works in this checkout.
    """
    with locks.checkout(layout.scratch / "lock"), _stopped_by_signals():
        guard.kill_marked(layout.attempts)
        store.sweep(layout)
        try:
            yield
        finally:
            guard.kill_marked(layout.attempts)
            shutil.rmtree(layout.attempts, ignore_errors=True)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Treat a polite request to stop (batch schedulers send one) like Ctrl-C, and remember either.

    An exception that a signal raises in a destructor or in a callback of the garbage collector is lost; what is
    remembered is not. Where Ctrl-C is ignored, as in the background of a script, it stays ignored.
    """
    _stop_asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        _stop_asked.set()
        raise KeyboardInterrupt

    heard = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def perform(
    jobs: Spool,
    settle: Settle,
    *,
    layout: Layout,
    scheduler: str | schedule.Executor,
    slots: int,
    budget_min: float | None = None,
) -> Ended:
    """Run jobs and settle each as it ends, the longest first, or the shortest within a budget.

    What is held in memory is what runs and what went wrong; what waits lies in the spool.

    Parameters
    ----------
    jobs : Spool
        At least one.
    settle : callable
        Takes a job and its outcome, in this process, one at a time; returns the outcome to report.
    scheduler : str or Executor
        ``inline``, ``local`` or the address of a Dask scheduler; or where to run them, ready made.
    slots : int
        Notebooks at once on the CPU.
    budget_min : float, optional
        Nothing is started that is expected to end later than this many minutes from now.
    """
    run, ended, running = jobs[0].run, Ended(), dict[Future[Outcome], Job]()
    waiting = _Waiting(jobs, longest_first=budget_min is None)
    executor = schedule.choose(scheduler, jobs, slots)
    try:
        with Live(jobs.estimates, layout.scratch / "logs" / f"{run}.log", sum(executor.capacity().values())) as live:
            _loop(waiting, running, settle, executor, live, ended, budget_min)
    except (KeyboardInterrupt, schedule.Lost) as error:
        left = {job.name: job for job in (*running.values(), *waiting)}
        left.pop(ended.last, None)  # where the stop came between the word that it ended and its removal
        for job in left.values():
            ended.add(job, _unsettled(error))
    finally:
        executor.close()
        guard.kill_marked(layout.attempts / run)
    return ended


class _Waiting:
    """The jobs that have not started, by kind of slot: where they lie in their spool, the next one first."""

    def __init__(self, jobs: Spool, *, longest_first: bool) -> None:
        self.jobs = jobs
        order = sorted(range(len(jobs)), key=jobs.estimates.__getitem__, reverse=longest_first)
        self.places = {
            kind: deque(at for at in order if bool(jobs.on_gpu[at]) == on_gpu)
            for kind, on_gpu in ((schedule.CPU, False), (schedule.GPU, True))
        }

    def __bool__(self) -> bool:
        return any(self.places.values())

    def __iter__(self) -> Iterator[Job]:
        for places in self.places.values():
            yield from (self.jobs[at] for at in places)

    def count(self) -> Counter[str]:
        """How many wait for each kind of slot."""
        return Counter({kind: len(places) for kind, places in self.places.items()})

    def first(self, kind: str) -> Job:
        """The next job of a kind, which goes on waiting until its place is taken away."""
        return self.jobs[self.places[kind][0]]


def _unsettled(error: BaseException) -> Outcome:
    """How a job ended that the run did not come to, or did not hear of."""
    lost = isinstance(error, schedule.Lost)
    return Outcome(INFRASTRUCTURE, str(error)) if lost else Outcome(CANCELLED, "stopped by hand")


def _loop(
    waiting: _Waiting,
    running: dict[Future[Outcome], Job],
    settle: Settle,
    executor: schedule.Executor,
    live: Live,
    ended: Ended,
    budget_min: float | None,
) -> None:
    """Keep every slot busy until all jobs are settled.

    Whenever it is stopped, each job is in one of ``waiting``, ``running`` and ``ended``, or in two for a moment.
    """
    began, short, inline = time.monotonic(), list[str](), isinstance(executor, schedule.Inline)
    while waiting or running:
        if _stop_asked.is_set():
            raise KeyboardInterrupt
        free = executor.capacity()
        busy = Counter(map(schedule.slot, running.values()))
        short = _short(waiting.count() + busy, free, live, short)
        for kind, places in waiting.places.items():
            while places and not (inline and running):
                job = waiting.first(kind)
                if budget_min is not None and time.monotonic() - began + job.estimate_s > budget_min * 60:
                    outcome = Outcome(NOT_STARTED, f"it would end after the budget of {budget_min:g} min")
                    ended.add(job, outcome)
                    live.ended(job, outcome)
                elif free[kind] > busy[kind]:
                    with suppress(OSError):
                        Path(job.log).unlink(missing_ok=True)
                    live.started(job)
                    running[executor.submit(job)] = job
                    busy[kind] += 1
                else:
                    break
                places.popleft()
        if waiting and not running:
            time.sleep(IDLE_S)
        for future in sorted(wait(running, IDLE_S, FIRST_COMPLETED).done, key=Future.cancelled):  # arrived ones first
            job = running[future]
            outcome = settle(job, remote.opened(job, _outcome(future)))
            ended.add(job, outcome)
            del running[future]
            live.ended(job, outcome)


def _short(wanted: Counter[str], free: dict[str, int], live: Live, before: list[str]) -> list[str]:
    """The kinds of slot that are needed and that no worker offers; said when they change."""
    short = sorted(kind for kind, count in wanted.items() if count and free[kind] <= 0)
    if short and short != before:
        live.line("workers", f"none offers a slot for {' or '.join(short)}", "waiting for one to come; Ctrl-C stops")
    return short


def _outcome(future: Future[Outcome]) -> Outcome:
    """What a future holds; a worker that died too often is the infrastructure's fault.

    Raises
    ------
    Lost
        When the scheduler has dropped the job.
    """
    try:
        return future.result()
    except CancelledError as error:
        raise schedule.Lost(schedule.GONE) from error
    except Exception as error:
        if type(error).__name__ == "KilledWorker":
            return Outcome(INFRASTRUCTURE, "its worker died again and again; the machine may lack memory")
        return Outcome(INFRASTRUCTURE, f"{type(error).__name__}: {error}")


def publisher(layout: Layout) -> Settle:
    """A settler that publishes what succeeded and notes what failed, so that it can be tried again."""
    revision = git(layout.root)

    def settle(job: Job, outcome: Outcome) -> Outcome:
        if outcome.attempt:
            keep_notebook(job, outcome, layout)
        note = layout.outcome(job.experiment, job.profile)
        if outcome.kind == OK:
            try:
                store.publish(layout, Path(outcome.attempt), content(job, outcome, revision))
                note.unlink(missing_ok=True)
            except OSError as error:
                text = f"{FULL} {layout.root}" if error.errno == errno.ENOSPC else f"{type(error).__name__}: {error}"
                outcome = Outcome(INFRASTRUCTURE, f"{text}; nothing was published", tries=outcome.tries)
            except ValueError as error:  # finished.json is not what lib.run writes
                outcome = Outcome(CELL_ERROR, f"finished.json cannot be used: {error}", tries=outcome.tries)
        if outcome.attempt:  # first of all: on a full disk there is no room for the note before
            shutil.rmtree(outcome.attempt, ignore_errors=True)
        if outcome.kind != OK:
            with suppress(OSError):
                fields = {"kind": outcome.kind, "message": outcome.message, "cell": outcome.cell, "log": job.log}
                store.write_json(note, {**fields, "tries": list(outcome.tries)})
        return outcome

    return settle


def content(job: Job, outcome: Outcome, revision: dict[str, Any]) -> dict[str, Any]:
    """The receipt of a finished attempt, without the list of its files."""
    own = dict(store.read_json(Path(outcome.attempt) / "finished.json"))
    return {
        "experiment": job.experiment,
        "profile": job.profile,
        "outcome": outcome.kind,
        "key": keys.digest(job.parts),
        "components": job.parts,
        "parameters": job.context["parameters"],
        "modified": job.context["modified"],
        "datasets": list(job.parts["data"]),
        "seconds": {
            "wall": outcome.seconds,
            "notebook": own.get("seconds"),
            "cpu": own.get("cpu_seconds"),
            "spared_cpu": own.get("spared_cpu_seconds"),
        },
        "peak_memory_mb": own.get("peak_memory_mb"),
        "peak_gpu_memory_mb": own.get("peak_gpu_memory_mb"),
        "device": own.get("device"),
        "seeds": own.get("seeds", []),
        "versions": own.get("versions", {}),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": outcome.processor,
        "git": revision,
        "attempts": list(outcome.tries),
    }


def git(root: Path) -> dict[str, Any]:
    """The checkout's revision and whether its code differs from it; nulls outside git."""

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=GIT_S)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    sha, status = ask("rev-parse", "HEAD"), ask("status", "--porcelain", "--", *CODE)
    return {"sha": sha, "dirty": bool(status) if sha and status is not None else None}


def failed(layout: Layout, items: Iterable[Item]) -> Iterator[Item]:
    """The items whose last run failed."""
    return (item for item in items if layout.outcome(item.experiment.id, item.profile).exists())
