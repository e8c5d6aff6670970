"""What the paper profile of each notebook would cost, before it starts; everything here is an extrapolation.

No receipt of a GPU exists. Hours on the reference device are CPU hours (:mod:`lib.reproduce.cost`) times the ratio of
two rates: that of matrix products on one core of the machine that made the receipts, measured, and the device's own
from its maker's data sheet. That both are used equally well is an assumption, for which :data:`EQUALLY` widens the
interval. A notebook that never asks for a device (scikit-learn, NumPy) has CPU hours only.

Memory of a device, from bytes: the peak of a measured run, and what grows from there: :data:`COPIES` of the rows that
are held as float32 or float64, 16 bytes for each weight (weight, gradient, two moments of Adam) and what the backward
pass keeps of a batch. Disk: the declared files, a checkpoint for each repeat, and the report.
"""

from __future__ import annotations

import importlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.reproduce import cost, cost_receipts
from lib.reproduce.cost import Estimate, Model, Run
from lib.reproduce.cost_receipts import Design
from lib.reproduce.cost_roles import SIDES, counted, tokens
from lib.reproduce.plan import Item
from lib.reproduce.store import Layout

DEVICE = "A100 80 GB"
DEVICE_FLOPS = 19.5e12  # float32, without tensor cores: NVIDIA A100 Tensor Core GPU datasheet, 2021
CORE_FLOPS = 89e9  # as core_flops() measured it on the machine that made the receipts
EQUALLY = math.log(3)  # both are used equally well within a factor of 3, in 80 of 100 cases
COPIES = 8.0  # of the largest set of rows while a notebook works on it; the check on receipts says how well that fits
KEPT = 34  # activations of a transformer's layer in units of tokens x width: Korthikanti et al. 2022, arXiv:2205.05198
CONVOLUTIONS = 12  # maps of full size, or hidden layers, that a small network keeps; half of the maps are pooled
SMALLEST_SIDE = 16  # pixels; a smaller `size` counts something else
WIDEST_MAPS = 64  # a wider network without patches is a dense one
MEASURE = "python -m lib.reproduce.cost_receipts"
LISTED = 5
WEIGHT_BYTES, CHECKPOINT_BYTES, FLOAT = 16, 4, 4


@dataclass(frozen=True)
class Price:
    """What one notebook costs in one profile.

    Attributes
    ----------
    cpu_hours : Estimate
    gpu_hours : Estimate or None
        Likewise on :data:`DEVICE`; None where the notebook never asks for a device.
    memory_gb, disk_gb : float
    source : str
        What it was extrapolated from.
    """

    cpu_hours: Estimate
    gpu_hours: Estimate | None
    memory_gb: float
    disk_gb: float
    source: str


@dataclass(frozen=True)
class Known:
    """What prices rest on.

    Attributes
    ----------
    root : Path
        Of the project.
    measured, tried : dict
        As :func:`cost.runs` and :func:`cost.tried` give them.
    """

    root: Path
    measured: dict[str, dict[Design, Run]]
    tried: dict[str, list[cost.Tried]]


def known(root: Path) -> Known:
    """What the receipts and the table of small runs say; takes seconds."""
    measured = cost.runs(root)
    return Known(root, measured, cost.tried(measured))


def core_flops(*, side: int = 1024, rounds: int = 12) -> float:
    """Rate of one core of this machine: the median over some float32 products of two square matrices, per second.

    ``python -m lib.reproduce.price`` prints it beside :data:`CORE_FLOPS`.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        left, right = torch.rand(2, side, side)
        taken = []
        for _ in range(rounds + 1):  # the first warms up
            start = time.process_time()
            left @ right
            taken.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    return float(2 * side**3 / np.median(taken[1:]))


def row_bytes(parameters: Mapping[str, Any], data: Sequence[str]) -> float:
    """Bytes of one row in memory: a picture of the side it is used at in float32, or a table's row in float64."""
    registry = importlib.import_module("lib.data")
    entry = registry.entry(data[0])
    side = parameters.get("side", parameters.get("size", 0) if entry.kind in ("radiographs", "generator") else 0)
    if parameters.get("images", "auto") in SIDES and parameters.get("images", "auto") != "auto":
        entry = registry.entry(str(parameters["images"]))
    if side >= SMALLEST_SIDE:
        return float(FLOAT * side**2)
    if entry.kind in ("images", "radiographs"):
        return float(FLOAT * math.prod(entry.shape or (64, 64)))
    return float(2 * FLOAT * max(len(entry.names), 100))


