"""What would run, why, and what it costs: the part of the runner that runs nothing.

Costs come from the last receipt of the same profile where there is one, else from what ``experiments.toml`` declares.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib import experiments
from lib.experiments import DeclarationError, Experiment, Literal
from lib.reproduce import devices, keys, store
from lib.reproduce.execute import Job
from lib.reproduce.store import Layout

TRUST = ("none", "committed")
UNDECLARED_MINUTES = 10.0
UNDECLARED_GB = 2.0
LIMIT_FACTOR, LIMIT_GRACE_S = 5.0, 60.0


@dataclass(frozen=True)
class Item:
    """One experiment in one profile, and what is known about it before it runs.

    Attributes
    ----------
    experiment : Experiment
    profile : str
    parameters : dict
        Effective parameters.
    modified : list of str
        Parameters that were set by hand to another value.
    parts : dict
        The components of the key.
    reasons : list of str
        Why it has to run; empty when it is done.
    minutes, memory_gb : float
        What it is expected to take.
    measured : bool
        Whether the minutes come from a receipt rather than from a declaration.
    """

    experiment: Experiment
    profile: str
    parameters: dict[str, Literal]
    modified: list[str]
    parts: keys.Components
    reasons: list[str]
    minutes: float
    memory_gb: float
    measured: bool

    @property
    def gpu(self) -> bool:
        """Whether it takes a GPU slot: in the profiles that use one, where one is needed or this machine has one."""
        return self.profile in ("gpu", "paper") and (self.experiment.needs_gpu or bool(devices.gpus()))


def select(declared: Mapping[str, Experiment], only: str | None) -> list[Experiment]:
    """The experiments that ``--only`` names: ids, families or patterns, separated by commas or spaces.

    Raises
    ------
    DeclarationError
        When a pattern names nothing, or when nothing is named at all.
    """
    if only is None:
        return list(declared.values())
    patterns = [pattern for pattern in re.split(r"[,\s]+", only) if pattern]
    if not patterns:
        raise DeclarationError("--only is empty: name experiments (masking/02), families (masking) or patterns (*/0*)")
    chosen: set[str] = set()
    for pattern in patterns:
        hits = {id for id in declared if fnmatch.fnmatch(id, pattern) or id.startswith(f"{pattern.rstrip('/')}/")}
        if not hits:
            raise DeclarationError(f"--only {pattern} names no experiment{experiments.nearest(pattern, declared)}")
        chosen |= hits
    return [experiment for id, experiment in declared.items() if id in chosen]


def assignments(sets: Sequence[str]) -> dict[str, str]:
    """Read ``name=value`` texts.

    Raises
    ------
    DeclarationError
        For a text without a name and an equals sign.
    """
    pairs = {}
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise DeclarationError(f"--set must look like name=value, got {text!r}")
        pairs[name] = value
    return pairs


def chosen(root: Path, only: str | None) -> Iterator[Experiment]:
    """:func:`select` from a project; all of it is read a family at a time."""
    if only is not None:
        yield from select(experiments.load(root), only)
        return
    for family in experiments.families(root):
        yield from experiments.load(root, family=family).values()


def build(
    root: Path, profile: str, *, only: str | None = None, sets: Sequence[str] = (), trust: str = "none"
) -> list[Item]:
    """All that :func:`stream` gives."""
    return list(stream(root, profile, only=only, sets=sets, trust=trust))


def stream(
    root: Path, profile: str, *, only: str | None = None, sets: Sequence[str] = (), trust: str = "none"
) -> Iterator[Item]:
    """Plan the selected experiments of a project, one after the other; reads files only.

    Parameters
    ----------
    root : Path
        The project's folder.
    profile : {"smoke", "cpu", "gpu", "paper"}
    only : str, optional
        See :func:`select`; everything by default.
    sets : sequence of str
        ``name=value``, for every selected experiment.
    trust : {"none", "committed"}
        Whether a matching receipt that was made elsewhere counts as done.

    Raises
    ------
    DeclarationError
        For anything that is declared or asked for wrongly, before anything runs.
    """
    if profile not in experiments.PROFILES:
        raise DeclarationError(f"unknown profile {profile!r}{experiments.nearest(profile, experiments.PROFILES)}")
    if trust not in TRUST:
        raise DeclarationError(f"--trust must be one of {', '.join(TRUST)}, got {trust!r}")
    shared, layout, wanted = keys.Shared(root, keys.library(root)), Layout(root), assignments(sets)
    empty = True
    for experiment in chosen(root, only):
        empty = False
        yield _item(experiment, profile, wanted, trust, layout, shared)
    if empty:
        raise DeclarationError(f"no notebooks/*/{experiments.DECLARED} with a block in {root}; try `make new`")


def _item(
    experiment: Experiment,
    profile: str,
    sets: Mapping[str, str],
    trust: str,
    layout: Layout,
    shared: keys.Shared,
) -> Item:
    plain = experiments.effective(experiment, profile)
    parameters = experiments.effective(experiment, profile, sets) if sets else plain
    parts = keys.components(experiment, profile, parameters, root=layout.root, modules=shared.modules, shared=shared)
    last = store.receipt(layout.report(experiment.id, profile)) or {}
    seconds = store.alone_s(last)
    peak, declared = (last.get("peak_memory_mb") or 0) / 1000, experiment.memory_gb.get(profile, UNDECLARED_GB)
    if store.found_trainings(last):  # whoever trains needs more
        peak = max(peak, declared)
    return Item(
        experiment=experiment,
        profile=profile,
        parameters=parameters,
        modified=[name for name in parameters if parameters[name] != plain[name]],
        parts=parts,
        reasons=store.reasons(layout, experiment.id, profile, parts, trust),
        minutes=seconds / 60 if math.isfinite(seconds) else experiment.minutes.get(profile, UNDECLARED_MINUTES),
        memory_gb=peak or declared,
        measured=math.isfinite(seconds),
    )


def job(item: Item, root: Path, *, run: str, limit_min: float | None = None) -> Job:
    """The job that carries an item out.

    Parameters
    ----------
    run : str
        Name of the run it belongs to.
    limit_min : float, optional
        Wall-clock limit in minutes; by default five times the expected ones and a minute for the start.
    """
    experiment, datasets = item.experiment, list(item.parts["data"])
    expected = max(item.minutes, experiment.minutes.get(item.profile, 0.0)) * 60
    context = {
        "experiment": experiment.id,
        "profile": item.profile,
        "parameters": item.parameters,
        "modified": item.modified,
        "dataset": datasets[0],
        "datasets": datasets,
        "threads": 1,
        "key": keys.digest(item.parts),
    }
    return Job(
        experiment=experiment.id,
        profile=item.profile,
        notebook=str(experiment.notebook),
        root=str(root),
        log=str(Layout(root).log(experiment.id, item.profile)),
        library=str(keys.library(root).folder.parent),
        context=context,
        claims=tuple(experiment.claims),
        limit_s=limit_min * 60 if limit_min else LIMIT_FACTOR * expected + LIMIT_GRACE_S,
        gpu=item.gpu,
        estimate_s=item.minutes * 60,
        run=run,
        parts=item.parts,
    )


def total_minutes(items: Sequence[Item], slots: Mapping[bool, int]) -> float:
    """Wall-clock minutes of what has to run, longest first onto free slots.

    Parameters
    ----------
    slots : mapping
        How many at once, without (False) and with (True) a GPU.
    """
    ends = []
    for gpu in (False, True):
        busy = [0.0] * max(slots[gpu], 1)
        for minutes in sorted((item.minutes for item in items if item.reasons and item.gpu == gpu), reverse=True):
            busy[busy.index(min(busy))] += minutes
        ends.append(max(busy))
    return max(ends)
