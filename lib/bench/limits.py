"""Which selectors can take a table of 10,000 rows and 10,000 columns within 8 GiB: each alone in a process of its own.

A fit is given the smallest settings that still pass through every step of its method (a few picks, one epoch), because
the question is the largest memory held at once, which does not grow with their number; seconds are stated for those
settings and promise nothing about longer ones. A selector that refuses must do so before it starts, with its reason.

Conventions: memory is the process's largest resident set, the table itself (0.75 GiB) and the libraries included; CPU
seconds are those of the fit. Linux only, as `lib.measure.selection_costs`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.bench.harness import device_name

ROWS, COLUMNS = 10_000, 10_000
MEMORY_GIB = 8.0
SECONDS = 900.0
FITTED, REFUSED, STOPPED, FAILED = "fitted", "refused beforehand", "stopped", "failed"
BEFOREHAND_S = 30.0  # CPU seconds within which a refusal counts as one that came before the work
GRACE_S = 10.0  # for a process to end by itself once it has answered
SEEN = ("selector", "settings", "outcome", "cpu_s", "peak_gib", "reason")


def settings() -> dict[str, dict[str, Any]]:
    """Smallest settings of every selector in `lib.select`, by class name; two picks where columns are picked."""
    few: dict[str, dict[str, Any]] = {
        name: {"n_features_to_select": 10}
        for name in ("Variance", "FTest", "MutualInformation", "OutRank", "RandomSelector", "InfFS", "InfFSSupervised",
                     "ILFS", "ECFS", "DRCFS")
    }  # fmt: skip
    few |= {name: {"n_features_to_select": 2} for name in ("OMP", "InformationSelector", "LinearSequentialAttention")}
    few["ThreeMR"] = {"n_features_to_select": 2, "scale": "nats"}
    few["DisCo"] = {"n_features_to_select": 1, "batch_size": 500}
    few["AspectSelector"] = {"n_features_to_select": 1, "candidates": "aspects"}
    few |= {name: {"n_features_to_select": 10, "epochs": 1} for name in ("QuickSelection", "LLY", "DeepLasso")}
    few["SequentialAttention"] = {"n_features_to_select": 2, "epochs": 1, "warmup_epochs": 1}
    few["GroupLasso"] = {"n_features_to_select": 10, "max_steps": 2}
    few["FeatureGradients"] = {"n_features_to_select": 10, "steps": 2}
    few["AttributionElimination"] = {"n_features_to_select": 0.5, "share": 0.5}
    few["DIME"] = {"n_features_to_select": 10, "max_features": 2, "epochs": 1, "pretrain_epochs": 1, "stages": 1}
    return few


def table(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal columns, and two classes that depend on the first three of them."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, columns))
    return X, (X[:, :3].sum(axis=1) > 0).astype(np.int64)


def measure(
    chosen: Mapping[str, dict[str, Any]] | None = None,
    *,
    rows: int = ROWS,
    columns: int = COLUMNS,
    seconds: float = SECONDS,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Fit every selector once, each in its own process.

    Parameters
    ----------
    chosen : mapping of class name to keywords, optional
        :func:`settings` if left out.
    rows, columns : int
        Of the table.
    seconds : float
        Wall time after which a fit is stopped.
    say : callable
        Told of every outcome.

    Returns
    -------
    DataFrame
        `SEEN`: ``outcome`` is fitted, refused beforehand, stopped or failed; ``peak_gib`` the largest resident set in
        GiB (NaN unless fitted); ``reason`` the first line of the error.
    """
    found = []
    for name, keywords in (settings() if chosen is None else chosen).items():
        row = _alone(name, keywords, rows, columns, seconds)
        found.append({"selector": name, "settings": ", ".join(f"{k}={v}" for k, v in keywords.items()), **row})
        say(f"{name}: {row['outcome']}, {row['cpu_s']:.1f} CPU s, {row['peak_gib']:.2f} GiB {row['reason']}")
    return pd.DataFrame(found, columns=list(SEEN))


