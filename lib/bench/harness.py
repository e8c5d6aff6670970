"""Time two callables that do the same job, one beside the other.

A machine is never quiet and its clock rate drifts, so absolute times of two separate runs cannot be compared. Here ours
and the peer take turns within each round, the order changes from round to round, and the result is the median over
rounds of the ratio within a round, with the smallest and the largest. Before anything is timed, each case checks that
both did the same job.

Conventions: a rate is work per second, so a ratio above 1 says that we are faster. CPU seconds count every thread of
this process and do not see what other processes do; wall seconds do. The load is the machine's one-minute average when
a case begins, 1 = one busy core.
"""

import gc
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch

COLUMNS = (
    "name", "ours", "peer", "peer_version", "unit", "ratio", "target", "low", "high", "rounds", "threads", "load",
    "device",
)  # fmt: skip
CLOCKS = ("CPU s", "wall s")
LEAST_ROUNDS = 5
LEAST_S = 0.15

Call = Callable[[], Any]


class AnotherJob(ValueError):
    """The peer's result is not what ours is, so their times must not be compared."""


@dataclass(frozen=True)
class Pair:
    """Two callables without arguments, and a check that raises `AnotherJob` unless their results match.

    Parameters
    ----------
    ours, peer : callable
        ``() -> result``; every call does the whole job once.
    agree : callable
        ``agree(result of ours, result of the peer) -> None``.
    """

    ours: Call
    peer: Call
    agree: Callable[[Any, Any], None]


@dataclass(frozen=True)
class Case:
    """One comparison.

    Parameters
    ----------
    name : str
        In words; with the threads and the unit it names a row.
    unit : str
        What the work is counted in, for example "masks".
    amount : int
        How many of them one call makes.
    target : float
        The ratio asked for; 1 = no slower than the peer.
    peer_version : str
        Whose algorithm the peer is, and of which version.
    setup : callable
        ``() -> Pair``; what it prepares (weights, banks) is not timed.
    needs : str
        Package of the peer where it is none of ours, from requirements-peers.txt; without it there is no case.
    peer_amount : int, optional
        How many of them one call of the peer makes, where its job is a smaller one: rates are compared.
    """

    name: str
    unit: str
    amount: int
    target: float
    peer_version: str
    setup: Callable[[], Pair]
    needs: str = ""
    peer_amount: int | None = None

    @property
    def amounts(self) -> tuple[int, int]:
        """Work in one call of ours and of the peer."""
        return self.amount, self.amount if self.peer_amount is None else self.peer_amount


@dataclass(frozen=True)
class Clocks:
    """Where the time comes from; both return seconds."""

    cpu: Callable[[], float] = time.process_time
    wall: Callable[[], float] = time.perf_counter


def measure(
    case: Case,
    *,
    rounds: int = LEAST_ROUNDS,
    threads: Sequence[int] = (1, 2),
    least_s: float = LEAST_S,
    clocks: Clocks | None = None,
) -> pd.DataFrame:
    """Check that both sides of a case do the same job, then time them in turns.

    Parameters
    ----------
    case : Case
    rounds : int
        At least 5; in each, both sides run for at least ``least_s`` seconds.
    threads : sequence of int
        Numbers of threads torch may use, one after the other.
    least_s : float
        Seconds.
    clocks : Clocks, optional
        This process's own by default.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row per number of threads and clock: ``ours`` and ``peer`` are median rates in ``unit``,
        ``ratio`` the median of the rounds' ratios, ``low`` and ``high`` the smallest and the largest of them.

    Raises
    ------
    ValueError
        With fewer than 5 rounds.
    AnotherJob
        If the peer gives another result.
    """
    if rounds < LEAST_ROUNDS:
        raise ValueError(f"rounds must be at least {LEAST_ROUNDS}, got {rounds}; fewer give no range worth the name")
    clocks = clocks or Clocks()
    pair = checked(case)
    rows: list[dict[str, Any]] = []
    for count in threads:
        load = psutil.getloadavg()[0]
        with _threads(count):
            rates = _rounds(pair, case.amounts, rounds, least_s, clocks)
        rows += [
            _row(case, clock, [one[index] for one in rates], threads=count, load=load)
            for index, clock in enumerate(CLOCKS)
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def checked(case: Case) -> Pair:
    """Set a case up, run each side once and check that they agree.

    Raises
    ------
    AnotherJob
        If they do not; the message names the case.
    """
    pair = case.setup()
    ours, peer = pair.ours(), pair.peer()
    try:
        pair.agree(ours, peer)
    except AnotherJob as error:
        raise AnotherJob(f"{case.name}: {error}; a comparison of times would mean nothing") from None
    return pair


def same_value(ours: torch.Tensor, peer: torch.Tensor, *, what: str = "losses") -> None:
    """Check that two tensors are finite and equal to a thousandth of the largest value: float32 in another order.

    Raises
    ------
    AnotherJob
        If they are not.
    """
    near = ours.shape == peer.shape and bool(((ours - peer).abs().max() <= 1e-3 * peer.abs().max()).item())
    if not near or not torch.isfinite(ours).all():
        raise AnotherJob(f"{what} must be finite and equal, got {ours.flatten()[:3]} and {peer.flatten()[:3]}")


def enough(call: Call, *, least_s: float, clocks: Clocks) -> int:
    """Number of calls in a row that last at least ``least_s`` seconds on both clocks."""
    repeats = 1
    while (seconds := min(spent(call, repeats, clocks))) < least_s:
        wanted = math.ceil(1.1 * repeats * least_s / seconds) if seconds > 0 else 10 * repeats
        repeats = min(max(2 * repeats, wanted), 10 * repeats)
    return repeats


def spent(call: Call, repeats: int, clocks: Clocks) -> tuple[float, float]:
    """CPU and wall seconds of so many calls in a row, without the garbage collector's pauses."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        cpu, wall = clocks.cpu(), clocks.wall()
        for _ in range(repeats):
            call()
        return clocks.cpu() - cpu, clocks.wall() - wall
    finally:
        if collecting:
            gc.enable()


def device_name() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"CPU ({names[0] if names else platform.processor() or platform.machine()})"


def _rounds(
    pair: Pair, amounts: tuple[int, int], rounds: int, least_s: float, clocks: Clocks
) -> list[tuple[tuple[float, float], ...]]:
    """Rates of every round: for each clock, ours and the peer's."""
    sides = (pair.ours, pair.peer)
    for call in sides:
        call()  # warm-up with this number of threads
    repeats = [enough(call, least_s=least_s, clocks=clocks) for call in sides]
    rates = []
    for number in range(rounds):
        seconds: dict[int, tuple[float, float]] = {}
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            seconds[side] = spent(sides[side], repeats[side], clocks)
        rates.append(
            tuple(
                (amounts[0] * repeats[0] / seconds[0][clock], amounts[1] * repeats[1] / seconds[1][clock])
                for clock in range(len(CLOCKS))
            )
        )
    return rates


def _row(case: Case, clock: str, rates: list[tuple[float, float]], *, threads: int, load: float) -> dict[str, Any]:
    ratios = [ours / peer for ours, peer in rates]
    return {
        "name": case.name, "ours": statistics.median(ours for ours, _ in rates),
        "peer": statistics.median(peer for _, peer in rates), "peer_version": case.peer_version,
        "unit": f"{case.unit} / {clock}", "ratio": statistics.median(ratios), "target": case.target,
        "low": min(ratios), "high": max(ratios), "rounds": len(rates), "threads": threads, "load": load,
        "device": device_name(),
    }  # fmt: skip


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
