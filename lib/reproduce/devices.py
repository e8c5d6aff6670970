"""What this machine has: GPUs, cores and memory, asked for as cheaply as possible."""

from __future__ import annotations

import ctypes.util
import os
import platform
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

VECTORS = ("avx512f", "avx2", "avx", "sse4_2")  # widest first


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


@lru_cache(maxsize=1)
def processor(information: Path = Path("/proc/cpuinfo")) -> str:
    """What decides the last bits of a sum: the maker's number for the processor and its widest vectors.

    Parameters
    ----------
    information : Path
        What Linux says of its processors; elsewhere the system is asked by name.

    Returns
    -------
    str
        Such as "AuthenticAMD family 25 model 33, avx2"; empty where nothing is known.
    """
    if sys.platform == "darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if not information.exists():
        return platform.processor()
    lines = information.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "vendor_id" not in said:  # ARM
        return " ".join(said[name] for name in ("CPU implementer", "CPU part") if name in said)
    flags = said.get("flags", "").split()
    widest = next((name for name in VECTORS if name in flags), "no vectors")
    return f"{said['vendor_id']} family {said.get('cpu family', '?')} model {said.get('model', '?')}, {widest}"


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
