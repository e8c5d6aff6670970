"""Small receipts for the cost model: the cpu profile of a notebook with its counts pulled back towards smoke.

``python -m lib.reproduce.cost_receipts --only masking/02,xai/01`` runs each notebook in a fresh clone, one after the
other, publishes nothing, and writes what the runs took to ``reports/bench/cost.csv``. Sizes of networks and
pictures stay those of the cpu profile: only counts (images, seeds, passes, draws) shrink, so that what a unit of work
costs stays the same. The smoke profile itself is share 0.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib import experiments
from lib.experiments import DeclarationError, Literal
from lib.reproduce import cost_roles, plan, runner
from lib.reproduce.child import OK
from lib.reproduce.execute import Job, Outcome
from lib.reproduce.store import Layout, read_json

TABLE = Path("reports") / "bench" / "cost.csv"
COLUMNS = ("experiment", "share", "cpu_seconds", "peak_memory_mb", "parameters")
SHARES = (0.4,)
LIMIT_MIN = 15.0


def between(small: Mapping[str, Literal], large: Mapping[str, Literal], share: float) -> dict[str, Literal]:
    """Parameters on the way from ``small`` to ``large``: counts at their geometric mean, all else as in ``large``.

    Parameters
    ----------
    share : float
        0 is ``small``, 1 is ``large``.

    Examples
    --------
    >>> between({"n_seeds": 2, "width": 4}, {"n_seeds": 8, "width": 32}, 0.5)
    {'n_seeds': 4, 'width': 32}
    """
    if share == 0:
        return dict(small)
    found = dict(large)
    for name, value in large.items():
        low = small[name]
        countable = type(value) in (int, float) and isinstance(low, (int, float)) and min(low, float(value)) > 0
        if countable and cost_roles.role(name):
            middle = float(low) * (float(value) / float(low)) ** share
            found[name] = round(middle) if type(value) is int else middle
    return found


def jobs_of(root: Path, wanted: str | None, shares: Sequence[float], run: str) -> dict[str, tuple[float, Job]]:
    """``(share, job)`` by the name of the job, without those that the table has."""
    done = {(row["experiment"], float(row["share"])) for row in read(root)}
    found: dict[str, tuple[float, Job]] = {}
    for share in shares:
        for item in plan.build(root, "cpu" if share else "smoke", only=wanted):
            values = between(experiments.effective(item.experiment, "smoke"), item.parameters, share)
            small = replace(item, parameters=values, parts={**item.parts, "parameters": values})
            job = plan.job(small, root, run=run, limit_min=LIMIT_MIN)
            job = replace(job, profile=f"{item.profile}-{share:g}")
            if (job.experiment, share) not in done:
                found[job.name] = share, job
    return found


def measure(root: Path, wanted: str | None, shares: Sequence[float]) -> list[dict[str, str]]:
    """Run the notebooks and return every row there is; the table is written as they end.

    Raises
    ------
    DeclarationError
        Where the checkout holds trained networks.
    Held
        When another runner works in this checkout.
    """
    layout, rows = Layout(root), read(root)
    if (layout.scratch / "trained").exists():
        raise DeclarationError(
            f"{layout.scratch / 'trained'} holds trained networks, which a run would read for nothing and this command "
            "removes; run it in a fresh clone"
        )
    with runner.session(layout) as name:
        jobs = jobs_of(root, wanted, shares, name)

        def settle(job: Job, outcome: Outcome) -> Outcome:
            own = read_json(Path(outcome.attempt) / "finished.json") if outcome.attempt else None
            if outcome.kind == OK and isinstance(own, dict):
                rows.append(_row(job, jobs[job.name][0], own))
                write(root, rows)
            if outcome.attempt:
                shutil.rmtree(outcome.attempt, ignore_errors=True)
            # a network that was trained for one run would be free for the next
            shutil.rmtree(layout.scratch / "trained", ignore_errors=True)
            return outcome

        if jobs:
            wait = [job for _, job in jobs.values()]
            runner.perform(wait, settle, layout=layout, scheduler="inline", slots=1)
    return rows


def _row(job: Job, share: float, own: Mapping[str, Any]) -> dict[str, str]:
    return {
        "experiment": job.experiment,
        "share": f"{share:g}",
        "cpu_seconds": f"{own['cpu_seconds']:.2f}",
        "peak_memory_mb": f"{own['peak_memory_mb']:.0f}",
        "parameters": json.dumps(job.context["parameters"], sort_keys=True),
    }


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
    writer.writerows(sorted(rows, key=lambda row: (row["experiment"], float(row["share"]))))
    path = root / TABLE
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(text.getvalue(), encoding="utf-8")
    beside.replace(path)


def main(words: Sequence[str] | None = None) -> int:
    """Entry of ``python -m lib.reproduce.cost_receipts``."""
    parser = argparse.ArgumentParser(prog="python -m lib.reproduce.cost_receipts", description=__doc__.split("\n")[0])
    parser.add_argument("--only", help="ids, families or patterns: masking/02, cxr")
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES), help="0 is smoke, 1 is cpu")
    asked = parser.parse_args(words)
    try:
        rows = measure(experiments.root(), asked.only, asked.shares)
    except DeclarationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(rows)} rows in {TABLE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
