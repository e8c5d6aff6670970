"""Two runs side by side: parameters, code, data, environment, claims and the data behind the figures.

Numbers are compared, never pixels: the same figure differs by pixels between two versions of a font library, and a
changed result may differ by none.
"""

from __future__ import annotations

import csv
import json
import math
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lib.experiments import DeclarationError
from lib.reproduce import keys, store

COSTS = ("_s", "_ms", "_seconds", "seconds", "_mib", "(MiB)")  # what the machine spends changes from run to run
CLAIM_FIELDS = ("estimate", "low", "high", "n", "p_holm", "verdict")


@dataclass(frozen=True)
class TableDifference:
    """How two csv files differ.

    Attributes
    ----------
    name : str
        File name.
    shape : str
        What is wrong with rows or columns; empty when both have the same.
    worst : float
        Largest relative difference of two numbers, |a - b| / max(|a|, |b|); 0 = equal everywhere.
    where : str
        Column and row of the worst number, or of the first text that differs.
    cells, of : int
        How many cells differ, and how many were compared; 0 where the shapes differ.
    """

    name: str
    shape: str = ""
    worst: float = 0.0
    where: str = ""
    cells: int = 0
    of: int = 0

    @property
    def words(self) -> str:
        """The difference in one line."""
        if self.shape:
            return f"{self.name}: {self.shape}"
        if not self.worst:
            return f"{self.name}: equal"
        return f"{self.name}: differs at {self.where}, by {self.worst:.2g} relative"


@dataclass(frozen=True)
class Difference:
    """What two runs do not share; every part is empty when they agree on it.

    Attributes
    ----------
    key : list of str
        Cells, parameters, modules, data and environment, one line each.
    versions : dict
        ``name: (a, b)`` of libraries, Python and device.
    claims : dict
        ``claim: {field: (a, b)}``.
    tables : list of TableDifference
        Every csv of either run, also the equal ones.
    """

    key: list[str] = field(default_factory=list)
    versions: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    claims: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)
    tables: list[TableDifference] = field(default_factory=list)


@contextmanager
def located(text: str, root: Path) -> Iterator[Path]:
    """The folder of a report that a person named.

    Parameters
    ----------
    text : str
        A folder, ``family/number/profile``, or ``revision:family/number/profile`` for a committed one.

    Raises
    ------
    DeclarationError
        Where there is no readable receipt.
    """
    revision, colon, name = text.rpartition(":")
    with TemporaryDirectory() as scratch:
        folder = next((path for path in (Path(text), root / "reports" / text) if path.is_dir()), None)
        if folder is None and colon:
            folder = _committed(root, revision, name, Path(scratch))
        if folder is None or store.receipt(folder) is None:
            raise DeclarationError(
                f"no report with a receipt at {text!r}; name a folder, masking/02/cpu, or HEAD~1:masking/02/cpu"
            )
        yield folder


def _committed(root: Path, revision: str, name: str, scratch: Path) -> Path | None:
    asked = ["git", "-C", str(root), "archive", revision, f"reports/{name}"]
    done = subprocess.run(asked, capture_output=True)
    if done.returncode:
        return None
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / "reports" / name


def compare(a: Path, b: Path) -> Difference:
    """Compare two published reports.

    Parameters
    ----------
    a, b : Path
        Folders with a receipt each.
    """
    one, other = store.receipt(a) or {}, store.receipt(b) or {}
    return Difference(
        key=keys.changes(one["components"], other["components"]),
        versions=_differing(_versions(one), _versions(other)),
        claims=compare_claims(a, b),
        tables=compare_tables(a, b),
    )


def _versions(receipt: dict[str, Any]) -> dict[str, Any]:
    sha = receipt.get("git", {}).get("sha")
    more = {name: receipt.get(name) for name in ("device", "system", "processor")} | {"git": sha}
    return {**receipt.get("versions", {}), **more, "datasets": receipt.get("datasets")}


def _differing(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*a, *(name for name in b if name not in a)]
    return {name: (a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)}


def claims_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The claims of a report by id."""
    return {claim["id"]: claim for claim in store.read_json(folder / "claims.json") or []}


def compare_claims(a: Path, b: Path) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Fields of claims that differ, by claim."""
    one, other = claims_of(a), claims_of(b)
    found = {}
    for name in [*one, *(name for name in other if name not in one)]:
        before = {key: one.get(name, {}).get(key) for key in CLAIM_FIELDS}
        after = {key: other.get(name, {}).get(key) for key in CLAIM_FIELDS}
        if json.dumps(before) != json.dumps(after):  # as text, in which one NaN equals another
            found[name] = _differing(before, after)
    return found


def compare_tables(a: Path, b: Path) -> list[TableDifference]:
    """Compare every csv file of two folders, by name."""
    names = sorted({path.name for folder in (a, b) for path in folder.glob("*.csv")})
    return [compare_table(a / name, b / name) for name in names]


def compare_table(a: Path, b: Path) -> TableDifference:
    """Compare two csv files cell by cell; columns of costs (``train_s``, ``memory_mib``) are left out."""
    missing = [path for path in (a, b) if not path.exists()]
    if missing:
        return TableDifference(a.name, shape="only in the first run" if missing[0] == b else "only in the second run")
    one, other = _rows(a), _rows(b)
    if one[0] != other[0]:
        return TableDifference(a.name, shape=f"columns {', '.join(one[0])} became {', '.join(other[0])}")
    if len(one) != len(other):
        return TableDifference(a.name, shape=f"{len(one) - 1} rows became {len(other) - 1}")
    worst, where, cells = 0.0, "", 0
    columns = [index for index, name in enumerate(one[0]) if not name.endswith(COSTS)]
    for row, (before, after) in enumerate(zip(one[1:], other[1:], strict=True), start=1):
        for index in columns:
            apart = distance(before[index], after[index])
            cells += apart > 0
            if apart > worst:
                worst, where = apart, f"column {one[0][index]}, row {row}: {before[index]} and {after[index]}"
    return TableDifference(a.name, worst=worst, where=where, cells=cells, of=len(columns) * (len(one) - 1))


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    width = len(rows[0]) if rows else 0
    return [row + [""] * (width - len(row)) for row in rows] or [[]]


def distance(a: str, b: str) -> float:
    """Relative distance of two csv fields; infinite where a text or a NaN differs.

    Examples
    --------
    >>> distance("1.0", "1"), distance("2", "1"), distance("cat", "dog")
    (0.0, 0.5, inf)
    """
    if a == b:
        return 0.0
    try:
        one, other = float(a), float(b)
    except ValueError:
        return math.inf
    if math.isnan(one) and math.isnan(other) or one == other:
        return 0.0
    apart = abs(one - other) / max(abs(one), abs(other))
    return apart if math.isfinite(apart) else math.inf
