"""What is asked for or declared wrongly, what reruns and why, what it costs, and what two runs do not share."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mini_project import FINISH, PARAMETERS, Mini
from rich.console import Console

from lib import experiments
from lib.closure import Library, code_hash
from lib.reproduce import devices, diff, keys, live, locks, plan, skeleton, store, verify
from lib.reproduce.execute import Outcome

SMOKE = ("--profile", "smoke")


# --- asked for or declared wrongly: exit code 2, a message that names it, and nothing runs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "n_sedes=3"], "unknown name 'n_sedes'; did you mean n_seeds?"),
        (["--set", "n_seeds=2.5"], "n_seeds must be int"),
        (["--set", "n_seeds"], "--set must look like name=value"),
        (["--profile", "laptop"], "unknown profile 'laptop'"),
        (["--only", ""], "--only is empty"),
        (["--only", "demo/07"], "--only demo/07 names no experiment; did you mean demo/01?"),
        (["--trust", "everybody"], "--trust must be one of none, committed"),
    ],
)
def test_a_wrong_wish_is_an_error(
    mini: Mini, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mini.add("01", FINISH)
    assert mini.run(*words) == 2
    assert message in capsys.readouterr().err
    assert not mini.layout.reports.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": None}, "expected exactly one cell tagged `parameters`, found 0"),
        ({"data": '["digitz"]'}, "digitz"),
        ({"more": '["01".profiles.cpu]\nn_sedes = 5'}, "unknown name 'n_sedes'"),
        ({"more": '["01".profiles.cpu]\nn_seeds = 5.5'}, "n_seeds must be int"),
        ({"more": '["01".profiles.cpu]\nshare = 0.1'}, "share is a method parameter"),
        ({"more": '["01".profiles.laptop]\nn_seeds = 5'}, "unknown name 'laptop'"),
        ({"parameters": PARAMETERS + "more: list = []  # no\n"}, "must be one of int, float, str, bool"),
    ],
)
def test_a_wrong_declaration_is_an_error(
    mini: Mini, options: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mini.add("01", FINISH, **options)
    assert mini.run("--profile", "cpu") == 2
    assert message in capsys.readouterr().err


def test_a_project_without_experiments_says_so(mini: Mini, capsys: pytest.CaptureFixture[str]) -> None:
    assert mini.run() == 2
    assert "make new" in capsys.readouterr().err


# --- keys: what reruns and what does not


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A small ``lib``: the notebook imports a, a imports b inside a function, nothing imports c."""
    folder = tmp_path / "library" / "lib"
    (folder / "room").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "room" / "__init__.py").write_text("from .d import deep\n")
    (folder / "room" / "a.py").write_text(
        '"""A."""\n\n\ndef f():\n    """F."""\n    from lib import b\n\n    return b\n'
    )
    (folder / "room" / "d.py").write_text("def deep():\n    return 1\n")
    (folder / "b.py").write_text("x = 1\n")
    (folder / "c.py").write_text("def x():\n    return 1\n")
    return folder


def test_the_closure_follows_functions_packages_and_relative_imports(library: Path) -> None:
    found = Library(library).closure(["from lib.room import a"])
    assert list(found) == ["lib.b", "lib.room.a"]
    (library / "room" / "__init__.py").write_text("from .d import deep\n\nready = deep()\n")
    found = Library(library).closure(["from lib.room import a"])
    assert list(found) == ["lib.b", "lib.room", "lib.room.a", "lib.room.d"], "an __init__ that does something counts"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["from lib import room", "room.deep()"], ["lib.room.d"]),
        (["from lib.room import deep"], ["lib.room.d"]),
        (["import lib.room as r\nr.a.f()"], ["lib.b", "lib.room.a"]),
        (["import lib.room", "lib.room.deep()"], ["lib.room.d"]),
        (["from lib import room", "for x in room.BOTH:\n    x()"], ["lib.c", "lib.room.d"]),
        (["from lib import room", "%magic", "use(room)"], ["lib.c", "lib.room", "lib.room.d"]),
        (["from lib.room import *"], ["lib.c", "lib.room", "lib.room.d"]),
        (["from lib import room", "room.nowhere"], ["lib.c", "lib.room", "lib.room.d"]),
        (["from lib import room"], []),
    ],
)
def test_a_facade_counts_name_by_name(library: Path, cells: list[str], expected: list[str]) -> None:
    hands_on = "from lib.c import x\nfrom .d import deep\n\nBOTH = (x, deep)\n__all__ = ['BOTH', 'deep', 'x']\n"
    (library / "room" / "__init__.py").write_text(f'"""A room."""\n\n{hands_on}')
    assert list(Library(library).closure(cells)) == expected


