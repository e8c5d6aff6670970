"""A warm kernel: what it inherits, what it must not, and what is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from mini_project import FINISH, Mini, gone, until

from lib.reproduce import warm

pytestmark = pytest.mark.skipif(not warm.POSSIBLE, reason="kernels start cold where a fork may crash")

# a notebook that tells what it finds, once in a warm kernel and once in the cold one of JupyterLab
TELL = """import json, os, sys
import multiprocessing
from pathlib import Path
told = {
    "lib": sorted(name for name in sys.modules if name.split(".")[0] == "lib"),
    "hash": hash("blindspot"), "cwd": os.getcwd(), "attempt": os.environ["BLINDSPOT_ATTEMPT"],
    "threads": os.environ["OMP_NUM_THREADS"], "method": multiprocessing.get_start_method(),
    "main": __name__,
}
(Path(os.environ["BLINDSPOT_ROOT"]) / "told.json").write_text(json.dumps(told))"""


# tensors of 8 MB, made and dropped: their pages are either kept for the next one or asked of the system anew
REUSE = """import os, resource
from pathlib import Path
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
size, times = 8 * 2**20, 50
for _ in range(3):
    bytearray(size)
before = faults()
for _ in range(times):
    bytearray(size)
share = (faults() - before) / (times * size / os.sysconf("SC_PAGESIZE"))
(Path(os.environ["BLINDSPOT_ROOT"]) / "share").write_text(str(share))"""


@pytest.fixture
def mini(tmp_path: Path) -> Mini:
    return Mini(tmp_path / "project")


def asked(code: str) -> str:
    """What a fresh interpreter prints with the kernel's hash seed."""
    words = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_it_is_as_fresh_as_another_interpreter(mini: Mini) -> None:
    notebook = mini.add("01", TELL, FINISH)
    assert mini.run() == 0
    told = json.loads((mini.root / "told.json").read_text())
    assert told["lib"] == [], "a kernel imports the lib of its own project"
    assert told["hash"] == int(asked("print(hash('blindspot'))"))
    assert told["method"] == asked("import multiprocessing; print(multiprocessing.get_start_method())")
    assert (told["cwd"], told["main"], told["threads"]) == (str(notebook.parent), "__main__", "1")
    assert Path(told["attempt"]).is_relative_to(mini.layout.attempts)


@pytest.mark.parametrize("scheduler", ["inline", "local"])
def test_memory_is_used_again_whatever_the_worker_inherited(mini: Mini, scheduler: str) -> None:
    mini.add("01", REUSE, FINISH)
    process = mini.start("--scheduler", scheduler)  # of its own: Dask's settings are the process's
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert float((mini.root / "share").read_text()) < 0.05, "Dask's worker gives freed memory back at once"


def test_heavy_imports_are_made_only_for_notebooks_that_use_lib(tmp_path: Path) -> None:
    plain, user = tmp_path / "plain.ipynb", tmp_path / "user.ipynb"
    plain.write_text("import json")
    user.write_text("import lib.run")
    assert set(warm.imports(plain)) < set(warm.imports(user))
    assert "lib.run" in warm.imports(user)


def forked(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of one thread, which may fork."""
    start = "import os, signal, sys, time\nfrom lib.reproduce.warm import Waiting\n"
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("end", "code"), [("kill", -signal.SIGKILL), ("terminate", -signal.SIGTERM)])
def test_its_end_is_told_as_popen_tells_it(end: str, code: int) -> None:
    done = forked(
        f"one = Waiting()\nassert one.poll() is None\none.{end}()\nprint(one.wait(), one.poll(), one.returncode)"
    )
    assert done.stdout.split() == [str(int(code))] * 3, done.stderr


def test_without_orders_it_ends_by_itself() -> None:
    done = forked("one = Waiting()\nos.close(one._says)\nprint(one.wait())")
    assert done.stdout.strip() == "0", done.stderr


def test_it_does_not_outlive_the_process_that_made_it() -> None:
    done = forked("one = Waiting()\nprint(one.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    until(lambda: ended(int(done.stdout)), 10)


def ended(pid: int) -> bool:
    """Whether no process of this number is running."""
    try:
        return gone(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return True


def test_surroundings_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLINDSPOT_SET", "before")
    monkeypatch.delenv("BLINDSPOT_UNSET", raising=False)
    with warm.surroundings({"BLINDSPOT_SET": "now", "BLINDSPOT_UNSET": "now"}):
        assert (os.environ["BLINDSPOT_SET"], os.environ["BLINDSPOT_UNSET"]) == ("now", "now")
    assert os.environ["BLINDSPOT_SET"] == "before"
    assert "BLINDSPOT_UNSET" not in os.environ
