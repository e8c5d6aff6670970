"""Trained models that several notebooks share: computed once, kept across a crash, never mistaken for another.

A training is keyed by its function, its arguments, the data sums of the data ids among them, and what the code that it
imports does. Whoever comes first trains under a lock and writes beside, then renames; others wait and read. Tensors
are read with ``weights_only=True``.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LITERALS = (int, float, str, bool, type(None))


def once(
    function: Callable[..., dict[str, Tensor]],
    arguments: Mapping[str, Any],
    *,
    store: Path,
    spared: dict[str, float] | None = None,
) -> dict[str, Tensor]:
    """The tensors of ``function(**arguments)``, from the store where they are already there.

    Parameters
    ----------
    function : callable
        A module-level function of ``lib`` that returns a dict of tensors and takes all chance from a seed argument.
    arguments : mapping of str to int, float, str, bool or None
        Or tuples of those.
    store : Path
        The folder of trained tensors.
    spared : dict of str to float, optional
        Gets, by the name of the file, the CPU seconds that the training took another caller; 0 where this one trains.

    Returns
    -------
    dict of Tensor
        On the CPU.

    Raises
    ------
    TypeError
        For an argument that is not a literal, or a result that is not a dict of tensors.
    """
    from filelock import FileLock

    path = store / f"{function.__name__}-{key(function, arguments)[:20]}.pt"
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            if spared is not None:
                spared.setdefault(path.name, _cpu_seconds(path))
            return torch.load(path, weights_only=True, map_location="cpu")
        started = time.process_time()
        tensors = function(**arguments)
        if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
            raise TypeError(f"{function.__qualname__} must return a dict of tensors, got {type(tensors).__name__}")
        tensors = {name: value.detach().cpu() for name, value in tensors.items()}
        beside = path.with_suffix(f".part{os.getpid()}")
        torch.save(tensors, beside)
        taken = {"cpu_seconds": round(time.process_time() - started, 2)}
        path.with_suffix(".json").write_text(json.dumps(taken), encoding="utf-8")
        os.replace(beside, path)
        if spared is not None:
            spared[path.name] = 0.0
    return tensors


def _cpu_seconds(path: Path) -> float:
    """What the training behind stored tensors took; 0 where nobody has noted it."""
    note = path.with_suffix(".json")
    return float(json.loads(note.read_text(encoding="utf-8")).get("cpu_seconds", 0.0)) if note.exists() else 0.0


def key(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Sha256 over the function, its arguments, their data, and the code they import."""
    from lib import data

    for name, value in arguments.items():
        items = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(item, LITERALS) for item in items):
            raise TypeError(
                f"argument {name} of {function.__qualname__} must be a literal, got {type(value).__name__}; "
                "pass the seed or the data id and make the object inside"
            )
    named = {value for value in arguments.values() if isinstance(value, str) and value in data.ids()}
    parts = {
        "function": f"{function.__module__}.{function.__qualname__}",
        "arguments": {name: repr(value) for name, value in sorted(arguments.items())},
        "data": {name: data.sums(name) for name in sorted(named)},
        "code": _code(function.__module__),
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@cache
def _code(module: str) -> dict[str, str]:
    """Hashes of what a module imports, taken once: a process goes on with the code that it has loaded."""
    from lib.closure import Library

    return Library(Path(__file__).resolve().parent).closure([f"import {module}"])