def test_a_renamed_export_is_no_facade(library: Path) -> None:
    (library / "room" / "__init__.py").write_text("from .d import deep as shallow\n")
    assert list(Library(library).closure(["from lib.room import a"])) == [
        "lib.b",
        "lib.room",
        "lib.room.a",
        "lib.room.d",
    ]


@pytest.mark.parametrize(
    "source",
    ["import lib.b as other", "def f():\n    import lib.b", "import importlib\nimportlib.import_module('lib.b')"],
)
def test_every_way_to_name_a_module_counts(library: Path, source: str) -> None:
    assert list(Library(library).closure([source])) == ["lib.b"]


def test_a_computed_import_brings_in_the_whole_library(library: Path) -> None:
    everything = Library(library)
    assert list(everything.closure(["__import__('lib.' + name)"])) == sorted(everything.modules)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("x = 1", "# why\nx  =  1  # because", True),
        ("def f():\n    '''A.'''\n    return 1", "def f():\n    '''B, longer.'''\n    return 1", True),
        ("class C:\n    a: int\n    '''what a is'''", "class C:\n    a: int", True),
        ("x = 1", "x = 1.0", False),
        ("x = 1", "x = True", False),
        ("x = 'a'", "x = b'a'", False),
        ("def f(a, b=1): return a", "def f(a, *, b=1): return a", False),
        ("x = {'a': 1}", "x = {**a}", False),
        ("%magic one", "%magic two", False),
    ],
)
def test_only_what_code_does_is_hashed(old: str, new: str, *, same: bool) -> None:
    assert (code_hash(old) == code_hash(new)) is same


def parts_of(mini: Mini, folder: Path, profile: str = "smoke") -> keys.Components:
    experiment = experiments.load(mini.root)["demo/01"]
    parameters = experiments.effective(experiment, profile)
    return keys.components(experiment, profile, parameters, root=mini.root, modules=Library(folder))


def test_a_comment_in_the_library_reruns_nothing_and_a_change_is_named(mini: Mini, library: Path) -> None:
    mini.add("01", "from lib.room import a", FINISH)
    before = parts_of(mini, library)
    (library / "b.py").write_text('"""Now with a docstring."""\n\nx = 1  # and a comment\n')
    (library / "c.py").write_text("x = 2\n")
    assert keys.digest(parts_of(mini, library)) == keys.digest(before)
    (library / "b.py").write_text("x = 2\n")
    after = parts_of(mini, library)
    assert keys.digest(after) != keys.digest(before)
    assert keys.changes(before, after) == ["module lib.b changed"]


def test_notebook_edits(mini: Mini, library: Path) -> None:
    mini.add("01", FINISH, more='["01".profiles.cpu]\nn_seeds = 5')
    smoke, cpu = parts_of(mini, library), parts_of(mini, library, "cpu")
    assert keys.changes(smoke, cpu) == ["parameter n_seeds: 2 -> 5"]
    mini.add("01", "# a remark\n" + FINISH, "# a cell of remarks", parameters=PARAMETERS.replace("= 2", "= 3"))
    assert keys.digest(parts_of(mini, library, "cpu")) == keys.digest(cpu), "cpu overrides the edited smoke literal"
    assert keys.changes(smoke, parts_of(mini, library)) == ["parameter n_seeds: 2 -> 3"]
    mini.add("01", FINISH + "\nmore = 1")
    assert keys.changes(smoke, parts_of(mini, library)) == ["code cell cell-1 changed"]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('says = "It does."', 'says = "It does, in other words."', []),
        ("smallest_effect = 1.0", "smallest_effect = 2.0", ['claim it-does: "> 0 by 1, paired" -> "> 0 by 2, paired"']),
        ('"> 0"', '"< 0"', ['claim it-does: "> 0 by 1, paired" -> "< 0 by 1, paired"']),
    ],
)
def test_what_decides_a_claim_is_part_of_the_key_and_its_words_are_not(
    mini: Mini, library: Path, old: str, new: str, found: list[str]
) -> None:
    mini.add("01", FINISH)
    before, declared = parts_of(mini, library), mini.family / "experiments.toml"
    declared.write_text(declared.read_text().replace(old, new))
    after = parts_of(mini, library)
    assert keys.changes(before, after) == found
    assert (keys.digest(before) == keys.digest(after)) is (not found)


