"""The site in Chromium: by keyboard alone, on a phone and on a desk, light and dark, and without JavaScript.

One browser serves all tests, on a site of four small reports.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import site_project

from lib.reproduce import forest, ledger, pages

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (390, 1440)
PAGES = [  # one of each kind
    "index.html", "cxr/index.html", "papers/index.html", "papers/arxiv-2111-06377.html", "cxr/01-cpu.html", "diff.html"
]  # fmt: skip
CLIPPED = """() => {
  const out = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const holder = node.parentElement;
    if (!node.data.trim() || holder.closest('.wide, pre, .prose table, .quiet, .skip, thead, script')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5)) out.push(node.data.trim().slice(0, 60));
  }
  if (document.documentElement.scrollWidth > innerWidth) out.push(`page: ${document.documentElement.scrollWidth} px`);
  return out;
}"""
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const out = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const holder = node.parentElement;
    if (!node.data.trim() || !holder.checkVisibility() || holder.closest('svg')) continue;
    const [one, other] = [light(parse(getComputedStyle(holder).color)), light(behind(holder))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) out.push(`${ratio.toFixed(2)}: ${node.data.trim().slice(0, 60)}`);
  }
  return out;
}"""
FOCUS = """() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  return {tag: at.tagName, name: at.name || at.textContent.trim().slice(0, 40), region: at.className,
          seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && box.width > 0,
          row: at.closest('tr') ? at.closest('tr').id : ''};
}"""
SHOWN = """() => [...document.querySelectorAll('tr[data-verdict]')]
  .filter((row) => row.checkVisibility()).map((row) => row.id)"""
EFFECTS = "() => [...document.querySelectorAll('tr[data-verdict]')].map((row) => parseFloat(row.dataset.effect))"
OPEN = "() => document.querySelectorAll('details').forEach((part) => { part.open = true; })"


@dataclass
class Site:
    """A built site and the browser that opens it."""

    root: Path
    browser: Any

    @property
    def folder(self) -> Path:
        return self.root / "reports" / "site"

    @property
    def reports(self) -> list[ledger.Report]:
        return ledger.reports(self.root)

    def open(self, name: str, *, width: int = 1440, scheme: str = "light", script: bool = True) -> Any:
        """A page of the site, without a network; ``page.complaints`` gathers what the browser says about it."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, java_script_enabled=script
        )
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("requestfailed", lambda request: page.complaints.append(request.url))
        file, _, anchor = name.partition("#")
        page.goto((self.folder / file).as_uri() + (f"#{anchor}" if anchor else ""))
        return page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The small site in a running Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine: `apt-get install chromium`, or install Chrome, to test the pages")
    root = tmp_path_factory.mktemp("site")
    site_project.write(root)
    pages.build(root)
    pages.diff_page(root / "reports/masking/01/cpu", root / "reports/cxr/02/cpu", root)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield Site(root, browser)
        browser.close()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_and_all_text_can_be_read(site, name):
    page = site.open(name)
    page.evaluate(OPEN)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(CLIPPED) == [], width
    page.add_style_tag(content=".tip { display: block !important }")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == [], scheme
        brightness = page.evaluate("getComputedStyle(document.body).backgroundColor")[4:-1].split(",")[0]
        assert (int(brightness) < 100) == (scheme == "dark")
    assert page.complaints == []
    page.context.close()


def test_a_report_of_every_family_fits_a_phone(site, tmp_path):
    """The repository's own pages, one of each family: their words are longer than a test's."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    for family in sorted(path for path in (ROOT / "notebooks").iterdir() if path.is_dir()):
        found = sorted((ROOT / "reports" / family.name).glob("*/cpu/receipt.json"))
        for receipt in found[-1:]:
            shutil.copytree(receipt.parent, tmp_path / receipt.parent.relative_to(ROOT))
    built = pages.build(tmp_path).parent
    for path in sorted(built.glob("*/*-cpu.html")):
        page = Site(tmp_path, site.browser).open(path.relative_to(built).as_posix(), width=390, script=False)
        assert page.evaluate(CLIPPED) == [], path.name
        assert page.complaints == [], path.name
        page.context.close()


