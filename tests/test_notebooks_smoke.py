"""Every notebook runs at its smallest: all of them as `make smoke` does it, one of each family as in JupyterLab.

No network, no mirror. The project is a copy, so that nothing is done already and no report of this checkout changes.
"""

from __future__ import annotations

import base64
import html
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib import experiments, setup
from lib.reproduce.store import Layout

ROOT = Path(__file__).resolve().parent.parent
SPECS = experiments.load(ROOT)
FAMILIES = {spec.id.split("/")[0]: spec for spec in reversed(SPECS.values())}
OWN = ("DATA_MIRROR", "BLINDSPOT_ATTEMPT", "BLINDSPOT_PROFILE", "BLINDSPOT_ROOT")  # of whoever calls the tests


@pytest.fixture(scope="module")
def smoked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, str]:
    """A copy of the project after `make smoke` on the notebooks that were selected, and what was printed."""
    cases = (item.callspec.params for item in request.session.items if item.name.startswith("test_smoke["))
    wanted = ",".join(sorted(params["spec"].id for params in cases))
    root = tmp_path_factory.mktemp("smoke") / "project"
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    own = {"BLINDSPOT_OFFLINE": "1", "DATA_DIR": str(root / "data"), "BLINDSPOT_ROOT": str(root)}
    words = ["run", "--profile", "smoke", "--no-pages", "--only", wanted]
    command = [sys.executable, "-m", "lib.reproduce", *words]
    done = subprocess.run(command, cwd=ROOT, env={**kept, **own}, capture_output=True, text=True, check=False)
    return Layout(root), done.stdout + done.stderr


def check(claims: list[dict[str, str]], spec: experiments.Experiment) -> None:
    """All that was claimed was filled in, and at this size nothing is decided."""
    assert {claim["id"] for claim in claims} == set(spec.claims)
    assert {claim["verdict"] for claim in claims} <= {"untested"}, "a smoke run never gives a verdict"


@pytest.mark.notebook
@pytest.mark.timeout(1800)  # the first of them waits for all
@pytest.mark.parametrize("spec", [pytest.param(spec, id=name) for name, spec in SPECS.items()])
def test_smoke(spec: experiments.Experiment, smoked: tuple[Layout, str]) -> None:
    layout, printed = smoked
    report, log = layout.report(spec.id, "smoke"), layout.log(spec.id, "smoke")
    assert (report / "receipt.json").exists(), log.read_text() if log.exists() else printed
    check(json.loads((report / "claims.json").read_text(encoding="utf-8")), spec)


@pytest.mark.notebook
@pytest.mark.parametrize("spec", [pytest.param(spec, id=family) for family, spec in sorted(FAMILIES.items())])
def test_run_all(spec: experiments.Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in JupyterLab: the notebook's own folder is the working directory, and nobody supervises.

    Every figure of the run stands in the notebook as its own PNG, and every claim as a card of `lib.lab`.
    """
    import nbformat
    from nbclient import NotebookClient

    config = tmp_path / "ipython" / "profile_default" / "ipython_kernel_config.py"
    config.parent.mkdir(parents=True)
    config.write_text(setup.CONFIG, encoding="utf-8")  # where a user's own stands; `make setup` writes to .venv/etc
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BLINDSPOT_OFFLINE", "1")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    notebook, started = nbformat.read(spec.notebook, as_version=4), time.time()
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(spec.notebook.parent)}}).execute()
    draft = ROOT / ".blindspot" / "draft" / spec.id
    check(json.loads((draft / "claims.json").read_text(encoding="utf-8")), spec)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if "data" in output]
    inline = {base64.b64decode(data["image/png"]) for data in shown if "image/png" in data}
    fresh = [path for path in draft.glob("*.png") if path.stat().st_mtime >= started - 1]
    assert fresh and {path.read_bytes() for path in fresh} <= inline
    cards = "".join(data.get("text/html", "") for data in shown)
    assert all(html.escape(claim.says) in cards for claim in spec.claims.values())
    assert cards.count("What would change it.") == len(spec.claims)