def test_lock_and_data_are_part_of_the_key(mini: Mini, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib import data

    mini.add("01", FINISH, data='["iris", "digits"]')
    before = parts_of(mini, library, "cpu")
    (mini.root / keys.LOCK).write_text("torch==2\n")
    assert keys.changes(before, parts_of(mini, library, "cpu")) == ["requirements.lock changed"]
    (mini.root / keys.LOCK).unlink()
    monkeypatch.setattr(data, "sums", lambda id: {"file": hashlib.sha256(id.encode()).hexdigest()})
    assert keys.changes(before, parts_of(mini, library, "cpu")) == ["data iris changed"]
    monkeypatch.setattr(data, "available", lambda id: id == "digits")
    assert keys.data_at_hand(experiments.load(mini.root)["demo/01"], "cpu") == ["digits"]


def test_this_librarys_own_closure_reaches_what_run_imports() -> None:
    here = Library(Path(experiments.__file__).parent)
    reached = set(here.closure(["import lib.run"]))
    assert {"lib.run", "lib.claims", "lib.stats", "lib.plots.style", "lib.trained"} <= reached
    assert not {"lib.plots", "lib.plots.pictures", "lib.reproduce.cli"} & reached


# --- plan, budget, trust, retry, clean


def test_a_finished_run_is_not_repeated_and_heavy_libraries_stay_out(mini: Mini) -> None:
    mini.add("01", FINISH)
    assert mini.run() == 0
    code = (
        "import sys\nfrom lib.reproduce import cli\n"
        "sys.argv = ['x', 'run', '--profile', 'smoke']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    print('exit', end.code)\n"
        "print([name for name in ('torch', 'pandas', 'papermill', 'dask', 'matplotlib') if name in sys.modules])"
    )
    environment = {**os.environ, "BLINDSPOT_ROOT": str(mini.root)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert "nothing to do: 1 of 1 are done" in done.stdout
    assert done.stdout.endswith("exit 0\n[]\n"), done.stdout + done.stderr


def test_plan_runs_nothing_and_takes_minutes_from_receipts(mini: Mini, capsys: pytest.CaptureFixture[str]) -> None:
    mini.add("01", FINISH)
    mini.add("02", FINISH)
    assert mini.run("--only", "demo/01") == 0
    mini.add("01", FINISH + "\nmore = 1")
    capsys.readouterr()
    assert mini.cli("plan", *SMOKE) == 0
    said = capsys.readouterr().out
    assert "code cell cell-1 changed" in said
    assert "receipt" in said
    assert "declared" in said
    assert "2 of 2 to run" in said
    assert mini.receipt("02") is None


def test_a_budget_starts_nothing_that_would_end_too_late(mini: Mini, capsys: pytest.CaptureFixture[str]) -> None:
    mini.add("01", FINISH)
    mini.add("02", FINISH)
    declared = mini.family / "experiments.toml"
    first, second = declared.read_text().split('["02"]')
    declared.write_text(first + '["02"]' + second.replace("smoke = 0.01", "smoke = 30.0"))
    assert mini.run("--budget-min", "2") == 0
    assert mini.receipt("01") is not None
    assert mini.receipt("02") is None
    assert "1 ran, 0 were done already, 0 failed, 1 not started (budget)" in capsys.readouterr().out


def test_minutes_are_packed_onto_slots(mini: Mini) -> None:
    mini.add("01", FINISH)
    one = plan.build(mini.root, "smoke")[0]
    items = [replace(one, minutes=minutes) for minutes in (3.0, 2.0, 2.0, 1.0)]
    assert plan.total_minutes(items, {False: 2, True: 0}) == 4.0
    assert plan.total_minutes(items, {False: 1, True: 0}) == 8.0
    assert plan.total_minutes([replace(one, reasons=[])], {False: 1, True: 0}) == 0.0


def test_a_committed_receipt_counts_only_when_trusted(mini: Mini, capsys: pytest.CaptureFixture[str]) -> None:
    mini.add("01", FINISH)
    assert mini.run() == 0
    mini.layout.ledger.unlink()  # as in a fresh clone
    capsys.readouterr()
    assert mini.cli("why", *SMOKE) == 0
    assert "not run on this machine" in capsys.readouterr().out
    assert mini.cli("why", *SMOKE, "--trust", "committed") == 0
    assert capsys.readouterr().out == "demo/01 smoke: done\n"


def test_set_is_stamped_modified(mini: Mini) -> None:
    mini.add("01", FINISH)
    assert mini.run("--set", "share=0.25") == 0
    receipt = mini.receipt("01")
    assert receipt is not None
    assert (receipt["modified"], receipt["parameters"]) == (["share"], {"n_seeds": 2, "share": 0.25})
    assert plan.build(mini.root, "smoke")[0].reasons == ["parameter share: 0.25 -> 0.5"]


def test_retry_failed_runs_what_failed_and_nothing_else(mini: Mini) -> None:
    mini.add("01", "wrong = 1 / 0")
    assert mini.run() == 1
    mini.add("02", FINISH)
    mini.add("01", FINISH)
    words = ("--scheduler", "inline", "--no-pages")
    assert mini.cli("retry-failed", *SMOKE, *words) == 0
    assert mini.receipt("01") is not None
    assert mini.receipt("02") is None
    assert not mini.layout.outcome("demo/01", "smoke").exists()


def test_clean_removes_what_receipts_list_and_nothing_else(mini: Mini) -> None:
    mini.add("01", FINISH)
    assert mini.run() == 0
    folder = mini.layout.report("demo/01", "smoke")
    (folder / "notes.txt").write_text("mine")
    elsewhere = mini.layout.report("demo/02", "cpu")
    shutil.copytree(folder, elsewhere)
    (elsewhere / "receipt.json").write_text(json.dumps({**mini.receipt("01"), "host": "elsewhere"}))  # type: ignore[dict-item]
    assert mini.cli("clean") == 0
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert (elsewhere / "receipt.json").exists(), "a report made elsewhere stays"


# --- diff and verify


def tables(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "a.csv").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("arm,y,train_s\nx,1.0,5\n", "equal"),
        ("arm,y,train_s\nx,1.1,5\n", "differs at column y, row 1: 1 and 1.1, by 0.091 relative"),
        ("arm,y,train_s\nz,1,5\n", "differs at column arm, row 1: x and z, by inf relative"),
        ("arm,y,train_s\nx,nan,5\n", "differs at column y, row 1: 1 and nan, by inf relative"),
        ("arm,y,train_s\nx,1,9\n", "equal"),
        ("arm,y,train_s\nx,1,5\nx,1,5\n", "1 rows became 2"),
        ("arm,z,train_s\nx,1,5\n", "columns arm, y, train_s became arm, z, train_s"),
    ],
)
def test_tables_are_compared_by_their_numbers(tmp_path: Path, text: str, words: str) -> None:
    one, other = tables(tmp_path / "one", "arm,y,train_s\nx,1,5\n"), tables(tmp_path / "other", text)
    assert diff.compare_tables(one, other)[0].words == f"a.csv: {words}"


