"""The site: the ledger first, then pages by family, by paper and by report, readable from disk without network.

Everything is in the pages themselves: the script only filters and sorts the ledger, and without it nothing is missing.
The site is made from the committed reports and the notebooks' sources, so a clone can build the whole of it. What
other commands leave in its folder (`KEPT`) stays, and the navigation names what is there.
"""

from __future__ import annotations

import html
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lib.reproduce import citation, exhibits, forest, ledger, papers
from lib.reproduce.ledger import Report

KEPT = ("diff.html", "diff", "explore", "docs", "api", "docs.css")
FIRST = [("Ledger", "index.html"), ("Papers", "papers/index.html")]
ASSETS = ("style.css", "script.js")


def build(root: Path) -> Path:
    """Write the ledger files and the whole site; returns the path of its first page.

    Parameters
    ----------
    root : Path
        The project's folder.
    """
    every = ledger.reports(root)
    ledger.write(root, [report for report in every if report.profile != "smoke"])
    tested = {report.experiment.id for report in every if report.profile != "smoke"}
    found = [report for report in every if report.profile != "smoke" or report.experiment.id not in tested]
    site = root / "reports" / "site"
    fresh = site.with_name(f".site-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    environment = _environment(root, _navigation(root))
    for name, text in _contents(environment, found, fresh):
        page = fresh / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    _assets(fresh)
    if _guides(root):
        from lib.reproduce import docs

        docs.build(root, fresh, environment, reports=found)
    for name in KEPT:
        if (site / name).exists() and not (fresh / name).exists():
            shutil.move(site / name, fresh / name)
    shutil.rmtree(site, ignore_errors=True)
    fresh.rename(site)
    return site / "index.html"


def render(root: Path, name: str, template: str, content: Mapping[str, Any]) -> Path:
    """Write one page of the site from a template that extends ``base.html``; the rest of the site stays.

    Parameters
    ----------
    root : Path
        The project's folder.
    name : str
        The page's path below ``reports/site``.
    template : str
        A file of ``lib/reproduce/templates``.
    content : mapping
        What the template names, without ``up``: the way from the page to the site's folder.

    Returns
    -------
    Path
        The page.
    """
    site = root / "reports" / "site"
    page = site / name
    page.parent.mkdir(parents=True, exist_ok=True)
    _assets(site)
    text = (
        _environment(root, _navigation(root, made=name))
        .get_template(template)
        .render(up="../" * name.count("/"), **content)
    )
    draft = page.with_name(f".{page.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(page)
    return page


def diff_page(a: Path, b: Path, root: Path) -> Path:
    """Put two reports side by side on one page, ``reports/site/diff.html``.

    Parameters
    ----------
    a, b : Path
        Folders of two published reports.
    root : Path
        The project's folder.
    """
    from lib.reproduce import sides

    return render(root, "diff.html", "diff.html", sides.content(a, b, root))


def _contents(environment: Any, found: list[Report], site: Path) -> Iterator[tuple[str, str]]:
    """Every page that is made anew: its path and its text."""
    families, every = ledger.families(found), papers.papers(found)
    index = environment.get_template("index.html")
    yield "index.html", index.render(families=families, tally=ledger.count(found), papers=every, up="")
    family_page, paper_page = environment.get_template("family.html"), environment.get_template("paper.html")
    for family in families:
        mine = papers.papers(family.reports)
        yield f"{family.name}/index.html", family_page.render(family=family, papers=mine, up="../")
    yield "papers/index.html", environment.get_template("papers.html").render(papers=every, up="../")
    for paper in every:
        yield paper.page, paper_page.render(paper=paper, up="../")
    report_page = environment.get_template("report.html")
    for report in found:
        parts = list(exhibits.parts(report, site / report.page))
        yield report.page, report_page.render(report=report, parts=parts, receipt=list(_receipt(report)), up="../")


def _assets(site: Path) -> None:
    for name in ASSETS:
        shutil.copyfile(Path(__file__).parent / "templates" / name, site / name)


def _environment(root: Path | None = None, navigation: list[tuple[str, str]] | None = None) -> Any:
    """Templates with the filters they use; without ``root`` a page has the shortest navigation and cites nothing."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": ledger.number, "measured": ledger.measured, "cost": ledger.cost, "strip": forest.strip,
        "effect": forest.effect, "details": forest.details, "address": citation.address,
    }  # fmt: skip
    environment.globals |= {
        "signs": ledger.SIGNS, "meanings": ledger.MEANINGS, "reach": forest.REACH, "step": forest.STEP,
        "forest_lines": forest.lines, "paper_page": papers.paper_page, "note": citation.note,
        "repository": citation.read(root) if root else None,
        "navigation": navigation or FIRST,
    }  # fmt: skip
    return environment


def _guides(root: Path) -> list[Path]:
    return sorted((root / "docs").glob("*.md"))


def _navigation(root: Path, *, made: str = "") -> list[tuple[str, str]]:
    """Label and path of the pages that are there, and of the one that is being made."""
    site = root / "reports" / "site"
    guides = [(path.stem.replace("-", " ").capitalize(), f"docs/{path.stem}.html") for path in _guides(root)]
    api = [("API", "api/index.html")] if guides or (site / "api" / "index.html").exists() else []
    sweeps = [
        (f"Sweep of {'/'.join(path.stem.rsplit('-', 1))}", f"explore/{path.name}")
        for path in sorted(site.glob("explore/*.html"))
    ]
    diff = [("Two runs", "diff.html")] if (site / "diff.html").exists() or made == "diff.html" else []
    return [*FIRST, *guides, *api, *sweeps, *diff]


def _receipt(report: Report) -> Iterator[tuple[str, str]]:
    """The receipt as labelled lines, nested entries joined."""
    for name, value in report.receipt.items():
        if isinstance(value, dict):
            value = "; ".join(f"{key}: {_plain(entry)}" for key, entry in value.items()) or "none"
        yield name.replace("_", " "), html.unescape(_plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return str(value)