def _alone(name: str, keywords: dict[str, Any], rows: int, columns: int, seconds: float) -> dict[str, Any]:
    process_of = multiprocessing.get_context("spawn")
    ours, theirs = process_of.Pipe(duplex=False)
    child = process_of.Process(target=_fit, args=(theirs, name, keywords, rows, columns))
    child.start()
    theirs.close()
    nothing = {"cpu_s": np.nan, "peak_gib": np.nan}
    try:
        if not ours.poll(seconds):
            return {"outcome": STOPPED, **nothing, "reason": f"after {seconds:g} s"}
        row = dict(ours.recv())
        child.join(GRACE_S)
        return row
    except EOFError:
        child.join()
        return {"outcome": FAILED, **nothing, "reason": f"the process ended with code {child.exitcode}"}
    finally:
        child.kill()
        child.join()


def _fit(answer: Connection, name: str, keywords: dict[str, Any], rows: int, columns: int) -> None:
    """Runs in the child: fit and tell the outcome."""
    import resource

    import torch

    import lib.select

    torch.set_num_threads(1)
    X, y = table(rows, columns)
    selector = getattr(lib.select, name)(**keywords)
    if "random_state" in selector.get_params():
        selector.set_params(random_state=0)
    began = time.process_time()
    outcome, reason = FITTED, ""
    try:
        selector.fit(X, y)
    except Exception as error:
        outcome, reason = FAILED, str(error).splitlines()[0]
    spent = time.process_time() - began
    if outcome == FAILED and spent < BEFOREHAND_S:
        outcome = REFUSED
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    answer.send(
        {"outcome": outcome, "cpu_s": spent, "peak_gib": peak if outcome == FITTED else np.nan, "reason": reason}
    )


def kept(found: pd.DataFrame, *, memory_gib: float = MEMORY_GIB) -> pd.Series:
    """Rows that keep the promise: fitted within the memory, or refused beforehand."""
    return ((found["outcome"] == FITTED) & (found["peak_gib"] <= memory_gib)) | (found["outcome"] == REFUSED)


def write(found: pd.DataFrame, folder: Path) -> None:
    """Write limits.csv and the conditions it was taken under, each beside its place and renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = {
        "taken": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": device_name(),
        "rows": ROWS,
        "columns": COLUMNS,
    }
    parts = {
        "limits.csv": found.to_csv(index=False, float_format="%.4g", lineterminator="\n"),
        "limits.taken.json": json.dumps(taken, indent=1) + "\n",
    }
    for name, text in parts.items():
        beside = folder / f"{name}.part"
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, folder / name)


def section(folder: Path) -> str:
    """Markdown of limits.csv; empty where there is none."""
    if not (folder / "limits.csv").exists():
        return ""
    found = pd.read_csv(folder / "limits.csv", keep_default_na=True).fillna({"reason": "", "settings": ""})
    taken = json.loads((folder / "limits.taken.json").read_text(encoding="utf-8"))
    right = int(kept(found).sum())
    lines = [
        "## limits\n",
        f"{taken['taken']}, {taken['device']}. A table of {taken['rows']:,} rows and {taken['columns']:,} columns, "
        f"each selector alone in its process and with the settings named: {right} of {len(found)} fit within "
        f"{MEMORY_GIB:g} GiB (the table is 0.75 of them) or say beforehand that they cannot. "
        "Data: [limits.csv](limits.csv).\n",
        "| selector | settings | outcome | CPU s | peak GiB | |",
        "|---|---|---|---:|---:|---|",
    ]
    for row in found.to_dict("records"):
        numbers = " | ".join("" if np.isnan(row[key]) else f"{row[key]:.1f}" for key in ("cpu_s", "peak_gib"))
        lines.append(f"| {row['selector']} | {row['settings']} | {row['outcome']} | {numbers} | {row['reason']} |")
    return "\n".join(lines) + "\n"
