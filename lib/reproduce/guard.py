"""No process outlives the one that answers for it.

Three nets, because each has a hole: on Linux the kernel of the system kills a process whose parent ends
(``PR_SET_PDEATHSIG``); a thread waits for the end of the process that asked for the work, which may not be the parent;
and every process of an attempt carries the attempt's folder in its environment, so that whoever supervises it finds
and kills all of them, whatever group or session they moved to.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path

MARK = "BLINDSPOT_ATTEMPT"
PR_SET_PDEATHSIG = 1
POLL_S = 0.2


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends; elsewhere nothing."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)


def die_with_asker(attempts: Path) -> None:
    """Watch the process that asked for this child, and end with it: the attempt's processes first, then this one.

    Parameters
    ----------
    attempts : Path
        The attempt's folder, whose processes go.
    """
    asker = multiprocessing.parent_process()

    def watch() -> None:
        assert asker is not None
        wait([asker.sentinel])
        kill_marked(attempts)
        os._exit(1)

    if asker is not None:
        threading.Thread(target=watch, daemon=True).start()


def marked(folder: Path) -> list[int]:
    """Ids of the processes, other than this one, that work for an attempt in ``folder`` or below it."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mark = process.environ().get(MARK, "")
            if mark and process.pid != os.getpid() and Path(mark).is_relative_to(folder):
                found.append(process.pid)
    return found


def kill_marked(folder: Path) -> None:
    """Kill every process that works for an attempt in ``folder`` or below it."""
    for pid in marked(folder):
        with suppress(OSError):
            os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def kill_group(pid: int) -> None:
    """Kill a process together with the group it leads."""
    with suppress(OSError):
        if sys.platform == "win32":
            os.kill(pid, signal.SIGTERM)
        else:
            os.killpg(pid, signal.SIGKILL)
    with suppress(OSError):
        os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
