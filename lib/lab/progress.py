"""A bar under every cell that takes longer than three seconds: how long it has run, and how long it took last time.

It also tells how far the loops have come that would write a bar of their own to the error stream and take it away
again (``run.progress``, ``lib.train.fit``): JupyterLab shows that stream on red, and keeps the red when the bar is
gone. Any other bar of tqdm stays as it is, and this one stays away while one is on the screen when its time has come.
It is one display that is updated in place and emptied at the end of the cell, so that the cell's own outputs keep
their order; it is made only where somebody watches (:mod:`lib.lab`).

Conventions: durations are wall-clock seconds; those of cells that took longer than three seconds are kept in
``.blindspot/cells.json``, by the hash of the cell's text, the newest 500.
"""

from __future__ import annotations

import contextvars
import hashlib
import io
import json
import os
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from lib import lab

AFTER_S = 3.0
EVERY_S = 1.0
KEPT = 500
Step = tuple[str, float, float | None]
"""Label of a loop, how far it has come, and how far it goes where that is known."""


def register(shell: Any) -> None:
    """Watch the cells of a shell."""
    warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm on widgets, which nothing here needs
    bars = Bars(shell)
    shell.events.register("pre_run_cell", bars.start)
    shell.events.register("post_run_cell", bars.stop)


class Bars:
    """The bar of the cell that runs; one for each thread, since a kernel may run a cell in a subshell beside another.

    Parameters
    ----------
    shell : InteractiveShell
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.running: dict[int, Bar] = {}

    def start(self, info: Any) -> None:
        """Before a cell: wait beside it."""
        self._end(keep=False)
        if info.store_history and lab.watched(self.shell):
            self.running[threading.get_ident()] = Bar(self.shell.display_pub, Durations(), info.raw_cell)

    def stop(self, result: Any) -> None:
        """After a cell: take the bar away, and keep how long the cell took if it ran through."""
        self._end(keep=result is not None and result.success)

    def _end(self, *, keep: bool) -> None:
        bar = self.running.pop(threading.get_ident(), None)
        if bar is not None:
            bar.end(keep=keep)


class Bar:
    """A display that comes after three seconds and goes with its cell.

    Parameters
    ----------
    publisher : DisplayPublisher
        The kernel's own: a cell that captures its outputs does not capture the bar.
    durations : Durations
    source : str
        The text of the cell.
    """

    def __init__(self, publisher: Any, durations: Durations, source: str) -> None:
        self.publisher, self.durations, self.source = publisher, durations, source
        self.started, self.over, self.name = time.monotonic(), threading.Event(), ""
        self.since = time.time()  # as tqdm tells the time
        # outputs of a thread go to the cell named in its context, which a thread does not inherit by itself
        context = contextvars.copy_context()
        self.thread = threading.Thread(target=context.run, args=(self._watch,), daemon=True, name="cell-bar")
        self.thread.start()

    def end(self, *, keep: bool) -> None:
        """Take the bar away."""
        self.over.set()
        seconds = time.monotonic() - self.started
        self.thread.join(EVERY_S)
        if self.name:
            self._publish({}, update=True)
        if keep and seconds > AFTER_S:
            self.durations.keep(self.source, seconds)

    def _watch(self) -> None:
        last = None
        while not self.over.wait(EVERY_S):
            steps, seconds = _steps(self.since), time.monotonic() - self.started
            if seconds > AFTER_S and (self.name or not _tells_its_own(self.since)):
                last = last if self.name else self.durations.last(self.source)
                fresh, self.name = not self.name, self.name or uuid.uuid4().hex
                self._publish(look(seconds, last, steps), update=not fresh)

    def _publish(self, data: dict[str, str], *, update: bool) -> None:
        with suppress(Exception):  # a front end that is gone must not end the cell
            self.publisher.publish(data=data, metadata={}, transient={"display_id": self.name}, update=update)


def look(seconds: float, last: float | None, steps: Sequence[Step] = ()) -> dict[str, str]:
    """The bar as text and as HTML.

    Parameters
    ----------
    seconds : float
        How long the cell has run.
    last : float or None
        How long it took last time.
    steps : sequence of Step
        Its loops, the outermost first.

    Returns
    -------
    dict of str
        By MIME type.

    Examples
    --------
    >>> look(12.4, 34.0, [("networks", 2, 5)])["text/plain"]
    'running 12 s, last time 34 s; networks: 2 of 5'
    """
    told = [f"{name}: {done:,.0f}" + (f" of {total:,.0f}" if total else "") for name, done, total in steps]
    text = "; ".join([f"running {_clock(seconds)}" + (f", last time {_clock(last)}" if last else ""), *told])
    done, total = (min(seconds, last), last) if last else steps[0][1:] if steps else (0.0, None)
    share = f'value="{done:.1f}" max="{total:.1f}" ' if total else ""
    bar = f'<progress {share}aria-label="{escape(text)}" style="width:14em;vertical-align:middle"></progress>'
    html = f'<div style="font-family:var(--jp-ui-font-family,sans-serif);font-size:.9em">{bar} {escape(text)}</div>'
    return {"text/plain": text, "text/html": html}


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


class _Nowhere(io.TextIOBase):
    """A stream for what is shown elsewhere."""

    def write(self, text: str) -> int:
        return len(text)


NOWHERE = _Nowhere()


def _loops(since: float) -> list[Any]:
    """The bars of tqdm made since a time; an interrupted one lives on in its traceback and is of an earlier cell."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    with suppress(Exception):
        found = [bar for bar in list(getattr(tqdm, "_instances", ())) if not bar.disable and bar.start_t >= since]
        return sorted(found, key=lambda bar: abs(bar.pos))
    return []


