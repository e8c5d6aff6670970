"""A real Dask cluster: every process apart, one worker killed, one cut off, and those that may not take part."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dask_site import PATIENCE_S, Site, Spaces
from mini_project import FINISH, ROOT, Mini, gone, until

from lib.reproduce import agree, guard

pytestmark = pytest.mark.timeout(900)  # on a machine that is busy with other things
linux = pytest.mark.skipif(os.name == "nt", reason="kill -9 and shell recipes")

# Tells where it starts and ends. One that waits does so in its first attempt only, until a file comes.
TELL = """import os, time
from pathlib import Path
meet = Path({meet!r})
with (meet / "{number}.starts").open("a") as stream:
    stream.write(f"{{os.getpid()}} {{os.environ['BLINDSPOT_ROOT']}}\\n")
if {waits} and len((meet / "{number}.starts").read_text().splitlines()) == 1:
    while not (meet / "{number}.go").exists():
        time.sleep(0.1)"""
REGISTRY = f"""
[tiny]
kind = "table"
title = "Tiny"
licence = "none"
citation = "none"
folder = "tiny"
files = [{{ name = "tiny.csv", bytes = 4, sha256 = "{hashlib.sha256(b"a,b" + bytes([10])).hexdigest()}" }}]
[digits]
kind = "images"
title = "Digits"
licence = "none"
citation = "none"
bundled = "scikit-learn"
"""
END = """with (meet / "{number}.ends").open("a") as stream:
    stream.write("x\\n")"""


class Meeting:
    """A project whose notebooks tell each other, and the test, where they run."""

    def __init__(self, folder: Path) -> None:
        self.mini, self.place = Mini(folder / "project"), folder / "meet"
        self.place.mkdir()
        (self.mini.root / "requirements.lock").write_text("one==1\n")

    def add(self, *numbers: str, waits: bool = False) -> None:
        for number in numbers:
            start = TELL.format(meet=str(self.place), number=number, waits=waits)
            self.mini.add(number, start, FINISH, END.format(number=number))

    def starts(self, number: str) -> list[tuple[int, Path]]:
        """Kernel and checkout of every attempt at a notebook."""
        path = self.place / f"{number}.starts"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(pid), Path(root)) for pid, root in (line.split(" ", 1) for line in lines)]

    def ends(self, number: str) -> int:
        path = self.place / f"{number}.ends"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def first(self, number: str) -> tuple[psutil.Process, str]:
        """The kernel of a notebook's first attempt, and the worker that has it."""
        until(lambda: bool(self.starts(number)), PATIENCE_S)
        pid, root = self.starts(number)[0]
        return psutil.Process(pid), root.name

    def events(self, event: str) -> Counter[str]:
        """How often the runs' logs say that something happened to each notebook."""
        logs = [path.read_text() for path in self.mini.layout.scratch.glob("logs/*.log")]
        return Counter(re.findall(rf"demo/(\d+) smoke: {event}", "\n".join(logs)))

    def published(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.mini.root.glob("reports/**/*") if path.is_file()}


SIX = ("01", "02", "03", "04", "05", "06")


def battle(site: Site, meeting: Meeting, *, ends_alone: bool) -> str:
    """Three workers, six notebooks; the first one's worker is killed and the second one's is cut off.

    Returns the name of the worker that was cut off, still cut off.
    """
    meeting.add("01", "02", waits=True)
    meeting.add(*SIX[2:])
    for name in ("one", "two", "three"):
        site.checkout(name)
        site.worker(name)
    process = site.runner()
    (killed, doomed), (cut, lonely) = meeting.first("01"), meeting.first("02")
    assert doomed != lonely
    site.kill(doomed)
    site.cut(lonely)
    until(lambda: gone(killed), PATIENCE_S)
    if ends_alone:
        until(lambda: gone(cut), PATIENCE_S)
    else:
        (meeting.place / "02.go").touch()
        until(lambda: meeting.ends("02") == 1, PATIENCE_S)
    output, _ = process.communicate(timeout=2 * PATIENCE_S)
    assert process.returncode == 0, output
    assert "6 ran, 0 were done already, 0 failed" in output
    return lonely


def check_once(meeting: Meeting, *, finished: int) -> None:
    """Every result is there and was published once; only the disturbed notebooks started again.

    The one whose worker was killed may be given to the worker that is cut off next, and then starts a third time.
    """
    assert meeting.events("ok") == dict.fromkeys(SIX, 1)
    started = [len(meeting.starts(number)) for number in SIX]
    assert started[0] in (2, 3) and started[1:] == [2, 1, 1, 1, 1]
    assert [meeting.ends(number) for number in SIX] == [1, finished, 1, 1, 1, 1]
    for number in SIX:
        receipt = meeting.mini.receipt(number)
        assert receipt is not None
        assert (receipt["outcome"], receipt["attempts"]) == ("ok", ["ok"])
        report = meeting.mini.layout.report(f"demo/{number}", "smoke")
        assert (report / "a.csv").read_text() == "x,y\n1,2\n"
        executed = json.loads(meeting.mini.layout.executed(f"demo/{number}", "smoke").read_text())
        assert len(executed["cells"]) == 5, "the executed notebook came too, with papermill's own cell"
        assert {root.name for _, root in meeting.starts(number)} <= {"one", "two", "three"}


@pytest.fixture(scope="module")
def battled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Meeting, str]]:
    """A site after the battle, in one network, with links that end when they are cut."""
    folder = tmp_path_factory.mktemp("battle")
    meeting = Meeting(folder)
    site = Site(folder / "site", meeting.mini)
    try:
        yield site, meeting, battle(site, meeting, ends_alone=True)
    finally:
        site.close()


