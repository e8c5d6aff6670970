"""A new paper's skeleton runs as it is and refuses what it cannot place."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from lib import experiments
from lib.experiments import DeclarationError
from lib.reproduce import skeleton


@pytest.mark.notebook
def test_the_skeleton_runs_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "notebooks" / "masking").mkdir(parents=True)
    made = [
        skeleton.create(tmp_path, family="masking", title=f'What does the "decoder" need {n}?', paper="arXiv:1")
        for n in range(2)
    ]
    assert [path.name[:2] for path in made] == ["01", "02"]
    assert set(experiments.load(tmp_path)) == {"masking/01", "masking/02"}
    monkeypatch.setenv("BLINDSPOT_ROOT", str(tmp_path))
    notebook = nbformat.read(made[1], as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / ".blindspot" / "draft" / "masking" / "02" / "claims.json").exists()


@pytest.mark.parametrize(
    ("family", "title", "paper", "message"),
    [
        ("maskin", "Does it?", "arXiv:1", "did you mean masking"),
        ("masking", "It does", "arXiv:1", "must be a question"),
        ("masking", "Does it?", " ", "PAPER must name the paper"),
    ],
)
def test_what_cannot_be_placed(tmp_path, family, title, paper, message):
    (tmp_path / "notebooks" / "masking").mkdir(parents=True)
    with pytest.raises(DeclarationError, match=message):
        skeleton.create(tmp_path, family=family, title=title, paper=paper)
    assert not list((tmp_path / "notebooks" / "masking").iterdir())
