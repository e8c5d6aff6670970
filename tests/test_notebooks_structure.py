"""Every notebook has the agreed anatomy, every declaration its notebook, and nothing stands in two notebooks."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib import experiments

ROOT = Path(__file__).resolve().parent.parent
DECLARED = experiments.load(ROOT)
NOTEBOOKS = [pytest.param(spec, id=name) for name, spec in DECLARED.items()]
CARD = ("**Paper", "**Claims", "**What differs here", "**What would make us say no", "**Cost")


def cells(spec: experiments.Experiment, kind: str | None = None) -> list[dict]:
    """Cells of a notebook, with their source joined."""
    found = json.loads(spec.notebook.read_text(encoding="utf-8"))["cells"]
    for cell in found:
        cell["text"] = "".join(cell["source"])
    return [cell for cell in found if kind in (None, cell["cell_type"])]


def code_lines(text: str) -> list[str]:
    """Lines that hold code: not blank, not a comment."""
    return [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def calls(spec: experiments.Experiment, method: str) -> Iterator[ast.Call]:
    """Calls of ``run.<method>`` in a notebook."""
    for cell in cells(spec, "code"):
        for node in ast.walk(ast.parse(cell["text"])):
            function = node.func if isinstance(node, ast.Call) else None
            if isinstance(function, ast.Attribute) and function.attr == method and ast.unparse(function.value) == "run":
                yield node


def test_there_are_notebooks_in_every_family():
    assert {spec.family for spec in DECLARED.values()} == set(experiments.FAMILIES)


@pytest.mark.parametrize("spec", NOTEBOOKS)
def test_size_and_prose(spec):
    assert 25 <= len(cells(spec)) <= 45
    lines = sum(len(code_lines(cell["text"])) for cell in cells(spec, "code"))
    words = sum(len(cell["text"].split()) for cell in cells(spec, "markdown"))
    assert lines <= 200, f"{lines} lines of code"
    assert words >= 3 * lines, f"{words} words of prose for {lines} lines of code"


@pytest.mark.parametrize("spec", NOTEBOOKS)
def test_nothing_saved_and_stable_ids(spec):
    found = cells(spec)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in found)
    ids = [cell["id"] for cell in found]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("spec", NOTEBOOKS)
def test_order_of_blocks(spec):
    first = cells(spec)[0]
    assert first["cell_type"] == "markdown"
    assert first["text"].startswith("# ")
    assert first["text"].splitlines()[0].endswith("?"), "the title is a question"
    for label in CARD:
        assert label in first["text"], f"the card lacks {label}"
    code = cells(spec, "code")
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(code[0]["text"]).body)
    assert "parameters" in code[1]["metadata"]["tags"]
    assert f'open("{spec.id}", globals())' in code[2]["text"]
    assert "run.finish()" in code[-1]["text"]
    assert cells(spec)[-1]["cell_type"] == "markdown"
    for cell in code[1:]:
        imported = [node for node in ast.walk(ast.parse(cell["text"])) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not imported, "imports stand in one cell"


@pytest.mark.parametrize("spec", NOTEBOOKS)
def test_cells_are_short_and_introduced(spec):
    found = cells(spec)
    for cell in cells(spec, "code"):
        assert len(code_lines(cell["text"])) <= 15, cell["text"][:80]
        assert not re.search(r"^\s*[%!]|sys\.path", cell["text"], re.MULTILINE)
        for node in ast.walk(ast.parse(cell["text"])):
            assert not isinstance(node, ast.ClassDef)
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno + 1 <= 8, f"{node.name} belongs in lib"
    opened = next(
        index for index, cell in enumerate(found) if "lib.run.open" in cell["text"] or "run.open(" in cell["text"]
    )
    for before, cell in zip(found[opened:], found[opened + 1 :], strict=False):
        assert "markdown" in (before["cell_type"], cell["cell_type"]), f"no sentence before: {cell['text'][:80]}"


@pytest.mark.parametrize("spec", NOTEBOOKS)
def test_parameters_are_few_and_used(spec):
    declared = experiments.parameters(spec.notebook)
    assert len(declared) <= 12
    later = [cell["text"] for cell in cells(spec, "code")[2:]]
    used = {node.id for text in later for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert set(declared) <= used | {"seed"}


@pytest.mark.parametrize("spec", NOTEBOOKS)
@pytest.mark.parametrize("profile", experiments.PROFILES)
def test_profiles_are_valid(spec, profile):
    values = experiments.effective(spec, profile)
    assert values.keys() == experiments.parameters(spec.notebook).keys()
    assert profile in spec.minutes
    assert profile in spec.memory_gb


@pytest.mark.parametrize("spec", NOTEBOOKS)
def test_claims_and_figures(spec):
    filled = [call.args[0].value for call in calls(spec, "claim") if isinstance(call.args[0], ast.Constant)]
    assert set(filled) <= set(spec.claims), "a claim nobody declared"
    assert list(calls(spec, "claim")), "claims are filled in by run.claim"
    figures = list(calls(spec, "figure"))
    assert figures
    for call in figures:
        assert {keyword.arg for keyword in call.keywords} >= {"data", "alt", "caption"}


@pytest.mark.parametrize("spec", NOTEBOOKS)
def test_prose_types_no_result(spec):
    """Percentages and decimals in prose after the card belong to a run, unless a source stands beside them."""
    for cell in cells(spec, "markdown")[1:]:
        for line in cell["text"].splitlines():
            assert not re.search(r"\b(we|our run|here we) (got|found|measured|obtained)\b.*\d", line), line
            assert "$" not in line, "pages load no MathJax; write the formula in words or code"


def test_no_cell_stands_in_two_notebooks():
    seen: dict[str, str] = {}
    for name, spec in DECLARED.items():
        for cell in cells(spec, "code"):
            if len(code_lines(cell["text"])) < 4:
                continue
            body = [node for node in ast.parse(cell["text"]).body if not isinstance(node, ast.Import | ast.ImportFrom)]
            text = "\n".join(ast.unparse(node) for node in body)
            if text:
                assert seen.setdefault(text, name) == name, (
                    f"a cell of {name} stands in {seen[text]} too; move it to lib"
                )
