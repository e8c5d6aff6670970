"""Real kernels of a small environment of their own, whose configuration `lib.setup` wrote, and a front end to talk."""

from __future__ import annotations

import os
import queue
import shutil
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from lib.setup import install_kernel

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 600  # on a busy machine an import takes minutes; how long something takes decides no test
OWN = ("BLINDSPOT_ATTEMPT", "BLINDSPOT_PROFILE", "BLINDSPOT_ROOT", "DATA_MIRROR")


@dataclass
class Reply:
    """What came back from one cell."""

    status: str
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["msg_type"] in kinds]

    @property
    def html(self) -> str:
        shown = [message["content"]["data"] for message in self.of("display_data", "execute_result")]
        return "".join(data.get("text/html", "") for data in shown)

    @property
    def text(self) -> str:
        return "".join(message["content"]["text"] for message in self.of("stream"))

    @property
    def traceback(self) -> str:
        return "\n".join(self.of("error")[0]["content"]["traceback"])


class Talk:
    """A kernel and the front end that talks to it."""

    def __init__(self, python: Path, root: Path, **variables: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in OWN}
        path = os.pathsep.join([str(ROOT), kept.pop("PYTHONPATH", "")]).rstrip(os.pathsep)
        own = {"PYTHONPATH": path, "IPYTHONDIR": str(root / "ipython"), "BLINDSPOT_OFFLINE": "1"}
        self.manager = KernelManager()
        argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager._kernel_spec = KernelSpec(argv=argv, display_name="ours", language="python")
        self.log = (root / "kernel.log").open("w")
        environment = {**kept, **own, "BLINDSPOT_ROOT": str(root), **variables}
        self.manager.start_kernel(env=environment, cwd=str(root), stdout=self.log, stderr=self.log)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)

    def send(self, code: str, *, watched: bool = True) -> str:
        return self.client.execute(code, allow_stdin=watched)

    def reply(self, message_id: str, *, until: Callable[[dict], bool] | None = None) -> Reply:
        """All messages of a cell up to its end, or up to the first for which ``until`` holds."""
        found, end = Reply("running"), time.monotonic() + PATIENCE_S
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                kinds = [part["msg_type"] for part in found.messages]
                raise AssertionError(f"no end of the cell within {PATIENCE_S} s; so far {kinds[-20:]}") from None
            if message["parent_header"].get("msg_id") != message_id:
                continue
            found.messages.append(message)
            if until is not None and until(message):
                return found
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        while True:
            answer = self.client.get_shell_msg(timeout=PATIENCE_S)
            if answer["parent_header"].get("msg_id") == message_id:
                found.status = answer["content"]["status"]
                return found

    def run(self, code: str, *, watched: bool = True) -> Reply:
        return self.reply(self.send(code, watched=watched))

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.log.close()


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that sees every installed package and has a configuration of its own."""
    import ipykernel

    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "installed.pth").write_text(f"{Path(ipykernel.__file__).parents[1]}\n")
    assert "set up" in install_kernel(folder)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def start(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Talk]]:
    """Start kernels in folders of their own; all of them end with the module."""
    talks: list[Talk] = []

    def one(root: Path | None = None, **variables: str) -> Talk:
        talks.append(Talk(python, root or tmp_path_factory.mktemp("project"), **variables))
        return talks[-1]

    yield one
    for talk in talks:
        talk.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, or a skip that says how to get one."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine: `apt-get install chromium`, or install Chrome, to look at the cards")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
