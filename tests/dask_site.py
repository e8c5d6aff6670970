"""A Dask cluster of separate processes for tests, whose ways to the scheduler can be cut."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
from mini_project import ROOT, Mini, until

RECIPE = ROOT / "cluster" / "slurm.sh"
MARK = "BLINDSPOT_TEST_SITE"
PATIENCE_S = 300  # for a machine that is busy with other things; nothing here waits so long on an idle one
# After so long without an answer the system ends the scheduler's connections; a busy worker's system still answers.
SOON = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"}


def worker_words(line: str) -> list[str]:
    """The worker's command in a line of a recipe, with ``ADDRESS`` for where its scheduler is."""
    found = re.search(r"dask worker (?P<address>\S+) (?P<rest>[^\"&]*)", line)
    assert found is not None, f"no worker is started in {line!r}"
    return ["dask", "worker", "ADDRESS", *found["rest"].split()]


def in_recipe(path: Path) -> list[str]:
    """The one worker's command of a shell recipe."""
    lines = [line for line in path.read_text().splitlines() if "dask worker" in line and not line.startswith("#")]
    assert len(lines) == 1
    return worker_words(lines[0])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Link:
    """A way to a port of this machine that can be cut: every connection over it ends, and no new one is made."""

    def __init__(self, to: int) -> None:
        self.to, self.cut_off, self.held = to, False, list[socket.socket]()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.server.accept()
                try:
                    if self.cut_off:
                        raise ConnectionError
                    far = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    near.close()
                    continue
                self.held += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while block := one.recv(65536):
                other.sendall(block)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self.cut_off = True
        for end in self.held:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        self.cut_off = False


