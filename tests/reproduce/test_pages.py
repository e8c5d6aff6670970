"""The site opens from disk, offline and without JavaScript, on a phone, and for a reader who cannot see it."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from small_project import BLOCK, CELL, project

from lib import plots, run, stats
from lib.reproduce import ledger, pages

ROOT = Path(__file__).resolve().parents[2]
PROSE = "# Does it?\n\nA card with a [link](https://example.org) and `code`.\n"
NAMES = ["image-alt", "link-name", "document-title", "html-has-lang", "heading-order", "empty-heading", "list"]
WIDE = "h1, h2, h3, p, figure, img, table.ledger, details, dl, .wide"  # what could push a page wide
RIGHT = "element => element.getBoundingClientRect().right"
COMPONENTS = {"version": 1, "cells": [], "modules": {}, "claims": {}, "data": {}, "lock": "x", "parameters": {}}
SOURCE = 'run.figure("two-points", fig, data=table, alt="…", caption="…")'


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A project with one published report, its figure made by a real run."""
    folder = project(tmp_path, BLOCK, CELL)
    notebook = folder / "notebooks" / "demo" / "01_it_does.ipynb"
    content = json.loads(notebook.read_text())
    content["cells"].insert(0, {"cell_type": "markdown", "id": "c", "metadata": {}, "source": PROSE})
    content["cells"].append({"cell_type": "code", "id": "f", "metadata": {}, "source": SOURCE, "outputs": []})
    notebook.write_text(json.dumps(content))
    monkeypatch.setenv("BLINDSPOT_ROOT", str(folder))
    monkeypatch.setenv("BLINDSPOT_PROFILE", "cpu")
    held = run.open("demo/01", {"n_seeds": 2, "share": 0.5, "kind": "random", "fast": True})
    fig, ax = plots.figure()
    ax.plot([1, 2])
    table = pd.DataFrame({"x": np.arange(40), "y": np.linspace(0, 1, 40)})
    held.figure("two-points", fig, data=table, alt="two points joined by a rising line", caption="Two points.")
    held.claim("it-does", stats.paired([3.0, 3.1, 2.9, 3.2, 3.0]))
    held.finish()
    plt.close("all")
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
    assert "of which the first 30 rows are shown" in text
    assert '<details class="code">' in text
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
    text = pages.diff_page(report, other, published).read_text()
    assert "A is demo/01/cpu; B is demo/01/gpu" in text
    assert re.search(r'n_seeds</th><td data-label="A">–</td><td data-label="B">7', text)
    assert "two-points" in text.split("Data behind the figures")[1]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.5, "0.500"), (12.345, "12.3"), (-1500.0, "−1,500"), (None, "–")]
)
def test_numbers_for_a_reader(value, text):
    assert ledger.number(value) == text


def chromium() -> str:
    """The path of a Chromium, or a skip that says how to get one."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip(
            "no Chromium on this machine: `apt-get install chromium`, or install Chrome, to open the pages in a test"
        )
    return found


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_every_page_opens_offline(published):
    """Network off, JavaScript off, 390 px wide, no console error; then axe-core.

    Colours are those of the style sheet, so one page of each kind is checked in full, with the slow check of contrast;
    names, headings and alternative texts on every page.
    """
    executable = chromium()
    report = published / "reports" / "demo" / "01" / "cpu"
    sites = [pages.build(published).parent]
    pages.diff_page(report, report, published)
    if (ROOT / "reports" / "README.md").exists():
        sites.append(pages.build(ROOT).parent)
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for site in sites:
            kinds = set()
            for page in sorted(site.rglob("*.html")):
                _look(browser, page)
                kind = page.name if page.parent == site else "report"
                _check(browser, page, Axe(), rules=NAMES if kind in kinds else None)
                kinds.add(kind)
        browser.close()


def _look(browser, path: Path) -> None:
    """A phone without network and without JavaScript."""
    context = browser.new_context(viewport={"width": 390, "height": 800}, offline=True, java_script_enabled=False)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.goto(path.as_uri())
    assert complaints == [], f"{path.name}: {complaints}"
    assert page.locator("h1").count() == 1
    box = page.locator("main").bounding_box()
    assert box is not None
    widest = page.evaluate(f"() => Math.max(...[...document.querySelectorAll('{WIDE}')].map({RIGHT}))")
    assert widest <= 391, f"{path.name} scrolls sideways at 390 px: {widest}"
    context.close()


def _check(browser, path: Path, axe, *, rules: list[str] | None) -> None:
    """axe-core needs JavaScript in the page it looks at; the page brings none of its own."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    options = {"resultTypes": ["violations"]} | ({"runOnly": {"type": "rule", "values": rules}} if rules else {})
    violations = axe.run(page, options=options).response["violations"]
    told = [f"{entry['id']}: {entry['nodes'][0]['html'][:120]}" for entry in violations]
    assert told == [], f"{path.name}: {told}"
    context.close()
