"""A report's page from top to bottom: the notebook's prose, its code folded, and each figure where it was made.

The code is one listing with numbered lines, whose folds follow each other down the page. The line that keeps a figure
has the anchor ``code-<figure>``; a browser opens the fold around an anchor by itself. Markdown and code are rendered by
nbconvert's filters.
"""

from __future__ import annotations

import ast
import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.reproduce.ledger import Report

ROWS_SHOWN, COLUMNS_SHOWN = 30, 24
PRE = '<pre tabindex="0">'  # what scrolls can be reached by keyboard
LEDGER_CALLS = ("figure", "table")


@dataclass(frozen=True)
class Origin:
    """Where the notebook keeps a figure or a table.

    Attributes
    ----------
    line : int
        Line of the page's listing, from 1.
    cell : str
        The cell's id.
    within : int
        Line of the cell, from 1.
    """

    line: int
    cell: str
    within: int


def parts(report: Report, page: Path) -> Iterator[dict[str, Any]]:
    """The notebook as a reader meets it: prose, folded code, and what each cell left behind.

    Parameters
    ----------
    report : Report
    page : Path
        The file that is written; links are relative to it.
    """
    cells = json.loads(report.experiment.notebook.read_text(encoding="utf-8"))["cells"]
    prefix = Path(os.path.relpath(report.folder, page.parent)).as_posix()
    notebook = Path(os.path.relpath(report.experiment.notebook, page.parent)).as_posix()
    shown: dict[str, Origin] = {}
    listing = _Listing()
    for index, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield from listing.folded()
            yield {"kind": "prose", "html": _prose(source)}
            continue
        name = cell.get("id", f"cell-{index}")
        kept = [(figure, within) for figure, within in _kept(source) if figure in report.figures]
        fresh = {figure: Origin(listing.next + within - 1, name, within) for figure, within in kept}
        listing.add(source, {f"code-{figure}": at.line for figure, at in fresh.items() if figure not in shown})
        if kept:
            yield from listing.folded()
        for figure, at in fresh.items():
            if figure not in shown:
                shown[figure] = at
                yield _exhibit(report, figure, prefix) | {"at": at, "notebook": f"{notebook}#cell-id={at.cell}"}
    yield from listing.folded()
    for figure in report.figures:
        if figure not in shown:
            yield _exhibit(report, figure, prefix) | {"at": None, "notebook": notebook}


def _kept(source: str) -> Iterator[tuple[str, int]]:
    """Names given to ``run.figure`` and ``run.table`` in a cell, with the line of each call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEDGER_CALLS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, node.lineno


class _Listing:
    """The code cells since the last exhibit, and the number of the line that comes next."""

    def __init__(self) -> None:
        self.next = 1
        self.first = 1
        self.waiting: list[str] = []
        self.anchors: dict[int, list[str]] = {}

    def add(self, source: str, anchors: dict[str, int]) -> None:
        """Add a cell; one empty line stands between two cells of a fold."""
        if not self.waiting:
            self.first = self.next
        self.waiting.append(source)
        for name, line in anchors.items():
            self.anchors.setdefault(line, []).append(name)
        self.next += source.count("\n") + 2

    def folded(self) -> Iterator[dict[str, Any]]:
        """The waiting cells as one highlighted part."""
        if not self.waiting:
            return
        from nbconvert.filters import Highlight2HTML

        text = "\n\n".join(self.waiting)
        self.waiting.clear()
        total = text.count("\n") + 1
        head, body, tail = _split(str(Highlight2HTML()(text)))
        numbered = [self._line(row, content) for row, content in enumerate(body[:total], start=self.first)]
        start = f'<pre tabindex="0" style="counter-reset: line {self.first - 1}">'
        yield {
            "kind": "code",
            "html": head.replace("<pre>", start) + "\n".join(numbered) + tail,
            "lines": total,
            "first": self.first,
        }

    def _line(self, row: int, content: str) -> str:
        for name in self.anchors.get(row, ()):
            content = f'<span id="{name}">{content}</span>'
        return f'<span id="L{row}">{content}</span>'


def _split(highlighted: str) -> tuple[str, list[str], str]:
    """A highlighted block as what stands before the code, its lines, and what stands after it."""
    head, opened, rest = highlighted.partition("<pre>")
    body, closed, tail = rest.rpartition("</pre>")
    body = body.removeprefix("<span></span>")
    return head + opened, body.split("\n"), closed + tail


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
        "head": rows[0][:COLUMNS_SHOWN],
        "rows": [[_short(value) for value in row[:COLUMNS_SHOWN]] for row in rows[1 : ROWS_SHOWN + 1]],
        "total": len(rows) - 1,
        "columns": len(rows[0]),
    }


def _short(value: str) -> str:
    """A table's cell for a reader: numbers to four significant digits."""
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value
