"""The table of limits: every selector is in it, and each of the four outcomes is told apart."""

from __future__ import annotations

import inspect

import pandas as pd
import pytest

import lib.select
from lib.bench import limits, readme
from lib.select.base import ColumnSelector

SMALL = {"rows": 60, "columns": 12, "say": lambda line: None}


def test_every_selector_is_asked():
    classes = {name for name in lib.select.__all__ if inspect.isclass(getattr(lib.select, name))}
    bases = {"ColumnSelector", "RankingSelector", "SequentialSelector"}
    assert all(issubclass(getattr(lib.select, name), ColumnSelector) for name in classes)
    assert set(limits.settings()) == classes - bases
    for name, keywords in limits.settings().items():
        assert set(keywords) <= set(getattr(lib.select, name)().get_params()), name


def test_outcomes(monkeypatch):
    asked = {
        "Variance": {"n_features_to_select": 2},
        "DRCFS": {"n_features_to_select": 2, "max_fits": 10},
    }
    found = limits.measure(asked, **SMALL)
    assert found["outcome"].tolist() == [limits.FITTED, limits.REFUSED]
    assert "max_fits" in found["reason"][1] and found["reason"][0] == ""
    assert 0.05 < found["peak_gib"][0] < 2 and pd.isna(found["peak_gib"][1])
    stopped = limits.measure({"Variance": {}}, seconds=0.01, **SMALL)
    assert stopped["outcome"].tolist() == [limits.STOPPED]


def test_promises():
    rows = [
        ("A", limits.FITTED, 7.9, True),
        ("B", limits.FITTED, 8.1, False),
        ("C", limits.REFUSED, float("nan"), True),
        ("D", limits.STOPPED, float("nan"), False),
        ("E", limits.FAILED, float("nan"), False),
    ]
    found = pd.DataFrame([{"outcome": outcome, "peak_gib": peak} for _, outcome, peak, _ in rows])
    assert limits.kept(found).tolist() == [kept for *_, kept in rows]


def test_the_page_has_the_table(tmp_path):
    assert limits.section(tmp_path) == ""
    row = {"selector": "Variance", "settings": "n_features_to_select=2", "cpu_s": 0.25, "peak_gib": 1.0, "reason": ""}
    other = {**row, "selector": "DRCFS", "outcome": limits.REFUSED, "peak_gib": float("nan"), "reason": "too many fits"}
    limits.write(pd.DataFrame([{**row, "outcome": limits.FITTED}, other], columns=list(limits.SEEN)), tmp_path)
    page = readme.page(tmp_path)
    assert "2 of 2 fit within 8 GiB" in page and "| DRCFS | n_features_to_select=2 | refused beforehand | 0.2 |" in page
    assert page.count("too many fits") == 1 and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", ["Variance", "OMP", "InfFS"])
def test_the_table_can_be_learned_from(name):
    """The planted columns 0, 1, 2 are found by a selector that looks at y."""
    X, y = limits.table(400, 10)
    found = getattr(lib.select, name)(**limits.settings()[name] | {"n_features_to_select": 3}).fit(X, y)
    assert (set(found.get_support(indices=True)) == {0, 1, 2}) == (name == "OMP")
