"""Every notebook runs as it stands, as in JupyterLab: its own literals, no network, no mirror, no runner."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lib import experiments

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = [pytest.param(spec, id=name) for name, spec in experiments.load(ROOT).items()]


@pytest.mark.notebook
@pytest.mark.parametrize("spec", NOTEBOOKS)
def test_run_all(spec, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    for name in ("DATA_MIRROR", "BLINDSPOT_ATTEMPT", "BLINDSPOT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    # the notebook's own folder is the working directory, as in JupyterLab; results go to a project beside
    monkeypatch.setenv("BLINDSPOT_OFFLINE", "1")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    notebook = nbformat.read(spec.notebook, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(spec.notebook.parent)}}).execute()
    claims = json.loads((ROOT / ".blindspot" / "draft" / spec.id / "claims.json").read_text(encoding="utf-8"))
    assert {claim["id"] for claim in claims} == set(spec.claims)
    assert {claim["verdict"] for claim in claims} <= {"untested"}, "a smoke run never gives a verdict"
    assert os.environ["BLINDSPOT_OFFLINE"] == "1"
