"""What this machine has: GPUs, cores and memory, asked for as cheaply as possible."""

from __future__ import annotations

import ctypes.util
import os
import sys
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def gpus() -> list[str]:
    """The CUDA devices that torch can use, as values for ``CUDA_VISIBLE_DEVICES``.

    torch is imported only where the system shows signs of an NVIDIA card: its import takes longer than everything else.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and not chosen.strip(" -1,"):
        return []
    likely = ctypes.util.find_library("nvcuda") if sys.platform == "win32" else list(Path("/dev").glob("nvidia[0-9]*"))
    if not likely:
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    return chosen.split(",") if chosen else [str(index) for index in range(torch.cuda.device_count())]


def default_profile() -> str:
    """``gpu`` where torch can use one, else ``cpu``."""
    return "gpu" if gpus() else "cpu"


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Memory that can be used without swapping, in GB."""
    import psutil

    return psutil.virtual_memory().available / 1e9


def slots(largest_gb: float) -> int:
    """How many notebooks to run at once on the CPU: one for each core, as far as the memory goes."""
    return max(1, min(cores(), int(memory_gb() / max(largest_gb, 0.1))))
