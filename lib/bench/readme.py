"""The page of the benchmarks, ``reports/bench/README.md``, made again from the tables that lie beside it.

Each table comes with the conditions it was taken under (``<name>.json``): versions, cores, rounds and the day. Ratios
are given for both clocks of `lib.bench.harness`, as median [smallest, largest] over rounds.
"""

import json
import os
import platform
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from lib.bench import limits, startup, summary
from lib.bench.harness import CLOCKS

PACKAGES = ("torch", "numpy", "timm")
MISSED = "below target"
HEAD = (
    "# How fast: ours beside the peers\n\n"
    "Written by `make bench` from the tables in this folder; nothing here is typed by hand. A ratio is our rate "
    "divided by the peer's, above 1: ours is faster. Ours and the peer take turns within each round; given are the "
    "median over rounds and [the smallest, the largest]. CPU time counts all threads of the process, wall time also "
    "what else the machine did; the load is its one-minute average when a case began, 1 = one busy core.\n"
)


def conditions(table: pd.DataFrame) -> dict[str, Any]:
    """What a table of `lib.bench.harness.measure` was taken with, now and in this process.

    Returns
    -------
    dict
        ``versions`` of Python and of the packages that do the work, ``device``, ``cores``, ``rounds`` and ``taken``,
        the day (UTC).
    """
    versions = {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
    return {
        "taken": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": str(table["device"].iloc[0]),
        "cores": os.cpu_count() or 1,
        "rounds": int(table["rounds"].min()),
        "versions": versions,
    }


def busy(table: pd.DataFrame, *, cores: int) -> pd.DataFrame:
    """The rows taken while other work kept the machine's cores from ours: more load than ours can have left behind."""
    others = table["load"] > table["threads"].max()
    return table[others & (table["load"] + table["threads"] > cores + 1)]


def page(folder: Path) -> str:
    """Markdown of all tables in a folder, by name; one without conditions is left out.

    Parameters
    ----------
    folder : Path
        With ``<name>.csv``, ``<name>.json`` and ``<name>.svg`` for each benchmark.
    """
    names = [path.stem for path in sorted(folder.glob("*.csv")) if path.with_suffix(".json").exists()]
    names = [name for name in names if name != summary.NAME]
    parts = [
        HEAD,
        summary.section(folder),
        *(_section(folder, name) for name in names),
        limits.section(folder),
        startup.section(folder),
    ]
    return "\n".join(part for part in parts if part)


def _section(folder: Path, name: str) -> str:
    table = pd.read_csv(folder / f"{name}.csv")
    taken = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    versions = ", ".join(f"{package} {version}" for package, version in taken["versions"].items())
    missed, loaded = int((table["ratio"] < table["target"]).sum()), len(busy(table, cores=taken["cores"]))
    lines = [
        f"## {name}\n",
        f"{taken['taken']}, {taken['device']}, {taken['cores']} cores; {versions}; {taken['rounds']} rounds at least. "
        f"{len(table) - missed} of {len(table)} ratios reach their target"
        + (f"; {loaded} were taken while other work kept the cores busy" if loaded else "")
        + f". Data: [{name}.csv]({name}.csv).\n",
        f"![Ratios of {name} with their ranges and targets, the numbers of the table below]({name}.svg)\n",
        f"| case | threads | ours, per CPU s | the peer's | ratio, {CLOCKS[0]} | ratio, {CLOCKS[1]} | target | load "
        "| the peer |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    return "\n".join([*lines, *_rows(table)]) + "\n"


def _rows(table: pd.DataFrame) -> list[str]:
    found = []
    for (case, threads), pair in table.groupby(["name", "threads"], sort=False):
        cpu, wall = (pair[pair["unit"].str.endswith(clock)].iloc[0].to_dict() for clock in CLOCKS)
        work = cpu["unit"].split(" / ")[0]
        found.append(
            f"| {case} | {threads} | {_rate(cpu['ours'])} {work} | {_rate(cpu['peer'])} | {_ratio(cpu)} "
            f"| {_ratio(wall)} | {cpu['target']:g} | {cpu['load']:.1f} | {cpu['peer_version']} |"
        )
    return found


def _ratio(row: Mapping[Any, Any]) -> str:
    text = f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    return f"**{text} {MISSED}**" if row["ratio"] < row["target"] else text


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
