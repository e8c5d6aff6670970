"""Shared by all tests: no network beyond this machine, one thread, the same chance in whatever order they run."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # importing dcor, and so numba, gives torch as many threads as cores

import torch

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    """Torch's global stream begins anew with every test, on one thread, so that none depends on those before it.

    Threads wait for each other by spinning: with two in each of three workers on two cores, training takes a hundred
    times as long.
    """
    torch.manual_seed(0)
    assert torch.get_num_threads() == 1, "a module that was imported has given torch more threads than one"


@pytest.fixture(autouse=True)
def _only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to any other machine is an error."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if host is not None and host not in ("127.0.0.1", "localhost", "::1"):
            raise RuntimeError(f"a test tried to reach {host}; tests use no network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


LONG = ("notebook", "browser")  # files with a test so marked start first, or the last worker would end alone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; GPU twins need a GPU, mirror tests need the mirror: each says what is missing."""
    long = [{item.path for item in items if item.get_closest_marker(name)} for name in LONG]
    items.sort(key=lambda item: [item.path not in files for files in long])
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
        if item.get_closest_marker("mirror") and not os.environ.get("DATA_MIRROR"):
            item.add_marker(pytest.mark.skip(reason="DATA_MIRROR is not set; point it at a folder with the real files"))
