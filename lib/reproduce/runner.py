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
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lib.reproduce import child, guard, keys, locks, plan, remote, schedule, store
from lib.reproduce.child import CANCELLED, CELL_ERROR, FULL, INFRASTRUCTURE, OK
from lib.reproduce.execute import Job, Outcome, keep_notebook
from lib.reproduce.live import Live
from lib.reproduce.plan import Item
from lib.reproduce.store import Layout

NOT_STARTED = "not started"
IDLE_S = 1.0
GIT_S = 180  # a status may pass every notebook through the filter that strips outputs
_stop_asked = threading.Event()  # by a signal to this process
CODE = ("lib", "notebooks", "requirements.lock", "pyproject.toml", "data/registry.toml")
Settle = Callable[[Job, Outcome], Outcome]


@contextmanager
def session(layout: Layout) -> Iterator[str]:
    """Hold the checkout, clear what a killed runner left, and give the run a name.

    Raises
    ------
    Held
        When another runner works in this checkout.
    """
    with locks.checkout(layout.scratch / "lock"), _stopped_by_signals():
        guard.kill_marked(layout.attempts)
        store.sweep(layout)
        try:
            yield time.strftime("%Y%m%d-%H%M%S-") + uuid.uuid4().hex[:6]
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
    jobs: list[Job],
    settle: Settle,
    *,
    layout: Layout,
    scheduler: str | schedule.Executor,
    slots: int,
    budget_min: float | None = None,
) -> dict[str, Outcome]:
    """Run jobs and settle each as it ends.

    Parameters
    ----------
    jobs : list of Job
    settle : callable
        Takes a job and its outcome, in this process, one at a time; returns the outcome to report.
    scheduler : str or Executor
        ``inline``, ``local`` or the address of a Dask scheduler; or where to run them, ready made.
    slots : int
        Notebooks at once on the CPU.
    budget_min : float, optional
        Nothing is started that is expected to end later than this many minutes from now.

    Returns
    -------
    dict of Outcome
        By :attr:`Job.name`, for every job.
    """
    jobs = sorted(jobs, key=lambda job: job.estimate_s, reverse=budget_min is None)
    outcomes: dict[str, Outcome] = {}
    executor = schedule.choose(scheduler, jobs, slots)
    try:
        with Live(jobs, layout.scratch / "logs" / f"{jobs[0].run}.log", sum(executor.capacity().values())) as live:
            _loop(jobs, settle, executor, live, outcomes, budget_min)
    except (KeyboardInterrupt, schedule.Lost) as error:
        outcomes |= {job.name: _unsettled(error) for job in jobs if job.name not in outcomes}
    finally:
        executor.close()
        guard.kill_marked(layout.attempts / jobs[0].run)
    return outcomes


def _unsettled(error: BaseException) -> Outcome:
    """How a job ended that the run did not come to, or did not hear of."""
    lost = isinstance(error, schedule.Lost)
    return Outcome(INFRASTRUCTURE, str(error)) if lost else Outcome(CANCELLED, "stopped by hand")


def _loop(
    jobs: list[Job],
    settle: Settle,
    executor: schedule.Executor,
    live: Live,
    outcomes: dict[str, Outcome],
    budget_min: float | None,
) -> None:
    """Keep every slot busy until all jobs are settled; fills ``outcomes`` as it goes."""
    began, waiting, running, short = time.monotonic(), list(jobs), dict[Future[Outcome], Job](), list[str]()
    left = Counter(map(schedule.slot, jobs))  # of each kind, so that a full cluster costs no look at every job
    while waiting or running:
        if _stop_asked.is_set():
            raise KeyboardInterrupt
        free = executor.capacity()
        short = _short(left + Counter(map(schedule.slot, running.values())), free, live, short)
        for job in running.values():
            free[schedule.slot(job)] -= 1
        for job in list(waiting):
            if budget_min is None and not any(left[kind] and free[kind] > 0 for kind in free):
                break
            if budget_min is not None and time.monotonic() - began + job.estimate_s > budget_min * 60:
                waiting.remove(job)
                left[schedule.slot(job)] -= 1
                outcomes[job.name] = Outcome(NOT_STARTED, f"it would end after the budget of {budget_min:g} min")
                live.ended(job, outcomes[job.name])
            elif free[schedule.slot(job)] > 0:
                free[schedule.slot(job)] -= 1
                left[schedule.slot(job)] -= 1
                waiting.remove(job)
                live.started(job)
                running[executor.submit(job)] = job
                if isinstance(executor, schedule.Inline):
                    break
        if waiting and not running:
            time.sleep(IDLE_S)
        for future in sorted(wait(running, IDLE_S, FIRST_COMPLETED).done, key=Future.cancelled):  # arrived ones first
            job = running.pop(future)
            outcomes[job.name] = settle(job, remote.opened(job, _outcome(future)))
            live.ended(job, outcomes[job.name])


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


def publisher(layout: Layout, items: list[Item]) -> Settle:
    """A settler that publishes what succeeded and notes what failed, so that it can be tried again."""
    by_name = {f"{item.experiment.id} {item.profile}": item for item in items}
    revision = git(layout.root)

    def settle(job: Job, outcome: Outcome) -> Outcome:
        if outcome.attempt:
            keep_notebook(job, outcome, layout)
        note = layout.outcome(job.experiment, job.profile)
        if outcome.kind == OK:
            try:
                store.publish(layout, Path(outcome.attempt), content(job, outcome, by_name[job.name], revision))
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


def content(job: Job, outcome: Outcome, item: Item, revision: dict[str, Any]) -> dict[str, Any]:
    """The receipt of a finished attempt, without the list of its files."""
    own = dict(store.read_json(Path(outcome.attempt) / "finished.json"))
    return {
        "experiment": job.experiment,
        "profile": job.profile,
        "outcome": outcome.kind,
        "key": keys.digest(item.parts),
        "components": item.parts,
        "parameters": item.parameters,
        "modified": item.modified,
        "datasets": list(item.parts["data"]),
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


def failed(layout: Layout, items: list[Item]) -> list[Item]:
    """The items whose last run failed."""
    return [item for item in items if layout.outcome(item.experiment.id, item.profile).exists()]


def jobs_of(items: list[Item], root: Path, run: str, limit_min: float | None) -> list[Job]:
    """The jobs of some items, with fresh logs."""
    jobs = [plan.job(item, root, run=run, limit_min=limit_min) for item in items]
    for job in jobs:
        with suppress(OSError):
            Path(job.log).unlink(missing_ok=True)
    return jobs


def went_wrong(outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    """The outcomes that make the exit code 1."""
    return {name: outcome for name, outcome in outcomes.items() if outcome.kind not in (child.OK, NOT_STARTED)}
