"""An error that ``lib`` raises on purpose is shown in a few lines: what is wrong, and the line of the cell.

The messages of ``lib`` name what was expected, what came and the next step, so the way through the library adds nothing
for whoever wrote the cell; ``%tb`` shows it, ``%debug`` works on it. An error counts as raised on purpose when the
frame it comes from is a ``raise`` statement in a file of ``lib``. An interrupt is shown like that too: whoever stopped
a training need not read through a hundred lines of torch. Everything else keeps IPython's traceback, and so does every
error where nobody watches (:mod:`lib.lab`), so that logs and executed notebooks hold all of it.
"""

from __future__ import annotations

import dis
import linecache
import sys
import textwrap
from pathlib import Path
from types import TracebackType
from typing import Any

from lib import lab

KINDS = (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, OSError, KeyboardInterrupt)
"""What `lib` raises, and what a person does; no SyntaxError, which IPython shows in a way of its own."""
LIBRARY = Path(__file__).resolve().parents[1]
WIDTH = 100
"""Columns after which a line is broken between words; JupyterLab would break it within one."""


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
    short = isinstance(error, KeyboardInterrupt) or on_purpose(error, trace)
    if shell.call_pdb or not lab.watched(shell) or not short:
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
        The name of the error in red, by ANSI codes, and its message; the line of the cell; the way to the rest.
    """
    message = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else str(error)
    text = " ".join(message.split())
    text = text or ("stopped" if isinstance(error, KeyboardInterrupt) else "no message")
    text += "" if text.endswith((".", "?", "!")) else "."
    name = type(error).__name__
    lines = textwrap.wrap(f"{name}: {text}", WIDTH, break_long_words=False, break_on_hyphens=False)
    lines[0] = f"\x1b[31m{name}\x1b[39m{lines[0].removeprefix(name)}"
    return "\n".join([*lines, *_where(trace, namespace), "`%tb` shows the whole traceback."])


def _where(trace: TracebackType | None, namespace: dict[str, Any]) -> list[str]:
    while trace is not None and trace.tb_frame.f_globals is not namespace:
        trace = trace.tb_next
    if trace is None:
        return []
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
    said = f"Line {trace.tb_lineno} of the cell led there" + (f": {line}" if line else ".")
    return [said if len(said) <= WIDTH else f"{said[: WIDTH - 1]}…"]