Battled = tuple[Site, Meeting, str]


@linux
def test_all_results_arrive_once_and_no_process_remains(battled: Battled) -> None:
    site, meeting, lonely = battled
    check_once(meeting, finished=1)
    before = meeting.published()
    site.heal(lonely)
    site.ended(site.root(lonely))
    assert meeting.published() == before
    assert guard.marked(site.folder) == [], "an attempt's process runs on"
    workers = [name for name in site.nannies if site.processes(site.root(name))]
    assert len(workers) == 1, "a killed worker and one without a scheduler are gone with all they started"


@linux
def test_a_runner_that_is_killed_takes_its_notebooks_on_other_machines_along(battled: Battled) -> None:
    site, meeting, _ = battled
    meeting.add("07", waits=True)
    for name in ("one", "two", "three"):
        site.checkout(name)
    process = site.runner("--only", "demo/07")
    kernel, _ = meeting.first("07")
    process.kill()
    process.communicate()
    until(lambda: gone(kernel), PATIENCE_S)
    until(lambda: guard.marked(site.folder) == [], PATIENCE_S)
    (meeting.place / "07.starts").unlink()


@linux
def test_a_scheduler_that_is_killed_ends_the_run_in_words_and_its_workers(battled: Battled) -> None:
    site, meeting, _ = battled
    process = site.runner("--only", "demo/07")
    kernel, _ = meeting.first("07")
    site.scheduler.kill()
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "the scheduler is gone" in output
    assert "Traceback" not in output
    until(lambda: gone(kernel), PATIENCE_S)
    site.ended()


@pytest.mark.slow
@linux
def test_in_separate_networks_what_a_lost_worker_finishes_is_not_published_again(tmp_path: Path) -> None:
    """The cable goes, so that neither end hears of it; where no namespaces can be made, the links are cut instead."""
    meeting, apart = Meeting(tmp_path), Spaces.possible()
    site = (Spaces if apart else Site)(tmp_path / "site", meeting.mini)
    try:
        lonely = battle(site, meeting, ends_alone=not apart)
        check_once(meeting, finished=2 if apart else 1)
        before = meeting.published()
        site.heal(lonely)
        site.ended(site.root(lonely))
        assert meeting.published() == before
        assert meeting.events("ok") == dict.fromkeys(SIX, 1)
        assert guard.marked(site.folder) == []
        site.scheduler.terminate()
        site.ended()
    finally:
        site.close()


@linux
def test_workers_with_another_lib_lock_or_data_refuse_and_say_what_differs(tmp_path: Path) -> None:
    """Those that are there before the run stop it; a job whose data differ fails by itself, once."""
    meeting, registry = Meeting(tmp_path), tmp_path / "registry.toml"
    registry.write_text(REGISTRY)
    meeting.add("01")
    meeting.mini.add("02", FINISH, data='["tiny", "digits"]')
    for folder, text in (("data", "a,b\n"), ("other-data", "a;b\n")):
        (tmp_path / folder / "tiny").mkdir(parents=True)
        (tmp_path / folder / "tiny" / "tiny.csv").write_text(text)
    shared = {"DATA_REGISTRY": str(registry), "DATA_MIRROR": "", "DATA_DIR": str(tmp_path / "data")}
    site = Site(tmp_path / "site", meeting.mini)
    try:
        three_odd_ones(site, shared, tmp_path)
        refused, output = site.run(**shared)
        assert refused == 2, output
        assert "2 of 3 workers" in output and "nothing was started" in output
        assert re.search(r"tcp://127\.0\.0\.1:\d+: module lib\.stats differs\n", output)
        assert re.search(r"tcp://127\.0\.0\.1:\d+: requirements\.lock differs\n", output)
        assert agree.AGAIN in output
        for name in ("lib", "lock"):
            site.kill(name)
        failed, output = site.run("--profile", "cpu", **shared)
        assert failed == 1, output
        assert "1 ran, 0 were done already, 1 failed" in output
    finally:
        site.close()
    failure = json.loads(meeting.mini.layout.outcome("demo/02", "cpu").read_text())
    assert (failure["kind"], failure["tries"]) == ("infrastructure", ["infrastructure"]), "refused is not tried again"
    where = r"refused by the worker on \S+ \(tcp://127\.0\.0\.1:\d+\): data tiny cannot be used: sha256"
    assert re.match(where, failure["message"])
    assert meeting.mini.receipt("01", "cpu") is not None
    assert meeting.mini.receipt("02", "cpu") is None


def three_odd_ones(site: Site, shared: dict[str, str], folder: Path) -> None:
    """Workers with other data, with another constant in lib, and with another lock."""
    shutil.copytree(ROOT / "lib", folder / "copy" / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    stats = folder / "copy" / "lib" / "stats.py"
    stats.write_text(stats.read_text() + "\nANOTHER = 1\n")
    own = {"data": {"DATA_DIR": str(folder / "other-data")}, "lib": {"PYTHONPATH": str(folder / "copy")}, "lock": {}}
    for name, more in own.items():
        site.checkout(name)
        if name == "lock":
            (site.root(name) / "requirements.lock").write_text("one==2\n")
        site.worker(name, **{**shared, **more})
    site.all_there(3)


@pytest.mark.parametrize("name", ["slurm.sh", "ssh.sh"])
def test_shell_recipes_parse(name: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / "cluster" / name)], check=True)
