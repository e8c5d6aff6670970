"""What ``run.finish`` returns, as a table to read: every statement in full, its estimate with interval, the verdict.

It is a DataFrame, recognised by its columns; every other DataFrame is shown as pandas shows it. The same styles as the
cards (:mod:`lib.lab.card`): colours of the theme, and the verdict in words first.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

from lib.lab import interval
from lib.lab.card import EDGES, sentence, value

COLUMNS = ["id", "statement", "estimate", "low", "high", "unit", "n", "n_unit", "verdict", "reason"]
CELL = "text-align:left;vertical-align:top;white-space:normal;padding:.4em .8em"
CAPTION = "text-align:left;caption-side:top;padding:.3em 0"
TABLE = "border-collapse:collapse;max-width:62rem;margin:.5em 0;font-size:var(--jp-content-font-size1,14px)"


def register(shell: Any) -> None:
    """Show the verdicts of a finished run in a shell."""
    shell.display_formatter.formatters["text/html"].for_type_by_name("pandas", "DataFrame", html)


def html(frame: Any) -> str | None:
    """A DataFrame as HTML: the verdicts of a run as their table, any other as pandas has it.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    str or None
        None where pandas itself has no HTML for it.
    """
    if list(frame.columns) != COLUMNS or not len(frame):
        plain: str | None = frame._repr_html_()
        return plain
    rows = frame.to_dict("records")
    shared = rows[0]["reason"] if len(rows) > 1 and len({row["reason"] for row in rows}) == 1 else ""
    corrected = len(rows) > 1 and any(row["verdict"] != "untested" for row in rows)
    family = f", after Holm's correction over {len(rows)} claims" if corrected else ""
    heads = ["verdict", "claim", "estimate and 95 % interval", *([] if shared else ["why"])]
    head = "".join(f'<th scope="col" style="{CELL}">{text}</th>' for text in heads)
    caption = f"Verdicts{family}." + (f" {sentence(shared)}" if shared else "")
    named = f'<caption style="{CAPTION}">{escape(caption)}</caption>'
    body = "".join(_row(row, why=not shared) for row in rows)
    table = f'<table style="{TABLE}">{named}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div style="overflow-x:auto">{table}</div>'


def _row(row: dict[str, Any], *, why: bool) -> str:
    word = str(row["verdict"])
    edge = f"border-left:6px {EDGES[word]} {interval.COLOURS[word]}"
    low, high = _ends(_float(row["low"]), _float(row["high"]))
    shown = value(_float(row["estimate"]), low, high, str(row["unit"]))
    cells = [escape(str(row["statement"])), f"{shown}<br>n = {row['n']:,} {escape(str(row['n_unit']))}"]
    cells += [escape(sentence(str(row["reason"]))) if row["reason"] else ""] if why else []
    first = f'<th scope="row" style="{CELL};{edge}">{word}</th>'
    rest = "".join(f'<td style="{CELL}">{text}</td>' for text in cells)
    return f"<tr>{first}{rest}</tr>"


def _float(number: float | None) -> float:
    """A number of ``claims.json``, where what is not finite is None."""
    return math.nan if number is None else float(number)


def _ends(low: float, high: float) -> tuple[float, float]:
    """Both ends of an interval; one that is missing alone is infinite."""
    if math.isnan(low) != math.isnan(high):
        return (-math.inf, high) if math.isnan(low) else (low, math.inf)
    return low, high
