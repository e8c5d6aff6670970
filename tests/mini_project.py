"""A tiny project on which the real engine runs: notebooks of one or two cells that need no torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from lib.reproduce import cli
from lib.reproduce.store import Layout

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = "# scale\nn_seeds: int = 2  # seeds\n# method\nshare: float = 0.5  # hidden\n"
FINISH = """import json, os
from pathlib import Path
here = Path(os.environ["BLINDSPOT_ATTEMPT"])
(here / "a.csv").write_text(f"x,y\\n1,{n_seeds}\\n")
claim = {"id": "it-does", "statement": "It does.", "verdict": "untested", "estimate": 1.0, "low": None, "high": None}
(here / "claims.json").write_text(json.dumps([claim | {"expected": "> 0", "smallest_effect": 1.0, "unit": "points"}]))
(here / "finished.json").write_text(json.dumps({"seconds": 1.0, "cpu_seconds": 0.5, "seeds": [0]}))"""
BLOCK = """
["{number}"]
title = "Does it?"
paper = "arXiv:0000.00000"
data = {data}
minutes = {{ smoke = 0.01, cpu = 1 }}
memory_gb = {{ smoke = 0.1 }}
{more}
["{number}".claims.it-does]
says = "It does."
where = "Table 1"
quantity = "difference"
unit = "points"
expected = "> 0"
smallest_effect = 1.0
rule = "paired"
"""


class Mini:
    """A project in a folder, and ways to run it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout(root)
        self.family = root / "notebooks" / "demo"
        self.family.mkdir(parents=True)

    def add(
        self,
        number: str,
        *cells: str,
        parameters: str | None = PARAMETERS,
        more: str = "",
        data: str = '["digits"]',
    ) -> Path:
        """Add a notebook; its cells follow the parameters cell."""
        sources = [(parameters, ["parameters"])] if parameters is not None else []
        sources += [(cell, []) for cell in cells]
        written = [
            {
                "cell_type": "code",
                "id": f"cell-{index}",
                "metadata": {"tags": tags},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for index, (source, tags) in enumerate(sources)
        ]
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        content = {"cells": written, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        path = self.family / f"{number}_does_it.ipynb"
        fresh = not path.exists()
        path.write_text(json.dumps(content))
        if fresh:
            with (self.family / "experiments.toml").open("a") as stream:
                stream.write(BLOCK.format(number=number, more=more, data=data))
        return path

    def cli(self, *words: str) -> int:
        """Call the command line in this process; returns the exit code."""
        was = sys.argv, os.environ.get("BLINDSPOT_ROOT")
        sys.argv, os.environ["BLINDSPOT_ROOT"] = ["reproduce", *words], str(self.root)
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            sys.argv = was[0]
            os.environ.pop("BLINDSPOT_ROOT")
            if was[1] is not None:
                os.environ["BLINDSPOT_ROOT"] = was[1]
        return 0

    def run(self, *words: str) -> int:
        """``run`` in smoke, in this process, without Dask and pages."""
        return self.cli("run", "--profile", "smoke", "--scheduler", "inline", "--no-pages", *words)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """``run`` in smoke as a process of its own."""
        command = [sys.executable, "-m", "lib.reproduce", "run", "--profile", "smoke", "--no-pages", *words]
        environment = {**os.environ, "BLINDSPOT_ROOT": str(self.root)}
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=_hears_interrupts if sys.platform != "win32" else None,
        )  # fmt: skip

    def receipt(self, number: str, profile: str = "smoke") -> dict[str, Any] | None:
        """The published receipt as it stands."""
        path = self.layout.report(f"demo/{number}", profile) / "receipt.json"
        return json.loads(path.read_text()) if path.exists() else None

    def failure(self, number: str) -> dict[str, Any]:
        """What is noted about the last failure."""
        return json.loads(self.layout.outcome(f"demo/{number}", "smoke").read_text())

    def pid(self, name: str) -> psutil.Process:
        """Wait until a notebook has written its kernel's process id to ``name``."""
        until(lambda: (self.root / name).exists() and (self.root / name).read_text().endswith("."), 60)
        return psutil.Process(int((self.root / name).read_text()[:-1]))


def _hears_interrupts() -> None:
    """Undo what a shell does to jobs in its background: they ignore Ctrl-C, and so would their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
