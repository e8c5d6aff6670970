"""What a worker must have in common with the runner, each part changed once; what travels back, and its bound."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dask
import pytest
import yaml
from dask_site import in_recipe
from mini_project import FINISH, ROOT, Mini

from lib.reproduce import agree, keys, remote, schedule
from lib.reproduce.execute import Job, Outcome

HOST = "node7 (tcp://10.0.0.7:4321)"


@pytest.fixture
def pair(mini: Mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A runner's project and a worker's checkout of it; this process is the worker's."""
    mini.add("01", FINISH)
    (mini.root / "requirements.lock").write_text("one==1\n")
    small = mini.root / "lib"
    (small / "masks").mkdir(parents=True)
    for name in ("__init__", "stats", "masks/__init__", "masks/noise"):
        (small / f"{name}.py").write_text("SCALE = 1\n")
    there = tmp_path / "worker"
    shutil.copytree(mini.root, there)
    monkeypatch.setenv("BLINDSPOT_ROOT", str(there))
    monkeypatch.setattr(agree.locks, "machine_folder", lambda: tmp_path)
    agree._loaded.cache_clear()
    return mini.root, there


def wanted(root: Path, *datasets: str) -> agree.Agreement:
    notebook = root / "notebooks" / "demo" / "01_does_it.ipynb"
    return agree.of(root, notebook, list(datasets or ["digits"]), agree.common(root))


def change(name: str, old: str, new: str) -> Callable[[Path], object]:
    def changed(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return changed


NOTEBOOK, DECLARED = "notebooks/demo/01_does_it.ipynb", "notebooks/demo/experiments.toml"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (change("lib/masks/noise.py", "1", "2"), "module lib.masks.noise differs"),
        (lambda root: (root / "lib/stats.py").unlink(), "module lib.stats is missing"),
        (lambda root: (root / "lib/new.py").write_text("x = 1"), "module lib.new is only there"),
        (change("requirements.lock", "==1", "==2"), "requirements.lock differs"),
        (change(NOTEBOOK, "1.0", "9.0"), f"notebook {NOTEBOOK} differs"),
        (lambda root: (root / NOTEBOOK).unlink(), f"notebook {NOTEBOOK} cannot be read"),
        (change(DECLARED, "smallest_effect = 1.0", "smallest_effect = 0.1"), f"{DECLARED} differs"),
    ],
)
def test_what_differs_is_named_with_the_host_and_the_next_step(
    pair: tuple[Path, Path], harm: Callable[[Path], object], words: str
) -> None:
    root, there = pair
    asked = wanted(root)
    assert agree.refusal(asked, HOST) == ""
    harm(there)
    agree._loaded.cache_clear()
    said = agree.refusal(asked, HOST)
    assert said.startswith(f"refused by the worker on {HOST}: {words}")
    assert said.count(";") == 1 or "cannot be read" in said, "nothing else differs"
    assert said.endswith(agree.AGAIN)


@pytest.mark.parametrize(
    "harmless",
    [change("lib/stats.py", "SCALE", '"""Words."""\n# and more\nSCALE'), change(DECLARED, "\ntitle", "# hm\ntitle")],
)
def test_comments_make_no_difference(pair: tuple[Path, Path], harmless: Callable[[Path], object]) -> None:
    root, there = pair
    harmless(there)
    agree._loaded.cache_clear()
    assert agree.refusal(wanted(root), HOST) == ""


def test_machinery_that_changed_under_a_running_worker_is_refused(pair: tuple[Path, Path]) -> None:
    root, there = pair
    for one in pair:
        (one / "lib" / "reproduce").mkdir()
        (one / "lib" / "reproduce" / "child.py").write_text("x = 1")
    agree._loaded.cache_clear()
    assert agree.refusal(wanted(root), HOST) == ""
    for one in pair:
        (one / "lib" / "reproduce" / "child.py").write_text("x = 2")
    assert "lib.reproduce.child changed after the worker was started" in agree.refusal(wanted(root), HOST)


def test_many_differences_are_counted() -> None:
    theirs = agree.Common({f"lib.m{i:02}": "a" for i in range(20)}, "x")
    ours = agree.Common({name: "b" for name in theirs.modules}, "x")
    assert re.fullmatch(r"module lib\.m00, .*lib\.m07 and 12 more differs", agree.differs(theirs, ours, {})[0])


