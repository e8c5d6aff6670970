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
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lib import experiments
from lib.claims import Claim
from lib.closure import Library, canonical, code_hash
from lib.experiments import Experiment

VERSION = 2
LOCK = "requirements.lock"
MEMO = 512  # cells and programs that a plan remembers at a time: memory stays flat in their number
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


class Shared:
    """What the keys of one project have in common, looked up once for all of them; make a new one for each plan.

    Parameters
    ----------
    root : Path
        The project's folder.
    modules : Library
        The library its notebooks import from.
    """

    def __init__(self, root: Path, modules: Library) -> None:
        self.modules = modules
        self.lock = hashlib.sha256((root / LOCK).read_bytes()).hexdigest() if (root / LOCK).exists() else ""
        self.registry: Any = importlib.import_module("lib.data")
        self.available: Callable[[str], bool] = cache(self.registry.available)
        self.sums: Callable[[str], dict[str, str]] = cache(self.registry.sums)
        self.cell: Callable[[str, bool], str] = lru_cache(MEMO)(_cell_hash)
        self._closures: dict[tuple[str, ...], dict[str, str]] = {}
        self._of_imports: dict[frozenset[str], dict[str, str]] = {}

    def closure(self, sources: Iterable[str]) -> dict[str, str]:
        """:meth:`Library.closure`; programs that reach the same modules share one dict, so never write to it."""
        key = tuple(sources)
        if key not in self._closures:
            if len(self._closures) >= MEMO:
                self._closures.clear()
            found = self.modules.closure(key)
            self._closures[key] = self._of_imports.setdefault(frozenset(found), found)
        return self._closures[key]


def cell_hashes(
    cells: Iterable[tuple[str, str, bool]], digest: Callable[[str, bool], str] | None = None
) -> list[dict[str, str]]:
    """A hash for every code cell that does something.

    The parameters cell counts only for what is not ``name: type = literal``: its values enter the key as effective
    parameters, so editing a smoke literal that a profile overrides reruns that profile for nothing.

    Parameters
    ----------
    cells : iterable of (str, str, bool)
        As :func:`code_cells` reads them.
    digest : callable, optional
        A remembered :func:`_cell_hash`.
    """
    hashed = ((name, (digest or _cell_hash)(source, is_parameters)) for name, source, is_parameters in cells)
    return [{"id": name, "sha256": sha256} for name, sha256 in hashed if sha256]


def _cell_hash(source: str, is_parameters: bool) -> str:
    """Hash of one cell, empty where it does nothing."""
    if is_parameters:
        rest = [node for node in ast.parse(source).body if not isinstance(node, ast.AnnAssign)]
        return hashlib.sha256("".join(map(canonical, rest)).encode()).hexdigest() if rest else ""
    return code_hash(source) if _does_something(source) else ""


def _does_something(source: str) -> bool:
    try:
        return bool(ast.parse(source).body)
    except SyntaxError:
        return True


def data_at_hand(experiment: Experiment, profile: str, available: Callable[[str], bool] | None = None) -> list[str]:
    """The declared data ids a run reads, preferred first: those at hand, or else the last one, which is bundled.

    Raises
    ------
    DeclarationError
        For an id that the data registry does not know, or when not even the last id is at hand.
    """
    available = available or importlib.import_module("lib.data").available
    try:
        found = [name for name in experiment.data if available(name)]
    except (KeyError, ValueError, RuntimeError) as error:
        raise experiments.DeclarationError(f"{experiment.id}: data {list(experiment.data)}: {error}") from error
    last = experiment.data[-1]
    if last not in found:
        raise experiments.DeclarationError(
            f"{experiment.id}: {last} is not at hand; the last declared data id must be bundled or generated"
        )
    return [name for name in found if name != last and profile != "smoke"] or [last]


def components(
    experiment: Experiment,
    profile: str,
    parameters: Mapping[str, Any],
    *,
    root: Path,
    modules: Library,
    shared: Shared | None = None,
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
    shared : Shared, optional
        What many experiments of the project have in common; made for this one by default.

    Returns
    -------
    dict
        ``version, cells, parameters, modules, claims, data, lock``, all plain JSON.
    """
    shared = shared or Shared(root, modules)
    cells = code_cells(experiment.notebook)
    return {
        "version": VERSION,
        "cells": cell_hashes(cells, shared.cell),
        "parameters": dict(parameters),
        # a parameters cell holds literals only, and literals import nothing
        "modules": shared.closure(source for _, source, is_parameters in cells if not is_parameters),
        "claims": {name: _decides(claim) for name, claim in experiment.claims.items()},
        "data": {name: shared.sums(name) for name in data_at_hand(experiment, profile, shared.available)},
        "lock": shared.lock,
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
