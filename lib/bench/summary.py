"""All benchmarks of one run together: ``reports/bench/all.csv`` and one figure, a panel for each family.

Only a run of every family writes them, so that all of its rows share a day, versions and a machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lib import plots
from lib.bench.harness import CLOCKS

NAME = "all"
BETWEEN = ": "
SHOWN = CLOCKS[0]  # CPU time: wall time also counts what other processes did


def together(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of all families; a case's name begins with its family's.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By family, each of `lib.bench.harness.measure`.

    Examples
    --------
    >>> one = pd.DataFrame({"name": ["random"], "ratio": [2.0]})
    >>> together({"masks": one})["name"].tolist()
    ['masks: random']
    """
    return pd.concat(
        [table.assign(name=f"{family}{BETWEEN}" + table["name"]) for family, table in tables.items()], ignore_index=True
    )


def families(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table taken apart again, in its order; names are the cases' own."""
    split = table["name"].str.split(BETWEEN, n=1, regex=False)
    own = table.assign(name=split.str[1])
    return {str(family): own[split.str[0] == family] for family in pd.unique(split.str[0])}


def draw(table: pd.DataFrame) -> Any:
    """Ratios of CPU time on one logarithmic axis, a panel for each family.

    A case's row shows the median over rounds with its range, a marker for each number of threads; open markers and a
    ``<`` before the name say that a median is below the target (the upright bar).

    Parameters
    ----------
    table : DataFrame
        Of `together`.

    Returns
    -------
    Figure
    """
    plots.house_style()
    parts = {family: rows[rows["unit"].str.endswith(SHOWN)] for family, rows in families(table).items()}
    counts = [rows["name"].nunique() for rows in parts.values()]
    threads = sorted(table["threads"].unique())
    fig, axes = plots.figure(width="double", height=0.25 * sum(counts) + 0.5 * len(parts) + 1.0, rows=len(parts))
    axes = [axes] if len(parts) == 1 else list(axes)
    grid = axes[0].get_subplotspec().get_gridspec()
    grid.set_height_ratios([count + 1 for count in counts])
    for ax, (family, rows) in zip(axes, parts.items(), strict=True):
        _panel(ax, rows, threads)
        ax.set_title(family, loc="left")
        ax.sharex(axes[0])
    shown = pd.concat(parts.values())
    low = min(shown[["low", "target"]].min().min(), 1.0)
    axes[0].set_xscale("log")
    axes[0].set_xlim(low / 1.3, max(shown["high"].max(), shown["target"].max()) * 1.3)
    axes[-1].set_xlabel("our rate divided by the peer's, CPU time; left of the dashed line the peer is faster")
    for ax in axes:
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
        ax.minorticks_off()
        ax.tick_params(labelbottom=ax is axes[-1])
    handles = [
        axes[0].plot([], [], plots.MARKERS[i], color=plots.PALETTE[i], label=f"{n} thread{'s' if n > 1 else ''}")[0]
        for i, n in enumerate(threads)
    ]
    handles += axes[0].plot([], [], "|", color="#000000", markersize=9, markeredgewidth=1.6, label="target")
    handles += axes[0].plot([], [], "o", mfc="white", mec="#444444", label="below target (<)")
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return fig


def _panel(ax: Any, rows: pd.DataFrame, threads: list[int]) -> None:
    names = list(pd.unique(rows["name"]))
    for index, count in enumerate(threads):
        for row in rows[rows["threads"] == count].to_dict("records"):
            height = names.index(row["name"]) + 0.4 * ((index + 0.5) / len(threads) - 0.5)
            missed = row["ratio"] < row["target"]
            ax.errorbar(
                row["ratio"], height, xerr=[[row["ratio"] - row["low"]], [row["high"] - row["ratio"]]],
                fmt=plots.MARKERS[index], color=plots.PALETTE[index], mfc="white" if missed else plots.PALETTE[index],
                markersize=4, elinewidth=1.2,
            )  # fmt: skip
    targets = rows.drop_duplicates("name")
    ax.plot(targets["target"], range(len(names)), "|", color="#000000", markersize=9, markeredgewidth=1.6)
    ax.axvline(1.0, color="#444444", linewidth=0.8, linestyle="--")
    missing = set(rows.loc[rows["ratio"] < rows["target"], "name"])
    ax.set_yticks(range(len(names)), [f"< {name}" if name in missing else name for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)


def section(folder: Path) -> str:
    """Markdown of the run of all families: the figure and a line for each family; empty where there was none."""
    if not (folder / f"{NAME}.csv").exists():
        return ""
    table = pd.read_csv(folder / f"{NAME}.csv")
    taken = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
    versions = ", ".join(f"{package} {version}" for package, version in taken["versions"].items())
    lines = [
        "## All in one run\n",
        f"{taken['taken']}, {taken['device']}, {taken['cores']} cores; {versions}; {taken['rounds']} rounds at least; "
        f"load {table['load'].min():.1f} to {table['load'].max():.1f}. Data: [{NAME}.csv]({NAME}.csv).\n",
        f"![Ratios of all cases by family, with ranges and targets; the numbers stand in {NAME}.csv]({NAME}.svg)\n",
        f"| family | ratios | reach their target | median ratio, {SHOWN} | smallest | largest |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for family, rows in families(table).items():
        cpu = rows[rows["unit"].str.endswith(SHOWN)]["ratio"]
        lines.append(
            f"| {family} | {len(rows)} | {int((rows['ratio'] >= rows['target']).sum())} | {cpu.median():.2f} "
            f"| {cpu.min():.2f} | {cpu.max():.2f} |"
        )
    return "\n".join(lines) + "\n"
