"""What can be downloaded is fetched before a run; what cannot costs a line, not the run."""

from __future__ import annotations

import pytest
from small_project import BLOCK, CELL, project

from lib import data, experiments
from lib.reproduce import downloads

TWO = BLOCK.replace('data = ["digits"]', 'data = ["fashion-mnist", "thorax", "hannover", "digits"]')


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    for name in ("DATA_MIRROR", "BLINDSPOT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return experiments.load(project(tmp_path, TWO, CELL)).values()


def test_missing_sets_are_fetched_and_the_rest_is_said(chosen, monkeypatch):
    asked = []
    monkeypatch.setattr(data, "fetch", asked.append)
    lines = list(downloads.gather(chosen, "cpu"))
    assert asked == ["fashion-mnist"], "bundled sets and generators need no download"
    assert lines[0] == "data fashion-mnist: fetched"
    assert lines[1].startswith("data hannover: no public address")


def test_a_failed_download_is_a_line(chosen, monkeypatch):
    def refused(name: str) -> None:
        raise data.DataError(f"{name}: refused")

    monkeypatch.setattr(data, "fetch", refused)
    assert "runs fall back (digits at the last): fashion-mnist: refused" in next(downloads.gather(chosen, "cpu"))


@pytest.mark.parametrize(("profile", "offline"), [("smoke", "0"), ("cpu", "1")])
def test_no_download_where_none_is_wanted(chosen, monkeypatch, profile, offline):
    monkeypatch.setenv("BLINDSPOT_OFFLINE", offline)
    assert list(downloads.gather(chosen, profile)) == []
