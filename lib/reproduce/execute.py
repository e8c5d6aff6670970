"""One notebook from start to end: a private folder, a child process, a limit, and a word on how it ended.

The function :func:`execute` is what every scheduler runs, in the runner itself or in a Dask worker. The notebook runs
in a child that a forkserver with papermill already imported makes, so that neither papermill's change of folder nor its
death touches the scheduler and a run does not pay for that import; :mod:`lib.reproduce.warm` spares the notebook's own.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from lib.reproduce import child, devices, guard, locks, warm
from lib.reproduce.child import CANCELLED, FULL, INFRASTRUCTURE, TIMED_OUT
from lib.reproduce.store import Layout, write_json

TRIES = 3
GRACE_S = 10.0
POLL_S = 0.5  # how often it is asked whether a notebook is still wanted
PRELOAD = ["lib.reproduce.child", "papermill", "papermill.clientwrap", "papermill.engines", "psutil"]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# A tensor that glibc gives back to the system at once is paged in again, zeroed, for the next: two to three times the
# CPU seconds of small networks. Dask sets its workers a low threshold, which their children would inherit.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20)}  # bytes


@dataclass(frozen=True)
class Job:
    """All that a worker needs to run one notebook; plain data, so that it travels.

    Attributes
    ----------
    experiment, profile : str
    notebook, root, log : str
        Paths on the machine that runs it.
    library : str
        The folder above the ``lib`` that the notebook imports, the one the key was taken over.
    context : dict
        What ``lib.run`` reads as ``context.json``.
    claims : tuple of str
        The ids of the claims that must be filled in.
    limit_s : float
        Wall-clock limit in seconds; a notebook that takes longer is killed.
    gpu : bool
        Whether it needs a GPU slot.
    estimate_s : float
        How long it is expected to take.
    run : str
        The run of the runner that it belongs to.
    scratch : str
        The folder for its attempts; by default the project's own.
    parts : dict
        The components of its key, which the receipt keeps.
    """

    experiment: str
    profile: str
    notebook: str
    root: str
    log: str
    library: str
    context: dict[str, Any]
    claims: tuple[str, ...]
    limit_s: float
    gpu: bool
    estimate_s: float
    run: str
    scratch: str = ""
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Experiment and profile, as people read them."""
        return f"{self.experiment} {self.profile}"

    @property
    def attempts(self) -> Path:
        """The folder that holds one private folder for each attempt."""
        above = Path(self.scratch) if self.scratch else Layout(Path(self.root)).attempts
        return above / self.run / self.experiment / self.profile


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    kind : {"ok", "cell error", "kernel died", "timed out", "cancelled", "infrastructure"}
    message : str
        What went wrong, in one line.
    cell : str
        First line of the cell that failed, where one did.
    attempt : str
        The folder of the last attempt.
    seconds : float
        Wall-clock seconds of the last attempt.
    tries : tuple of str
        The kinds of all attempts, in order.
    processor : str
        On which the last attempt ran, as :func:`devices.processor` names it.
    parcel : bytes
        The attempt's files, where they come from another machine; see :mod:`lib.reproduce.remote`.
    """

    kind: str
    message: str = ""
    cell: str = ""
    attempt: str = ""
    seconds: float = 0.0
    tries: tuple[str, ...] = ()
    processor: str = ""
    parcel: bytes = field(default=b"", repr=False)


def always() -> bool:
    """What runs here is always wanted: who asked for it ends it."""
    return True


def execute(job: Job, *, wanted: Callable[[], bool] = always) -> Outcome:
    """Run one notebook; only a fault of the infrastructure is tried again, and a full disk is not.

    Parameters
    ----------
    job : Job
    wanted : callable
        Asked all the while; the notebook is stopped when it says False.

    Returns
    -------
    Outcome
        Never raises for what the notebook does.
    """
    return tried(lambda: _attempt(job, wanted))


def tried(attempt: Callable[[], Outcome]) -> Outcome:
    """Try until it ends otherwise than by a fault of the infrastructure, or often enough.

    Examples
    --------
    >>> tried(lambda: Outcome(INFRASTRUCTURE)).tries
    ('infrastructure', 'infrastructure', 'infrastructure')
    """
    tries: list[str] = []
    while True:
        outcome = attempt()
        tries.append(outcome.kind)
        if outcome.kind != INFRASTRUCTURE or outcome.message.startswith(FULL) or len(tries) == TRIES:
            return replace(outcome, tries=tuple(tries))


def _attempt(job: Job, wanted: Callable[[], bool]) -> Outcome:
    folder = job.attempts / uuid.uuid4().hex[:12]
    started = time.monotonic()
    try:
        folder.mkdir(parents=True)
        write_json(folder / "context.json", job.context)
        processes(job)  # its imports are made once for all notebooks and are not counted for the first one
        with locks.one_of(_gpus()) if job.gpu else nullcontext("") as device:
            started = time.monotonic()
            result = _supervise(job, folder, _environment(job, folder, device), wanted)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        result = child.ended(INFRASTRUCTURE, f"{FULL} {job.root}" if full else f"{type(error).__name__}: {error}")
    finally:
        guard.kill_marked(folder)
    seconds = round(time.monotonic() - started, 3)
    ended = Outcome(result["kind"], result["message"], result["cell"], str(folder), seconds)
    return replace(ended, processor=devices.processor())


def _gpus() -> list[str]:
    found = devices.gpus()
    if not found:
        raise OSError("this notebook needs a GPU and none is visible here; use --profile cpu")
    return found


def _environment(job: Job, folder: Path, device: str) -> dict[str, str]:
    """What the kernel's environment holds beyond the runner's: its attempt, its share of threads, its device."""
    path = os.pathsep.join(filter(None, [job.library, os.environ.get("PYTHONPATH", "")]))
    own = {guard.MARK: str(folder), "BLINDSPOT_ROOT": job.root, "CUDA_VISIBLE_DEVICES": device, "PYTHONPATH": path}
    return {**_early(job), **own, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def _early(job: Job) -> dict[str, str]:
    """What the interpreter and libraries read when they start, which is before a kernel knows its job."""
    return {**dict.fromkeys(THREAD_VARIABLES, str(job.context["threads"])), **MALLOC, "PYTHONHASHSEED": "0"}


def processes(job: Job) -> multiprocessing.context.BaseContext:
    """The way children are made: a forkserver with papermill and more imported; fresh processes on Windows."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD + warm.imports(Path(job.notebook)))
    with warm.surroundings(_early(job)):
        forkserver.ensure_running()
    return context


