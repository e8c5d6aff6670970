"""Calls that give other bits when they are made again, and so may not stand in the library or in a notebook."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


def pivoted_fits(code: str) -> list[int]:
    """Lines that call torch's least squares with its default driver: LAPACK's gelsy reads pivots nobody has set."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    fits = [call for call in calls if ast.unparse(call.func) in ("torch.linalg.lstsq", "linalg.lstsq", "lstsq")]
    return [fit.lineno for fit in fits if "driver='gelsd'" not in ast.unparse(fit)]


def code_of(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("path", [*sorted((ROOT / "lib").rglob("*.py")), *NOTEBOOKS], ids=lambda path: path.stem)
def test_least_squares_repeat_to_the_bit(path):
    assert not pivoted_fits(code_of(path)), 'pass driver="gelsd" to torch.linalg.lstsq, on the CPU'


def test_the_rule_sees_the_default_driver():
    assert pivoted_fits("x = torch.linalg.lstsq(a, b).solution") == [1]
    assert pivoted_fits("x = torch.linalg.lstsq(a, b, driver='gelsy').solution") == [1]
    assert not pivoted_fits('x = torch.linalg.lstsq(a, b, driver="gelsd").solution')
    assert not pivoted_fits("x = np.linalg.lstsq(a, b, rcond=None)[0]")


def test_the_driver_we_use_repeats_in_whatever_memory_it_is_given():
    chance = torch.Generator().manual_seed(0)
    design, goal = torch.randn(200, 6, generator=chance), torch.randn(200, 9, generator=chance)
    kept, found = [], set()
    for i in range(100):
        kept = [*kept[-50:], torch.full((1 + i % 29,), i, dtype=torch.int32)]  # small pieces, freed with values in them
        found.add(torch.linalg.lstsq(design, goal, driver="gelsd").solution.numpy().tobytes())
    assert len(found) == 1
