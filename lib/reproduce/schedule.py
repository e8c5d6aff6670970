"""Where notebooks run: in this process one after the other, on this machine in parallel, or on any Dask cluster.

The one seam is :class:`Executor`. Dask places and, when a worker dies, places again; that a worker's child dies with it
is :mod:`lib.reproduce.guard`'s part, and which GPU a notebook gets is decided by a lock on the machine it runs on, so
that two runners never share one. What a worker on another machine does is :mod:`lib.reproduce.remote`'s part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from lib.reproduce import agree, devices, remote
from lib.reproduce.execute import Job, Outcome, execute
from lib.reproduce.spool import Spool

CPU, GPU = "CPU", "GPU"
WORKER_DEATHS = 2  # a job whose workers died more often than this is given up
WAIT_S = 60
CLOSE_S = 10  # a scheduler that does not answer is left alone after so many seconds
CALM = {  # one notebook takes minutes: Dask's sampling profiler and ticks, many a second, would cost a core's tenth
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    # asked for by Dask.capacity; the client's own look, which lists no worker, could overwrite the answer on its way
    "distributed.client.scheduler-info-interval": "1h",
}
QUIET = logging.ERROR  # the live table says what happens; of Dask, errors only


WORKER = "dask worker tcp://HOST:8786 --nthreads 1 --memory-limit 0 --resources CPU=1"
GONE = "the scheduler is gone, or has dropped the work; start it again, then run again: what was published stays"
RECIPES = "cluster/README.md tells how to start one"


class Lost(RuntimeError):
    """The scheduler is gone, or has let go of what was submitted."""


class Executor(Protocol):
    """Runs jobs, so many at a time."""

    def capacity(self) -> dict[str, int]:
        """How many jobs can run at once, by kind of slot."""
        ...

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def slot(job: Job) -> str:
    """The kind of slot a job takes."""
    return GPU if job.gpu else CPU


class Inline:
    """One notebook after the other, in this process; needs no Dask."""

    def capacity(self) -> dict[str, int]:
        """One job, of whatever kind."""
        return {CPU: 1, GPU: 1}

    def submit(self, job: Job) -> Future[Outcome]:
        """Run the job now; the future is done when this returns."""
        future: Future[Outcome] = Future()
        future.set_result(execute(job))
        return future

    def close(self) -> None:
        """Nothing is held."""


class Dask:
    """Slots are workers of one thread, each with the resource ``CPU`` or ``GPU``.

    Parameters
    ----------
    client : distributed.Client
    cluster : distributed.SpecCluster or None
        Closed with the executor when it was made for it.
    """

    def __init__(self, client: Any, cluster: Any = None) -> None:
        self.client, self.cluster = client, cluster
        self._submit: dict[str, Callable[..., Future[Outcome]]] = {
            kind: client.get_executor(pure=False, resources={kind: 1}, retries=0).submit for kind in (CPU, GPU)
        }

    def capacity(self) -> dict[str, int]:
        """The slots of the workers that are there now.

        Raises
        ------
        Lost
            When the scheduler does not answer any more.
        """
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        except (OSError, KeyError) as error:  # a client that has given up knows no workers
            raise Lost(GONE) from error
        return {kind: sum(int(worker["resources"].get(kind, 0)) for worker in workers) for kind in (CPU, GPU)}

    def submit(self, job: Job) -> Future[Outcome]:
        """Queue the job for a worker with a free slot of its kind."""
        return self._submit[slot(job)](execute, job)

    def close(self) -> None:
        """Close the client; a cluster of our own ends with its workers and their notebooks."""
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a scheduler that is gone has been reported
        with suppress(TimeoutError):
            self.client.close(timeout=CLOSE_S)
        if self.cluster is not None:
            with suppress(TimeoutError):
                self.cluster.close(timeout=CLOSE_S)


class Cluster(Dask):
    """A Dask cluster that somebody else started, whose workers have checkouts of their own.

    Parameters
    ----------
    client : distributed.Client
    shared : agree.Common
        What its workers must have in common with the runner.
    """

    def __init__(self, client: Any, shared: agree.Common) -> None:
        super().__init__(client)
        self.shared = shared

    def submit(self, job: Job) -> Future[Outcome]:
        """Queue the job together with what its worker must have."""
        wanted = agree.of(Path(job.root), Path(job.notebook), job.context["datasets"], self.shared)
        return self._submit[slot(job)](remote.carry_out, job, wanted)


def local(cpu_slots: int, gpu_slots: int) -> Dask:
    """A Dask cluster on this machine: one process for each slot.

    Parameters
    ----------
    cpu_slots, gpu_slots : int
        Notebooks at once on the CPU, and on a GPU each.
    """
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster

    _settings(dask)
    wanted = [CPU] * cpu_slots + [GPU] * gpu_slots
    workers = {
        number: {
            "cls": Nanny,
            # memory_limit counts the worker, not the notebook's process: the notebook's is planned for instead
            "options": {"nthreads": 1, "memory_limit": 0, "resources": {kind: 1}, "silence_logs": QUIET},
        }
        for number, kind in enumerate(wanted)
    }
    quiet_corner = {"dashboard": False, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "port": 0}
    scheduler = {"cls": Scheduler, "options": quiet_corner}
    cluster = SpecCluster(workers=workers, scheduler=scheduler, silence_logs=QUIET)
    client = Client(cluster)
    client.wait_for_workers(len(wanted), timeout=WAIT_S)
    return Dask(client, cluster)


def address(where: str, root: Path) -> Cluster:
    """Any Dask scheduler: ``tcp://host:port``, or the path of a scheduler file.

    Parameters
    ----------
    where : str
    root : Path
        The project's folder, which the workers' checkouts must equal.

    Raises
    ------
    ValueError
        When nothing answers there, no worker comes, the workers offer no slots, or one of them has another ``lib`` or
        lock; nothing has been started then.
    """
    client = _connected(where)
    try:
        executor = Cluster(client, agree.common(root))
        _check(executor, where)
    except BaseException:
        client.close(timeout=CLOSE_S)
        raise
    return executor


def _check(executor: Cluster, where: str) -> None:
    """Raise unless there are slots, and all workers have what the runner has."""
    try:
        executor.client.wait_for_workers(1, timeout=WAIT_S)
    except TimeoutError as error:
        raise ValueError(f"no worker has come to {where} within {WAIT_S} s; start `{WORKER}`; {RECIPES}") from error
    if not any(executor.capacity().values()):
        raise ValueError(f"the workers of {where} offer no slots; start them with `{WORKER}` (GPU=1 for a GPU)")
    answers = executor.client.run(agree.check_code, executor.shared, on_error="return")
    lines = agree.refused(answers)
    if lines:
        many = f"{len(lines)} of {len(answers)} workers of {where} have not what this runner has"
        raise ValueError("\n  ".join([f"{many}, and nothing was started:", *lines]) + f"\n{agree.AGAIN}")


def _connected(where: str) -> Any:
    """A client of a scheduler, or one paragraph on why there is none."""
    file = Path(where) if where.endswith(".json") else None
    if file is None and ":" not in where:
        raise ValueError(f"--scheduler must be inline, local, tcp://host:port or a scheduler file, got {where!r}")
    if file is not None and not file.is_file():
        raise ValueError(f"there is no scheduler file {where}; `dask scheduler --scheduler-file` writes one; {RECIPES}")
    import dask
    from distributed import Client

    _settings(dask)
    try:
        return Client(scheduler_file=str(file)) if file else Client(where)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"no Dask scheduler answers at {where} ({reason}); is it running, and may this machine reach its port? "
            f"{RECIPES}"
        ) from error


def _settings(dask: Any) -> None:
    logging.getLogger("distributed").setLevel(QUIET)
    dask.config.set({"distributed.scheduler.allowed-failures": WORKER_DEATHS, "distributed.worker.daemon": False})
    dask.config.set({"distributed.scheduler.worker-saturation": 1.0, **CALM})


def choose(scheduler: str | Executor, jobs: Spool, slots: int) -> Executor:
    """The executor that was asked for, with no more slots than there are jobs.

    Parameters
    ----------
    scheduler : str or Executor
        ``inline``, ``local``, or the address of a Dask scheduler; a ready made executor is taken as it is.
    jobs : Spool
    slots : int
        CPU slots of a local cluster.
    """
    if not isinstance(scheduler, str):
        return scheduler
    if scheduler == "inline":
        return Inline()
    if scheduler != "local":
        return address(scheduler, Path(jobs[0].root))
    on_gpu = sum(jobs.on_gpu)
    return local(min(slots, len(jobs) - on_gpu), min(len(devices.gpus()), on_gpu))
