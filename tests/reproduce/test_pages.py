"""What the site says: the ledger, the pages by family, paper and report, their links, and two runs side by side."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from small_project import BLOCK, CELL, project

from lib import plots, run, stats
from lib.reproduce import ledger, pages, papers

PROSE = "# Does it?\n\nA card with a [link](https://example.org) and `code`.\n"
CFF = """title: "Blindspot: a title"
message: "Cite both."
authors:
  - name: "The Blindspot developers"
  - family-names: Noether
    given-names: Emmy
version: 0.1.0
date-released: 2026-11-22
"""
COMPONENTS = {"version": 1, "cells": [], "modules": {}, "claims": {}, "data": {}, "lock": "x", "parameters": {}}
SOURCE = 'run.figure("two-points", fig, data=table, alt="…", caption="…")'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with one published report, its figure made by a real run."""
    folder = project(tmp_path_factory.mktemp("made"), BLOCK, CELL)
    (folder / "CITATION.cff").write_text(CFF)
    notebook = folder / "notebooks" / "demo" / "01_it_does.ipynb"
    content = json.loads(notebook.read_text())
    content["cells"].insert(0, {"cell_type": "markdown", "id": "c", "metadata": {}, "source": PROSE})
    content["cells"].append({"cell_type": "code", "id": "f", "metadata": {}, "source": SOURCE, "outputs": []})
    notebook.write_text(json.dumps(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLINDSPOT_ROOT", str(folder))
        patch.setenv("BLINDSPOT_PROFILE", "cpu")
        held = _run()
    report = folder / "reports" / "demo" / "01" / "cpu"
    shutil.copytree(held.folder, report)
    receipt = {
        "key": "k",
        "components": COMPONENTS,
        "files": {},
        "outcome": "ok",
        "seconds": {"wall": 42.0, "cpu": 40.0},
        "datasets": ["digits"],
        "modified": [],
    }
    (report / "receipt.json").write_text(json.dumps(receipt))
    (folder / "README.md").write_text(f"before\n{ledger.START}\nold\n{ledger.END}\nafter\n")
    return folder


def _run():
    held = run.open("demo/01", {"n_seeds": 2, "share": 0.5, "kind": "random", "fast": True})
    fig, ax = plots.figure()
    ax.plot([1, 2])
    table = pd.DataFrame({"x": np.arange(40), "y": np.linspace(0, 1, 40)})
    held.figure("two-points", fig, data=table, alt="two points joined by a rising line", caption="Two points.")
    held.claim("it-does", stats.paired([3.0, 3.1, 2.9, 3.2, 3.0]))
    held.finish()
    plt.close("all")
    return held


@pytest.fixture
def published(made, tmp_path):
    """A copy of the project that a test may change."""
    return shutil.copytree(made, tmp_path / "project")


def test_the_ledger_is_generated(published):
    pages.build(published)
    text = (published / "reports" / "README.md").read_text()
    assert "1 claim: 1 supported" in text
    assert "It does." in text
    assert re.search(r"3\.04 \[2\.90, 3\.18\] points", text)
    readme = (published / "README.md").read_text()
    assert readme.startswith("before")
    assert readme.rstrip().endswith("after")
    assert "old" not in readme
    assert "✔ 1 supported" in readme


def test_families_come_in_their_order_with_their_own_counts(published):
    report = ledger.reports(published)[0]
    other = dataclasses.replace(report.experiment, family="masking", id="masking/01")
    both = [report, dataclasses.replace(report, experiment=other)]
    found = ledger.families(both)
    assert [family.name for family in found] == ["masking", "demo"]
    assert [family.title for family in found] == ["Masked image modelling", "demo"]
    assert [family.tally["supported"] for family in found] == [1, 1]


def test_better_words_for_a_claim_are_rendered_without_a_run(published):
    declared = next(published.glob("notebooks/*/experiments.toml"))
    declared.write_text(declared.read_text().replace('"It does."', '"It certainly does."'))
    pages.build(published)
    assert "It certainly does." in (published / "reports" / "README.md").read_text()
    assert "It certainly does." in (published / "reports" / "site" / "demo" / "01-cpu.html").read_text()


def test_building_twice_changes_nothing(published):
    first = {path: path.read_bytes() for path in pages.build(published).parent.rglob("*.*")}
    assert first == {path: path.read_bytes() for path in pages.build(published).parent.rglob("*.*")}


def test_a_report_without_a_receipt_is_no_report(published):
    (published / "reports" / "demo" / "01" / "cpu" / "receipt.json").write_text('{"outcome": "o')
    assert ledger.reports(published) == []


def test_the_page_shows_prose_figure_numbers_and_code(published):
    pages.build(published)
    text = (published / "reports" / "site" / "demo" / "01-cpu.html").read_text()
    assert "A card with a" in text
    assert 'alt="two points joined by a rising line"' in text
    assert (published / "reports" / "site" / "demo" / "../../demo/01/cpu/two-points.svg").resolve().exists()
    assert "two-points.csv has 40 rows and 2 columns, of which the first 30 rows are shown" in text
    assert '<details class="code">' in text
    assert 'href="../../../notebooks/demo/01_it_does.ipynb#cell-id=f"' in text
    assert not re.search(r"<script|src=\"https?:|href=\"https?:[^\"]*\.(css|js)", text), "a page needs no network"


def test_two_runs_side_by_side(published):
    report = published / "reports" / "demo" / "01" / "cpu"
    other = report.with_name("gpu")
    shutil.copytree(report, other)
    receipt = json.loads((other / "receipt.json").read_text()) | {"parameters": {"n_seeds": 7}}
    (other / "receipt.json").write_text(json.dumps(receipt))
    table = pd.read_csv(other / "two-points.csv")
    table.loc[3, "y"] = 9.0
    table.to_csv(other / "two-points.csv", index=False)
    claims = json.loads((other / "claims.json").read_text())
    (other / "claims.json").write_text(json.dumps([claims[0] | {"estimate": 5.04, "verdict": "inconclusive"}]))
    pages.build(published)
    page = pages.diff_page(report, other, published)
    text = page.read_text()
    assert "1 of 1 claims has another verdict; 1 of 1 tables has other numbers; 1 of 1 parameters differs." in text
    assert '<a href="demo/01-cpu.html">demo/01/cpu</a>' in text and '<a href="demo/01-gpu.html">demo/01/gpu</a>' in text
    assert re.search(r'n_seeds</th><td data-label="A">–</td><td data-label="B">7', text)
    assert "another verdict</strong>, B − A = 2.00 points, 2.00 times the smallest effect" in text
    assert (
        "1 of 80 cells differ, by at most 0.991 relative: column y, row 4" in text.split("Data behind the figures")[1]
    )
    shown = re.findall(r'(?:src|href)="(diff/[^"]+)"', text)
    assert shown == [f"diff/{side}/two-points.{kind}" for side in "ab" for kind in ("svg", "csv")]
    assert (page.parent / "diff/b/two-points.csv").read_bytes() == (other / "two-points.csv").read_bytes()
    pages.build(published)
    assert page.read_text() == text and (page.parent / "diff/b/two-points.csv").exists(), "other commands' pages stay"
    assert 'href="../diff.html">Two runs' in (page.parent / "demo" / "01-cpu.html").read_text()


def test_equal_runs_say_so(published):
    report = published / "reports" / "demo" / "01" / "cpu"
    text = pages.diff_page(report, report, published).read_text()
    assert "0 of 1 claims have another verdict; 0 of 1 tables have other numbers" in text
    assert "Every figure and table has the same numbers." in text and "same estimate" in text
    assert not (published / "reports" / "site" / "diff").exists()


def test_a_page_for_each_family_and_each_paper(published):
    block = BLOCK.replace('"01"', '"02"').replace("It does.", "It does again.")
    declared = published / "notebooks" / "demo" / "experiments.toml"
    declared.write_text(declared.read_text() + block)
    shutil.copy(published / "notebooks/demo/01_it_does.ipynb", published / "notebooks/demo/02_again.ipynb")
    shutil.copytree(published / "reports/demo/01", published / "reports/demo/02")
    site = pages.build(published).parent
    assert sorted(path.name for path in (site / "papers").iterdir()) == ["arxiv-0000-00000.html", "index.html"]
    for name in ("demo/index.html", "papers/arxiv-0000-00000.html"):
        text = (site / name).read_text()
        assert "It does." in text and "It does again." in text and "../demo/02-cpu.html" in text
        assert (
            "https://arxiv.org/abs/0000.00000" in text
            and "author  = {{The Blindspot developers} and Emmy Noether}" in text
        )
    assert 'href="../papers/arxiv-0000-00000.html"' in (site / "demo" / "02-cpu.html").read_text()


def test_papers_that_would_share_a_page_are_an_error(published):
    report = ledger.reports(published)[0]
    other = dataclasses.replace(report.experiment, paper="arXiv:0000/00000")
    with pytest.raises(ValueError, match="share the page papers/arxiv-0000-00000.html"):
        papers.papers([report, dataclasses.replace(report, experiment=other)])


def test_every_link_within_the_site_leads_somewhere(published):
    (published / "reports" / "site" / "explore").mkdir(parents=True)
    (published / "reports" / "site" / "explore" / "demo-01.html").write_text("kept")
    site = pages.build(published).parent
    for page in [path for path in site.rglob("*.html") if path.parent.name != "explore"]:
        text = page.read_text()
        assert "Sweep of demo/01</a>" in text
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            path, _, anchor = link.partition("#")
            if not link.startswith("http"):
                target = (page.parent / path).resolve() if path else page
                assert target.exists(), f"{page.name}: {link}"
                if anchor and target.suffix == ".html":
                    assert f'id="{anchor}"' in target.read_text(), f"{page.name}: {link}"


def test_a_citation_that_says_too_little_is_an_error(published):
    (published / "CITATION.cff").write_text("title: alone\n")
    with pytest.raises(ValueError, match="it lacks version, authors"):
        pages.build(published)
    (published / "CITATION.cff").unlink()
    assert "@software" not in pages.build(published).read_text()


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.5, "0.500"), (12.345, "12.3"), (-1500.0, "−1,500"), (None, "–")]
)
def test_numbers_for_a_reader(value, text):
    assert ledger.number(value) == text
