"""A run checks what a notebook hands it, keeps the numbers behind each figure, and lets the rule decide."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest
import torch
from small_project import BLOCK, CELL, project

from lib import plots, run, stats, trained
from lib.experiments import DeclarationError

VALUES = {"n_seeds": 2, "share": 0.5, "kind": "random", "fast": True}
TABLE = pd.DataFrame({"x": [1, 2], "y": [0.1, 0.2]})


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A draft run of a small project."""
    monkeypatch.setenv("BLINDSPOT_ROOT", str(project(tmp_path, BLOCK, CELL)))
    monkeypatch.delenv("BLINDSPOT_ATTEMPT", raising=False)
    monkeypatch.setenv("BLINDSPOT_PROFILE", "cpu")
    return run.open("demo/01", VALUES | {"np": np})


def test_a_draft_writes_beside_the_project(opened, tmp_path):
    assert opened.folder == tmp_path / ".blindspot" / "draft" / "demo/01"
    assert opened.dataset == "digits"
    assert opened.device.type == "cpu"
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        (VALUES | {"n_seeds": 2.5}, "n_seeds must be int"),
        ({"n_seeds": 2}, "share is not defined"),
        (VALUES | {"n_sedes": 3}, "unknown parameter 'n_sedes'; did you mean n_seeds"),
    ],
)
def test_bad_parameters(opened, namespace, message):
    with pytest.raises(DeclarationError, match=message):
        run.open("demo/01", namespace)


def test_unknown_experiment(opened):
    with pytest.raises(DeclarationError, match="unknown experiment 'demo/02'"):
        run.open("demo/02", VALUES)


def test_reopening_the_run_in_a_notebook_ignores_later_variables(opened):
    assert run.open("demo/01", VALUES | {"run": opened, "later": 3}).parameters == VALUES


def test_generators_are_reproducible_and_independent(opened):
    assert torch.equal(torch.rand(3, generator=opened.generator(1)), torch.rand(3, generator=opened.generator(1)))
    assert not torch.equal(torch.rand(3, generator=opened.generator(1)), torch.rand(3, generator=opened.generator(2)))
    assert opened.rng(1).random() == opened.rng(1).random() != opened.rng(2).random()


def test_a_figure_keeps_its_numbers(opened):
    fig, ax = plots.figure()
    ax.plot([1, 2])
    opened.figure("two-points", fig, data=TABLE, alt="two points joined by a line", caption="Two points.")
    assert pd.read_csv(opened.folder / "two-points.csv").equals(TABLE)
    assert (opened.folder / "two-points.svg").exists()
    assert (opened.folder / "two-points.png").exists()
    assert json.loads((opened.folder / "two-points.json").read_text())["alt"] == "two points joined by a line"


@pytest.mark.parametrize(
    ("name", "data", "alt", "message"),
    [
        ("fig", TABLE, "a line", "at least five words"),
        ("Fig 1", TABLE, "two points joined by a line", "lower-case letters"),
        ("fig", TABLE[:0], "two points joined by a line", "got an empty one"),
    ],
)
def test_bad_figures(opened, name, data, alt, message):
    with pytest.raises(ValueError, match=message):
        opened.figure(name, plots.figure()[0], data=data, alt=alt, caption="Two points.")


def test_a_figure_that_cannot_be_read_is_refused(opened):
    fig, ax = plots.figure()
    ax.set_title("a title that runs over the edge of the picture and is cut off by it, whoever looks at it")
    with pytest.raises(ValueError, match="figure cut: text must lie inside the picture, 'a title that runs"):
        opened.figure("cut", fig, data=TABLE, alt="an empty pair of axes", caption="Nothing.")


def test_the_rule_decides(opened):
    card = opened.claim("it-does", stats.paired([3.0, 3.1, 2.9, 3.2, 3.0]))
    assert "supported" in repr(card)
    table = opened.finish()
    assert table["verdict"].tolist() == ["supported"]
    record = json.loads((opened.folder / "claims.json").read_text())[0]
    assert record["verdict"] == "supported"
    assert record["statement"] == "It does."
    assert json.loads((opened.folder / "finished.json").read_text())["cpu_seconds"] >= 0


