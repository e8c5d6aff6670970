"""Ctrl-C leaves a usable state: it waits where stopping at once would break the process, and mends what it broke.

It waits for the end of an import (half an import of torch or NumPy cannot be made whole in the same process), of the
short stretches in which ``lib`` writes files that belong together (:data:`WRITING`), and while the kernel itself works
on the cell (the front end would never hear that the cell has ended). Everything else stops at once, a training too;
asked for twice, an import and a writing stop at once as well. What ``accelerate`` keeps for the whole process is taken
down when it was interrupted while it was put up, so that the next ``lib.train.fit`` puts it up anew.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

AGAIN_S = 0.05
PATIENCE = 6
"""How often an interrupt comes again between two cells before it is forgotten: Run All has the next at once."""
IMPORTING = "<frozen importlib."
WRITING = {
    "lib.run:Run.figure": None,  # csv, json, svg and png of one figure: about a second
    "lib.run:Run._keep": None,  # csv and json of one table
    "lib.run:Run.finish": None,  # claims.json and finished.json
    "lib.run:_write_json": None,  # one file, written beside and renamed
    "lib.train:_State.save": None,  # a checkpoint, written beside and renamed
    "lib.trained:once": "torch.serialization:save",  # not what it trains, nor its wait while another kernel trains
}
"""Functions during which an interrupt waits: from beginning to end (None), or in their own lines and the named callee.

By module and qualified name; those of a module that has not been imported cost nothing.
"""


def register(shell: Any) -> None:
    """Guard the cells of a shell, and what its kernel does before and after them."""
    guard, kernel = Guard(shell.user_global_ns), shell.kernel
    before = kernel.pre_handler_hook

    def hook() -> None:
        before()
        guard.stand()

    kernel.pre_handler_hook = hook  # the kernel sets Python's own handler there, for every message
    shell.events.register("post_run_cell", guard.after)


class Guard:
    """Stands in for Python's own handler of SIGINT while the kernel works.

    Parameters
    ----------
    namespace : dict
        The globals of the notebook's cells.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.waits = self.ours = False

    def stand(self) -> None:
        """Before a message; in the main thread only, and only where Python's own handler is in force."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self.handle)

    def after(self, result: Any) -> None:
        """After a cell: mend what it left half done."""
        error = getattr(result, "error_in_exec", None)
        if isinstance(error, KeyboardInterrupt):
            mend(error.__traceback__)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Interrupt where that is safe; elsewhere come again in a moment."""
        __tracebackhide__ = True  # IPython's own sign: the traceback is the cell's, not ours
        twice, self.ours = self.waits and not self.ours, False
        in_cell, unsafe = _where(frame, self.namespace)
        if in_cell and (twice or not unsafe):
            self.waits = False
            signal.default_int_handler(number, frame)
        if not self.waits:
            self.waits = True
            threading.Thread(target=self._come_again, daemon=True, name="interrupt-waits").start()

    def _come_again(self) -> None:
        idle, pause = 0, threading.Event()
        while self.waits and idle < PATIENCE:
            pause.wait(AGAIN_S)
            if not self.waits:
                return
            if signal.getsignal(signal.SIGINT) != self.handle:
                idle += 1
            elif not self.ours:  # the one before has been heard
                idle = 0
                in_cell, unsafe = _where(sys._current_frames().get(_main()), self.namespace)
                if in_cell and not unsafe:  # never in vain: of two signals at once one is lost
                    self.ours = True
                    _interrupt_main()
        self.waits = False


def _main() -> int:
    """Identifier of the main thread."""
    return threading.main_thread().ident or 0


def _interrupt_main() -> None:
    """Send SIGINT to the main thread: where there are real signals a real one, which ends a system call too."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(_main(), signal.SIGINT)
    else:
        _thread.interrupt_main(signal.SIGINT)


def mend(trace: TracebackType | None) -> None:
    """Take down the process-wide state of ``accelerate`` if an interrupt came while it was put up."""
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "accelerate.state":
            state = sys.modules["accelerate.state"]
            state.AcceleratorState._reset_state(True)
            state.GradientState._reset_state()
            return
        trace = trace.tb_next


def _where(frame: FrameType | None, namespace: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the code of a cell runs, and whether it is in the middle of what must not be left half done.

    Imports count up to the innermost code of the notebook, which runs between them; writing counts beyond it, since a
    figure may call back a function of the notebook while it is drawn.
    """
    in_cell = unsafe = False
    callee = None
    while frame is not None:
        name = f"{frame.f_globals.get('__name__')}:{frame.f_code.co_qualname}"
        unsafe = unsafe or (not in_cell and frame.f_code.co_filename.startswith(IMPORTING))
        unsafe = unsafe or (name in WRITING and (callee is None or WRITING[name] in (None, callee)))
        in_cell = in_cell or frame.f_globals is namespace
        callee, frame = name, frame.f_back
    return in_cell, unsafe