@contextmanager
def _may_have_children() -> Iterator[None]:
    """Let a Dask worker have a child: Dask marks its workers as daemons, which may not; ours is watched and killed."""
    flags: dict[str, Any] = vars(multiprocessing.current_process())["_config"]
    was = flags.get("daemon")
    flags["daemon"] = False
    try:
        yield
    finally:
        flags["daemon"] = was


def _supervise(job: Job, folder: Path, environment: Mapping[str, str], wanted: Callable[[], bool]) -> dict[str, str]:
    """Start the child, wait for its word within the limit, and leave nothing of it behind."""
    context: Any = processes(job)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child.main, args=(job, str(folder), dict(environment), sender), daemon=False)
    with _may_have_children():
        process.start()
    sender.close()
    try:
        end = time.monotonic() + job.limit_s
        while not wait([receiver, process.sentinel], timeout=max(min(end - time.monotonic(), POLL_S), 0)):
            if time.monotonic() >= end:
                return child.ended(TIMED_OUT, f"stopped at its limit of {_minutes(job.limit_s)}", _cell(folder))
            if not wanted():
                return child.ended(CANCELLED, "nobody waits for it any more")
        if receiver.poll():
            with suppress(EOFError):
                result: dict[str, str] = receiver.recv()
                process.join(GRACE_S)
                return result
        process.join(GRACE_S)
        return child.ended(
            INFRASTRUCTURE, f"the notebook's process ended without a word (exit code {process.exitcode})"
        )
    finally:
        if process.pid is not None:
            guard.kill_group(process.pid)
        guard.kill_marked(folder)
        process.join(GRACE_S)
        receiver.close()


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _cell(folder: Path) -> str:
    return str((child.read_json(folder / "progress.json") or {}).get("cell", ""))


def keep_notebook(job: Job, outcome: Outcome, layout: Layout) -> None:
    """Move the executed notebook out of the attempt, where people look for it."""
    source = Path(outcome.attempt) / "executed.ipynb"
    target = layout.executed(job.experiment, job.profile)
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_suffix(".part")
        shutil.copyfile(source, beside)
        beside.replace(target)
