"""Declarations are read strictly: what is unknown or drifts is an error that says where."""

from __future__ import annotations

import pytest
from small_project import BLOCK, CELL, project

from lib import experiments
from lib.experiments import DeclarationError, read_parameters


def test_a_block_becomes_an_experiment(tmp_path):
    spec = experiments.load(project(tmp_path))["demo/01"]
    assert spec.claims["it-does"].smallest_effect == 1.0
    assert experiments.effective(spec, "smoke") == {"n_seeds": 2, "share": 0.5, "kind": "random", "fast": True}
    assert experiments.effective(spec, "cpu")["n_seeds"] == 5


def test_set_reads_text_as_the_parameters_type(tmp_path):
    spec = experiments.load(project(tmp_path))["demo/01"]
    values = experiments.effective(spec, "cpu", {"share": "1", "fast": "false", "kind": "block", "n_seeds": "7"})
    assert values == {"n_seeds": 7, "share": 1.0, "kind": "block", "fast": False}
    assert isinstance(values["share"], float)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"n_sedes": "3"}, "did you mean n_seeds"),
        ({"n_seeds": "2.5"}, "n_seeds must be int .* got 2.5"),
        ({"n_seeds": True}, "n_seeds must be int .* got True"),
        ({"fast": "1"}, "fast must be bool"),
    ],
)
def test_bad_sets(tmp_path, sets, message):
    spec = experiments.load(project(tmp_path))["demo/01"]
    with pytest.raises(DeclarationError, match=message):
        experiments.effective(spec, "cpu", sets)


def test_unknown_profile(tmp_path):
    with pytest.raises(DeclarationError, match="unknown profile 'cpuu'; did you mean cpu"):
        experiments.effective(experiments.load(project(tmp_path))["demo/01"], "cpuu")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_seeds = 5", 'kind = "block"', "kind is a method parameter"),
        ("n_seeds = 5", "n_sedes = 5", "did you mean n_seeds"),
        ("n_seeds = 5", "n_seeds = 2.5", "n_seeds must be int"),
    ],
)
def test_bad_profiles(tmp_path, old, new, message):
    spec = experiments.load(project(tmp_path, BLOCK.replace(old, new)))["demo/01"]
    with pytest.raises(DeclarationError, match=message):
        experiments.effective(spec, "cpu")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('data = ["digits"]', "data = []", "`data` is empty"),
        ('title = "Does it?"', 'titel = "Does it?"', "unknown name 'titel'; did you mean title"),
        ('rule = "paired"', "", "rule missing"),
        ('rule = "paired"', 'rule = "paired"\npaper_effect = 3', "go together"),
        ('["01".profiles.cpu]', '["01".profiles.cpuu]', "did you mean cpu"),
        ('["01"]', '["02"]', "expected exactly one notebook"),
        ("smoke = 0.1", "smokey = 0.1", "did you mean smoke"),
    ],
)
def test_bad_blocks(tmp_path, old, new, message):
    text = BLOCK.replace('"01"', '"02"') if new == '["02"]' else BLOCK.replace(old, new)
    with pytest.raises(DeclarationError, match=message):
        experiments.load(project(tmp_path, text))


def test_a_notebook_without_a_block(tmp_path):
    folder = project(tmp_path)
    (folder / "notebooks" / "demo" / "02_more.ipynb").write_text("{}")
    with pytest.raises(DeclarationError, match="02_more.ipynb has no block"):
        experiments.load(folder)


def test_a_notebook_without_a_parameters_cell(tmp_path):
    spec = experiments.load(project(tmp_path, tags=()))["demo/01"]
    with pytest.raises(DeclarationError, match="exactly one cell tagged `parameters`, found 0"):
        experiments.parameters(spec.notebook)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("# scale\nn = 2  # count", "expected `name: int = 3"),
        ("# scale\nn: int = 2.5  # count", "must be one of int, float, str, bool"),
        ("# scale\nn: int | None = None  # count", "must be one of int, float, str, bool"),
        ("# scale\nn: int = 2", "trailing comment"),
        ("n: int = 2  # count", "heading above"),
    ],
)
def test_bad_parameter_lines(cell, message):
    with pytest.raises(DeclarationError, match=message):
        read_parameters(cell, "notebook")


def test_groups_and_comments():
    found = read_parameters(CELL, "notebook")
    assert [parameter.group for parameter in found.values()] == ["scale", "scale", "method", "method"]
    assert found["share"].comment == "of the images, in [0, 1]"
