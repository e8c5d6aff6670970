"""The command line: ``run``, ``plan``, ``why``, ``diff``, ``verify``, ``explore``, ``simulate`` and the smaller ones.

Exit codes: 0 all is well, 1 something failed (the last table says what), 2 it was asked for or declared wrongly,
3 another runner holds the checkout, 130 stopped by hand. Nothing heavy is imported before it is needed, so that a run
with nothing to do is over at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from lib import experiments
from lib.reproduce import devices, downloads, locks, plan, runner, store
from lib.reproduce.child import CANCELLED, OK
from lib.reproduce.plan import Item
from lib.reproduce.store import Layout

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
FAILED, WRONG, HELD, STOPPED = 1, 2, 3, 130
RTOL = 0.01
WIDE = 200  # columns of a table in a log

Profile = Annotated[str | None, typer.Option(help="smoke, cpu, gpu or paper; gpu where there is a GPU, else cpu")]
Only = Annotated[str | None, typer.Option(help="ids, families or patterns: masking/02, cxr, */01")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="notebooks at once on the CPU; as many as cores and memory allow")
]
Scheduler = Annotated[str, typer.Option(help="inline, local, or the address of a Dask scheduler")]
Budget = Annotated[float | None, typer.Option(min=0, help="start nothing that would end after so many minutes")]
Limit = Annotated[float | None, typer.Option(min=0.01, help="stop a notebook after so many minutes")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="name=value; the report is then stamped modified")]
Pages = Annotated[bool, typer.Option(help="build the pages afterwards")]
Trust = Annotated[str, typer.Option(help="committed: a matching receipt made elsewhere counts as done; none")]


def main() -> None:
    """Entry of ``python -m lib.reproduce``."""
    try:
        app()
    except (experiments.DeclarationError, ValueError) as error:
        if not isinstance(error, experiments.DeclarationError) and type(error) is not ValueError:
            raise
        typer.secho(f"error: {error}", fg="red", err=True)
        raise SystemExit(WRONG) from None
    except locks.Held as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        raise SystemExit(HELD) from None


@app.command()
def run(
    profile: Profile = None,
    only: Only = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "local",
    budget_min: Budget = None,
    limit_min: Limit = None,
    sets: Sets = None,
    trust: Trust = "none",
    pages: Pages = True,
) -> None:
    """Run what is not yet reproduced."""
    root = experiments.root()
    profile = profile or devices.default_profile()
    for line in downloads.gather(plan.chosen(root, only), profile):
        typer.echo(line)
    items = plan.stream(root, profile, only=only, sets=sets or (), trust=trust)
    _run(root, items, jobs, scheduler, budget_min, limit_min, pages)


@app.command("retry-failed")
def retry_failed(
    profile: Profile = None,
    only: Only = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "local",
    budget_min: Budget = None,
    limit_min: Limit = None,
    trust: Trust = "none",
    pages: Pages = True,
) -> None:
    """Run again what failed last time."""
    root = experiments.root()
    items = plan.stream(root, profile or devices.default_profile(), only=only, trust=trust)
    _run(root, runner.failed(Layout(root), items), jobs, scheduler, budget_min, limit_min, pages)


def _run(
    root: Path,
    items: Iterable[Item],
    jobs: int | None,
    scheduler: str,
    budget_min: float | None,
    limit_min: float | None,
    pages: bool,
) -> None:
    layout, work = Layout(root), runner.work(items, root, limit_min)
    if not work.jobs:
        typer.echo(f"nothing to do: {work.planned} of {work.planned} are done")
        return
    with runner.session(layout):
        ended = runner.perform(
            work.jobs,
            runner.publisher(layout),
            layout=layout,
            scheduler=scheduler,
            slots=jobs or devices.slots(work.memory_gb),
            budget_min=budget_min,
        )
        built = not pages or not ended.counts[OK] or _build_site(root)
    _summary(layout, ended, done=work.planned - len(work.jobs))
    if not built:
        raise typer.Exit(FAILED)


def _build_site(root: Path) -> bool:
    """Build the pages; a page that cannot be built costs the exit code, never the results."""
    from lib.reproduce import pages

    try:
        typer.echo(f"pages: {pages.build(root)}")
    except Exception as error:
        typer.secho(f"error: the pages could not be built: {type(error).__name__}: {error}", fg="red", err=True)
        return False
    return True


def _summary(layout: Layout, ended: runner.Ended, *, done: int) -> None:
    """The last table: what ended how, and where to read on; the exit code follows."""
    from rich.table import Table

    bad, rest = ended.bad, ended.counts[runner.NOT_STARTED]
    left = f", {rest} not started (budget)" if rest else ""
    typer.echo(f"{ended.counts[OK]} ran, {done} were done already, {len(bad)} failed{left}")
    if bad:
        table = Table()
        for heading in ("notebook", "outcome", "what happened", "log"):
            table.add_column(heading, overflow="fold", no_wrap=heading != "what happened")
        for name, outcome in bad.items():
            cell = f"\nin the cell: {outcome.cell}" if outcome.cell else ""
            log = layout.log(*name.split()).relative_to(layout.root)
            table.add_row(name, outcome.kind, f"{outcome.message}{cell}", str(log))
        _print(table)
        raise typer.Exit(STOPPED if all(outcome.kind == CANCELLED for outcome in bad.values()) else FAILED)


def _print(table: Any) -> None:
    """Print a table: as wide as the terminal, or wide enough for a log."""
    from rich.console import Console

    Console(width=None if Console().is_terminal else WIDE).print(table)


@app.command("plan")
def show_plan(
    profile: Profile = None,
    only: Only = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "local",
    budget_min: Budget = None,
    sets: Sets = None,
    trust: Trust = "none",
) -> None:
    """What would run, its minutes and memory; runs nothing."""
    from rich.table import Table

    root = experiments.root()
    items = plan.build(root, profile or devices.default_profile(), only=only, sets=sets or (), trust=trust)
    todo = [item for item in items if item.reasons]
    if profile == "paper":
        _show_prices(root, todo)
        return
    table = Table("notebook", "profile", "minutes", "from", "memory, GB", "slot", "why")
    for item in todo:
        why = item.reasons[0] + (f" (and {len(item.reasons) - 1} more)" if len(item.reasons) > 1 else "")
        source, slot = "receipt" if item.measured else "declared", "GPU" if item.gpu else "CPU"
        cells = (item.experiment.id, item.profile, f"{item.minutes:.1f}", source, f"{item.memory_gb:.1f}", slot, why)
        table.add_row(*cells)
    slots = jobs or devices.slots(max((item.memory_gb for item in todo), default=1.0))
    minutes = plan.total_minutes(todo, {False: 1 if scheduler == "inline" else slots, True: len(devices.gpus())})
    if todo:
        _print(table)
    over = " - more than the budget" if budget_min is not None and minutes > budget_min else ""
    typer.echo(f"{len(todo)} of {len(items)} to run, about {minutes:.1f} min with {slots} at once{over}")


def _show_prices(root: Path, items: list[Item]) -> None:
    """The paper profile: hours, memory and disk with their intervals, and what they rest on."""
    from rich.table import Table

    from lib.reproduce import price

    known = price.known(root)
    prices, table = price.all_of(known, items), Table(*price.HEADINGS)
    for item in items:
        table.add_row(*price.row(item, prices.get(item.experiment.id)))
    _print(table)
    typer.echo("\n".join(price.lines(known, items, prices)))


@app.command()
def simulate(
    n: Annotated[int, typer.Argument(min=20, help="tasks: notebooks times seeds")] = 10_000,
    seeds: Annotated[int, typer.Option(min=1, help="seeds of each notebook")] = 5,
    slots: Annotated[int, typer.Option(min=1, help="slots of the simulated cluster")] = 64,
) -> None:
    """Plan, key and schedule so many made-up notebooks on a simulated cluster; starts no kernel."""
    from lib.reproduce import simulate as rehearsal

    typer.echo("\n".join(rehearsal.report(*rehearsal.compare(n, seeds=seeds, slots=slots))))


@app.command()
def why(profile: Profile = None, only: Only = None, sets: Sets = None, trust: Trust = "none") -> None:
    """Which component of a key changed, by name."""
    items = plan.build(
        experiments.root(), profile or devices.default_profile(), only=only, sets=sets or (), trust=trust
    )
    for item in items:
        typer.echo(f"{item.experiment.id} {item.profile}: {'; '.join(item.reasons) or 'done'}")


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="a folder, masking/02/cpu, or HEAD~1:masking/02/cpu")],
    b: Annotated[str, typer.Argument(help="likewise")],
) -> None:
    """Two runs side by side: parameters, code, environment, claims, data behind the figures."""
    from lib.reproduce import diff as differences
    from lib.reproduce import pages

    root = experiments.root()
    with differences.located(a, root) as one, differences.located(b, root) as other:
        found = differences.compare(one, other)
        lines = [*found.key, *(f"{name}: {old} -> {new}" for name, (old, new) in found.versions.items())]
        for claim, changed in found.claims.items():
            lines += [f"claim {claim}, {name}: {old} -> {new}" for name, (old, new) in changed.items()]
        lines += [table.words for table in found.tables]
        typer.echo("\n".join(lines) or "no difference")
        typer.echo(f"page: {pages.diff_page(one, other, root)}")


@app.command()
def explore(
    only: Annotated[str, typer.Option(help="one notebook: masking/02")],
    sets: Annotated[list[str], typer.Option("--set", help="name=value,value; several parameters are crossed")],
    profile: Profile = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "local",
    limit_min: Limit = None,
) -> None:
    """Run a notebook at several settings and write a page that compares them; publishes nothing."""
    from lib.reproduce import explore as sweeps

    root = experiments.root()
    chosen = sweeps.settings(root, profile or devices.default_profile(), only=only, sets=sets)
    work, ended = sweeps.work(chosen, root, limit_min), runner.Ended()
    if work.jobs:
        with runner.session(Layout(root)):
            ended = runner.perform(
                work.jobs,
                sweeps.settler(root),
                layout=Layout(root),
                scheduler=scheduler,
                slots=jobs or devices.slots(work.memory_gb),
            )
    if len(ended.bad) < len(chosen):
        typer.echo(f"page: {sweeps.page(root, chosen)}")
    _summary(Layout(root), ended, done=len(chosen) - len(work.jobs))


@app.command()
def verify(
    profile: Profile = None,
    only: Only = None,
    jobs: Jobs = None,
    scheduler: Scheduler = "local",
    budget_min: Budget = None,
    limit_min: Limit = None,
    rtol: Annotated[float, typer.Option(min=0, help="largest relative difference that counts as equal")] = RTOL,
    trust: Annotated[str, typer.Option(hidden=True)] = "none",
) -> None:
    """Run the published reports again and compare the data behind their figures, and their verdicts."""
    from lib.reproduce import verify as verification

    root = experiments.root()
    layout = Layout(root)
    work = runner.work(verification.committed(root, profile=profile, only=only), root, limit_min)
    with runner.session(layout):
        ended = runner.perform(
            work.jobs,
            verification.comparer(layout, rtol),
            layout=layout,
            scheduler=scheduler,
            slots=jobs or devices.slots(work.memory_gb),
            budget_min=budget_min,
        )
    _summary(layout, ended, done=0)


@app.command()
def clean(only: Only = None) -> None:
    """Remove the reports made on this machine, file by file as their receipts list them; never data."""
    root = experiments.root()
    wanted = {experiment.id for experiment in plan.select(experiments.load(root), only)}
    with locks.checkout(Layout(root).scratch / "lock"):
        typer.echo(f"removed {len(store.clean(Layout(root), wanted))} files")


@app.command()
def site() -> None:
    """Write reports/site and reports/README.md again, and the API reference where pdoc is installed."""
    from lib.reproduce import docs

    root = experiments.root()
    typer.echo(docs.refresh(root))
    if not _build_site(root):
        raise typer.Exit(FAILED)


@app.command()
def new(
    family: Annotated[str, typer.Option(help="folder below notebooks/")] = "",
    title: Annotated[str, typer.Option(help="a question")] = "",
    paper: Annotated[str, typer.Option(help="arXiv:… or a DOI")] = "",
) -> None:
    """A notebook skeleton that runs as it is, and its block in experiments.toml."""
    from lib.reproduce import skeleton

    typer.echo(str(skeleton.create(experiments.root(), family=family, title=title, paper=paper)))
