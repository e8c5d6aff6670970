"""A job on a worker of a cluster: in the worker's own checkout, and its files back to the runner with the answer.

Nothing needs a shared file system. The worker runs the notebook of its own checkout, once it has found it equal to the
runner's (:mod:`lib.reproduce.agree`), in a folder that Dask clears away; the small files that a report consists of, the
executed notebook and the log then travel as the task's result, and the runner puts them where a local attempt would
have left them. A notebook ends as soon as nobody waits for it any more: when its runner is gone or stopped, and when
its worker has lost the scheduler, which by then gives the job to another.
"""

from __future__ import annotations

import errno
import io
import shutil
import socket
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib import experiments
from lib.reproduce import agree, keys
from lib.reproduce.agree import Agreement
from lib.reproduce.child import FULL, INFRASTRUCTURE
from lib.reproduce.execute import Job, Outcome, execute
from lib.reproduce.store import PUBLISHED

LARGEST_MB = 64  # of one attempt; the largest committed report has 2
LOG_MB = 4  # the end of a log
SENT = (*PUBLISHED, ".ipynb")
FILES, LOG = "attempt", "log"


def carry_out(job: Job, wanted: Agreement) -> Outcome:
    """Run a job on the Dask worker that this is called on.

    Parameters
    ----------
    job : Job
        With the runner's paths.
    wanted : Agreement
        What the worker must have in common with the runner.

    Returns
    -------
    Outcome
        With the attempt's files as ``parcel``, or the reason for which the job was refused.
    """
    from distributed import get_worker

    worker = get_worker()
    why = agree.refusal(wanted, f"{socket.gethostname()} ({worker.address})")
    if why:
        return Outcome(INFRASTRUCTURE, why, tries=(INFRASTRUCTURE,))
    here = at_home(job, wanted, Path(worker.local_directory))
    outcome = execute(here, wanted=still_wanted(worker))
    try:
        return packed(here, outcome)
    finally:
        shutil.rmtree(here.attempts, ignore_errors=True)
        Path(here.log).unlink(missing_ok=True)


def still_wanted(worker: Any) -> Callable[[], bool]:
    """Whether the task that runs now in this thread of a Dask worker is still waited for, as a function to be asked."""
    from distributed.core import Status

    key = worker.get_current_task()

    def asked() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing" and worker.status in (Status.running, Status.paused)

    return asked


def at_home(job: Job, wanted: Agreement, scratch: Path) -> Job:
    """A job with this machine's paths instead of the runner's; what it writes goes below ``scratch``."""
    root = experiments.root()
    return replace(
        job,
        notebook=str(root / wanted.notebook),
        root=str(root),
        log=str(scratch / "logs" / f"{uuid.uuid4().hex}.log"),
        library=str(keys.library(root).folder.parent),
        scratch=str(scratch / "attempts"),
    )


def packed(job: Job, outcome: Outcome) -> Outcome:
    """An outcome with the files of its attempt and the log in it, as one archive.

    Files that together exceed ``LARGEST_MB`` stay behind, and the job has failed; the log comes all the same.
    """
    folder = Path(outcome.attempt)
    files = [path for path in sorted(folder.iterdir()) if path.suffix in SENT] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files) / 1e6
    if size > LARGEST_MB:
        words = f"its files have {size:.0f} MB, and {LARGEST_MB} MB travel from a worker; write smaller ones, or run it"
        outcome, files = replace(outcome, kind=INFRASTRUCTURE, message=f"{words} without SCHEDULER"), []
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, f"{FILES}/{path.name}")
        log = Path(job.log)
        if log.exists():
            archive.writestr(LOG, log.read_bytes()[-int(LOG_MB * 1e6) :])
    return replace(outcome, attempt="", parcel=stream.getvalue())


def opened(job: Job, outcome: Outcome) -> Outcome:
    """An outcome whose files are on this machine: those of a parcel are laid out as an attempt of the runner's own.

    Parameters
    ----------
    job : Job
        With the runner's paths.
    outcome : Outcome
        As it came; without a parcel it is returned as it is.
    """
    if not outcome.parcel:
        return outcome
    folder = job.attempts / uuid.uuid4().hex[:12]
    bare = replace(outcome, parcel=b"")
    try:
        folder.mkdir(parents=True)
        _unpack(outcome.parcel, folder, Path(job.log))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        shutil.rmtree(folder, ignore_errors=True)
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        words = f"{FULL} {job.root}" if full else f"what the worker sent cannot be unpacked: {error}"
        return replace(bare, kind=INFRASTRUCTURE, message=words)
    return replace(bare, attempt=str(folder))


def _unpack(parcel: bytes, folder: Path, log: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(parcel)) as archive:
        for member in archive.infolist():
            room, _, name = member.filename.partition("/")
            if member.filename == LOG:
                log.parent.mkdir(parents=True, exist_ok=True)
                with log.open("ab") as stream:
                    stream.write(archive.read(member))
            elif room == FILES and name not in ("", "..") and Path(name).name == name:
                (folder / name).write_bytes(archive.read(member))
            else:
                raise ValueError(f"{member.filename!r} is no name of a file in an attempt")
