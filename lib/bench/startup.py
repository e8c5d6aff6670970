"""How long a notebook takes before its first act: process, kernel and imports, as `make reproduce` starts them.

Each notebook is cut to its cell of imports and a last one that says it has finished, and runs through the runner's
`execute`, so what is timed is the overhead of a notebook that computes nothing: process, warm kernel, papermill,
imports, end. Rounds go over all notebooks in turn; the imports made once for all of them are not counted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import psutil

from lib import experiments
from lib.bench.harness import LEAST_ROUNDS, device_name
from lib.experiments import Experiment
from lib.reproduce.child import OK
from lib.reproduce.execute import Job, execute
from lib.reproduce.keys import code_cells

NAME = "startup"
TARGET_S = 2.5
LIMIT_S = 120.0
COLUMNS = ("notebook", "startup_s", "low", "high", "rounds", "load", "device")
FINISH = """import json, os
from pathlib import Path
for name, content in (("claims.json", []), ("finished.json", {})):
    (Path(os.environ["BLINDSPOT_ATTEMPT"]) / name).write_text(json.dumps(content))"""


def imports(notebook: Path) -> str:
    """The source of a notebook's cell of imports, its first code cell."""
    return code_cells(notebook)[0][1]


def cut(experiment: Experiment, folder: Path) -> Path:
    """Write the notebook that imports what the experiment's imports, and finishes."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": name, "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for name, source in (("imports", imports(experiment.notebook)), ("finish", FINISH))
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / f"{experiment.family}-{experiment.number}.ipynb"
    content = {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def started(experiment: Experiment, root: Path, library: Path) -> float:
    """Wall-clock seconds of one start and end.

    Raises
    ------
    RuntimeError
        When the imports fail; the message names the notebook and its error.
    """
    context = {"parameters": {}, "threads": 1, "datasets": []}
    job = Job(
        experiment=experiment.id, profile="smoke", notebook=str(cut(experiment, root)), root=str(root),
        log=str(root / "log"), library=str(library), context=context, claims=(), limit_s=LIMIT_S, gpu=False,
        estimate_s=TARGET_S, run=NAME,
    )  # fmt: skip
    outcome = execute(job)
    if outcome.kind != OK:
        raise RuntimeError(f"{experiment.id} did not start: {outcome.kind}, {outcome.message}")
    return outcome.seconds


def measure(
    root: Path, *, rounds: int = LEAST_ROUNDS, only: str | None = None, say: Callable[[str], Any] = print
) -> pd.DataFrame:
    """Start every notebook in turn, round after round.

    Parameters
    ----------
    root : Path
        The project's folder.
    rounds : int
        Starts of each notebook.
    only : str, optional
        See `lib.reproduce.plan.select`.
    say : callable
        Takes one line of progress for each round.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row for each notebook: median, smallest and largest wall-clock seconds.
    """
    from lib.reproduce.plan import select

    chosen = select(experiments.load(root), only)
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        started(chosen[0], Path(folder), root)  # the forkserver's own start
        for number in range(rounds):
            say(f"round {number + 1}/{rounds}")
            load = psutil.getloadavg()[0]
            rows += [
                {"notebook": one.id, "startup_s": started(one, Path(folder), root), "load": load} for one in chosen
            ]
    return _table(pd.DataFrame(rows), rounds)


def _table(starts: pd.DataFrame, rounds: int) -> pd.DataFrame:
    grouped = starts.groupby("notebook", sort=False)
    seconds = grouped["startup_s"].agg(startup_s="median", low="min", high="max")
    table = seconds.assign(rounds=rounds, load=grouped["load"].max(), device=device_name())
    return table.reset_index()[list(COLUMNS)]


def write(table: pd.DataFrame, folder: Path) -> None:
    """Write startup.csv and the day it was taken, each beside its place and renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = json.dumps({"taken": time.strftime("%Y-%m-%d", time.gmtime())}, indent=1) + "\n"
    csv = table.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    for name, text in ((f"{NAME}.csv", csv), (f"{NAME}.taken.json", taken)):
        beside = folder / f"{name}.part"
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, folder / name)


def section(folder: Path) -> str:
    """Markdown of startup.csv; empty where there is none."""
    return "\n".join(_lines(folder)) if (folder / f"{NAME}.csv").exists() else ""


def _lines(folder: Path) -> Iterator[str]:
    table = pd.read_csv(folder / f"{NAME}.csv")
    taken = json.loads((folder / f"{NAME}.taken.json").read_text(encoding="utf-8"))["taken"]
    late = table[table["startup_s"] > TARGET_S]
    seconds = table["startup_s"]
    slowest = table.sort_values("startup_s")["notebook"].iloc[-1]
    yield "## startup\n"
    yield (
        f"{taken}, {table['device'].iloc[0]}. Process, kernel, imports and end of a notebook that computes nothing, "
        f"wall-clock seconds, median of {table['rounds'].iloc[0]} starts each, one notebook at a time, load "
        f"{table['load'].max():.1f} at most: {len(table) - len(late)} of {len(table)} notebooks take at most "
        f"{TARGET_S:g} s; median {seconds.median():.2f} s, largest {seconds.max():.2f} s "
        f"({slowest}). Data: [{NAME}.csv]({NAME}.csv).\n"
    )
    if len(late):
        yield "| notebook, **below target** | seconds [range] |\n|---|---:|"
        for row in late.to_dict("records"):
            yield f"| {row['notebook']} | {row['startup_s']:.2f} [{row['low']:.2f}, {row['high']:.2f}] |"
        yield ""