def batch_bytes(parameters: Mapping[str, Any], row: float) -> tuple[float, float]:
    """Bytes of the weights with their optimiser, and of what a backward pass keeps of one batch."""
    width, depth = float(parameters.get("width", 0)), float(parameters.get("depth", 1))
    batch = float(max(parameters.get("batch_size", 32), parameters.get("max_batch", 0)))
    if not width:
        return 0.0, 0.0
    if "patch" in parameters:
        count = tokens(parameters)
        return WEIGHT_BYTES * 12 * width**2 * depth, batch * count * width * depth * KEPT * FLOAT / 2
    if width > WIDEST_MAPS:
        return WEIGHT_BYTES * (width**2 + width * row / FLOAT), batch * width * CONVOLUTIONS * FLOAT
    return WEIGHT_BYTES * 90 * width**2, batch * row * width * CONVOLUTIONS / 2


def growing_gb(parameters: Mapping[str, Any], data: Sequence[str]) -> float:
    """Bytes that grow with the parameters: rows, weights, and what a backward pass keeps, GB."""
    row = row_bytes(parameters, data)
    held = [*counted(parameters, "rows"), *counted(parameters, "asked")]
    weights, kept = batch_bytes(parameters, row)
    return (COPIES * row * max(held, default=0) + weights + kept) / 1e9


def memory_gb(parameters: Mapping[str, Any], data: Sequence[str], path: Sequence[Run]) -> float:
    """Peak memory, GB: that of a measured run and what grows from there, the largest over the runs.

    Parameters
    ----------
    path : sequence of Run
        Of the same notebook. NaN where none has a peak.
    """
    own = [(run.memory_mb / 1e3, growing_gb(run.parameters, data)) for run in path if math.isfinite(run.memory_mb)]
    wanted = growing_gb(parameters, data)
    return max((peak + max(wanted - before, 0.0) for peak, before in own), default=math.nan)


def disk_gb(parameters: Mapping[str, Any], data: Sequence[str], report: Path) -> float:
    """Declared data, a checkpoint for each repeat and the report, GB."""
    registry = importlib.import_module("lib.data")
    entries = [registry.entry(name) for name in data]
    files = sum(part.bytes for entry in entries if entry.needs_files for part in (*entry.files, *entry.trees))
    repeats = max(counted(parameters, "repeats"), default=1.0)
    weights = batch_bytes(parameters, 0.0)[0] / WEIGHT_BYTES * CHECKPOINT_BYTES
    written = sum(path.stat().st_size for path in report.iterdir()) if report.is_dir() else 0
    return (files + repeats * weights + written) / 1e9


