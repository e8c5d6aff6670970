"""Batches of a packed set that is larger than memory, in a new random order every epoch, read ahead by a thread.

A uniform permutation of all rows would read each from another place of the disk. Here blocks of neighbouring rows are
permuted, and rows are shuffled within a window of many blocks, as the shuffle buffer of tf.data and webdataset does;
when the whole set fits into the buffer the order is an exact uniform permutation. While one window is handed out, the
next one is read, a little with every batch.

`lib.train.fit` takes a stream without a second loop: give it the loss that `Stream.feed` wraps and, in the place of the
data, `Stream.stand_in`::

    stream = Stream(open_packed(folder), batch_size=256)
    with stream.feed(loss) as fed:
        fit(model, fed, [stream.stand_in(device)], batch_size=256, epochs=90, lr=1e-3, generator=generator)

Conventions: images float32 NCHW in [0, 1], labels int64; an epoch has every row once, in batches whose sizes differ by
at most one; with several processes each takes its share of every batch. The order follows from the generator to the
bit, not from the speed of the disk. Memory: `Stream.memory_bytes`.
"""

from __future__ import annotations

import math
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib.data.packed import Packed
from lib.data.registry import DataError

BUFFER_BYTES = 256 * 2**20
BLOCK_BYTES = 2**20  # neighbouring rows that are read at once
LOOK_S = 0.1  # how often a thread that waits for room looks whether it is still wanted

Pair = tuple[Tensor, Tensor]
Loss = Callable[[nn.Module, tuple[Tensor, ...], torch.Generator], Tensor]


