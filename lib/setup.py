"""Make a fresh checkout ready: the git filter that keeps notebook outputs out, and what JupyterLab shows beside them.

``make setup`` calls ``python -m lib.setup`` once, after the packages are installed; ``python -m lib.setup kernel`` does
only the second half. It writes to ``.git/config`` and ``.git/info/attributes``, never to the
user's global configuration, and to ``etc/ipython/`` of the environment, where the environment's own kernels look.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

FILTER = {"filter.nbstripout.clean": "--keep-id", "diff.ipynb.textconv": "--keep-id -t"}
"""Cells keep their names: `make why` speaks of them, and numbered ones would change with every cell in between."""

LINE = 'c.InteractiveShellApp.extensions.append("lib.lab")'
MARK = "# Written by `python -m lib.setup`: claims as cards, bars for long cells, errors as one paragraph (lib.lab).\n"
CONFIG = f"""{MARK}# Without this file kernels are as IPython makes them; those of `make reproduce` are, with it too.
import os

c = get_config()
if "BLINDSPOT_ATTEMPT" not in os.environ:
    {LINE}
"""


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


def install_kernel(prefix: Path) -> str:
    """Have the kernels of one environment load :mod:`lib.lab`.

    Parameters
    ----------
    prefix : Path
        The environment's folder, ``sys.prefix`` of its Python: of a virtual or a conda environment alike.

    Returns
    -------
    str
        What was done, in one line. A configuration that somebody else wrote is left as it is: the line then says what
        to add to it. So is a folder that cannot be written.
    """
    path = prefix / "etc" / "ipython" / "ipython_kernel_config.py"
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    if there == CONFIG or (there and not there.startswith(MARK) and LINE in there):
        return "kernels of this environment: they load lib.lab already"
    if there and not there.startswith(MARK):
        return f"kernels of this environment: {path} is not ours and was left alone; to load lib.lab, add to it: {LINE}"
    beside = path.with_suffix(f".part{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(CONFIG, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        return f"kernels of this environment: {path} cannot be written ({error.strerror}), so they load nothing of ours"
    return "kernels of this environment: set up to load lib.lab"


if __name__ == "__main__":
    if sys.argv[1:] != ["kernel"]:
        ready = install_filter(Path(__file__).resolve().parent.parent)
        print(
            "git filter nbstripout: set up for this checkout" if ready else "no git checkout here: no filter to set up"
        )
    print(install_kernel(Path(sys.prefix)))