@pytest.mark.parametrize("name", ["cpu_s", "fit_ms", "seconds", "memory_mib", "memory (MiB)"])
def test_what_the_machine_spends_is_not_compared(tmp_path: Path, name: str) -> None:
    one, other = tables(tmp_path / "one", f"arm,{name}\nx,5\n"), tables(tmp_path / "other", f"arm,{name}\nx,9\n")
    assert diff.compare_tables(one, other)[0].words == "a.csv: equal"


def test_verify_fails_on_other_numbers_and_other_verdicts(tmp_path: Path) -> None:
    one, other = tables(tmp_path / "one", "y\n1.000\n"), tables(tmp_path / "other", "y\n1.004\n")
    for folder, verdict in ((one, "supported"), (other, "inconclusive")):
        (folder / "claims.json").write_text(json.dumps([{"id": "c", "verdict": verdict}]))
    assert verify.check(one, other, rtol=0.01).problems == ["claim c: supported became inconclusive"]
    assert len(verify.check(one, other, rtol=0.001).problems) == 2
    (other / "a.csv").unlink()
    assert "only in the first run" in verify.check(one, other, rtol=0.01).problems[0]


def test_on_another_processor_verify_asks_for_the_verdicts_and_tells_the_numbers(tmp_path: Path) -> None:
    one, other = tables(tmp_path / "one", "y\n1.000\n"), tables(tmp_path / "other", "y\n1.004\n")
    for folder in (one, other):
        (folder / "claims.json").write_text(json.dumps([{"id": "c", "verdict": "supported"}]))
    found = verify.check(one, other, rtol=0.001, other_processor=True)
    assert found.problems == []
    assert found.excused == verify.check(one, other, rtol=0.001).problems
    assert "differs at column y, row 1" in found.excused[0]
    (other / "claims.json").write_text(json.dumps([{"id": "c", "verdict": "inconclusive"}]))
    assert verify.check(one, other, rtol=0.001, other_processor=True).problems == [
        "claim c: supported became inconclusive"
    ]
    (other / "a.csv").write_text("y\n1.0\n2.0\n")
    assert "1 rows became 2" in verify.check(one, other, rtol=0.001, other_processor=True).problems[0]


