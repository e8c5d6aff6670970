"""A bar under every cell that takes longer than three seconds: how long it has run, and how long it took last time.

What tells its own progress (``run.progress``, ``lib.train.fit``) keeps its own bar; this one stays away as long as one
of those is on the screen when its time has come. It is one display that is updated in place and emptied at the end of
the cell, so that the cell's own outputs keep their order; it is made only where somebody watches (:mod:`lib.lab`).

Conventions: durations are wall-clock seconds; those of cells that took longer than three seconds are kept in
``.blindspot/cells.json``, by the hash of the cell's text, the newest 500.
"""

from __future__ import annotations

import contextvars
import hashlib
import json
import os
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from lib import lab

AFTER_S = 3.0
EVERY_S = 1.0
KEPT = 500


def register(shell: Any) -> None:
    """Watch the cells of a shell."""
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
        if self.over.wait(AFTER_S):
            return
        last = self.durations.last(self.source)
        while not self.over.is_set():
            if self.name or not _tells_its_own():
                data = look(time.monotonic() - self.started, last)
                fresh, self.name = not self.name, self.name or uuid.uuid4().hex
                self._publish(data, update=not fresh)
            if self.over.wait(EVERY_S):
                return

    def _publish(self, data: dict[str, str], *, update: bool) -> None:
        with suppress(Exception):  # a front end that is gone must not end the cell
            self.publisher.publish(data=data, metadata={}, transient={"display_id": self.name}, update=update)


def look(seconds: float, last: float | None) -> dict[str, str]:
    """The bar as text and as HTML.

    Parameters
    ----------
    seconds : float
        How long the cell has run.
    last : float or None
        How long it took last time.

    Returns
    -------
    dict of str
        By MIME type.

    Examples
    --------
    >>> look(12.4, 34.0)["text/plain"]
    'running 12 s, last time 34 s'
    """
    text = f"running {_clock(seconds)}" + (f", last time {_clock(last)}" if last else "")
    share = f'value="{min(seconds, last):.1f}" max="{last:.1f}" ' if last else ""
    bar = f'<progress {share}aria-label="{text}" style="width:14em;vertical-align:middle"></progress>'
    html = f'<div style="font-family:var(--jp-ui-font-family,sans-serif);font-size:.9em">{bar} {text}</div>'
    return {"text/plain": text, "text/html": html}


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _tells_its_own() -> bool:
    """Whether a bar of tqdm is on the screen: it has printed since it was made."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    with suppress(Exception):
        return any(bar.last_print_t > bar.start_t for bar in list(getattr(tqdm, "_instances", ())) if not bar.disable)
    return False


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
