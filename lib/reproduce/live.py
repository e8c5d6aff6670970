"""What a person sees while notebooks run: a live table on a terminal, one line for each event anywhere else.

The same events go to a log file, so that a run can be read afterwards.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from lib.reproduce.execute import Job, Outcome
from lib.reproduce.store import read_json

MARKS = {"ok": "[green]ok[/]", "running": "[cyan]running[/]", "waiting": "[dim]waiting[/]"}
REFRESH = 2  # times a second


class Live:
    """Shows the jobs of one run; a context manager.

    Parameters
    ----------
    jobs : list of Job
        In the order in which they will start.
    log : Path
        Takes one line for each event.
    slots : int
        Jobs at once, for the estimate to the end.
    """

    def __init__(self, jobs: list[Job], log: Path, slots: int) -> None:
        self.jobs, self.log, self.slots = jobs, log, max(slots, 1)
        self.began = time.monotonic()
        self.starts: dict[str, float] = {}
        self.ends: dict[str, tuple[float, Outcome]] = {}
        self._display: Any = None

    def __enter__(self) -> Live:
        with suppress(OSError):
            self.log.parent.mkdir(parents=True, exist_ok=True)
        if sys.stdout.isatty():
            from rich.live import Live as Display

            self._display = Display(get_renderable=self.table, refresh_per_second=REFRESH)
            self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.__exit__(kind, error, trace)

    def started(self, job: Job) -> None:
        """A job was handed to a slot."""
        self.starts[job.name] = time.monotonic()
        self.line(job.name, "started", f"about {_clock(job.estimate_s)}, limit {_clock(job.limit_s)}")

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job is over."""
        self.ends[job.name] = (time.monotonic(), outcome)
        words = [f"{outcome.seconds:.1f} s", outcome.message]
        words += [f"in the cell `{outcome.cell}`"] if outcome.cell else []
        words += [f"after {len(outcome.tries)} tries"] if len(outcome.tries) > 1 else []
        self.line(job.name, outcome.kind, ", ".join(filter(None, words)))

    def line(self, name: str, event: str, rest: str = "") -> None:
        """Write one event to the log, and to the output where that is no terminal."""
        text = f"{time.strftime('%H:%M:%S')} {name}: {event}{f' ({rest})' if rest else ''}".replace("\n", " ")
        with suppress(OSError), self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"{time.strftime('%Y-%m-%d')} {text}\n")
        if self._display is None:
            print(text, flush=True)

    def remaining_s(self) -> float:
        """Seconds to the end: what is left of the estimates, shared by the slots, but not less than the longest."""
        now = time.monotonic()
        left = [
            max(job.estimate_s - (now - self.starts.get(job.name, now)), 0.0)
            for job in self.jobs
            if job.name not in self.ends
        ]
        return max(sum(left) / self.slots, max(left, default=0.0))

    def table(self) -> Any:
        """The live table: one row for each job."""
        from rich.table import Table

        now = time.monotonic()
        title = f"{len(self.ends)} of {len(self.jobs)} done, {_clock(now - self.began)} so far"
        table = Table(title=f"{title}, about {_clock(self.remaining_s())} to go", title_justify="left", expand=False)
        for heading in ("notebook", "profile", "state", "cells", "elapsed", "expected"):
            table.add_column(heading, justify="right" if heading in ("elapsed", "expected", "cells") else "left")
        for job in self.jobs:
            end, outcome = self.ends.get(job.name, (now, None))
            state = outcome.kind if outcome else "running" if job.name in self.starts else "waiting"
            progress = _progress(job) if state == "running" else {}
            cells = f"{progress['done']}/{progress['of']}" if progress else ""
            elapsed = _clock(end - self.starts[job.name]) if job.name in self.starts else ""
            mark = MARKS.get(state, f"[bold red]{state}[/]")
            table.add_row(job.experiment, job.profile, mark, cells, elapsed, _clock(job.estimate_s))
        return table


def _progress(job: Job) -> Mapping[str, Any]:
    """How far the newest attempt is, as its child last said."""
    with suppress(OSError, ValueError):
        newest = max(job.attempts.glob("*/progress.json"), key=lambda path: path.stat().st_mtime)
        return read_json(newest) or {}
    return {}


def _clock(seconds: float) -> str:
    """Seconds for a person.

    Examples
    --------
    >>> _clock(9.4), _clock(75), _clock(7500)
    ('9 s', '1:15', '2:05:00')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
