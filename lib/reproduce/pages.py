"""The site: the ledger first, then one page for each report, readable from disk without network or JavaScript.

A page shows the notebook's own prose, its code folded, and each figure and table where the notebook made it, followed
by the receipt. It is made from the committed reports and the notebook's source, so a clone can build the whole site.
Markdown and code are rendered by nbconvert's filters, pages by Jinja2.
"""

from __future__ import annotations

import ast
import csv
import html
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib.reproduce import ledger
from lib.reproduce.ledger import Report

ROWS_SHOWN = 30
PRE = '<pre tabindex="0">'  # what scrolls can be reached by keyboard
LEDGER_CALLS = ("figure", "table")


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
    environment = _environment()
    (fresh / "style.css").write_text(_template_source("style.css"), encoding="utf-8")
    index = environment.get_template("index.html").render(
        families=ledger.families(found), tally=ledger.count(found), up=""
    )
    (fresh / "index.html").write_text(index, encoding="utf-8")
    for report in found:
        page = fresh / report.page
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(environment, report), encoding="utf-8")
    if (site / "diff.html").exists():
        shutil.copy2(site / "diff.html", fresh / "diff.html")
    shutil.rmtree(site, ignore_errors=True)
    fresh.rename(site)
    return site / "index.html"


def diff_page(a: Path, b: Path, root: Path) -> Path:
    """Put two reports side by side on one page, ``reports/site/diff.html``.

    Parameters
    ----------
    a, b : Path
        Folders of two published reports.
    root : Path
        The project's folder.
    """
    from lib.reproduce import diff

    sides = [{"receipt": _read(folder / "receipt.json"), "claims": diff.claims_of(folder)} for folder in (a, b)]
    parameters = [side["receipt"].get("parameters", {}) for side in sides]
    site = root / "reports" / "site"
    site.mkdir(parents=True, exist_ok=True)
    (site / "style.css").write_text(_template_source("style.css"), encoding="utf-8")
    content = {
        "difference": diff.compare(a, b),
        "names": [_named(folder, root) for folder in (a, b)],
        "parameters": {name: [side.get(name, "–") for side in parameters] for name in parameters[0] | parameters[1]},
        "claims": {
            name: [side["claims"].get(name) for side in sides] for name in sides[0]["claims"] | sides[1]["claims"]
        },
    }
    page = site / "diff.html"
    page.write_text(_environment().get_template("diff.html").render(up="", **content), encoding="utf-8")
    return page


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _named(folder: Path, root: Path) -> str:
    """A report's folder as a reader names it."""
    return folder.relative_to(root / "reports").as_posix() if folder.is_relative_to(root / "reports") else folder.name


def _template_source(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": ledger.number, "measured": ledger.measured, "cost": ledger.cost, "strip": ledger.strip
    }  # fmt: skip
    environment.globals |= {"signs": ledger.SIGNS, "meanings": ledger.MEANINGS, "reach": ledger.REACH}
    return environment


def _page(environment: Any, report: Report) -> str:
    prefix = os.path.relpath(report.folder, report.folder.parents[2] / "site" / report.experiment.family)
    parts = list(_parts(report, Path(prefix).as_posix()))
    return environment.get_template("report.html").render(
        report=report, parts=parts, receipt=list(_receipt(report)), up="../"
    )


def _parts(report: Report, prefix: str) -> Iterator[dict[str, Any]]:
    """The notebook as a reader meets it: prose, folded code, and what each cell left behind."""
    cells = json.loads(report.experiment.notebook.read_text(encoding="utf-8"))["cells"]
    shown: set[str] = set()
    code: list[str] = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield from _code(code)
            yield {"kind": "prose", "html": _prose(source)}
            continue
        code.append(source)
        kept = [name for name in _kept(source) if name in report.figures]
        if kept:
            yield from _code(code)
        for name in kept:
            shown.add(name)
            yield _exhibit(report, name, prefix)
    yield from _code(code)
    for name in report.figures:
        if name not in shown:
            yield _exhibit(report, name, prefix)


def _kept(source: str) -> Iterator[str]:
    """Names given to ``run.figure`` and ``run.table`` in a cell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEDGER_CALLS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _code(waiting: list[str]) -> Iterator[dict[str, Any]]:
    """The cells since the last exhibit, folded together."""
    if waiting:
        from nbconvert.filters import Highlight2HTML

        text = "\n\n".join(waiting)
        waiting.clear()
        yield {"kind": "code", "html": str(Highlight2HTML()(text)).replace("<pre>", PRE), "lines": text.count("\n") + 1}


def _prose(source: str) -> str:
    """Markdown as HTML; the notebook's first heading is the page's title and is left to the template."""
    from nbconvert.filters import markdown2html_mistune

    lines = source.split("\n")
    if lines and lines[0].startswith("# "):
        lines = lines[1:]
    return str(markdown2html_mistune("\n".join(lines))).replace("¶", "").replace("<pre>", PRE)


def _exhibit(report: Report, name: str, prefix: str) -> dict[str, Any]:
    with (report.folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    about = report.figures[name]
    return {
        "kind": about["kind"],
        "name": name,
        "alt": about["alt"],
        "caption": about["caption"],
        "picture": f"{prefix}/{name}.svg",
        "csv": f"{prefix}/{name}.csv",
        "head": rows[0],
        "rows": [[_short(value) for value in row] for row in rows[1 : ROWS_SHOWN + 1]],
        "total": len(rows) - 1,
    }


def _short(value: str) -> str:
    """A table's cell for a reader: numbers to four significant digits."""
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value


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
