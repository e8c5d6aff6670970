"""The run of all families: one table, one figure, one section of the page."""

from __future__ import annotations

import pandas as pd
import pytest

from lib.bench import __main__ as command
from lib.bench import harness, readme, summary


def rows(*cases: tuple[str, float, float]) -> pd.DataFrame:
    """A table of measure's shape: name, ratio, target of each case, for both clocks and two threads."""
    found = [
        {
            "name": name, "ours": 10.0, "peer": 10.0 / ratio, "peer_version": "peer 1", "unit": f"masks / {clock}",
            "ratio": ratio, "target": target, "low": 0.9 * ratio, "high": 1.1 * ratio, "rounds": 5,
            "threads": threads, "load": 0.5, "device": "CPU (any)",
        }
        for name, ratio, target in cases for threads in (1, 2) for clock in harness.CLOCKS
    ]  # fmt: skip
    return pd.DataFrame(found, columns=list(harness.COLUMNS))


@pytest.fixture
def tables():
    return {"masks": rows(("random: shuffled", 3.0, 2.0), ("slow", 1.5, 2.0)), "cxr": rows(("films", 40.0, 20.0))}


def test_families_come_back_as_they_went_in(tables):
    back = summary.families(summary.together(tables))
    assert list(back) == ["masks", "cxr"]
    for family, table in tables.items():
        pd.testing.assert_frame_equal(back[family].reset_index(drop=True), table, check_dtype=False)


def test_what_misses_its_target_is_marked_in_words_and_shape(tables):
    fig = summary.draw(summary.together(tables))
    labels = [label.get_text() for ax in fig.axes for label in ax.get_yticklabels()]
    assert labels == ["random: shuffled", "< slow", "films"]
    dots = [line for line in fig.axes[0].lines if line.get_marker() in ("o", "s") and len(line.get_xdata())]
    assert {line.get_xdata()[0]: line.get_markerfacecolor() == "white" for line in dots} == {3.0: False, 1.5: True}


def test_only_a_run_of_every_family_is_written_as_one(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "BENCHES", {name: lambda full, name=name: [name] for name in tables})
    monkeypatch.setattr(command, "installed", lambda cases: cases)
    monkeypatch.setattr(command, "run", lambda cases, rounds: tables[cases[0]])
    monkeypatch.setattr(command.experiments, "root", lambda: tmp_path)
    monkeypatch.setattr(command.limits, "measure", lambda say: None)
    monkeypatch.setattr(command.limits, "write", lambda found, folder: None)
    monkeypatch.setattr(command.startup, "measure", lambda root, rounds, say: None)
    monkeypatch.setattr(command.startup, "write", lambda found, folder: None)
    folder = tmp_path / "reports" / "bench"
    command.main(only="masks", rounds=5, full=False)
    assert not (folder / "all.csv").exists() and "All in one run" not in readme.page(folder)
    command.main(only=None, rounds=5, full=False)
    assert len(pd.read_csv(folder / "all.csv")) == 12 and (folder / "all.svg").exists()
    page = readme.page(folder)
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## All in one run", "## cxr", "## masks"]
    assert "| masks | 8 | 4 | 2.25 | 1.50 | 3.00 |" in page and "| cxr | 4 | 4 | 40.00 | 40.00 | 40.00 |" in page