def test_verify_says_where_a_report_was_made(mini: Mini, capsys: pytest.CaptureFixture[str]) -> None:
    mini.add("01", FINISH)
    assert mini.run("--set", "n_seeds=4") == 0
    folder = mini.layout.report("demo/01", "smoke")
    receipt = json.loads((folder / "receipt.json").read_text())
    assert receipt["processor"] == devices.processor()
    (folder / "a.csv").write_text("x,y\n1,5\n")
    for there, code in (("another one, avx2", 0), ("", 1)):
        (folder / "receipt.json").write_text(json.dumps(receipt | {"processor": there}))
        capsys.readouterr()
        assert mini.cli("verify", "--scheduler", "inline") == code
        told = " ".join(capsys.readouterr().out.split())
        assert f"made on {there or 'an unknown processor'}, again on {devices.processor()}" in told


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vendor_id: AuthenticAMD\ncpu family: 25\nmodel\t: 33\nflags\t: sse4_2 avx avx2\n\nmodel : 9", "33, avx2"),
        ("vendor_id : GenuineIntel\ncpu family : 6\nmodel : 85\nflags : avx2 avx512f", "6 model 85, avx512f"),
        ("CPU implementer : 0x41\nCPU part : 0xd0c", "0x41 0xd0c"),
    ],
)
def test_a_processor_is_named_by_what_decides_its_sums(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert devices.processor(tmp_path / "cpuinfo").endswith(name)


def test_verify_reruns_a_report_and_sees_a_doctored_one(mini: Mini, capsys: pytest.CaptureFixture[str]) -> None:
    mini.add("01", FINISH)
    assert mini.run("--set", "n_seeds=4") == 0
    words = ("--scheduler", "inline")
    assert mini.cli("verify", *words) == 0
    assert "1 tables and 1 verdicts compared, worst difference 0" in capsys.readouterr().out
    (mini.layout.report("demo/01", "smoke") / "a.csv").write_text("x,y\n1,5\n")
    assert mini.cli("verify", *words) == 1
    assert "a.csv: differs at column y, row 1: 5 and 4" in capsys.readouterr().out
    assert (mini.layout.report("demo/01", "smoke") / "a.csv").read_text() == "x,y\n1,5\n", "verify publishes nothing"


def test_diff_of_two_runs_names_every_component(mini: Mini, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mini.add("01", FINISH)
    assert mini.run() == 0
    old = shutil.copytree(mini.layout.report("demo/01", "smoke"), tmp_path / "old")
    mini.add("01", FINISH.replace('"estimate": 1.0', '"estimate": 2.0'))
    assert mini.run("--set", "n_seeds=3") == 0
    found = diff.compare(old, mini.layout.report("demo/01", "smoke"))
    assert found.key == ["code cell cell-1 changed", "parameter n_seeds: 2 -> 3"]
    assert found.claims == {"it-does": {"estimate": (1.0, 2.0)}}
    assert found.tables[0].words == "a.csv: differs at column y, row 1: 2 and 3, by 0.33 relative"
    assert mini.cli("diff", str(old), "demo/01/smoke") == 0
    assert "claim it-does, estimate: 1.0 -> 2.0" in capsys.readouterr().out
    assert (mini.layout.reports / "site" / "diff.html").exists()
    with (
        pytest.raises(experiments.DeclarationError, match="no report with a receipt"),
        diff.located("demo/9", mini.root),
    ):
        pass


def test_what_a_run_was_spared_counts_as_its_own_cost(mini: Mini) -> None:
    told = '"cpu_seconds": 0.5, "peak_memory_mb": 60'
    mini.add("01", FINISH.replace('"cpu_seconds": 0.5', told + ', "spared_cpu_seconds": 600.0'))
    mini.add("02", FINISH.replace('"cpu_seconds": 0.5', told))
    assert mini.run() == 0
    receipt = mini.receipt("01")
    assert receipt is not None and receipt["seconds"]["spared_cpu"] == 600.0
    assert store.alone_s(receipt) == pytest.approx(receipt["seconds"]["wall"] + 600)
    assert store.alone_s(receipt, "cpu") == pytest.approx(600.5)
    assert math.isnan(store.alone_s({})) and math.isnan(store.alone_s({"seconds": {"wall": None, "spared_cpu": 5.0}}))
    item, trained = plan.build(mini.root, "smoke")
    assert item.measured and item.minutes == pytest.approx(store.alone_s(receipt) / 60)
    assert trained.memory_gb == 0.06 and item.memory_gb == 0.1, "its peak was not that of training: what is declared"
    assert store.found_trainings(receipt) and not store.found_trainings({})


# --- what a person sees


def test_the_live_table_tells_state_progress_and_time_to_go(mini: Mini, tmp_path: Path) -> None:
    mini.add("01", FINISH)
    mini.add("02", FINISH)
    mini.add("03", FINISH)
    jobs = [replace(plan.job(item, mini.root, run="r"), estimate_s=100.0) for item in plan.build(mini.root, "smoke")]
    shown = live.Live([job.estimate_s for job in jobs], tmp_path / "run.log", slots=2)
    shown.started(jobs[0])
    shown.started(jobs[1])
    store.write_json(jobs[1].attempts / "x" / "progress.json", {"done": 3, "of": 9, "cell": "y = 1"})
    shown.ended(jobs[0], Outcome("kernel died", "killed", "x = 1", seconds=1.0, tries=("kernel died",)))
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(shown.table())
    text = console.export_text()
    assert "1 of 3 done, 1 waiting" in text
    assert "about 1:40 to go" in text, "two jobs of 100 s on two slots"
    for words in (("demo/01", "kernel died"), ("demo/02", "running", "3/9")):
        assert any(all(word in line for word in words) for line in text.splitlines()), words
    assert "demo/03" not in text
    for _ in range(2 * live.SHOWN):
        shown.ended(jobs[1], Outcome("ok"))
    console.print(shown.table())
    assert console.export_text().count("demo/02") == live.SHOWN, "the table fits a terminal"
    assert "demo/01 smoke: kernel died (1.0 s, killed, in the cell `x = 1`)" in (tmp_path / "run.log").read_text()


# --- locks and devices


@pytest.mark.parametrize(("cards", "expected"), [([], []), (["0"], ["gpu", "paper"])])
def test_the_profiles_of_a_gpu_take_one_where_there_is_one(
    mini: Mini, monkeypatch: pytest.MonkeyPatch, cards: list[str], expected: list[str]
) -> None:
    mini.add("01", FINISH)
    monkeypatch.setattr(plan.devices, "gpus", lambda: cards)
    on_gpu = [profile for profile in ("smoke", "cpu", "gpu", "paper") if plan.build(mini.root, profile)[0].gpu]
    assert on_gpu == expected


def test_gpu_slots_are_taken_once_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locks, "machine_folder", lambda: tmp_path)
    third: list[str] = []

    def take() -> None:
        with locks.one_of(["0", "1"]) as device:
            third.append(device)

    with locks.one_of(["0", "1"]) as one:
        with locks.one_of(["0", "1"]) as other:
            assert {one, other} == {"0", "1"}
            waiting = threading.Thread(target=take)
            waiting.start()
            time.sleep(3 * locks.POLL_S)
            assert third == []
        waiting.join(5)
    assert third == [other]


def test_one_kernel_starts_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0

    def enter() -> None:
        nonlocal inside, most
        with locks.waiting(tmp_path / "start.lock"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 1


def test_memory_bounds_the_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cores", lambda: 8)
    monkeypatch.setattr(devices, "memory_gb", lambda: 10.0)
    assert (devices.slots(3.0), devices.slots(0.5), devices.slots(99.0)) == (3, 8, 1)


# --- the whole way, with the real lib.run


@pytest.mark.notebook
def test_a_skeleton_runs_is_verified_and_has_pages(mini: Mini) -> None:
    skeleton.create(mini.root, family="demo", title="Does hiding cost accuracy?", paper="arXiv:0000.00000")
    assert mini.cli("run", "--profile", "smoke", "--scheduler", "inline") == 0
    receipt = mini.receipt("01")
    assert receipt is not None
    assert receipt["components"]["modules"]["lib.run"]
    assert receipt["seconds"]["cpu"] > 0
    claims = store.read_json(mini.layout.report("demo/01", "smoke") / "claims.json")
    assert [claim["verdict"] for claim in claims] == ["untested"]
    assert mini.cli("verify", "--scheduler", "inline", "--rtol", "0") == 0
    assert (mini.layout.reports / "site" / "index.html").exists()
