"""The researcher's day in JupyterLab: claims as cards, a bar for long cells, readable errors, a safe Ctrl-C.

An IPython extension, loaded by the kernel configuration that ``python -m lib.setup`` writes into the environment. It
adds to what a person sees and to nothing else: no notebook names it, no result depends on it, and in the kernels of
``make reproduce``, which have ``BLINDSPOT_ATTEMPT`` set, it does nothing.

Conventions: nothing heavy is imported here, since every kernel of the environment imports it; somebody *watches* a cell
when the front end that sent it can be asked for input, which JupyterLab, Notebook and VS Code can, and nbclient,
nbconvert and papermill cannot.
"""

from __future__ import annotations

import os
from typing import Any

ATTEMPT = "BLINDSPOT_ATTEMPT"


def load_ipython_extension(shell: Any) -> None:
    """Register what a person sees, and the guard of interrupts, with a kernel's shell; IPython calls this.

    Parameters
    ----------
    shell : InteractiveShell
        Of a kernel; with any other nothing is registered.
    """
    if os.environ.get(ATTEMPT) or not hasattr(shell, "kernel"):
        return
    from lib.lab import cards, errors, interrupt, ledger, pictures, progress

    for part in (cards, ledger, pictures, errors, progress, interrupt):
        part.register(shell)


def watched(shell: Any) -> bool:
    """Whether somebody watches the cell that runs: the front end that sent it can be asked for input."""
    content = shell.kernel.get_parent("shell").get("content", {})
    return bool(content.get("allow_stdin", False))