def test_without_javascript_the_same_claims_stand_there(site):
    for name in PAGES:
        plain, live = site.open(name, script=False, width=390), site.open(name)
        texts = "() => [...document.querySelectorAll('tr[data-verdict], table.full tr')].map((row) => row.textContent)"
        assert plain.evaluate(texts) == live.evaluate(texts), name
        assert plain.locator("h1").count() == 1
        assert plain.evaluate(CLIPPED) == [], name
        assert plain.locator("form, button, input").count() == 0
        assert plain.complaints == [], name
        if name == "index.html":
            assert len(plain.evaluate(SHOWN)) == sum(len(report.claims) for report in site.reports) == 11
            assert live.locator("form.controls").count() == 1
        plain.context.close()
        live.context.close()


def test_every_control_and_row_is_reached_by_tab_and_shows_it(site):
    page = site.open("index.html")
    stops = []
    for _ in range(80):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUS))
        if stops[-1]["region"] == "copy":
            break
    assert all(stop["seen"] for stop in stops), [stop for stop in stops if not stop["seen"]]
    assert stops[0]["name"] == "Skip to the content"
    names = [stop["name"] for stop in stops]
    order = [
        "find",
        "supported",
        "contradicted",
        "inconclusive",
        "untested",
        "family",
        "Show all",
        "Verdict",
        "Interval",
    ]
    assert [name for name in names if name in order] == order
    rows = [stop["row"] for stop in stops if stop["region"] == "mark"]
    assert rows == page.evaluate(SHOWN)
    assert stops[-1]["region"] == "copy", "the BibTeX entry can be scrolled by keyboard"
    page.context.close()


