"""Small receipts for the cost model: the cpu profile of a notebook with its counts pulled back towards smoke.

``python -m lib.reproduce.cost_receipts --only masking/02,xai/01`` runs each notebook in a fresh clone, one after the
other, publishes nothing, and writes what the runs took to ``reports/bench/cost.csv`` as they end: called again, it goes
on where it was stopped. Sizes of networks and pictures stay those of the cpu profile: only counts (images, seeds,
passes, draws) shrink, so that what a unit of work costs stays the same. The smoke profile itself is share 0.

Where all counts grow at once, no run tells which of them a cell multiplies. :data:`MIXES` further runs do: in each some
counts are as at :data:`LOW` and some as at :data:`HIGH`, a two-level fractional factorial design, and no two of the
counts that grow most are high in the same runs. A notebook that does not run so small takes ``--low 0.45``.

A row holds the CPU seconds of every code cell, and a hash of the code: the row of a notebook whose code cells have
changed since counts for nothing and is measured again. A machine that does nothing else gives the best rows.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import itertools
import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lib import experiments
from lib.experiments import DeclarationError, Literal
from lib.reproduce import cost_roles, keys, plan, runner
from lib.reproduce.child import OK
from lib.reproduce.execute import Job, Outcome
from lib.reproduce.spool import Spool
from lib.reproduce.store import Layout, read_json

TABLE = Path("reports") / "bench" / "cost.csv"
COLUMNS = ("experiment", "share", "mix", "cpu_seconds", "peak_memory_mb", "parameters", "code", "cells")
SHARES = (0.0, 0.3, 0.6)
LOW, HIGH, MIXES = 0.3, 0.6, 3
RAISED = (0b001, 0b010, 0b100, 0b011, 0b101, 0b110, 0b111, 0b000)  # in which mixes a count is high, fastest first
LIMIT_MIN = 15.0
EVENLY, FEW = 256, 8
OPENS = "run.open("  # the call in a notebook that starts the clock of its CPU seconds
ROUNDING = 0.02  # by how much cells may miss the CPU seconds of their run, as a share of them


def between(small: Mapping[str, Literal], large: Mapping[str, Literal], share: float) -> dict[str, Literal]:
    """Parameters on the way from ``small`` to ``large``: counts at their geometric mean, all else as in ``large``.

    Notebooks ask for even counts, for halves and quarters of them, or for powers of two. So between two powers of two
    a count is one, and else a multiple of the largest power of two, at most :data:`EVENLY`, that divides both. Counts
    that start below :data:`FEW`, such as seeds, are not: steps that large would hide how the work grows with them.

    Parameters
    ----------
    share : float
        0 is ``small``, 1 is ``large``.

    Examples
    --------
    >>> between({"n_seeds": 2, "n_test": 16, "width": 4}, {"n_seeds": 8, "n_test": 120, "width": 32}, 0.3)
    {'n_seeds': 3, 'n_test': 32, 'width': 32}
    """
    if share == 0:
        return dict(small)
    found = dict(large)
    for name, value in large.items():
        low = small[name]
        countable = type(value) in (int, float) and isinstance(low, (int, float)) and min(low, float(value)) > 0
        if countable and cost_roles.role(name):
            middle = float(low) * (float(value) / float(low)) ** share
            found[name] = _count(middle, int(low), value) if type(value) is int else middle
    return found


def _count(middle: float, low: int, high: int) -> int:
    """A count near ``middle`` that divides as both ends do."""
    if low < FEW:
        return round(middle)
    if low.bit_count() == high.bit_count() == 1:
        return int(2 ** round(math.log2(middle)))
    unit = math.gcd(low, high, EVENLY)
    return max(round(middle / unit), 1) * unit


def mixed(small: Mapping[str, Literal], large: Mapping[str, Literal], mix: int, low: float = LOW) -> dict[str, Literal]:
    """Parameters with some counts at ``low`` and some at :data:`HIGH`.

    A count that is the same at both is raised to that of ``large``.

    Parameters
    ----------
    mix : int
        From 1 to :data:`MIXES`.
    low : float
        A share, below :data:`HIGH`.

    Examples
    --------
    >>> mixed({"n_seeds": 2, "n_test": 10, "width": 4}, {"n_seeds": 8, "n_test": 160, "width": 32}, 1)
    {'n_seeds': 3, 'n_test': 52, 'width': 32}
    """
    found, high = between(small, large, low), between(small, large, HIGH)
    moved = {name: value for name, value in found.items() if value != large[name]}
    fastest = sorted(moved, key=lambda name: (-abs(math.log(float(large[name]) / float(small[name]))), name))
    for name, raised in zip(fastest, itertools.cycle(RAISED)):
        if raised >> (mix - 1) & 1:
            found[name] = high[name] if high[name] != found[name] else large[name]
    return found


def code(notebook: Path) -> str:
    """A hash of what the code cells of a notebook do, and of how many there are."""
    cells = keys.code_cells(notebook)
    parts = [len(cells), *(cell["sha256"] for cell in keys.cell_hashes(cells))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def cells_of(executed: Path, cpu_seconds: float) -> list[float]:
    """CPU seconds of the code cells of an executed notebook: the durations, scaled to sum to those of the run.

    The run's clock starts in the cell that opens it; the cells before (parameters, imports) count 0. Nothing that the
    clock sees happens between cells.

    Parameters
    ----------
    executed : Path
        A notebook that papermill has executed; the cell of parameters that it added is left out.
    cpu_seconds : float
    """
    cells = [cell for cell in read_json(executed)["cells"] if cell["cell_type"] == "code"]
    own = [cell for cell in cells if "injected-parameters" not in cell["metadata"].get("tags", [])]
    opens = next((index for index, cell in enumerate(own) if OPENS in "".join(cell["source"])), 0)
    taken = [0.0] * opens + [cell["metadata"]["papermill"]["duration"] for cell in own[opens:]]
    return [round(cpu_seconds * seconds / sum(taken), 4) for seconds in taken]


@dataclass(frozen=True, order=True)
class Design:
    """What is small in a run.

    Attributes
    ----------
    share : float
        Of the way from smoke to cpu that the largest counts have gone.
    mix : int
        Which of the mixed runs it is, 0 where all counts have gone the same share.
    """

    share: float
    mix: int = 0

    def __str__(self) -> str:
        return f"{self.share:g}" + (f"-mix{self.mix}" if self.mix else "")


def designs(shares: Sequence[float], mixes: Sequence[int] = ()) -> list[Design]:
    """Those of some shares, and of some mixes."""
    return [*map(Design, shares), *(Design(HIGH, mix) for mix in mixes)]


def jobs_of(
    root: Path,
    wanted: str | None,
    asked: Sequence[Design],
    run: str,
    rows: Sequence[Mapping[str, str]],
    low: float = LOW,
) -> dict[str, tuple[Design, Job]]:
    """``(design, job)`` by the name of the job, without those that the rows have and mixes that mix nothing."""
    done = {(row["experiment"], design(row)) for row in rows}
    found: dict[str, tuple[Design, Job]] = {}
    for own in asked:
        for item in plan.build(root, "cpu" if own.share else "smoke", only=wanted):
            smoke = experiments.effective(item.experiment, "smoke")
            values = between(smoke, item.parameters, own.share)
            if own.mix:
                even, values = values, mixed(smoke, item.parameters, own.mix, low)
                if values in (even, between(smoke, item.parameters, low)):
                    continue
            small = replace(item, parameters=values, parts={**item.parts, "parameters": values})
            job = plan.job(small, root, run=run, limit_min=LIMIT_MIN)
            minutes = item.experiment.minutes.get("smoke", item.minutes) ** (1 - own.share) * item.minutes**own.share
            job = replace(job, profile=f"{item.profile}-{own}", estimate_s=60 * minutes)
            if (job.experiment, own) not in done:
                found[job.name] = own, job
    return found


def design(row: Mapping[str, str]) -> Design:
    """That of a row of the table."""
    return Design(float(row["share"]), int(row.get("mix") or 0))


def measure(
    root: Path, wanted: str | None, asked: Sequence[Design], low: float = LOW
) -> tuple[list[dict[str, str]], list[str]]:
    """Run the notebooks that the table lacks; the table is written as they end.

    Parameters
    ----------
    low : float
        As :func:`mixed` takes it.

    Returns
    -------
    list of dict
        Every row there is. Rows of other code are dropped from the table.
    list of str
        What failed or took longer than :data:`LIMIT_MIN`, a line each.

    Raises
    ------
    DeclarationError
        Where the checkout holds trained networks.
    Held
        When another runner works in this checkout.
    """
    layout, (rows, _) = Layout(root), current(root)
    if (layout.scratch / "trained").exists():
        raise DeclarationError(
            f"{layout.scratch / 'trained'} holds trained networks, which a run would read for nothing and this command "
            "removes; run it in a fresh clone"
        )
    with runner.session(layout):
        jobs = jobs_of(root, wanted, asked, runner.new_name(), rows, low)

        def settle(job: Job, outcome: Outcome) -> Outcome:
            own = read_json(Path(outcome.attempt) / "finished.json") if outcome.attempt else None
            if outcome.kind == OK and isinstance(own, dict):
                rows.append(_row(job, jobs[job.name][0], own, Path(outcome.attempt)))
                write(root, rows)
                print(f"{job.name}: {own['cpu_seconds']:.1f} s of the CPU", flush=True)
            if outcome.attempt:
                shutil.rmtree(outcome.attempt, ignore_errors=True)
            # a network that was trained for one run would be free for the next
            shutil.rmtree(layout.scratch / "trained", ignore_errors=True)
            return outcome

        ended, wait = runner.Ended(), Spool(job for _, job in jobs.values())
        if wait:
            ended = runner.perform(wait, settle, layout=layout, scheduler="inline", slots=1)
    return rows, [f"{job}: {one.kind}, {one.message}" for job, one in ended.bad.items()]


def _row(job: Job, of: Design, own: Mapping[str, Any], attempt: Path) -> dict[str, str]:
    return {
        "experiment": job.experiment,
        "share": f"{of.share:g}",
        "mix": str(of.mix),
        "cpu_seconds": f"{own['cpu_seconds']:.2f}",
        "peak_memory_mb": f"{own['peak_memory_mb']:.0f}",
        "parameters": json.dumps(job.context["parameters"], sort_keys=True),
        "code": code(Path(job.notebook)),
        "cells": json.dumps(cells_of(attempt / "executed.ipynb", own["cpu_seconds"])),
    }


def current(root: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of the table that belong to the code of today, and the names of those that do not.

    Raises
    ------
    DeclarationError
        For a list of cells that does not fit its notebook or its run.
    """
    declared, rows, others = experiments.load(root), list[dict[str, str]](), list[str]()
    today = cache(lambda name: code(declared[name].notebook))
    for row in read(root):
        name = row["experiment"]
        if name not in declared or row.get("code") != today(name):
            others.append(f"{name} {design(row)}")
            continue
        cells, seconds = json.loads(row["cells"]), float(row["cpu_seconds"])
        wanted = len(keys.code_cells(declared[name].notebook))
        if len(cells) != wanted or min(cells) < 0 or abs(sum(cells) - seconds) > ROUNDING * max(seconds, 1.0):
            raise DeclarationError(
                f"{TABLE}: cells of {name} {design(row)} must be {wanted} CPU seconds of 0 or more that sum to "
                f"{seconds:g}, got {len(cells)} that sum to {sum(cells):g}; remove the row and measure it again"
            )
        rows.append(row)
    return rows, others


