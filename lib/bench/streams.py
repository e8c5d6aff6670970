"""Training steps that stream a packed set from the disk, beside the same steps with the data in memory.

Ours is `lib.train.fit` on a `lib.data.stream.Stream`, the peer the same call on float32 tensors of the very rows that
the stream hands out. Two kinds of set: one of 50 GB that is a hole in the file system but for its first 100 MB, so that
it costs no disk (reading a hole fills pages of zeros, no disk is asked), and one of 500 MB that is really there. The
system is told to forget the file before every call of ours; a cache below it, of a disk controller or of the host of a
virtual machine, is out of reach.

``python -m lib.bench.streams`` times the steps and then the stream alone: images per second, growth of the resident
memory, page faults. Sets lie in the folder for temporary files and go with the process.

Conventions: the shuffle buffer holds four batches here, so that a call of a few steps passes several windows and pays
for filling the first.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch
from torch import Tensor, nn

from lib import masks, train
from lib.bench import harness
from lib.bench.harness import AnotherJob, Case, Pair
from lib.bench.steps import RATIO, TINY, Network
from lib.data.packed import Packed, create, open_packed, write_rows
from lib.data.stream import Stream
from lib.models import mae

TARGET = 0.9
LARGE_BYTES, DENSE_BYTES, CONTENT_BYTES = 50_000_000_000, 500_000_000, 100_000_000
WINDOW_BATCHES = 2  # and two windows make the buffer
WIDE = Network("ViT-tiny at 224 px", 8, 224, 16, 192, 12, 3, 128, 4, 4)
STEPS = 4  # of one call: seconds on a core
MEMORY = "lib.train on float32 tensors in memory"
KINDS = {"50 GB with holes": (LARGE_BYTES, CONTENT_BYTES), "500 MB on the disk": (DENSE_BYTES, DENSE_BYTES)}

_folders: list[tempfile.TemporaryDirectory[str]] = []


def cases(*, networks: tuple[Network, ...] = (TINY, WIDE)) -> list[Case]:
    """Every network on every kind of set."""
    return [case(network, kind) for network in networks for kind in KINDS]


def case(network: Network, kind: str, *, packed: Packed | None = None) -> Case:
    """Training from a set of ``kind``, made when the case begins unless it is given, beside training from memory."""

    def setup() -> Pair:
        return pair(network, packed or made(network, *KINDS[kind]), STEPS)

    name = f"training from {kind}, {network.name}"
    return Case(name, "images", STEPS * network.batch, TARGET, MEMORY, setup)


def made(network: Network, total: int, content: int) -> Packed:
    """A packed set of ``total`` bytes for a network whose first ``content`` bytes are noise, the rest zeros."""
    folder = tempfile.TemporaryDirectory(prefix="blindspot-bench-")
    _folders.append(folder)
    shape = (3, network.pixels, network.pixels)
    row = int(np.prod(shape))
    n = total // row // network.batch * network.batch  # whole batches, so that each call makes equal ones
    facts: dict[str, Any] = {"labels": np.zeros(n, np.int64), "classes": ["none"], "source": "noise, and zeros"}
    chance, part, noisy = np.random.default_rng(0), max(1, 2**24 // row), min(n, content // row)
    with create(Path(folder.name) / "set", shape=(n, *shape), **facts) as path:
        for first in range(0, noisy, part):
            write_rows(path, first, chance.integers(0, 256, (min(part, noisy - first), *shape), dtype=np.uint8))
    return open_packed(Path(folder.name) / "set")


def pair(network: Network, packed: Packed, steps: int) -> Pair:
    """Both trainings of one network; each returns steps and the sum of all pixels that it saw."""
    buffer, rows = 2 * WINDOW_BATCHES * network.batch * packed.row_bytes, steps * network.batch
    stream = Stream(packed, batch_size=network.batch, buffer_bytes=buffer)
    model = network.model()
    stand_in = stream.stand_in()[:rows]
    seen: list[Tensor] = []
    loss = _loss(model, seen)
    seeds: list[int] = []

    def fitted(loss: Callable[..., Tensor], tensors: list[Tensor]) -> tuple[int, float]:
        seen.clear()
        history = train.fit(
            model,
            loss,
            tensors,
            epochs=1,
            batch_size=network.batch,
            lr=1e-4,
            generator=torch.Generator().manual_seed(0),
        )
        return history.steps, float(torch.stack(seen).sum())

    def ours() -> tuple[int, float]:
        forget(packed)
        with stream.feed(loss) as fed:
            result = fitted(fed, [stand_in])
            seeds[:] = [] if fed.batches is None or fed.batches.seed is None else [fed.batches.seed]
        return result

    ours()
    memory = packed.rows(stream.order(seeds[0])[:rows])  # (rows, 3, side, side), float32
    return Pair(ours, lambda: fitted(loss, [memory]), same_work)


def same_work(ours: tuple[int, float], peer: tuple[int, float]) -> None:
    """Check that both made as many steps and saw the same pixels.

    Raises
    ------
    AnotherJob
        If they did not.
    """
    if ours[0] != peer[0] or not abs(ours[1] - peer[1]) <= 1e-4 * max(abs(peer[1]), 1.0):
        raise AnotherJob(f"steps and the sum of all pixels must be equal, got {ours} and {peer}")


def forget(packed: Packed) -> None:
    """Tell the system that the images need not stay in its cache, where it can be told."""
    if hasattr(os, "posix_fadvise"):
        with packed.path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def alone(packed: Packed, *, name: str, seconds: float = 5.0, batch_size: int = 256, **options: int) -> dict[str, Any]:
    """What the stream gives when nobody trains: for so many seconds or one epoch, from a cache that has forgotten it.

    Returns
    -------
    dict
        Images and bytes per wall and CPU second, most growth of the resident memory and its bound in MB, page faults.
    """
    stream, me = Stream(packed, batch_size=batch_size, **options), psutil.Process()
    forget(packed)
    before, faults, most, images = me.memory_info().rss, _faults(), 0, 0
    wall, cpu = time.perf_counter(), time.process_time()
    with stream.batches(torch.Generator().manual_seed(0)) as batches:
        for number, (x, _) in enumerate(batches):
            images += len(x)
            if number % 8 == 0:
                most = max(most, me.memory_info().rss - before)
            if time.perf_counter() - wall > seconds:
                break
    took, used = time.perf_counter() - wall, time.process_time() - cpu
    minor, major = (now - then for now, then in zip(_faults(), faults, strict=True))
    return {
        "set": name, "images": images, "images / wall s": images / took, "images / CPU s": images / used,
        "MB / wall s": images * packed.row_bytes / took / 1e6, "growth, MB": most / 1e6,
        "bound, MB": stream.memory_bytes / 1e6, "minor faults": minor, "major faults": major,
    }  # fmt: skip


def main() -> None:
    """Print both tables."""
    tables, rows = [], []
    for network in (TINY, WIDE):
        for kind, sizes in KINDS.items():
            packed = made(network, *sizes)
            rows.append(alone(packed, name=f"{kind}, {network.pixels} px"))
            print(pd.DataFrame(rows[-1:]).round(1).to_string(index=False), flush=True)
            tables.append(harness.measure(case(network, kind, packed=packed), threads=(1,)))
            print(tables[-1].drop(columns=["peer_version", "device"]).to_string(index=False), flush=True)
            _gone()
    print(pd.DataFrame(rows).round(1).to_string(index=False))
    print(pd.concat(tables).drop(columns=["peer_version", "device"]).to_string(index=False))


def _loss(model: mae.MAE, seen: list[Tensor]) -> Callable[..., Tensor]:
    """The loss of masked pretraining; notes the sum of the pixels of each batch."""

    def loss(wrapped: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        images = batch[0]
        seen.append(images.sum(dtype=torch.float64))
        hidden = masks.random(len(images), model.grid, ratio=RATIO, generator=generator)
        return mae.reconstruction_loss(wrapped(images, hidden), model.targets(images), hidden)

    return loss


def _faults() -> tuple[int, int]:
    """Minor and major page faults of this process so far, where the system counts them."""
    if sys.platform == "win32":
        return 0, 0
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt, usage.ru_majflt


def _gone() -> None:
    """Remove the sets that were made."""
    while _folders:
        _folders.pop().cleanup()


if __name__ == "__main__":
    main()
