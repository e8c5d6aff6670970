"""``python -m lib.bench``: time ours beside the peers; write ``reports/bench/<name>.csv``, its figure and the page.

Exit codes: 0 the table is written, whether targets are met or not; 2 it was asked for wrongly, or a peer did another
job than ours. A ratio below its target is marked in words in the table and in the figure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from lib import experiments, plots
from lib.bench import explain, films, harness, limits, masks, readme, select, startup, steps, streams, summary
from lib.bench.harness import Case
from lib.bench.readme import MISSED

WRONG = 2
LIMITS = "limits"  # no ratios: what the selectors need for a large table
STARTUP = startup.NAME  # no ratios: seconds before a notebook's first act
WIDE = 200  # columns of a table in a log
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
FINE_TICKS = tuple(tenth / 10 for tenth in range(3, 20))  # where the wide ones would leave fewer than three
SHOWN = harness.CLOCKS[0]  # the figure shows CPU time: wall time also counts what other processes did


def _masks(full: bool) -> list[Case]:
    return masks.cases(networks=(steps.TINY, steps.BASE) if full else (steps.TINY,))


def _explain(full: bool) -> list[Case]:
    return explain.cases()


def _select(full: bool) -> list[Case]:
    return select.cases()


def _cxr(full: bool) -> list[Case]:
    return films.cases()


def _stream(full: bool) -> list[Case]:
    return streams.cases()


BENCHES: dict[str, Callable[[bool], list[Case]]] = {
    "masks": _masks, "explain": _explain, "select": _select, "cxr": _cxr, "stream": _stream
}  # fmt: skip


def main(
    only: Annotated[
        str | None, typer.Option(help=f"names with commas; all by default: {', '.join([*BENCHES, LIMITS, STARTUP])}")
    ] = None,
    rounds: Annotated[int, typer.Option(min=harness.LEAST_ROUNDS, help="of ours and the peer in turns")] = 5,
    full: Annotated[bool, typer.Option(help="also the paper's network sizes, many minutes on a CPU")] = False,
) -> None:
    """Time ours beside the peers."""
    known = [*BENCHES, LIMITS, STARTUP]
    names = known if only is None else [name.strip() for name in only.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        typer.secho(f"error: --only must name benchmarks among {', '.join(known)}, got {unknown[0]!r}", err=True)
        raise typer.Exit(WRONG)
    folder = experiments.root() / "reports" / "bench"
    tables: dict[str, pd.DataFrame] = {}
    for name in names:
        if name in (LIMITS, STARTUP):
            if name == LIMITS:
                limits.write(limits.measure(say=_progress), folder)
            else:
                startup.write(startup.measure(experiments.root(), rounds=rounds, say=_progress), folder)
            write_page(folder)
            continue
        try:
            table = run(installed(BENCHES[name](full)), rounds=rounds)
        except harness.AnotherJob as error:
            typer.secho(f"error: {error}", err=True)
            raise typer.Exit(WRONG) from None
        show(table)
        write(table, folder, name)
        tables[name] = table
    if set(tables) == set(BENCHES):
        every = summary.together(tables)
        write(every, folder, summary.NAME, summary.draw(every))


def _progress(line: str) -> None:
    typer.echo(line, err=True)


def installed(cases: list[Case]) -> list[Case]:
    """The cases whose peer is there; one line for each package that is not."""
    absent = {case.needs for case in cases if case.needs and util.find_spec(case.needs) is None}
    for package in sorted(absent):
        names = ", ".join(case.name for case in cases if case.needs == package)
        typer.secho(f"left out: {names}; pip install --no-deps -r requirements-peers.txt gets {package}", err=True)
    return [case for case in cases if case.needs not in absent]


def run(cases: list[Case], *, rounds: int, clocks: harness.Clocks | None = None) -> pd.DataFrame:
    """Measure all cases, one line of progress for each."""
    tables = []
    for number, case in enumerate(cases, start=1):
        typer.echo(f"{number}/{len(cases)} {case.name}", err=True)
        tables.append(harness.measure(case, rounds=rounds, clocks=clocks))
    return pd.concat(tables, ignore_index=True)


def show(table: pd.DataFrame) -> None:
    """Print the table; what misses its target says so."""
    from rich.console import Console
    from rich.table import Table

    right = ("threads", "ours", "peer", "ratio", "range", "target", "load")
    drawn = Table(title=f"ours beside the peer; a ratio above 1: ours is faster. {table['device'].iloc[0]}")
    for column in ("case", "unit", *right, "", "peer's version"):
        drawn.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
    for row in table.to_dict("records"):
        drawn.add_row(
            row["name"], row["unit"], str(row["threads"]), f"{row['ours']:,.4g}", f"{row['peer']:,.4g}",
            f"{row['ratio']:.2f}", f"{row['low']:.2f}-{row['high']:.2f}", f"{row['target']:g}", f"{row['load']:.1f}",
            MISSED if row["ratio"] < row["target"] else "", row["peer_version"],
        )  # fmt: skip
    console = Console(width=None if Console().is_terminal else WIDE)
    console.print(drawn)
    missed = int((table["ratio"] < table["target"]).sum())
    console.print(f"{len(table) - missed} of {len(table)} rows reach their target, {missed} are below it")
    cores = os.cpu_count() or 1
    busy = readme.busy(table, cores=cores)
    if len(busy):
        most = table["load"].max()
        console.print(f"{len(busy)} rows were taken while other work kept {cores} cores busy (load up to {most:.1f}):")
        console.print("threads that wait for each other burn CPU time then; run it again when the machine is quiet")


def write(table: pd.DataFrame, folder: Path, name: str, fig: Any = None) -> None:
    """Write csv, conditions, the figure as svg and png, then the folder's page, each beside its place and renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    _renamed(
        folder / f"{name}.csv", lambda path: table.to_csv(path, index=False, float_format="%.4g", lineterminator="\n")
    )
    taken = json.dumps(readme.conditions(table), indent=1) + "\n"
    _renamed(folder / f"{name}.json", lambda path: path.write_text(taken, encoding="utf-8"))
    fig = fig or draw(table)
    _renamed(
        folder / f"{name}.svg", lambda path: fig.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    )
    _renamed(folder / f"{name}.png", lambda path: fig.savefig(path, format="png", metadata={"Software": None}))
    write_page(folder)


