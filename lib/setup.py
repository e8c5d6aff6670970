"""Make a fresh checkout ready: the git filter that keeps notebook outputs out, in this checkout only.

``make setup`` calls ``python -m lib.setup`` once, after the packages are installed. It writes to ``.git/config`` and
``.git/info/attributes``, never to the user's global configuration, and does nothing outside a git checkout.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILTER = {"filter.nbstripout.clean": "--keep-id", "diff.ipynb.textconv": "--keep-id -t"}
"""Cells keep their names: `make why` speaks of them, and numbered ones would change with every cell in between."""


def install_filter(project: Path) -> bool:
    """Set nbstripout up as a git filter of one checkout.

    Parameters
    ----------
    project : Path
        The checkout.

    Returns
    -------
    bool
        Whether there was a git checkout to set up.
    """
    inside = subprocess.run(["git", "rev-parse", "--git-dir"], cwd=project, capture_output=True, text=True, check=False)
    if inside.returncode != 0:
        return False
    subprocess.run([sys.executable, "-m", "nbstripout", "--install"], cwd=project, check=True)
    for name, options in FILTER.items():
        command = f'"{Path(sys.executable).as_posix()}" -m nbstripout {options}'
        subprocess.run(["git", "config", name, command], cwd=project, check=True)
    return True


if __name__ == "__main__":
    ready = install_filter(Path(__file__).resolve().parent.parent)
    print("git filter nbstripout: set up for this checkout" if ready else "no git checkout here: no filter to set up")