class Stream:
    """Random batches of a packed set.

    Parameters
    ----------
    packed : Packed
    batch_size : int
        Most images of a batch, over all processes.
    buffer_bytes : int
        Bytes within which rows are shuffled: two windows, or the whole share of this process where that fits.
    prefetch : int
        Batches that wait ready.
    rank, world : int
        Which of how many processes this is; their batches together are those of one process.

    Raises
    ------
    ValueError
        A buffer of less than two images, a share of no image, or another option out of range.
    """

    def __init__(
        self,
        packed: Packed,
        *,
        batch_size: int,
        buffer_bytes: int = BUFFER_BYTES,
        prefetch: int = 2,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or prefetch < 1 or not 0 <= rank < world:
            raise ValueError(
                "batch_size and prefetch must be positive and rank in 0..world-1, "
                f"got {batch_size}, {prefetch} and rank {rank} of {world}"
            )
        if buffer_bytes < 2 * packed.row_bytes:
            raise ValueError(
                f"buffer_bytes must hold two images of {packed.row_bytes:,} bytes, got {buffer_bytes:,}; some hundred "
                "batches shuffle well"
            )
        self.packed, self.batch_size, self.prefetch, self.rank, self.world = packed, batch_size, prefetch, rank, world
        n = len(packed)
        self.steps = math.ceil(n / batch_size)
        sizes = n // self.steps + (np.arange(self.steps) < n % self.steps)  # as Tensor.tensor_split cuts them
        shares = np.stack([sizes // world + (one < sizes % world) for one in range(world)])
        if shares.min() < 1:
            raise ValueError(f"batch_size must give each of {world} processes an image, got {batch_size} for {n:,}")
        self._first = int(shares[:rank].sum())
        self._bounds = np.concatenate([[0], np.cumsum(shares[rank])])  # (steps + 1,): batch k is rows k to k + 1
        mine = int(self._bounds[-1])
        self._block = 1 if n * packed.row_bytes <= buffer_bytes else max(1, BLOCK_BYTES // packed.row_bytes)
        window = mine if mine * packed.row_bytes <= buffer_bytes else buffer_bytes // (2 * packed.row_bytes)
        self._edges = np.linspace(0, mine, math.ceil(mine / window) + 1).round().astype(np.int64)

    @property
    def memory_bytes(self) -> int:
        """Most bytes that an epoch holds: windows, waiting batches, one that is handed out as float32, the order."""
        windows = np.diff(self._edges).max() * min(2, len(self._edges) - 1)
        batch = np.diff(self._bounds).max()
        order = 3 * 8 * math.ceil(len(self.packed) / self._block)
        return int((windows + batch * (self.prefetch + 2 + 4)) * self.packed.row_bytes + order)

    def order(self, seed: int | None) -> np.ndarray:
        """Rows of this process in the order of the epoch with this seed, int64; None is the order of the file."""
        order = _Order(self, seed)
        return np.concatenate([order.window(which) for which in range(len(self._edges) - 1)])

    def batches(
        self,
        generator: torch.Generator | np.random.Generator | None = None,
        *,
        start: int = 0,
        device: torch.device | str = "cpu",
    ) -> Batches:
        """Begin an epoch.

        Parameters
        ----------
        generator : generator, optional
            One number is drawn from it; None: rows in the order of the file.
        start : int
            Batches to leave out, to go on where an epoch with the same generator was left.
        device : device
            Where the batches go.

        Returns
        -------
        Batches
            An iterator of (images, labels) that is also a context manager: leaving the block ends its thread.
        """
        seed = None
        if isinstance(generator, torch.Generator):
            seed = int(torch.randint(2**62, (), generator=generator))
        elif generator is not None:
            seed = int(generator.integers(2**62))
        return Batches(self, seed, start, torch.device(device))

    def feed(self, loss: Loss) -> Fed:
        """Wrap ``loss(model, (images, labels), generator)`` for `lib.train.fit`: it gets the stream's batches."""
        return Fed(self, loss)

    def stand_in(self, device: torch.device | str = "cpu") -> Tensor:
        """What `lib.train.fit` gets in the place of the data: int64 (n,), on the device to train on.

        All values are one number from the set's sum, so that a checkpoint of another set is refused.
        """
        return torch.full((), int(self.packed.sha256[:15], 16), device=device).expand(len(self.packed))

    def _read(self, seed: int | None, start: int, pin: bool) -> Iterator[Pair]:
        """The batches from ``start`` on, uint8: what the thread runs."""
        order, edges, size = _Order(self, seed), self._edges, self.packed.row_bytes
        pool = [np.empty((np.diff(edges).max(), size), np.uint8) for _ in range(min(2, len(edges) - 1))]
        number = int(np.searchsorted(edges, self._bounds[start], side="right")) - 1

        def opened(which: int) -> _Window | None:
            last = which + 1 >= len(edges)
            return None if last else _Window(order.window(which), pool[which % len(pool)], self.packed)

        with self.packed.path.open("rb", buffering=0) as file:
            current, following = opened(number), opened(number + 1)
            for low, high in pairwise(self._bounds[start:].tolist()):
                batch, rows, done = np.empty((high - low, size), np.uint8), np.empty(high - low, np.int64), low
                while done < high:
                    if done == edges[number + 1]:
                        number += 1
                        current, following = following, opened(number + 1)
                    assert current is not None
                    current.read(file, 1.0)
                    upto, first, part = min(high, int(edges[number + 1])), int(edges[number]), done - low
                    current.take(slice(done - first, upto - first), batch[part : upto - low], rows[part : upto - low])
                    done = upto
                if following is not None:
                    following.read(file, (done - edges[number]) / (edges[number + 1] - edges[number]))
                x = torch.from_numpy(batch.reshape(-1, *self.packed.shape[1:]))
                yield (x.pin_memory() if pin else x), torch.from_numpy(self.packed.labels[rows])


class Batches:
    """The batches of one epoch; `close` (or the end, an error, the block's end) ends the thread that reads."""

    def __init__(self, stream: Stream, seed: int | None, start: int, device: torch.device) -> None:
        if not 0 <= start <= stream.steps:
            raise ValueError(f"start must be in 0..{stream.steps}, the batches of an epoch, got {start}")
        self.seed, self.device = seed, device
        ready: queue.Queue[Any] = queue.Queue(stream.prefetch)
        stop = threading.Event()
        source = stream._read(seed, start, device.type == "cuda")
        thread = threading.Thread(target=_produce, args=(source, ready, stop), name="lib.data.stream", daemon=True)
        self._ready = ready
        self._end = weakref.finalize(self, _end, ready, stop, thread)
        thread.start()

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Pair:
        if not self._end.alive:
            raise StopIteration
        item = self._ready.get()
        if item is None or isinstance(item, BaseException):
            self.close()
            raise StopIteration if item is None else item
        x, y = item
        x = x.to(self.device, non_blocking=True)
        return x.to(torch.float32).div_(255.0), y.to(self.device)

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread and forget what waits; more than once does no harm."""
        self._end()


class Fed:
    """A loss for `lib.train.fit` whose batches come from a stream; a context manager that ends the stream's thread.

    An epoch begins with the first call and with every generator of another seed, of which `lib.train.fit` gives one to
    each epoch (the same number plus the process's rank); the order of the rows follows from that seed, so that a run
    that is resumed from its checkpoint sees the order it would have seen.
    """

    def __init__(self, stream: Stream, loss: Loss) -> None:
        self.stream, self.loss = stream, loss
        self.__qualname__ = getattr(loss, "__qualname__", type(loss).__qualname__)  # what a checkpoint is known by
        self.batches: Batches | None = None

    def __call__(self, model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        seed = (generator.initial_seed() - self.stream.rank) % 2**64
        if self.batches is None or self.batches.seed != seed:
            self.close()
            self.batches = Batches(self.stream, seed, 0, batch[0].device)
        x, y = next(self.batches, (None, None))
        if x is None or y is None or len(x) != len(batch[0]):
            raise ValueError(
                f"the stream must give the {len(batch[0])} rows that the training asks for, it has "
                f"{0 if x is None else len(x)}; give both the same batch_size, all of stand_in(), and the stream its "
                "rank and world"
            )
        return self.loss(model, (x, y), generator)

    def __enter__(self) -> Fed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the epoch's thread."""
        if self.batches is not None:
            self.batches.close()
            self.batches = None


class _Order:
    """The order of one epoch, window by window, so that no epoch holds a number for every row of a large set."""

    def __init__(self, stream: Stream, seed: int | None) -> None:
        self.stream, self.seed, n, block = stream, seed, len(stream.packed), stream._block
        count = math.ceil(n / block)
        self.blocks = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
        self.ends = np.cumsum(np.minimum(block, n - self.blocks * block))  # where each block ends in the epoch

    def window(self, which: int) -> np.ndarray:
        """Rows of a window in the order in which they are handed out, int64."""
        low, high = (int(edge) + self.stream._first for edge in self.stream._edges[which : which + 2])
        first, last = np.searchsorted(self.ends, [low, high - 1], side="right")
        block = self.stream._block
        rows = (self.blocks[first : last + 1, None] * block + np.arange(block)).ravel()
        rows = rows[rows < len(self.stream.packed)]
        skipped = low - (int(self.ends[first - 1]) if first else 0)
        rows = rows[skipped : skipped + high - low]
        if self.seed is not None:  # from numbers that are not the blocks' own: [seed, 0] would be seed again
            np.random.default_rng([self.seed, 1 + self.stream.rank, which]).shuffle(rows)
        return rows


class _Window:
    """Rows that are in memory together: read in the order of the file, handed out in theirs."""

    def __init__(self, order: np.ndarray, buffer: np.ndarray, packed: Packed) -> None:
        places = np.argsort(order)
        self.slots = np.empty_like(places)
        self.slots[places] = np.arange(len(order))
        self.order, self.rows, self.buffer, self.packed, self.done = order, order[places], buffer, packed, 0

    def read(self, file: Any, share: float) -> None:
        """Go on reading until this share of the rows, 0 to 1, is there."""
        most = max(1, BLOCK_BYTES // self.packed.row_bytes)
        while self.done < share * len(self.rows):
            rows = self.rows[self.done : self.done + most]
            count = int((rows - np.arange(len(rows)) == rows[0]).sum())  # neighbours come in one piece
            file.seek(self.packed.offset + int(rows[0]) * self.packed.row_bytes)
            _fill(file, self.buffer[self.done : self.done + count].data.cast("B"), self.packed.path)
            self.done += count

    def take(self, part: slice, images: np.ndarray, rows: np.ndarray) -> None:
        """Copy a part of the window, images and row numbers, to where they are wanted."""
        np.take(self.buffer, self.slots[part], axis=0, out=images, mode="clip")
        rows[:] = self.order[part]


def _fill(file: Any, view: memoryview, path: Path) -> None:
    while view:
        got = file.readinto(view)
        if not got:
            size = os.fstat(file.fileno()).st_size
            raise DataError(f"{path} must keep its size while it is read, it now ends at {size:,} bytes; pack it again")
        view = view[got:]


def _produce(source: Iterator[Pair], ready: queue.Queue[Any], stop: threading.Event) -> None:
    """The thread: put batches, then None or the error that ended them."""
    last: BaseException | None = None
    try:
        for item in source:
            if not _put(item, ready, stop):
                return
    except BaseException as error:  # the reader of the queue raises it
        last = error
    _put(last, ready, stop)


def _put(item: Any, ready: queue.Queue[Any], stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            ready.put(item, timeout=LOOK_S)
            return True
        except queue.Full:
            continue
    return False


def _end(ready: queue.Queue[Any], stop: threading.Event, thread: threading.Thread) -> None:
    stop.set()
    if thread is threading.current_thread():  # the garbage collector may call from anywhere
        return
    while thread.is_alive():
        try:
            ready.get(timeout=0.01)  # room for a thread that waits for it
        except queue.Empty:
            continue
    thread.join()