def asks_for_a_device(notebook: Path) -> bool:
    """Whether the code of a notebook mentions a device: others compute on the CPU wherever they run."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return any("device" in "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def price(item: Item, model: Model, taken: Mapping[Design, Run], root: Path) -> Price | None:
    """The price of one notebook; None where no run of it was measured.

    Parameters
    ----------
    taken : mapping
        Its measured runs, one of :func:`cost.runs`.
    """
    if not taken:
        return None
    path = cost.chain(taken)
    anchor, data, on_device = path[-1], list(item.parts["data"]), asks_for_a_device(item.experiment.notebook)
    hours = _scaled(cost.predict(model, path, item.parameters), 1 / 3600)
    return Price(
        cpu_hours=hours,
        gpu_hours=_scaled(hours, CORE_FLOPS / DEVICE_FLOPS, EQUALLY) if on_device else None,
        memory_gb=memory_gb(item.parameters, data, path),
        disk_gb=disk_gb(item.parameters, data, Layout(root).report(item.experiment.id, "cpu")),
        source=f"run at share {anchor.design.share:g}" if anchor.cells else "cpu receipt",
    )


def _scaled(taken: Estimate, factor: float, within: float = 0.0) -> Estimate:
    """An estimate times a factor whose own logarithm is known within so much; independent errors add as squares."""
    middle = taken.value * factor
    low, high = (math.hypot(math.log(end / taken.value), within) for end in (taken.low, taken.high))
    return Estimate(middle, middle * math.exp(-low), middle * math.exp(high))


def memory_errors(measured: Mapping[str, Mapping[Design, Run]], items: Sequence[Item]) -> list[float]:
    """``log(predicted / receipt)`` of the peak memory of cpu receipts, from small runs of the same notebook."""
    errors = []
    for item in items:
        taken = measured.get(item.experiment.id, {})
        cpu, small = taken.get(cost.CPU), cost.chain(taken, cost_receipts.HIGH)
        if cpu and small and math.isfinite(cpu.memory_mb):
            predicted = memory_gb(cpu.parameters, list(item.parts["data"]), small)
            errors.append(math.log(1e3 * predicted / cpu.memory_mb))
    return errors


HEADINGS = ("notebook", "CPU hours", f"GPU hours ({DEVICE})", "memory of a device, GB", "disk, GB", "from")


def row(item: Item, one: Price | None) -> tuple[str, ...]:
    """The cells of one notebook, in the order of :data:`HEADINGS`; what is declared where nothing was measured."""
    if one is None:
        hours = f"{item.minutes / 60:.2g}"
        return item.experiment.id, hours, "unknown", f"{item.memory_gb:.1f}", "unknown", "declared"
    gpu = _told(one.gpu_hours) if one.gpu_hours else "none asked for"
    return item.experiment.id, _told(one.cpu_hours), gpu, f"{one.memory_gb:.1f}", f"{one.disk_gb:.2g}", one.source


def _told(estimate: Estimate) -> str:
    return f"{estimate.value:.2g} [{estimate.low:.2g}, {estimate.high:.2g}]"


def lines(known: Known, items: Sequence[Item], prices: Mapping[str, Price]) -> list[str]:
    """What stands below the table: totals, what it rests on, and how well the same model predicts what is known."""
    on_gpu = [one.gpu_hours.value for one in prices.values() if one.gpu_hours]
    cpu = sum(one.cpu_hours.value for one in prices.values() if not one.gpu_hours)
    said = [
        f"{len(prices)} of {len(items)} priced: about {sum(on_gpu):.0f} {DEVICE} hours ({len(on_gpu)} notebooks) and "
        f"{cpu:.0f} CPU core hours (the rest); brackets are meant to hold 80 of 100 cases, the check says how many "
        "they hold",
        f"no GPU receipt exists: GPU hours are CPU hours x {CORE_FLOPS / 1e9:.0f} GFLOP/s (a core, measured) / "
        f"{DEVICE_FLOPS / 1e12:g} TFLOP/s ({DEVICE}, float32, data sheet), within a factor of 3",
    ]
    said += check_lines(cost.check(known.measured, known.tried))
    said += repeat_lines(cost.repeats(known.root)) + other_code(known.root)
    errors = memory_errors(known.measured, items)
    if errors:
        median, within = cost.skill(errors)
        said.append(
            f"memory of {len(errors)} cpu receipts that trained what they read, from runs up to share "
            f"{cost_receipts.HIGH:g}: median error x{math.exp(median):.2f}, {100 * within:.0f} % within ±30 %"
        )
    return said


def check_lines(held: Sequence[cost.Held]) -> list[str]:
    """How well cpu runs that the model has not seen are predicted, a line for each share of the last small run."""
    if not held:
        return [f"check on 0 held-out cpu receipts: no small run was measured, {MEASURE} does"]
    said = []
    for share in sorted({one.share for one in held}, reverse=True):
        own = [one for one in held if one.share == share]
        median, within = cost.skill([one.error for one in own])
        covered = np.mean([one.estimate.low <= one.measured <= one.estimate.high for one in own])
        guess = cost.skill(cost.baseline(own) or [math.nan])
        table = sum(not one.receipt for one in own)
        said.append(
            f"check on {len(own) - table} held-out cpu receipts and {table} cpu runs of the table, from runs up to "
            f"share {share:g}: median error x{math.exp(median):.2f}, {100 * within:.0f} % within ±30 % (the median of "
            f"the others: x{math.exp(guess[0]):.2f}, {100 * guess[1]:.0f} %), {100 * covered:.0f} % in their interval"
        )
    return said


def repeat_lines(errors: Sequence[float]) -> list[str]:
    """How far apart two runs of the same key are, on one line; none where nothing was run twice."""
    if not errors:
        return []
    median, within = cost.skill(errors)
    return [
        f"{len(errors)} cpu runs were made again with the same code and parameters: CPU seconds "
        f"x{math.exp(median):.2f} apart in the median, {100 * within:.0f} % within ±30 %; no prediction "
        "can be closer than that"
    ]


def other_code(root: Path) -> list[str]:
    """The rows of the table that count for nothing, on one line; none where all count."""
    rows = cost_receipts.current(root)[1]
    names = sorted({row.split()[0] for row in rows})
    listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    told = f"{len(rows)} rows of {cost_receipts.TABLE} are of other code and count for nothing"
    return [f"{told}: {listed}; {MEASURE} measures them again"] if rows else []


def all_of(known: Known, items: Sequence[Item]) -> dict[str, Price]:
    """The prices of some items by experiment, where any run of the notebook was measured."""
    model, runs = cost.fit(known.tried), known.measured
    found = {item.experiment.id: price(item, model, runs.get(item.experiment.id, {}), known.root) for item in items}
    return {name: one for name, one in found.items() if one is not None}


if __name__ == "__main__":
    print(f"one core of this machine: {core_flops() / 1e9:.0f} GFLOP/s; prices assume {CORE_FLOPS / 1e9:.0f}")
