"""Data flow one way: the import graph of ``lib`` follows the rooms, and nothing heavy is imported at the door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# a room may import from rooms of a lower or equal level only; equal level means the same room
LEVELS = {
    "resampling": 0, "closure": 0, "stats": 1,
    "data": 2, "masks": 3, "models": 4, "train": 5, "explain": 6, "select": 6, "measure": 7,
    "claims": 8, "plots": 8, "experiments": 9, "trained": 9, "run": 10, "reproduce": 10, "setup": 10,
    "bench": 11, "lab": 11,
}  # fmt: skip
MODULES = [
    path for path in sorted((ROOT / "lib").rglob("*.py")) if path.parent != ROOT / "lib" or path.stem != "__init__"
]
HEAVY = ("timm", "torchvision", "statsmodels", "captum", "dask", "distributed", "papermill", "nbconvert", "accelerate")


def room(module: str) -> str:
    return module.split(".")[1]


def imported(path: Path) -> set[str]:
    """Dotted ``lib.…`` names a module imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lib":
            base = node.module
            names |= {f"{base}.{alias.name}" for alias in node.names} if base == "lib" else {base}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("lib.")}
    return {name for name in names if not name.endswith(".__version__")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_left(path):
    here = path.relative_to(ROOT / "lib").with_suffix("").parts[0]
    assert here in LEVELS, f"{here} has no place in the flow; give it one here and in the README"
    for name in imported(path):
        there = room(name)
        if there != here:
            assert LEVELS[there] < LEVELS[here], f"{path.name} ({here}) imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_only_the_runner_knows_the_runner():
    for path in MODULES:
        here = path.relative_to(ROOT / "lib").with_suffix("").parts[0]
        times_it = path == ROOT / "lib" / "bench" / "startup.py"
        for name in imported(path):
            assert room(name) not in ("run", "reproduce") or here == "reproduce" or times_it, f"{path} imports {name}"


@pytest.mark.parametrize(
    "module", ["lib.run", "lib.stats", "lib.masks", "lib.measure", "lib.data", "lib.reproduce.cli"]
)
def test_import_is_light(module):
    """A kernel starts in a second or two: what is heavy is imported where it is used."""
    code = f"import {module}, sys; print(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_nothing_knows_what_a_front_end_shows():
    """`lib.lab` looks at a run from outside and imports nothing of it, so no result can come to depend on it."""
    for path in MODULES:
        here = path.relative_to(ROOT / "lib").with_suffix("").parts[0]
        rooms = {room(name) for name in imported(path)}
        assert "lab" not in rooms or here == "lab", f"{path} imports lib.lab"
        assert here != "lab" or rooms <= {"lab"}, f"{path} imports {rooms}"


def test_matplotlib_stays_in_plots():
    for path in MODULES:
        names = {
            (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else node.names[0].name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        allowed = path.parent.name == "plots" or path.name in ("run.py", "ledger.py")
        assert allowed or not names & {"matplotlib", "seaborn"}, f"{path.name} draws; figures belong to lib.plots"
