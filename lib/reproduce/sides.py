"""What the page of two runs shows: each claim on both sides, and the figures whose numbers differ, with both pictures.

The csv files and pictures of figures that differ are copied beside the page, so that it still shows a run taken from a
revision when that folder is gone.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.reproduce import diff, forest, ledger, store
from lib.reproduce.diff import Difference, TableDifference

LETTERS = ("a", "b")


def content(a: Path, b: Path, root: Path) -> dict[str, Any]:
    """What ``diff.html`` needs to be rendered.

    Parameters
    ----------
    a, b : Path
        Folders of two published reports.
    root : Path
        The project's folder.
    """
    folders = (a, b)
    difference = diff.compare(a, b)
    receipts = [json.loads((folder / "receipt.json").read_text(encoding="utf-8")) for folder in folders]
    claims = _claims(a, b)
    parameters = _pairs([receipt.get("parameters", {}) for receipt in receipts])
    site = root / "reports" / "site"
    return {
        "difference": difference,
        "runs": [_run(folder, receipt, root) for folder, receipt in zip(folders, receipts, strict=True)],
        "claims": claims,
        "changed": {name: pair for name, pair in parameters.items() if pair[0] != pair[1]},
        "equal": {name: pair[0] for name, pair in parameters.items() if pair[0] == pair[1]},
        "tables": _tables(difference, folders, site),
        "summary": _summary(difference, claims, parameters),
    }


def _run(folder: Path, receipt: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """A side as a reader names it, and its own page where the site has one."""
    reports = root / "reports"
    name = folder.relative_to(reports).as_posix() if folder.is_relative_to(reports) else _stated(folder, receipt)
    family, _, rest = name.partition("/")
    page = f"{family}/{rest.replace('/', '-')}.html"
    return {
        "name": name,
        "page": page if (reports / "site" / page).exists() and folder.is_relative_to(reports) else "",
        "datasets": ", ".join(receipt.get("datasets", ())) or "not stated",
        "seconds": store.alone_s(receipt),
        "revision": str((receipt.get("git") or {}).get("sha") or "")[:12],
        "modified": receipt.get("modified") or [],
    }


def _stated(folder: Path, receipt: Mapping[str, Any]) -> str:
    if {"experiment", "profile"} <= receipt.keys():
        return f"{receipt['experiment']}/{receipt['profile']}"
    return folder.name


def _pairs(sides: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [side.get(name, "–") for side in sides] for name in sides[0] | sides[1]}


def _claims(a: Path, b: Path) -> list[dict[str, Any]]:
    """Every claim of either run with both sides, those whose verdict differs first."""
    sides = [diff.claims_of(folder) for folder in (a, b)]
    found = []
    for name in sides[0] | sides[1]:
        both = [side.get(name) for side in sides]
        known = next(claim for claim in both if claim)
        verdicts = {claim["verdict"] if claim else None for claim in both}
        found.append(
            {
                "id": name,
                "statement": known.get("statement", name),
                "sides": both,
                "verdict_differs": len(verdicts) > 1,
                "moved": _moved(both),
            }
        )
    return sorted(found, key=lambda claim: not claim["verdict_differs"])


def _moved(both: list[dict[str, Any] | None]) -> str:
    """How far the estimate moved from A to B."""
    one, other = both
    if one is None or other is None:
        return "only in B" if one is None else "only in A"
    if one["estimate"] is None or other["estimate"] is None or one["estimate"] == other["estimate"]:
        return "same estimate" if one["estimate"] == other["estimate"] else "no estimate on one side"
    by = other["estimate"] - one["estimate"]
    text = f"B − A = {ledger.number(by)} {other.get('unit', '')}".strip()
    if one["smallest_effect"] == other["smallest_effect"] and forest.scale(other):
        return f"{text}, {ledger.number(abs(by) / other['smallest_effect'])} times the smallest effect"
    return text


def _tables(difference: Difference, folders: tuple[Path, Path], site: Path) -> dict[str, Any]:
    """The tables that differ, with what of them was copied beside the page, and the names of the equal ones."""
    target = site / "diff"
    fresh = site / f".diff-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    differing = [table for table in difference.tables if table.shape or table.worst]
    rows = [_copied(table, folders, fresh) for table in differing]
    shutil.rmtree(target, ignore_errors=True)
    if fresh.exists():
        fresh.rename(target)
    equal = [table.name for table in difference.tables if table not in differing]
    return {"differing": rows, "equal": equal}


def _copied(table: TableDifference, folders: tuple[Path, Path], fresh: Path) -> dict[str, Any]:
    name = table.name.removesuffix(".csv")
    links: dict[str, list[str]] = {"csv": [], "svg": []}
    alts = []
    for letter, folder in zip(LETTERS, folders, strict=True):
        for kind, found in links.items():
            source = folder / f"{name}.{kind}"
            if source.exists():
                (fresh / letter).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, fresh / letter / source.name)
            found.append(f"diff/{letter}/{source.name}" if source.exists() else "")
        about = folder / f"{name}.json"
        alts.append(json.loads(about.read_text(encoding="utf-8")).get("alt", "") if about.exists() else "")
    return {"name": name, "table": table, "alts": alts, **links}


def _summary(difference: Difference, claims: list[dict[str, Any]], parameters: dict[str, list[Any]]) -> str:
    """The page in one sentence."""
    verdicts = sum(claim["verdict_differs"] for claim in claims)
    tables = sum(bool(table.shape or table.worst) for table in difference.tables)
    names = sum(pair[0] != pair[1] for pair in parameters.values())
    said = [
        f"{verdicts} of {len(claims)} claims {_have(verdicts)} another verdict",
        f"{tables} of {len(difference.tables)} tables {_have(tables)} other numbers",
        f"{names} of {len(parameters)} parameters {'differs' if names == 1 else 'differ'}",
    ]
    return "; ".join(said) + "."


def _have(amount: int) -> str:
    return "has" if amount == 1 else "have"
