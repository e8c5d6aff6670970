"""The key of a run: a hash of everything its results depend on, kept component by component so that it can say why.

A key covers the code cells (as syntax trees: a comment or a markdown edit changes nothing), the effective parameters,
the import closure in ``lib``, what decides each claim, the sums of the declared data that are at hand,
``requirements.lock`` and the key's own version. The words of a claim count as little as a comment: pages take them from
the declaration. The git revision, the host, timings and the attempt belong to the receipt, not to the key.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib import experiments
from lib.claims import Claim
from lib.closure import Library, canonical, code_hash
from lib.experiments import Experiment

VERSION = 2
LOCK = "requirements.lock"
Components = dict[str, Any]


def library(root: Path) -> Library:
    """The project's own ``lib`` where it has one, else the one this module belongs to."""
    own = root / "lib"
    return Library(own if (own / "__init__.py").exists() else Path(__file__).resolve().parents[1])


def code_cells(notebook: Path) -> list[tuple[str, str, bool]]:
    """``(cell id, source, is the parameters cell)`` of every code cell, in order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        (
            cell.get("id", f"cell-{index}"),
            "".join(cell["source"]),
            "parameters" in cell.get("metadata", {}).get("tags", []),
        )
        for index, cell in enumerate(cells)
        if cell["cell_type"] == "code"
    ]


def cell_hashes(notebook: Path) -> list[dict[str, str]]:
    """A hash for every code cell that does something.

    The parameters cell counts only for what is not ``name: type = literal``: its values enter the key as effective
    parameters, so editing a smoke literal that a profile overrides reruns that profile for nothing.
    """
    found = []
    for name, source, is_parameters in code_cells(notebook):
        if is_parameters:
            rest = [node for node in ast.parse(source).body if not isinstance(node, ast.AnnAssign)]
            digest = hashlib.sha256("".join(map(canonical, rest)).encode()).hexdigest() if rest else ""
        else:
            digest = code_hash(source) if _does_something(source) else ""
        if digest:
            found.append({"id": name, "sha256": digest})
    return found


def _does_something(source: str) -> bool:
    try:
        return bool(ast.parse(source).body)
    except SyntaxError:
        return True


def data_at_hand(experiment: Experiment, profile: str) -> list[str]:
    """The declared data ids a run reads, preferred first: those at hand, or else the last one, which is bundled.

    Raises
    ------
    DeclarationError
        For an id that the data registry does not know, or when not even the last id is at hand.
    """
    registry = importlib.import_module("lib.data")
    try:
        found = [name for name in experiment.data if registry.available(name)]
    except (KeyError, ValueError, RuntimeError) as error:
        raise experiments.DeclarationError(f"{experiment.id}: data {list(experiment.data)}: {error}") from error
    last = experiment.data[-1]
    if last not in found:
        raise experiments.DeclarationError(
            f"{experiment.id}: {last} is not at hand; the last declared data id must be bundled or generated"
        )
    return [name for name in found if name != last and profile != "smoke"] or [last]


def components(
    experiment: Experiment, profile: str, parameters: Mapping[str, Any], *, root: Path, modules: Library
) -> Components:
    """Everything the results of one run depend on.

    Parameters
    ----------
    experiment, profile, parameters
        What runs, and its effective parameters.
    root : Path
        The project's folder.
    modules : Library
        The library the notebook imports from; share one between experiments, it parses each module once.

    Returns
    -------
    dict
        ``version, cells, parameters, modules, claims, data, lock``, all plain JSON.
    """
    registry = importlib.import_module("lib.data")
    lock = root / LOCK
    return {
        "version": VERSION,
        "cells": cell_hashes(experiment.notebook),
        "parameters": dict(parameters),
        "modules": modules.closure(source for _, source, _ in code_cells(experiment.notebook)),
        "claims": {name: _decides(claim) for name, claim in experiment.claims.items()},
        "data": {name: dict(registry.sums(name)) for name in data_at_hand(experiment, profile)},
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else "",
    }


def _decides(claim: Claim) -> str:
    """What of a declaration decides the verdict, on one line."""
    return f"{claim.expected} by {claim.smallest_effect:g}, {claim.rule}"


def digest(parts: Components) -> str:
    """The key: sha256 of the components; the ids of cells are left out, only their order and code count."""
    counted = {**parts, "cells": [cell["sha256"] for cell in parts["cells"]]}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def changes(old: Components, new: Components) -> list[str]:
    """Why two keys differ, one line for each component, by name.

    Examples
    --------
    >>> base = {"version": 1, "cells": [], "modules": {"lib": "a"}, "claims": {}, "data": {}, "lock": "x"}
    >>> changes({**base, "parameters": {"n": 1}}, {**base, "parameters": {"n": 2}, "lock": "y"})
    ['parameter n: 1 -> 2', 'requirements.lock changed']
    """
    found = _cell_changes(old.get("cells", []), new["cells"])
    found += [
        f"parameter {name}: {_shown(old.get('parameters', {}), name)} -> {_shown(new['parameters'], name)}"
        for name in _differing(old.get("parameters", {}), new["parameters"])
    ]
    found += [
        f"claim {name}: {_shown(old.get('claims', {}), name)} -> {_shown(new['claims'], name)}"
        for name in _differing(old.get("claims", {}), new["claims"])
    ]
    for kind, label in (("modules", "module"), ("data", "data")):
        before, after = old.get(kind, {}), new[kind]
        for name in _differing(before, after):
            what = "changed" if name in before and name in after else "added" if name in after else "no longer used"
            found.append(f"{label} {name} {what}")
    found += [f"{LOCK} changed"] if old.get("lock") != new["lock"] else []
    found += ["the key's own version changed"] if old.get("version") != new["version"] else []
    return found


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    both = [*after, *(name for name in before if name not in after)]
    return [name for name in both if _shown(before, name) != _shown(after, name)]


def _shown(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name], sort_keys=True) if name in values else "absent"


def _cell_changes(old: list[dict[str, str]], new: list[dict[str, str]]) -> list[str]:
    if [cell["sha256"] for cell in old] == [cell["sha256"] for cell in new]:
        return []
    before = {cell["id"]: cell["sha256"] for cell in old}
    after = {cell["id"]: cell["sha256"] for cell in new}
    lines = [
        f"code cell {name} {'changed' if name in before and name in after else 'added' if name in after else 'removed'}"
        for name in _differing(before, after)
    ]
    return lines or ["the order of the code cells changed"]