def read(root: Path) -> list[dict[str, str]]:
    """The rows of the committed table; none where there is no table."""
    path = root / TABLE
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write(root: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the table, sorted, beside and then renamed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: (row["experiment"], design(row))))
    path = root / TABLE
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(text.getvalue(), encoding="utf-8")
    beside.replace(path)


def main(words: Sequence[str] | None = None) -> int:
    """Entry of ``python -m lib.reproduce.cost_receipts``."""
    parser = argparse.ArgumentParser(prog="python -m lib.reproduce.cost_receipts", description=__doc__.split("\n")[0])
    parser.add_argument("--only", help="ids, families or patterns: masking/02, cxr")
    parser.add_argument("--shares", type=float, nargs="*", default=list(SHARES), help="0 is smoke, 1 is cpu")
    every = list(range(1, MIXES + 1))
    parser.add_argument("--mixes", type=int, nargs="*", choices=every, default=every, help="which mixed runs")
    parser.add_argument("--low", type=float, default=LOW, help="share of the small counts in mixed runs, below 0.6")
    asked = parser.parse_args(words)
    if not 0 < asked.low < HIGH:
        parser.error(f"--low must be above 0 and below {HIGH}, got {asked.low:g}")
    try:
        rows, failed = measure(experiments.root(), asked.only, designs(asked.shares, asked.mixes), asked.low)
    except DeclarationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(rows)} rows in {TABLE}", *(f"not measured: {line}" for line in failed), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
