"""A project with four small reports whose pages are hard to lay out: long words, wide tables, every verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CFF = """cff-version: 1.2.0
title: "Blindspot: a title"
message: "Cite both."
authors:
  - name: "The Blindspot developers"
version: 0.1.0
"""
REPORTS = {  # number: family, paper, verdicts of its claims
    "masking/01": ("arXiv:2111.06377", ["supported", "contradicted", "inconclusive"]),
    "masking/02": ("doi:10.1000/selection", ["supported", "inconclusive", "inconclusive"]),
    "cxr/01": ("arXiv:2111.06377", ["contradicted", "untested"]),
    "cxr/02": ("arXiv:1901.07031", ["supported", "contradicted", "supported"]),
}
ESTIMATES = {"supported": 3.04, "contradicted": -25.0, "inconclusive": 0.123, "untested": 1.0}
LONG = "Donaudampfschifffahrtsgesellschaftskapitänswitwenversicherungspolice"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="300"><path d="M0 300 L720 0" stroke="#000"/></svg>'


def write(root: Path) -> None:
    """Write notebooks, declarations and reports of the project into a folder."""
    (root / "CITATION.cff").write_text(CFF)
    blocks: dict[str, list[str]] = {}
    for name, (paper, verdicts) in REPORTS.items():
        family, number = name.split("/")
        block = f'["{number}"]\ntitle = "Does {name} hold, and {LONG}?"\npaper = "{paper}"\n'
        block += f'cite = "Author et al. 2020, The paper {paper}"\ndata = ["digits"]\n'
        blocks.setdefault(family, []).append(block)
        _notebook(root / "notebooks" / family / f"{number}_it_does.ipynb")
        _report(root / "reports" / name / "cpu", verdicts)
    for family, held in blocks.items():
        (root / "notebooks" / family / "experiments.toml").write_text("\n".join(held))


def _notebook(path: Path) -> None:
    sources = [
        (
            "markdown",
            "# Title\n\nA card with a [link](https://example.org), `code` and\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        ),
        ("code", "n_seeds: int = 2  # seeds\nshare = 'text'"),
        ("code", "# a comment\nfor row in range(3):\n    print(row)\nrun.figure('curve', fig, data=table)"),
        ("markdown", f"## {LONG}\n\nWhat it says."),
        ("code", "run.table('wide', frame)"),
    ]
    cells = [
        {"cell_type": kind, "id": f"cell-{index}", "metadata": {}, "source": source}
        | ({"outputs": []} if kind == "code" else {})
        for index, (kind, source) in enumerate(sources)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def _report(folder: Path, verdicts: list[str]) -> None:
    folder.mkdir(parents=True)
    claims = [_claim(index, verdict) for index, verdict in enumerate(verdicts)]
    (folder / "claims.json").write_text(json.dumps(claims))
    parts = {"version": 1, "cells": [], "modules": {}, "claims": {}, "data": {}, "lock": LONG * 3, "parameters": {}}
    receipt = {"key": "0123456789abcdef", "components": parts, "files": {}}
    receipt |= {"outcome": "ok", "seconds": {"wall": 42.0}, "datasets": ["digits"], "modified": []}
    receipt |= {"parameters": {"n_claims": len(verdicts), "kind": "random"}, "git": {"sha": "f" * 40}}
    (folder / "receipt.json").write_text(json.dumps(receipt))
    (folder / "curve.csv").write_text("x,y\n" + "".join(f"{row},{len(verdicts) * row}\n" for row in range(40)))
    (folder / "curve.svg").write_text(SVG)
    (folder / "wide.csv").write_text(
        (",".join(f"column {n}" for n in range(60)) + "\n") + ("0.123456," * 60)[:-1] + "\n"
    )
    about = {"caption": f"What to see in the curve, and {LONG}.", "alt": "a rising line from zero to the end"}
    for order, (name, kind) in enumerate([("curve", "figure"), ("wide", "table")]):
        (folder / f"{name}.json").write_text(json.dumps({"id": name, "kind": kind, "order": order, **about}))


def _claim(index: int, verdict: str) -> dict[str, Any]:
    estimate = ESTIMATES[verdict] + index / 100
    low, high = (None, None) if verdict == "untested" else (estimate - 0.5, estimate + 0.5)
    return {
        "id": f"claim-{index}", "statement": f"Claim {index} is {verdict} for {LONG}.", "where": "Table 1",
        "quantity": "difference of two means", "expected": "> 0", "smallest_effect": 1.0, "rule": "paired",
        "estimate": estimate, "low": low, "high": high, "n": 5, "n_unit": "seeds", "unit": "percentage points",
        "p_holm": 0.03, "verdict": verdict, "reason": "the interval says so", "paper_effect": 9.6,
        "paper_effect_source": "Table 1, ViT-L",
    }  # fmt: skip