def _tab_to(page: Any, **wanted: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.items() <= page.evaluate(FOCUS).items():
            return
    raise AssertionError(f"Tab does not reach {wanted}")


def test_the_ledger_is_filtered_and_sorted_by_keyboard(site):
    page = site.open("index.html")
    listed = page.evaluate(SHOWN)
    _tab_to(page, name="find")
    page.keyboard.type("cxr/01 contradicted")
    assert page.evaluate(SHOWN) == ["c-cxr-01-cpu-claim-0"]
    assert page.locator("[role=status]").inner_text() == "1 of 11 claims shown."
    assert not page.locator("#masking").is_visible(), "a family without a claim that fits"
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    _tab_to(page, name="supported")
    page.keyboard.press("Space")
    assert page.locator("[role=status]").inner_text() == "7 of 11 claims shown."
    page.keyboard.press("Space")
    _tab_to(page, name="Interval")
    page.keyboard.press("Enter")
    effects = page.evaluate(EFFECTS)
    assert effects == sorted(effects, reverse=True) and effects[0] == 3.06
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Space")
    assert page.evaluate(EFFECTS) == sorted(effects)
    _tab_to(page, name="Notebook")
    page.keyboard.press("Enter")
    assert page.evaluate(SHOWN) == listed
    assert "#" not in page.url
    page.context.close()


def test_a_filtered_view_is_a_link(site):
    page = site.open("index.html#verdict=contradicted&sort=interval&down=1")
    assert page.evaluate(SHOWN) == ["c-masking-01-cpu-claim-1", "c-cxr-02-cpu-claim-1", "c-cxr-01-cpu-claim-0"]
    page.locator("select[name=family]").select_option("cxr")
    link = page.url
    assert "family=cxr" in link and "verdict=contradicted" in link
    again = site.open("index.html#" + link.partition("#")[2])
    assert again.evaluate(SHOWN) == page.evaluate(SHOWN) and len(again.evaluate(SHOWN)) == 2
    again.evaluate("location.hash = '#masking-02-cpu'")
    again.wait_for_function("document.querySelector('#masking-02-cpu').checkVisibility()")
    assert len(again.evaluate(SHOWN)) == 11, "a link to a notebook shows it, whatever was filtered"
    for opened in (page, again):
        opened.context.close()


def test_hover_and_focus_say_what_the_ledger_says(site):
    page = site.open("index.html")
    for report in site.reports:
        for claim in report.claims:
            row = page.locator(f"#c-{report.anchor}-{claim['id']}")
            told = row.locator(".tip > span").all_text_contents()
            assert told == forest.details(claim)
            assert told[0] == ledger.measured(claim) == row.locator("small").text_content()
    said = page.locator(".forest title").all_text_contents()
    known = [(report, claim) for report in site.reports for claim in report.claims if claim["low"] is not None]
    assert sorted(said) == sorted(
        f"{report.experiment.id} {claim['id']}: {ledger.measured(claim)}, {claim['verdict']}" for report, claim in known
    )
    row = page.locator("#c-masking-01-cpu-claim-1")
    assert not row.locator(".tip").is_visible()
    row.locator(".mark").hover()
    assert row.locator(".tip").is_visible()
    page.keyboard.press("Escape")
    assert not row.locator(".tip").is_visible()
    page.mouse.move(0, 0)
    row.locator(".mark").focus()
    assert row.locator(".tip").is_visible(), "without a mouse"
    page.keyboard.press("Enter")
    page.wait_for_url("**/masking/01-cpu.html#masking-01-cpu-claim-1")
    assert page.locator(":target").evaluate("row => row.textContent").strip().startswith("✘ contradicted")
    page.context.close()


@pytest.mark.parametrize("script", [True, False])
def test_a_figure_leads_to_its_numbers_and_to_its_line(site, script):
    page = site.open("cxr/01-cpu.html", script=script)
    figure = page.locator("figure#curve")
    links = figure.locator(".links a")
    csv, line, notebook = (links.nth(index).get_attribute("href") for index in range(3))
    here = site.folder / "cxr"
    assert (here / csv).resolve() == site.root / "reports/cxr/01/cpu/curve.csv"
    path, _, cell = notebook.partition("#cell-id=")
    held = {cell["id"]: cell["source"] for cell in json.loads((here / path).read_text())["cells"]}
    assert held[cell].splitlines()[3].startswith("run.figure('curve'")
    assert links.nth(2).inner_text() == "notebook, cell cell-2, line 4"
    assert links.nth(1).inner_text() == "made in line 7 of the code"
    _tab_to(page, name="made in line 7 of the code")
    page.keyboard.press("Enter")
    target = page.locator(line)
    page.wait_for_function("name => document.querySelector(name).checkVisibility()", arg=line)
    assert target.inner_text().startswith("run.figure('curve'")
    assert page.locator("#L7 " + line).count() == 1
    _tab_to(page, tag="SUMMARY", name="The numbers behind it (40 rows)")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS)["region"] == "wide"
    page.context.close()


def test_a_click_selects_the_whole_citation(site):
    page = site.open("cxr/01-cpu.html", script=False)
    page.locator("pre.copy").click()
    chosen = page.evaluate("getSelection().toString()").strip()
    assert chosen.startswith("@software{blindspot,") and chosen.endswith("}")
    assert "version = {0.1.0}" in chosen and "Report cxr/01, profile cpu, key 0123456789ab" in chosen
    page.context.close()


def test_axe_finds_nothing(site):
    """Contrast is measured above, in both schemes; axe would take seconds for each page."""
    from axe_playwright_python.sync_playwright import Axe

    for name in ("index.html", "cxr/01-cpu.html", "diff.html"):
        page = site.open(name)
        page.evaluate(OPEN)
        found = (
            Axe()
            .run(page, options={"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": False}}})
            .response["violations"]
        )
        assert [f"{entry['id']}: {entry['nodes'][0]['html'][:120]}" for entry in found] == [], name
        page.context.close()
