"""What goes wrong while notebooks run: each fault on the real engine, with real kernels."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mini_project import FINISH, Mini, gone, until

from lib.reproduce import child, guard, runner, schedule, store
from lib.reproduce.execute import Job, Outcome
from lib.reproduce.spool import Spool
from lib.reproduce.store import Layout

linux = pytest.mark.skipif(sys.platform != "linux", reason="kill -9 of a parent is answered by Linux's own signal")

# Writes its process id to <root>/pid, then holds the interpreter's lock in compiled code, so that no Python thread of
# the kernel (ipykernel's watch of its parent among them) can run; the second time the marker is there and it goes on.
STUCK_ONCE = """import ctypes, os
from pathlib import Path
marker = Path(os.environ["BLINDSPOT_ROOT"]) / "pid"
if not marker.exists():
    marker.write_text(f"{os.getpid()}.")
    ctypes.PyDLL(None).sleep(60)"""
RUNAWAY = """import os, subprocess, sys, time
from pathlib import Path
run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
(Path(os.environ["BLINDSPOT_ROOT"]) / "runaway").write_text(f"{run.pid}.")
time.sleep(60)"""


def add_all(mini: Mini) -> None:
    mini.add("01", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", FINISH)
    mini.add("02", "wrong = 1 / 0", FINISH)
    mini.add("03", "done = False")
    mini.add("04", FINISH.replace("dumps([claim", 'dumps([{"id": "nobody-declared-this"}, claim'))
    mini.add("05", FINISH.split('(here / "finished.json")')[0])
    mini.add("06", FINISH)


@pytest.fixture(scope="module")
def battered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mini, subprocess.CompletedProcess[str]]:
    """One run of many faults at once, two at a time under Dask."""
    mini = Mini(tmp_path_factory.mktemp("battered") / "project")
    add_all(mini)
    mini.add("07", RUNAWAY)
    process = mini.start("--jobs", "2", "--limit-min", "0.15")
    output, _ = process.communicate(timeout=120)
    return mini, subprocess.CompletedProcess([], process.returncode, output, "")


Battered = tuple[Mini, "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        ("01", child.KERNEL_DIED, "killed"),
        ("02", child.CELL_ERROR, "ZeroDivisionError: division by zero"),
        ("03", child.CELL_ERROR, "never filled in: it-does"),
        ("04", child.CELL_ERROR, "not declared in experiments.toml: nobody-declared-this"),
        ("05", child.CELL_ERROR, "without run.finish()"),
        ("07", child.TIMED_OUT, "limit of 9 s"),
    ],
)
def test_each_fault_has_its_outcome_and_leaves_no_receipt(
    battered: Battered, number: str, kind: str, words: str
) -> None:
    mini, done = battered
    failure = mini.failure(number)
    assert (failure["kind"], words in failure["message"]) == (kind, True), failure
    assert failure["tries"] == [kind], "only the infrastructure's faults are tried again"
    assert mini.receipt(number) is None
    assert f"demo/{number} smoke" in done.stdout


def test_failures_stop_nothing_else_and_set_the_exit_code(battered: Battered) -> None:
    mini, done = battered
    receipt = mini.receipt("06")
    assert receipt is not None
    assert receipt["outcome"] == "ok"
    assert done.returncode == 1
    assert "1 ran, 0 were done already, 6 failed" in done.stdout


def test_the_last_table_names_cell_and_log(battered: Battered) -> None:
    mini, done = battered
    assert mini.failure("02")["cell"] == "wrong = 1 / 0"
    assert "wrong = 1 / 0" in done.stdout
    assert Path(mini.failure("02")["log"]).read_text()
    assert ".blindspot/logs/demo/02/smoke.log" in done.stdout


def test_a_notebook_at_its_limit_is_stopped_with_what_it_started(battered: Battered) -> None:
    mini, done = battered
    took = re.search(r"demo/07 smoke: timed out \(([\d.]+) s", done.stdout)
    assert took is not None
    assert float(took[1]) < 20, "the limit is 9 s, and the notebook would sleep for 60"
    assert gone_pid(int((mini.root / "runaway").read_text()[:-1])), (
        "a process in a session of its own outlived the limit"
    )


def gone_pid(pid: int) -> bool:
    try:
        return gone(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return True


def test_nothing_of_a_run_is_left_over(battered: Battered) -> None:
    mini, _ = battered
    assert not mini.layout.staging.exists()
    assert not mini.layout.attempts.exists()
    assert guard.marked(mini.layout.attempts) == []


@linux
def test_kill_of_the_papermill_child_takes_its_kernel_and_is_tried_again(mini: Mini) -> None:
    mini.add("01", STUCK_ONCE, FINISH)
    process = mini.start("--scheduler", "inline")
    kernel = mini.pid("pid")
    kernel.parent().kill()
    until(lambda: gone(kernel), 3)
    output, _ = process.communicate(timeout=60)
    receipt = mini.receipt("01")
    assert process.returncode == 0, output
    assert receipt is not None
    assert receipt["attempts"] == [child.INFRASTRUCTURE, child.OK]


@linux
def test_kill_of_a_dask_worker_runs_the_job_again_without_an_orphan(mini: Mini) -> None:
    mini.add("01", STUCK_ONCE, FINISH)
    process = mini.start("--jobs", "1")
    kernel = mini.pid("pid")
    worker = kernel.parent().parent().parent()  # kernel < papermill child < forkserver < worker
    assert worker.pid != process.pid
    worker.kill()
    until(lambda: gone(kernel), 3)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert mini.receipt("01") is not None


@linux
@pytest.mark.parametrize("scheduler", ["inline", "local"])
def test_kill_of_the_runner_leaves_no_orphan_and_the_next_run_resumes(mini: Mini, scheduler: str) -> None:
    mini.add("01", FINISH)
    assert mini.run() == 0
    first = mini.receipt("01")
    mini.add("02", STUCK_ONCE, FINISH)
    process = mini.start("--scheduler", scheduler, "--jobs", "1")
    kernel = mini.pid("pid")
    process.kill()
    process.communicate()
    until(lambda: gone(kernel), 5)
    assert mini.receipt("02") is None
    (mini.layout.staging / "half").mkdir(parents=True)
    assert mini.run() == 0
    assert mini.receipt("02") is not None
    assert mini.receipt("01") == first, "what was done is not done again"
    assert not mini.layout.staging.exists()


@linux
def test_the_next_runner_kills_what_every_net_let_through(mini: Mini) -> None:
    environment = {**os.environ, guard.MARK: str(mini.layout.attempts / "old" / "1")}
    stray = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
    mini.add("01", f"import psutil\nassert psutil.Process({stray.pid}).status() == psutil.STATUS_ZOMBIE", FINISH)
    mine = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, guard.MARK: str(mini.root / "other")}
    )
    until(lambda: stray.pid in guard.marked(mini.layout.attempts), 5)
    try:
        assert mini.run() == 0, "it is gone before the first notebook starts"
        assert stray.wait(5) == -signal.SIGKILL
        assert mine.poll() is None, "a process of another checkout is not touched"
    finally:
        stray.kill()
        mine.kill()
        mine.wait()


def test_a_second_runner_is_refused_and_told_who_works(mini: Mini, capsys: pytest.CaptureFixture[str]) -> None:
    mini.add("01", STUCK_ONCE, FINISH)
    process = mini.start("--scheduler", "inline")
    kernel = mini.pid("pid")
    assert mini.run() == 3
    assert f"process {process.pid}" in capsys.readouterr().err
    assert not gone(kernel), "the first runner's notebook goes on"
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "cancelled" in output
    until(lambda: gone(kernel), 3)
    assert mini.run() == 0, "the lock ends with its holder"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB; where mounting is not permitted, a folder on which writing a large file fails alike."""
    disk = tmp_path / "disk"
    disk.mkdir()
    asked = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(asked, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        (disk / "refuses").touch()
    yield disk
    if mounted:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


FILL = """import os
from pathlib import Path
here = Path(os.environ["BLINDSPOT_ATTEMPT"])
if (Path(os.environ["BLINDSPOT_ROOT"]).parent / "refuses").exists():
    raise OSError(28, os.strerror(28))
(here / "large.csv").write_bytes(b"x" * 3_000_000)"""


def test_a_full_disk_is_said_clearly_and_publishes_nothing(small_disk: Path) -> None:
    mini = Mini(small_disk / "project")
    mini.add("01", FINISH, FILL)
    assert mini.run() == 1
    assert mini.receipt("01") is None
    assert list(mini.root.glob("reports/**/*.*")) == []
    failure = mini.failure("01")
    assert failure["kind"] == child.INFRASTRUCTURE
    assert failure["message"].startswith(child.FULL)
    assert failure["tries"] == [child.INFRASTRUCTURE], "a full disk does not empty itself"


def test_a_disk_that_fills_while_publishing_keeps_the_old_report(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, attempt = Layout(small_disk / "project"), tmp_path / "attempt"
    attempt.mkdir()
    content = {"experiment": "demo/01", "profile": "cpu", "key": "old", "components": {}, "outcome": "ok"}
    (attempt / "a.csv").write_text("x\n1\n")
    folder = store.publish(layout, attempt, content)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (attempt / "b.csv").write_bytes(b"x" * 3_000_000)
    if (small_disk / "refuses").exists():
        monkeypatch.setattr(store.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC) if not (small_disk / "refuses").exists() else "full"):
        store.publish(layout, attempt, {**content, "key": "new"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert store.is_local(layout, folder)
    assert not layout.staging.exists()


@pytest.mark.parametrize("damage", ["half", "gone", "edited"])
def test_a_damaged_report_is_not_done(mini: Mini, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    mini.add("01", FINISH)
    assert mini.run() == 0
    folder = mini.layout.report("demo/01", "smoke")
    if damage == "half":
        text = (folder / "receipt.json").read_bytes()
        (folder / "receipt.json").write_bytes(text[: len(text) // 2])
    elif damage == "gone":
        (folder / "a.csv").unlink()
    else:
        (folder / "a.csv").write_text("x,y\n1,999\n")
    capsys.readouterr()
    assert mini.cli("why", "--profile", "smoke") == 0
    said = {
        "half": "the receipt cannot be read",
        "gone": "a.csv is missing",
        "edited": "a.csv is missing or was edited",
    }
    assert said[damage] in capsys.readouterr().out
    assert mini.run() == 0
    assert (folder / "a.csv").read_text() == "x,y\n1,2\n"


def test_the_receipt_is_written_last(mini: Mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash just before the receipt leaves no folder that looks published."""
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    (attempt / "a.csv").write_text("x\n1\n")
    content = {"experiment": "demo/01", "profile": "cpu", "key": "k", "components": {}, "outcome": "ok"}

    def crash(path: Path, written: object) -> None:
        assert (path.parent / "a.csv").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_json", crash)
    with pytest.raises(KeyboardInterrupt):
        store.publish(mini.layout, attempt, content)
    assert not mini.layout.report("demo/01", "cpu").exists()


def test_a_report_set_aside_by_a_killed_runner_is_put_back(mini: Mini) -> None:
    mini.add("01", FINISH)
    assert mini.run() == 0
    folder = mini.layout.report("demo/01", "smoke")
    mini.layout.staging.mkdir()
    folder.rename(mini.layout.staging / "x.old")
    store.sweep(mini.layout)
    assert json.loads((folder / "receipt.json").read_text())["outcome"] == "ok"


@pytest.fixture
def hearing() -> Iterator[None]:
    """Ctrl-C as in a terminal's foreground, wherever the tests run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hearing")
def test_a_lost_interrupt_is_noticed(mini: Mini, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(schedule.Inline):
        def submit(self, job: Job) -> Future[Outcome]:
            with suppress(KeyboardInterrupt):  # as a destructor or a callback of the garbage collector does
                signal.raise_signal(signal.SIGINT)
            future: Future[Outcome] = Future()  # and the notebook goes on for a long time
            late = threading.Timer(10, future.set_result, [Outcome("ok")])
            late.daemon = True
            late.start()
            return future

    monkeypatch.setattr(schedule, "choose", lambda *_: Deaf())
    jobs = Spool([Job("demo/01", "smoke", "", str(mini.root), "", "", {}, (), 60.0, False, 1.0, "run")])
    with runner.session(mini.layout):
        ended = runner.perform(
            jobs, lambda _, outcome: outcome, layout=mini.layout, scheduler="inline", slots=1, budget_min=None
        )
    assert ended.counts == {"cancelled": 1} and list(ended.bad) == ["demo/01 smoke"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_is_ignored_stays_ignored(mini: Mini) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with runner.session(mini.layout):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_interrupted_runs_say_so_quickly(mini: Mini) -> None:
    mini.add("01", STUCK_ONCE, FINISH)
    mini.add("02", FINISH)
    process = mini.start("--jobs", "1")
    kernel = mini.pid("pid")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert time.monotonic() - began < 40, "stopping must not wait for the notebook"
    assert process.returncode in (1, 130), output
    assert "cancelled" in output
    until(lambda: gone(kernel), 3)