def test_hashes_are_remembered_by_content(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root, there = pair
    before = agree.module_hashes(keys.library(root))
    assert before == {name: keys.library(root).hash(name) for name in keys.library(root).modules}
    monkeypatch.setattr(keys.Library, "hash", lambda *_: pytest.fail("it was parsed again"))
    assert agree.module_hashes(keys.library(there)) == before


REGISTRY = """
[tiny]
kind = "table"
title = "Tiny"
licence = "none"
citation = "none"
folder = "tiny"
files = [{{ name = "tiny.csv", bytes = 4, sha256 = "{sum}" }}]
[digits]
kind = "images"
title = "Digits"
licence = "none"
citation = "none"
bundled = "scikit-learn"
"""


def test_data_are_compared_by_id_and_their_files_by_their_sum(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    root, _ = pair
    registry, folder = tmp_path / "registry.toml", tmp_path / "data"
    (folder / "tiny").mkdir(parents=True)
    registry.write_text(REGISTRY.format(sum=hashlib.sha256(b"a,b\n").hexdigest()))
    for name, value in (("DATA_REGISTRY", registry), ("DATA_DIR", folder), ("DATA_MIRROR", "")):
        monkeypatch.setenv(name, str(value))
    asked = wanted(root, "tiny", "digits")
    assert f"{HOST}: data tiny is missing; {agree.DATA}" in agree.refusal(asked, HOST)
    (folder / "tiny" / "tiny.csv").write_text("a,b\n")
    assert agree.refusal(asked, HOST) == ""
    (folder / "tiny" / "tiny.csv").write_text("a;b\n")
    assert "data tiny cannot be used: sha256 of" in agree.refusal(asked, HOST)
    (folder / "tiny" / "tiny.csv").write_text("a,b\n")
    other = replace(asked, data={**asked.data, "tiny": {"tiny.csv": "0" * 64}})
    assert "data tiny differs in the registry" in agree.refusal(other, HOST)
    unknown = replace(asked, data={"nowhere": {}})
    assert "data nowhere cannot be used: data id must be registered" in agree.refusal(unknown, HOST)


def test_errors_of_workers_that_were_asked_are_told_apart() -> None:
    answers = {
        "a": [],
        "b": ["requirements.lock differs"],
        "c": ImportError("no lib"),
        "d": OSError("gone"),
        "e": KeyError("x"),
    }
    assert agree.refused(answers) == [
        "b: requirements.lock differs",
        "c: its lib cannot be imported or is another one (no lib)",
        "e: KeyError: 'x'",
    ]


def a_job(root: Path, **more: str) -> Job:
    return Job("demo/01", "smoke", "", str(root), str(root / "log"), "", {}, (), 60.0, False, 1.0, "run", **more)


@pytest.fixture
def sent(tmp_path: Path) -> tuple[Job, Outcome]:
    """A worker's job and how it ended, with an attempt of some files."""
    job = a_job(tmp_path / "worker", scratch=str(tmp_path / "scratch"))
    attempt = job.attempts / "abc"
    (attempt / "checkpoints").mkdir(parents=True)
    for name in ("a.csv", "executed.ipynb", "finished.json", "weights.pt"):
        (attempt / name).write_bytes(name.encode())
    Path(job.log).parent.mkdir(parents=True)
    Path(job.log).write_text("printed\n")
    return job, Outcome("ok", attempt=str(attempt), seconds=2.0, tries=("ok",))


def test_an_attempt_arrives_as_if_it_had_been_made_here(sent: tuple[Job, Outcome], tmp_path: Path) -> None:
    job, outcome = sent
    here = a_job(tmp_path / "runner")
    Path(here.log).parent.mkdir()
    Path(here.log).write_text("before\n")
    came = remote.opened(here, remote.packed(job, outcome))
    assert replace(came, attempt="") == replace(outcome, attempt="")
    assert Path(came.attempt).parent == here.attempts
    found = {path.name: path.read_bytes() for path in Path(came.attempt).iterdir()}
    assert found == {name: name.encode() for name in ("a.csv", "executed.ipynb", "finished.json")}
    assert Path(here.log).read_text() == "before\nprinted\n"


def test_an_attempt_that_is_too_large_fails_with_its_log(
    sent: tuple[Job, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LARGEST_MB", 1)
    job, outcome = sent
    (Path(outcome.attempt) / "large.csv").write_bytes(b"x" * 2_000_000)
    came = remote.opened(a_job(tmp_path), remote.packed(job, outcome))
    assert came.kind == "infrastructure"
    assert "2 MB, and 1 MB travel" in came.message
    assert (tmp_path / "log").read_text() == "printed\n"


@pytest.mark.parametrize("name", ["attempt/../../evil", "/etc/evil", "evil", "attempt/a/b", "attempt/.."])
def test_no_name_leads_out_of_the_attempt(tmp_path: Path, name: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, "x")
    came = remote.opened(a_job(tmp_path / "runner"), Outcome("ok", parcel=stream.getvalue()))
    assert (came.kind, came.attempt) == ("infrastructure", "")
    assert "no name of a file" in came.message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_parcel_that_is_cut_short_is_said(tmp_path: Path, sent: tuple[Job, Outcome]) -> None:
    whole = remote.packed(*sent)
    came = remote.opened(a_job(tmp_path), replace(whole, parcel=whole.parcel[:50]))
    assert (came.kind, "cannot be unpacked" in came.message) == ("infrastructure", True)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("locl", "must be inline, local, tcp://host:port or a scheduler file, got 'locl'"),
        ("nowhere.json", "there is no scheduler file nowhere.json"),
        ("tcp://127.0.0.1:9", "no Dask scheduler answers at tcp://127.0.0.1:9 ("),
    ],
)
def test_no_scheduler_is_one_paragraph(mini: Mini, capfd: pytest.CaptureFixture[str], where: str, words: str) -> None:
    mini.add("01", FINISH)
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}):
        assert mini.run("--scheduler", where) == 2
    said = capfd.readouterr()
    assert said.err.startswith("error: ")
    assert words in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert "Traceback" not in said.err + said.out


def test_recipes_start_the_same_worker() -> None:
    slurm, ssh = (in_recipe(ROOT / "cluster" / name) for name in ("slurm.sh", "ssh.sh"))
    manifest = yaml.safe_load((ROOT / "cluster" / "kubernetes.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    worker = manifest["spec"]["worker"]["spec"]["containers"][0]
    assert worker["args"][-2:] == ["--name", "$(DASK_WORKER_NAME)"]
    kubernetes = ["ADDRESS" if word.startswith("tcp://") else word for word in worker["args"][:-2]]
    said = ["ADDRESS" if word.startswith("tcp://") else word for word in schedule.WORKER.split()]
    assert slurm == ssh == kubernetes == said
    assert worker["resources"]["requests"]["cpu"] == "1"
    name = manifest["metadata"]["name"]
    assert f"tcp://{name}-scheduler:8786" in worker["args"]
    assert manifest["spec"]["scheduler"]["service"]["selector"]["dask.org/cluster-name"] == name
