"""Receipts: what was done here, published by one rename with the receipt written last.

An attempt works in a private folder below ``.blindspot``. When it has succeeded, its small files are copied to a
staging folder beside the reports, ``receipt.json`` is written there last, and the whole folder takes the place of
``reports/<family>/<number>/<profile>`` in one rename (an exchange, where the system has one). A folder without a
readable receipt that fits its files is *not done*, whatever else it holds.

``.blindspot/local.json`` lists the hashes of receipts made on this machine; a receipt that came with the checkout
counts only where the caller trusts committed ones.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lib.reproduce import keys

PUBLISHED = (".svg", ".png", ".csv", ".json")
PRIVATE = ("context.json", "finished.json", "progress.json")
RECEIPT = "receipt.json"
EXCHANGE = 2  # RENAME_EXCHANGE of Linux's renameat2
HERE = -100  # AT_FDCWD


@dataclass(frozen=True)
class Layout:
    """Where a project keeps what the runner writes.

    Attributes
    ----------
    root : Path
        The project's folder.
    """

    root: Path

    @property
    def reports(self) -> Path:
        """Published reports, committed."""
        return self.root / "reports"

    @property
    def staging(self) -> Path:
        """Reports being assembled, on the file system of the reports; empty while no runner works."""
        return self.reports / ".staging"

    @property
    def scratch(self) -> Path:
        """Everything a machine keeps to itself, ignored by git."""
        return self.root / ".blindspot"

    @property
    def attempts(self) -> Path:
        """One private folder for each attempt at a notebook."""
        return self.scratch / "attempts"

    @property
    def ledger(self) -> Path:
        """Hashes of the receipts made on this machine."""
        return self.scratch / "local.json"

    def report(self, experiment: str, profile: str) -> Path:
        """The published folder of one run."""
        return self.reports / experiment / profile

    def executed(self, experiment: str, profile: str) -> Path:
        """The executed notebook of the last attempt."""
        return self.scratch / "executed" / experiment / f"{profile}.ipynb"

    def log(self, experiment: str, profile: str) -> Path:
        """What the last attempts at one run printed."""
        return self.scratch / "logs" / experiment / f"{profile}.log"

    def outcome(self, experiment: str, profile: str) -> Path:
        """How the last run of one notebook ended, when it did not end well."""
        return self.scratch / "failed" / experiment / f"{profile}.json"

    def receipts(self) -> Iterator[tuple[str, str, Path]]:
        """``(experiment, profile, folder)`` of every published report that has a receipt, sorted."""
        for path in sorted(self.reports.glob(f"*/*/*/{RECEIPT}")):
            folder = path.parent
            if ".staging" not in folder.parts:
                yield f"{folder.parts[-3]}/{folder.parts[-2]}", folder.name, folder


def file_hash(path: Path) -> str:
    """Sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_json(path: Path, content: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=1, sort_keys=True)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def read_json(path: Path) -> Any:
    """Read JSON; None where the file is missing, cut off or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def receipt(folder: Path) -> dict[str, Any] | None:
    """The receipt of a published report; None where there is none that can be read in full."""
    found = read_json(folder / RECEIPT)
    return found if isinstance(found, dict) and {"key", "components", "files", "outcome"} <= set(found) else None


def found_trainings(receipt: Mapping[str, Any]) -> bool:
    """Whether a run read trainings that others had made; its peak of memory is then not that of training."""
    return float((receipt.get("seconds") or {}).get("spared_cpu") or 0.0) > 0


def alone_s(receipt: Mapping[str, Any], clock: str = "wall") -> float:
    """Seconds that a run takes by itself: with the trainings that it found done, which take one thread.

    Parameters
    ----------
    clock : {"wall", "cpu"}

    Returns
    -------
    float
        NaN when the receipt does not say.
    """
    seconds = receipt.get("seconds") or {}
    return float(seconds.get(clock) or math.nan) + float(seconds.get("spared_cpu") or 0.0)


def is_local(layout: Layout, folder: Path) -> bool:
    """Whether the receipt in ``folder`` was made on this machine."""
    if not (folder / RECEIPT).exists():
        return False
    try:
        stat = layout.ledger.stat()
    except OSError:
        return False
    return file_hash(folder / RECEIPT) in _local(layout.ledger, (stat.st_ino, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=1)
def _local(ledger: Path, stamp: tuple[int, ...]) -> frozenset[str]:
    """Hashes of the receipts made here, read again when the file is another: a plan asks once for each notebook."""
    return frozenset(read_json(ledger) or {})


def reasons(layout: Layout, experiment: str, profile: str, parts: keys.Components, trust: str) -> list[str]:
    """Why a run is not done; empty when it is.

    Parameters
    ----------
    parts : dict
        The components of the key as they are now.
    trust : {"none", "committed"}
        ``committed`` accepts a matching receipt that was made elsewhere.
    """
    folder = layout.report(experiment, profile)
    found = receipt(folder)
    if found is None:
        return ["the receipt cannot be read" if (folder / RECEIPT).exists() else "never run"]
    if found["key"] != keys.digest(parts) or found["outcome"] != "ok":
        return keys.changes(found["components"], parts) or ["the key does not fit its components"]
    broken = [name for name, digest in found["files"].items() if not _intact(folder / name, digest)]
    if broken:
        return [f"{name} is missing or was edited" for name in broken]
    if trust != "committed" and not is_local(layout, folder):
        return ["not run on this machine (a committed receipt fits: TRUST=committed accepts it)"]
    return []


def _intact(path: Path, digest: str) -> bool:
    try:
        return file_hash(path) == digest
    except OSError:
        return False


def publish(layout: Layout, attempt: Path, content: dict[str, Any]) -> Path:
    """Publish a finished attempt: copy what is small and public, write the receipt last, rename once.

    Parameters
    ----------
    attempt : Path
        The private folder of the attempt.
    content : dict
        The receipt without its ``files``; must hold ``experiment`` and ``profile``.

    Returns
    -------
    Path
        The published folder.

    Raises
    ------
    OSError
        When the disk is full; nothing is then published and the earlier report stands.
    """
    target = layout.report(content["experiment"], content["profile"])
    stage = layout.staging / uuid.uuid4().hex
    try:
        stage.mkdir(parents=True)
        files = {}
        for path in sorted(attempt.iterdir()):
            if path.suffix in PUBLISHED and path.name not in (*PRIVATE, RECEIPT):
                shutil.copyfile(path, stage / path.name)
                files[path.name] = file_hash(path)
        write_json(stage / RECEIPT, {**content, "files": files})
        digest = file_hash(stage / RECEIPT)
        target.parent.mkdir(parents=True, exist_ok=True)
        _take_place(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        with suppress(OSError):
            layout.staging.rmdir()
    local = read_json(layout.ledger) or {}
    name = f"{content['experiment']} {content['profile']}"
    kept = {known: run for known, run in local.items() if run != name}
    write_json(layout.ledger, {**kept, digest: name})
    return target


def _take_place(stage: Path, target: Path) -> None:
    """Put ``stage`` where ``target`` is; afterwards ``stage`` holds what was there before, if anything."""
    if not target.exists():
        stage.rename(target)
        return
    if _exchange(stage, target):
        return
    old = stage.with_name(f"{stage.name}.old")
    target.rename(old)
    stage.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    return swap(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0


def sweep(layout: Layout) -> None:
    """Remove what a killed runner left half-made; call it only while holding the checkout's lock."""
    if layout.staging.exists():
        for old in layout.staging.glob("*.old"):  # a report set aside by a runner that died before the new one came
            content = receipt(old)
            target = layout.report(content["experiment"], content["profile"]) if content else None
            if target is not None and not target.exists():
                old.rename(target)
        shutil.rmtree(layout.staging, ignore_errors=True)
    shutil.rmtree(layout.attempts, ignore_errors=True)


def clean(layout: Layout, wanted: set[str]) -> list[Path]:
    """Remove the reports made on this machine, file by file as their receipts list them, and the runner's scratch.

    Parameters
    ----------
    wanted : set of str
        Experiment ids. Data, trained models and whatever no receipt lists stay.

    Returns
    -------
    list of Path
        What was removed.
    """
    removed = []
    for experiment, profile, folder in list(layout.receipts()):
        content = receipt(folder)
        if experiment not in wanted or content is None or not is_local(layout, folder):
            continue
        for name in [*content["files"], RECEIPT]:
            path = folder / Path(name).name
            if path.is_file():
                path.unlink()
                removed.append(path)
        for path in (layout.executed(experiment, profile), layout.log(experiment, profile)):
            if path.is_file():
                path.unlink()
                removed.append(path)
        for parent in (folder, *folder.parents[:2]):
            with suppress(OSError):
                parent.rmdir()
    shutil.rmtree(layout.attempts, ignore_errors=True)
    return removed