def write_page(folder: Path) -> None:
    """Write the folder's page from all tables in it."""
    _renamed(folder / "README.md", lambda path: path.write_text(readme.page(folder), encoding="utf-8"))


def draw(table: pd.DataFrame) -> Any:
    """Ratios as dots with their ranges on a logarithmic axis, a line at 1, a bar at each target.

    Parameters
    ----------
    table : DataFrame
        Of `lib.bench.harness.measure`; rows of CPU time are drawn.

    Returns
    -------
    Figure
    """
    plots.house_style()
    rows = table[table["unit"].str.endswith(SHOWN)]
    names, counts = list(pd.unique(rows["name"])), sorted(rows["threads"].unique())
    fig, ax = plots.figure(width="double", height=0.42 * len(names) + 1.4)
    for index, count in enumerate(counts):
        mine = rows[rows["threads"] == count]
        height = [names.index(name) + 0.36 * ((index + 0.5) / len(counts) - 0.5) for name in mine["name"]]
        error = [mine["ratio"] - mine["low"], mine["high"] - mine["ratio"]]
        ax.errorbar(
            mine["ratio"], height, xerr=error, fmt=plots.MARKERS[index], color=plots.PALETTE[index], elinewidth=1.6,
            label=f"{count} thread{'s' if count > 1 else ''}",
        )  # fmt: skip
    targets = rows.drop_duplicates("name")
    ax.plot(
        targets["target"], range(len(names)), "|", color="#000000", markersize=17, markeredgewidth=2, label="target"
    )
    ax.axvline(1.0, color="#444444", linewidth=1, linestyle="--")
    ax.set_xscale("log")
    low, high = min(rows["low"].min(), rows["target"].min(), 1.0), max(rows["high"].max(), rows["target"].max())
    ax.set_xlim(low / 1.2, high * 1.2)
    marks = [[mark for mark in every if low / 1.2 <= mark <= high * 1.2] for every in (TICKS, FINE_TICKS)]
    chosen = marks[0] if len(marks[0]) >= 3 else marks[1]
    ax.set_xticks(chosen, [f"{mark:g}x" for mark in chosen])
    ax.minorticks_off()
    ax.set_yticks(range(len(names)), [_label(rows[rows["name"] == name]) for name in names])
    ax.invert_yaxis()
    ax.set(xlabel="our rate divided by the peer's, CPU time; left of the dashed line the peer is faster")
    ax.set_title("Ours beside the peers: median and range over rounds")
    fig.legend(loc="outside lower center", ncols=len(counts) + 1)
    return fig


def _label(rows: pd.DataFrame) -> str:
    """Name of a case, with the numbers of threads at which it misses its target."""
    missed = [str(row["threads"]) for row in rows.to_dict("records") if row["ratio"] < row["target"]]
    if not missed:
        return str(rows["name"].iloc[0])
    where = "" if len(missed) == len(rows) else f" with {missed[0]} thread{'s' if missed[0] != '1' else ''}"
    return f"{rows['name'].iloc[0]}\n({MISSED}{where})"


def _renamed(path: Path, write_to: Callable[[Path], Any]) -> None:
    beside = path.with_name(f"{path.name}.part")
    write_to(beside)
    os.replace(beside, path)


if __name__ == "__main__":
    typer.run(main)