def test_smoke_never_gives_a_verdict(opened):
    opened.profile = "smoke"
    opened.claim("it-does", stats.paired([3.0, 3.1, 2.9, 3.2, 3.0]))
    assert opened.finish()["verdict"].tolist() == ["untested"]


def test_a_synthetic_stand_in_never_gives_a_verdict(tmp_path, monkeypatch):
    folder = project(tmp_path, BLOCK.replace('["digits"]', '["digits-twin"]'), CELL)
    monkeypatch.setenv("BLINDSPOT_ROOT", str(folder))
    monkeypatch.setenv("BLINDSPOT_PROFILE", "cpu")
    held = run.open("demo/01", VALUES)
    held.claim("it-does", stats.paired([3.0, 3.1, 2.9, 3.2, 3.0]))
    row = held.finish().iloc[0]
    assert row["verdict"] == "untested"
    assert row["reason"].startswith("digits-twin has the shape of the data, not its content")


def test_claims_are_declared_filled_and_made_by_their_rule(opened):
    with pytest.raises(DeclarationError, match="'it-dose' is not declared; did you mean it-does"):
        opened.claim("it-dose", stats.paired([1.0] * 5))
    with pytest.raises(DeclarationError, match="the declared rule is 'paired'"):
        opened.claim("it-does", stats.exact_binomial(30, 40, chance=0.5))
    with pytest.raises(DeclarationError, match="never filled in: it-does"):
        opened.finish()
    assert not (opened.folder / "claims.json").exists()


def test_an_attempt_takes_what_the_runner_says(opened, tmp_path, monkeypatch):
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    (attempt / "context.json").write_text(json.dumps({"profile": "gpu", "datasets": ["fashion-mnist"]}))
    monkeypatch.setenv("BLINDSPOT_ATTEMPT", str(attempt))
    held = run.open("demo/01", VALUES)
    assert (held.profile, held.dataset, held.folder, held.draft) == ("gpu", "fashion-mnist", attempt, False)


def numbers(*, seed: int) -> dict[str, torch.Tensor]:
    """A training in miniature: counts its own calls."""
    CALLS.append(seed)
    return {"w": torch.full((2,), float(seed))}


def listed(*, seed: int) -> list[int]:
    """Not a dict of tensors."""
    return [seed]


CALLS: list[int] = []


def test_a_training_runs_once(tmp_path):
    CALLS.clear()
    for _ in range(2):
        assert torch.equal(trained.once(numbers, {"seed": 3}, store=tmp_path)["w"], torch.full((2,), 3.0))
    trained.once(numbers, {"seed": 4}, store=tmp_path)
    assert CALLS == [3, 4]
    assert not list(tmp_path.glob("*.part*"))


def busy(*, seed: int) -> dict[str, torch.Tensor]:
    """A training that takes a twentieth of a CPU second."""
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    return {"w": torch.full((2,), float(seed))}


def test_whoever_finds_a_training_is_told_what_it_took(tmp_path):
    mine, others = {}, {}
    for _ in range(2):
        trained.once(busy, {"seed": 3}, store=tmp_path, spared=mine)
    assert list(mine.values()) == [0.0], "who trained was spared nothing, also when asked again"
    for _ in range(2):
        trained.once(busy, {"seed": 3}, store=tmp_path, spared=others)
    assert list(others) == list(mine) and 0.05 <= others[next(iter(mine))] < 5.0
    for note in tmp_path.glob("*.json"):
        note.unlink()
    unknown = {}
    trained.once(busy, {"seed": 3}, store=tmp_path, spared=unknown)
    assert list(unknown.values()) == [0.0]


def test_a_training_takes_literals_and_gives_tensors(tmp_path):
    with pytest.raises(TypeError, match="must be a literal, got ndarray"):
        trained.once(numbers, {"seed": np.zeros(2)}, store=tmp_path)
    with pytest.raises(TypeError, match="must return a dict of tensors, got list"):
        trained.once(listed, {"seed": 3}, store=tmp_path)
