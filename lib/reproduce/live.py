"""What a person sees while notebooks run: a live table on a terminal, one line for each event anywhere else.

The same events go to a log file, so that a run can be read afterwards.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from lib.reproduce.child import OK
from lib.reproduce.execute import Job, Outcome
from lib.reproduce.store import read_json

MARKS = {"ok": "[green]ok[/]", "running": "[cyan]running[/]", "not started": "[dim]not started[/]"}
SHOWN = 8  # that ended well last, and as many that did not
REFRESH = 2  # times a second


class Live:
    """Shows how one run goes; a context manager.

    The table has what runs, what ended last and what went wrong last: it fits a terminal however many jobs there are.

    Parameters
    ----------
    estimates : sequence of float
        Expected seconds of every job.
    log : Path
        Takes one line for each event.
    slots : int
        Jobs at once, for the estimate to the end.
    """

    def __init__(self, estimates: Sequence[float], log: Path, slots: int) -> None:
        self.total, self.waiting_s = len(estimates), sum(estimates)
        self.log, self.slots = log, max(slots, 1)
        self.began = time.monotonic()
        self.running: dict[str, tuple[Job, float]] = {}
        self.done = 0
        self.ends: deque[tuple[Job, Outcome, float]] = deque(maxlen=SHOWN)
        self.bad: deque[tuple[Job, Outcome, float]] = deque(maxlen=SHOWN)
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
        self.running[job.name] = job, time.monotonic()
        self.waiting_s -= job.estimate_s
        self.line(job.name, "started", f"about {_clock(job.estimate_s)}, limit {_clock(job.limit_s)}")

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job is over, or will not start."""
        self.done += 1
        if job.name in self.running:
            elapsed = time.monotonic() - self.running.pop(job.name)[1]
        else:
            elapsed = 0.0
            self.waiting_s -= job.estimate_s
        (self.ends if outcome.kind == OK else self.bad).append((job, outcome, elapsed))
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
        """Seconds to the end: what is left of the estimates, shared by the slots, but not less than what runs needs."""
        now = time.monotonic()
        left = [max(job.estimate_s - (now - start), 0.0) for job, start in self.running.values()]
        return max((sum(left) + max(self.waiting_s, 0.0)) / self.slots, max(left, default=0.0))

    def table(self) -> Any:
        """The live table: one row for each job that is shown."""
        from rich.table import Table

        now = time.monotonic()
        waiting = self.total - self.done - len(self.running)
        title = f"{self.done} of {self.total} done, {waiting} waiting, {_clock(now - self.began)} so far"
        table = Table(title=f"{title}, about {_clock(self.remaining_s())} to go", title_justify="left", expand=False)
        for heading in ("notebook", "profile", "state", "cells", "elapsed", "expected"):
            table.add_column(heading, justify="right" if heading in ("elapsed", "expected", "cells") else "left")
        for job, outcome, elapsed in (*self.bad, *self.ends):
            mark = MARKS.get(outcome.kind, f"[bold red]{outcome.kind}[/]")
            table.add_row(job.experiment, job.profile, mark, "", _clock(elapsed), _clock(job.estimate_s))
        for job, start in self.running.values():
            progress = _progress(job)
            cells = f"{progress['done']}/{progress['of']}" if progress else ""
            so_far, expected = _clock(now - start), _clock(job.estimate_s)
            table.add_row(job.experiment, job.profile, MARKS["running"], cells, so_far, expected)
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