def _steps(since: float) -> list[Step]:
    """How far loops have come whose bars this one takes over: bars that wait, and leave nothing behind."""
    found = []
    for bar in _loops(since):
        with suppress(Exception):
            waits = bar.delay > 0 and bar.last_print_t == bar.start_t
            if waits and bar.leave is False and bar.fp == sys.stderr:
                bar.fp, bar.sp = NOWHERE, NOWHERE.write
            if bar.fp is NOWHERE:
                found.append(((bar.desc or "step").rstrip(": "), float(bar.n), bar.total))
    return found


def _tells_its_own(since: float) -> bool:
    """Whether a bar of tqdm is on the screen: it has printed since it was made."""
    return any(bar.last_print_t > bar.start_t and bar.fp is not NOWHERE for bar in _loops(since))


class Durations:
    """How long cells took, kept between kernels in one small file.

    Parameters
    ----------
    path : Path, optional
        ``.blindspot/cells.json`` of the project by default.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _root() / ".blindspot" / "cells.json"

    def last(self, source: str) -> float | None:
        """Seconds the cell took last time; None where that is not known."""
        value = self._read().get(_name(source))
        return float(value) if isinstance(value, int | float) and value > 0 else None

    def keep(self, source: str, seconds: float) -> None:
        """Note how long a cell took; written beside and renamed, and given up where the disk refuses."""
        known = self._read()
        known.pop(_name(source), None)
        known[_name(source)] = round(seconds, 1)
        newest = dict(list(known.items())[-KEPT:])
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside = self.path.with_suffix(f".part{os.getpid()}")
            beside.write_text(json.dumps(newest, indent=0) + "\n", encoding="utf-8")
            beside.replace(self.path)

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}


def _name(source: str) -> str:
    return hashlib.sha256(source.strip().encode()).hexdigest()[:20]


def _root() -> Path:
    """The project's folder, as `lib.experiments.root` has it, which would import NumPy into the bar's thread."""
    chosen = os.environ.get("BLINDSPOT_ROOT")
    return Path(chosen).resolve() if chosen else Path(__file__).resolve().parents[2]
