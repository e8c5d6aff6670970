"""A kernel that has its heavy imports behind it: a fork of a process that made them once.

Importing torch, pandas, matplotlib and scikit-learn costs every fresh kernel seconds, as many as a notebook's smoke run
takes. The forkserver that makes the notebooks' processes imports them once; the notebook's process then forks its
kernel from what it inherited, before it has threads of its own. The kernel forgets every module of ``lib``, so that it
imports those of its own project, and everything else is as in a fresh interpreter: environment, folder, order of search
for modules, hash seed.

On Linux only: elsewhere a fork of a process that has loaded system libraries may crash, and kernels start cold.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lib.reproduce import guard

POSSIBLE = sys.platform == "linux"
KERNEL = ["ipykernel.kernelapp"]
HEAVY = [
    "lib.run",
    "sklearn.ensemble",
    "sklearn.feature_selection",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.neural_network",
    "sklearn.svm",
    "statsmodels.stats.multitest",
]


def imports(notebook: Path) -> list[str]:
    """What is imported once for a notebook and those that follow it: nothing heavy where it does not use `lib`."""
    if not POSSIBLE:
        return []
    return KERNEL + (HEAVY if "lib.run" in notebook.read_text(encoding="utf-8") else [])


@contextmanager
def surroundings(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Waiting:
    """A forked process that becomes a kernel when it is told which one; from then on, what ``Popen`` would be.

    Must be made before this process has threads: a fork carries only the one that makes it.
    """

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        hears, self._says = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            os.close(self._says)
            _wait(hears)
        os.close(hears)

    def become(self, arguments: list[str], *, cwd: str, variables: Mapping[str, str]) -> None:
        """Be a kernel with these command line arguments in this folder and environment."""
        told = {"arguments": arguments, "cwd": cwd, "variables": dict(variables)}
        with os.fdopen(self._says, "w", encoding="utf-8") as stream:
            json.dump(told, stream)

    def poll(self) -> int | None:
        """The exit code, None while it runs; the negative number of the signal that ended it."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self) -> int:
        """The exit code, when it has ended."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def _wait(hears: int) -> None:
    """In the fork: wait for orders and be a kernel; never returns."""
    code = 1
    try:
        guard.die_with_parent()
        with os.fdopen(hears, encoding="utf-8") as stream:
            text = stream.read()
        code = 0
        if text:
            _be(**json.loads(text))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        for printed in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                printed.flush()
        os._exit(code)


def _be(arguments: list[str], cwd: str, variables: dict[str, str]) -> None:
    from ipykernel import kernelapp

    os.environ.clear()
    os.environ.update(variables)
    os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    multiprocessing.set_start_method(None, force=True)  # the notebook's processes follow the system's way, not Dask's
    first = [path for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = first + [path for path in sys.path if path and path not in first]
    for name in [name for name in sys.modules if name == "lib" or name.startswith("lib.")]:
        del sys.modules[name]
    sys.argv = ["kernel", *arguments]
    kernelapp.launch_new_instance()
