"""The time before a notebook's first act: the real runner on a notebook cut to its imports."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
from mini_project import ROOT

from lib import experiments
from lib.bench import startup
from lib.reproduce import warm


def test_it_starts_what_the_runner_starts(tmp_path):
    said: list[str] = []
    table = startup.measure(ROOT, rounds=2, only="masking/01", say=said.append)
    assert table.columns.tolist() == list(startup.COLUMNS) and table["notebook"].tolist() == ["masking/01"]
    row = table.iloc[0]
    assert 0 < row["low"] <= row["startup_s"] <= row["high"] and row["rounds"] == 2 and len(said) == 2
    startup.write(table.assign(startup_s=9.0), tmp_path)
    page = startup.section(tmp_path)
    assert "0 of 1 notebooks take at most 2.5 s" in page and "| masking/01 | 9.00 [" in page
    startup.write(table.assign(startup_s=1.0), tmp_path)
    assert "1 of 1 notebooks" in startup.section(tmp_path) and "| masking/01" not in startup.section(tmp_path)


def test_imports_that_fail_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(startup, "imports", lambda notebook: "import no_such_module")
    spec = experiments.load(ROOT)["masking/01"]
    with pytest.raises(RuntimeError, match="masking/01 did not start: cell error, ModuleNotFoundError"):
        startup.started(spec, tmp_path, ROOT)


def test_the_heavy_packages_of_the_notebooks_are_warm():
    """What an import cell reaches at once beyond `lib` and the standard library is imported before it."""
    named = {name.split(".")[0] for name in warm.HEAVY} | {
        "numpy",
        "pandas",
        "torch",
        "matplotlib",
        "scipy",
        "__future__",
    }
    cells = [startup.imports(spec.notebook) for spec in experiments.load(ROOT).values()]
    lines = pd.Series("\n".join(cells).splitlines()).str.strip()
    packages = lines.str.extract(r"^(?:from|import) +(\w+)")[0].dropna().unique()
    assert set(packages) - named - set(sys.stdlib_module_names) <= {"seaborn"}, "add it to warm.HEAVY"
