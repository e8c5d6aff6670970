"""An error that ``lib`` raises on purpose is shown as one paragraph: what is wrong, and the line of the cell.

The messages of ``lib`` name what was expected, what came and the next step, so the way through the library adds nothing
for whoever wrote the cell; ``%tb`` shows it, ``%debug`` works on it. An error counts as raised on purpose when the
frame it comes from is a ``raise`` statement in a file of ``lib``. Everything else keeps IPython's traceback, and so
does every error where nobody watches (:mod:`lib.lab`), so that logs and executed notebooks hold all of it.
"""

from __future__ import annotations

import dis
import linecache
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from lib import lab

KINDS = (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, OSError)
"""What `lib` raises; no SyntaxError, which IPython shows in a way of its own."""
LIBRARY = Path(__file__).resolve().parents[1]
LINE = 90


def register(shell: Any) -> None:
    """Show the errors of a shell; an error handler that somebody else has set is left alone."""
    if not shell.custom_exceptions:
        shell.set_custom_exc(KINDS, show)


def show(shell: Any, kind: type, error: BaseException, trace: TracebackType, tb_offset: int | None = None) -> list[str]:
    """IPython's hook for errors of a cell: our own as a paragraph, all others as they are.

    Parameters
    ----------
    shell, kind, error, trace, tb_offset
        As ``set_custom_exc`` hands them over.

    Returns
    -------
    list of str
        What was shown in place of the traceback; empty where IPython showed its own.
    """
    if shell.call_pdb or not lab.watched(shell) or not on_purpose(error, trace):
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)
        return []
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # what %tb and %debug read
    sys.last_exc = error  # type: ignore[attr-defined]  # the same since Python 3.12
    lines = [paragraph(error, trace, shell.user_global_ns)]
    shell._showtraceback(kind, error, lines)
    return lines


def on_purpose(error: BaseException, trace: TracebackType | None) -> bool:
    """Whether an error comes from a ``raise`` in ``lib``.

    Examples
    --------
    >>> on_purpose(ValueError("of nowhere"), None)
    False
    """
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or isinstance(error, AssertionError):
        return False
    code = trace.tb_frame.f_code
    raised = code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raised and Path(code.co_filename).resolve().is_relative_to(LIBRARY)


def paragraph(error: BaseException, trace: TracebackType | None, namespace: dict[str, Any]) -> str:
    """The error in one paragraph.

    Parameters
    ----------
    error, trace
        The error and where it came from.
    namespace : dict
        Of the notebook; the first frame that works in it is the cell's.

    Returns
    -------
    str
        The name of the error in red, by ANSI codes, then its message and the line of the cell.
    """
    message = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else str(error)
    text = " ".join(message.split())
    text += "" if text.endswith((".", "?", "!")) else "."
    return f"\x1b[31m{type(error).__name__}\x1b[39m: {text}{_where(trace, namespace)} `%tb` shows the whole traceback."


def _where(trace: TracebackType | None, namespace: dict[str, Any]) -> str:
    while trace is not None and trace.tb_frame.f_globals is not namespace:
        trace = trace.tb_next
    if trace is None:
        return ""
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
    shown = line if len(line) <= LINE else f"{line[: LINE - 1]}…"
    return f" Line {trace.tb_lineno} of the cell led there" + (f": `{shown}`." if shown else ".")
