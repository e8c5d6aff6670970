"""File locks that end with their holder: one runner for each checkout, one kernel starting, one notebook on each GPU.

The operating system drops such a lock when its holder dies, however it dies, so nothing has to be cleaned up.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

POLL_S = 0.05


class Held(RuntimeError):
    """Somebody else holds the lock; the text says who."""


def _try(stream: IO[str]) -> bool:
    """Take the lock on an open file if it is free; it goes when the file is closed."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def machine_folder() -> Path:
    """A folder for locks that concern the whole machine, one for each user."""
    folder = Path(tempfile.gettempdir()) / f"blindspot-{getpass.getuser()}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def checkout(path: Path) -> Iterator[None]:
    """Hold a checkout for one runner.

    Raises
    ------
    Held
        When another runner works there; the text names its process, its start and its command.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = path.with_suffix(".holder")
    with path.open("a+", encoding="utf-8") as stream:
        if not _try(stream):
            try:
                who = json.loads(holder.read_text(encoding="utf-8"))
                text = f"process {who['pid']}, since {who['since']}: {who['command']}"
            except (OSError, ValueError, KeyError):
                text = "its process has not said who it is yet"
            raise Held(f"another runner works in this checkout ({text}); wait for it, or stop it")
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        note = {"pid": os.getpid(), "since": since, "command": " ".join(["lib.reproduce", *sys.argv[1:]])}
        with suppress(OSError):  # a full disk is for the notebooks to report
            holder.write_text(json.dumps(note), encoding="utf-8")
        yield


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold a lock, waiting for it as long as it takes."""
    with path.open("a+", encoding="utf-8") as stream:
        while not _try(stream):
            time.sleep(POLL_S)
        yield


@contextmanager
def one_of(names: Sequence[str]) -> Iterator[str]:
    """Hold the first free one of several machine-wide slots (a GPU index each), waiting until one is free.

    Yields
    ------
    str
        The name of the slot.
    """
    folder = machine_folder()
    while True:
        for name in names:
            with (folder / f"gpu-{name}.lock").open("a+", encoding="utf-8") as stream:
                if _try(stream):
                    yield name
                    return
        time.sleep(POLL_S)