class Site:
    """A scheduler, workers, and runners, as processes that are found again by a mark in their environment.

    Parameters
    ----------
    folder : Path
        For the workers' checkouts, logs and scratch.
    mini : Mini
        The runner's project; each worker gets a copy.
    """

    def __init__(self, folder: Path, mini: Mini) -> None:
        self.folder, self.mini, self.port = folder, mini, free_port()
        self.mark = uuid.uuid4().hex
        self.links: dict[str, Link] = {}
        self.nannies: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        words = ["dask", "scheduler", "--port", str(self.port), "--no-dashboard"]
        self.scheduler = self.spawn("scheduler", words, self.inside("scheduler"), **SOON)
        self.address = f"tcp://127.0.0.1:{self.port}"
        until(self.listens, PATIENCE_S)

    def inside(self, name: str) -> list[str]:
        """The words that put a process into its network; none here, where all have the same."""
        return []

    def listens(self) -> bool:
        """Whether the scheduler is up."""
        return "Scheduler at:" in (self.folder / "scheduler.log").read_text()

    def way(self, name: str) -> str:
        """The address of the scheduler as one worker sees it."""
        self.links[name] = Link(self.port)
        return f"tcp://127.0.0.1:{self.links[name].port}"

    def cut(self, name: str) -> None:
        """Cut a worker off."""
        self.links[name].cut()

    def heal(self, name: str) -> None:
        """Let it reach the scheduler again."""
        self.links[name].heal()

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), MARK: self.mark, **more}

    def spawn(self, name: str, words: list[str], first: list[str], **more: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [*first, sys.executable, "-m", *words], env=self.environment(**more), cwd=self.folder,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def root(self, name: str) -> Path:
        """A worker's checkout."""
        return self.folder / name

    def checkout(self, name: str) -> None:
        """Give a worker a copy of the project, or bring its notebooks up to date."""
        private = shutil.ignore_patterns(".blindspot", "reports")
        shutil.copytree(self.mini.root, self.root(name), ignore=private, dirs_exist_ok=True)

    def worker(self, name: str, **more: str) -> None:
        """Start a worker in its checkout as the Slurm recipe does."""
        own = {"BLINDSPOT_ROOT": str(self.root(name)), "DASK_TEMPORARY_DIRECTORY": str(self.folder / f"{name}-scratch")}
        way = self.way(name)
        words = [way if word == "ADDRESS" else word for word in in_recipe(RECIPE)]
        self.nannies[name] = self.spawn(name, words, self.inside(name), **{**own, **more})

    def all_there(self, count: int) -> None:
        """Wait until the scheduler has so many workers."""
        log = self.folder / "scheduler.log"
        until(lambda: log.read_text().count("Register worker") >= count, PATIENCE_S)

    def runner(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start a runner, in smoke unless the words say otherwise."""
        first = [*self.inside("scheduler"), sys.executable, "-m", "lib.reproduce", "run", "--profile", "smoke"]
        return subprocess.Popen(
            [*first, "--no-pages", "--limit-min", "30", "--scheduler", self.address, *words], cwd=ROOT,
            env=self.environment(BLINDSPOT_ROOT=str(self.mini.root), **more),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *words: str, **more: str) -> tuple[int, str]:
        """Exit code and output of a whole run."""
        process = self.runner(*words, **more)
        output, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output

    def processes(self, root: Path | None = None) -> list[psutil.Process]:
        """What of this site runs: all of it, or what belongs to one checkout."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                environment = process.environ()
                ours = environment.get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE
                if ours and (root is None or environment.get("BLINDSPOT_ROOT") == str(root)):
                    found.append(process)
        return found

    def kill(self, name: str) -> None:
        """Kill a worker and its nanny, and nothing else, at once."""
        nanny = psutil.Process(self.nannies[name].pid)
        for process in (nanny, *nanny.children()):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.nannies[name].wait()

    def ended(self, root: Path | None = None, seconds: float = PATIENCE_S) -> None:
        """Wait until nothing runs any more, at all or for one checkout."""
        until(lambda: not self.processes(root), seconds)

    def close(self) -> None:
        """End whatever is left."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for popen in (self.scheduler, *self.nannies.values()):
            popen.wait()


class Spaces(Site):
    """A site whose scheduler and workers live in network namespaces of their own, joined by a cable each."""

    def __init__(self, folder: Path, mini: Mini) -> None:
        self.made: list[str] = []
        self.stem = f"bs{os.getpid()}"
        super().__init__(folder, mini)

    @staticmethod
    def possible() -> bool:
        """Whether this user may make namespaces and cables between them."""
        space = f"bs{os.getpid()}-try"
        steps = (f"netns add {space}", f"-n {space} link add name near type veth peer name far")
        try:
            return all(subprocess.run(["ip", *words.split()], capture_output=True).returncode == 0 for words in steps)
        except OSError:
            return False
        finally:
            with suppress(OSError):
                subprocess.run(["ip", "netns", "del", space], capture_output=True)

    def ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def space(self, name: str) -> str:
        return f"{self.stem}-{name}"

    def inside(self, name: str) -> list[str]:
        space = self.space(name)
        if space not in self.made:
            self.ip("netns", "add", space)
            self.made.append(space)
            self.ip("-n", space, "link", "set", "lo", "up")
        return ["ip", "netns", "exec", space]

    def way(self, name: str) -> str:
        self.inside(name)
        hub, here, net = self.space("scheduler"), self.space(name), f"10.99.{len(self.made)}"
        self.ip("-n", hub, "link", "add", "name", name, "type", "veth", "peer", "name", "cable", "netns", here)
        for space, device, host in ((hub, name, 1), (here, "cable", 2)):
            self.ip("-n", space, "addr", "add", f"{net}.{host}/24", "dev", device)
            self.ip("-n", space, "link", "set", device, "up")
        return f"tcp://{net}.1:{self.port}"

    def cut(self, name: str) -> None:
        self.ip("-n", self.space("scheduler"), "link", "set", name, "down")

    def heal(self, name: str) -> None:
        self.ip("-n", self.space("scheduler"), "link", "set", name, "up")

    def close(self) -> None:
        super().close()
        for space in self.made:
            self.ip("netns", "del", space)
