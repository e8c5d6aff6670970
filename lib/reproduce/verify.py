"""Run committed reports again and compare the data behind their figures, and their verdicts.

Nothing is published: each report is made again in the attempt's private folder, with the parameters of its receipt, and
compared there. On the processor that its receipt names, its numbers must come out again, up to ``rtol``. On another
one sums have other last bits, which training enlarges: there the verdicts must come out again, and the numbers that do
not are told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lib import experiments
from lib.experiments import DeclarationError
from lib.reproduce import diff, plan, store
from lib.reproduce.child import OK
from lib.reproduce.execute import Job, Outcome
from lib.reproduce.plan import Item
from lib.reproduce.runner import Settle
from lib.reproduce.store import Layout

DIFFERS = "differs"
UNKNOWN = "an unknown processor"


@dataclass(frozen=True)
class Check:
    """What a second run found.

    Attributes
    ----------
    problems : list of str
        Differences beyond the tolerance, missing files, other verdicts; empty when the report holds.
    excused : list of str
        Other numbers in tables of the same shape, where another processor explains them.
    worst : float
        Largest relative difference among the tables that have the same shape.
    tables, claims : int
        How many were compared.
    """

    problems: list[str]
    excused: list[str]
    worst: float
    tables: int
    claims: int


def check(committed: Path, again: Path, *, rtol: float, other_processor: bool = False) -> Check:
    """Compare a report with the same run done again.

    Parameters
    ----------
    committed, again : Path
        Folders with csv files and ``claims.json``.
    rtol : float
        Largest relative difference of two numbers that still counts as equal.
    other_processor : bool
        Whether the two are known to come from processors of different kinds.
    """
    tables = diff.compare_tables(committed, again)
    problems = [table.words for table in tables if table.shape]
    moved = [table.words for table in tables if not table.shape and table.worst > rtol]
    problems, excused = (problems, moved) if other_processor else (problems + moved, [])
    before, after = diff.claims_of(committed), diff.claims_of(again)
    for name in sorted({*before, *after}):
        was, now = before.get(name, {}).get("verdict", "absent"), after.get(name, {}).get("verdict", "absent")
        if was != now:
            problems.append(f"claim {name}: {was} became {now}")
    worst = max((table.worst for table in tables if not table.shape), default=0.0)
    return Check(problems, excused, worst, len(tables), len(before))


def committed(root: Path, *, profile: str | None, only: str | None) -> list[Item]:
    """The published reports to make again, with the parameters that their receipts state.

    Raises
    ------
    DeclarationError
        When no report is selected, or a receipt's parameters no longer fit the notebook.
    """
    chosen = {experiment.id for experiment in plan.select(experiments.load(root), only)}
    layout, items = Layout(root), []
    for name, made, folder in layout.receipts():
        receipt = store.receipt(folder)
        if name in chosen and receipt is not None and profile in (None, made):
            sets = [f"{key}={value}" for key, value in receipt["parameters"].items()]
            item = plan.build(root, made, only=name, sets=sets)[0]
            items.append(replace(item, reasons=["to be verified"]))
    if not items:
        raise DeclarationError("no published report to verify; run `make reproduce` first, or widen PROFILE and ONLY")
    return items


def comparer(layout: Layout, rtol: float) -> Settle:
    """A settler that compares a finished attempt with the published report."""

    def settle(job: Job, outcome: Outcome) -> Outcome:
        if outcome.kind != OK:
            return outcome
        published = layout.report(job.experiment, job.profile)
        there, here = (store.receipt(published) or {}).get("processor") or UNKNOWN, outcome.processor or UNKNOWN
        other = there != here and UNKNOWN not in (there, here)
        found = check(published, Path(outcome.attempt), rtol=rtol, other_processor=other)
        done = f"{found.tables} tables and {found.claims} verdicts compared, worst difference {found.worst:.2g}"
        if there != here:
            done += f"; made on {there}, again on {here}"
        if found.problems:
            return replace(outcome, kind=DIFFERS, message="; ".join([*found.problems, done]))
        return replace(outcome, message="; ".join([*found.excused, done]))

    return settle
