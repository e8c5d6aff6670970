"""A fresh checkout strips outputs on the way into git, keeps the names of cells, and calls nothing else changed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from lib.setup import install_filter

ROOT = Path(__file__).resolve().parent.parent


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_outputs_stay_out_and_cells_keep_their_names(tmp_path: Path) -> None:
    source = sorted(ROOT.glob("notebooks/*/*.ipynb"))[0]
    git(tmp_path, "init", "-q")
    notebook = tmp_path / "one.ipynb"
    shutil.copy(source, notebook)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "as committed, before there was a filter")
    assert install_filter(tmp_path)
    notebook.touch()
    assert git(tmp_path, "status", "--porcelain") == "", "what is committed is what the filter makes of it"
    content = json.loads(notebook.read_text(encoding="utf-8"))
    ran = next(cell for cell in content["cells"] if cell["cell_type"] == "code")
    ran["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["seen\n"]}]
    ran["execution_count"] = 7
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    assert git(tmp_path, "diff", "--cached", "--name-only") == "", "a run in JupyterLab leaves no trace"


def test_outside_git_there_is_nothing_to_set_up(tmp_path: Path) -> None:
    assert not install_filter(tmp_path)
