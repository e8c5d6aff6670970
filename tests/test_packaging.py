"""pyproject.toml, requirements.lock and environment.yml say the same."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent


def locked() -> dict[str, Version]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pins}


def peers() -> list[str]:
    return (ROOT / "requirements-peers.txt").read_text(encoding="utf-8").splitlines()


def wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["dev"]]


def test_the_lock_satisfies_pyproject():
    pins = locked()
    for requirement in wanted():
        version = pins[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} against {version}"


def test_the_lock_serves_cpu_and_cuda_machines():
    """A local version such as +cpu, or a CUDA package, would tie the lock to one kind of machine."""
    assert not any(pin.local for pin in locked().values())
    assert not [name for name in locked() if re.match(r"nvidia|triton|xgboost$", name)]


def test_peers_are_pinned_explained_and_outside_the_lock():
    """The lock's hash is in the key of every run; what is only compared with must not change it."""
    assert peers()[0].startswith("# What `make bench` and some tests compare with.")
    pins = [Requirement(line) for line in peers() if not line.startswith("#")]
    names = {"array-api-compat", "dcor", "llvmlite", "markdown2", "numba", "outrank", "pdoc", "quantus", "saliency"}
    assert {pin.name for pin in pins} == names
    assert all(re.fullmatch(r"==[\d.]+", str(pin.specifier)) for pin in pins)
    assert not {canonicalize_name(pin.name) for pin in pins} & set(locked())
    assert not {pin.name for pin in pins} & {requirement.name for requirement in wanted()}


def test_make_installs_peers_only_into_its_own_environment():
    outside = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    asked = ["make", "--dry-run", "--always-make", "--no-print-directory"]
    for target in ("test", "bench", "site"):
        for env, expected in (("ENV=active", False), ("HELD=", True)):
            done = subprocess.run(
                [*asked, env, target], cwd=ROOT, env=outside, capture_output=True, text=True, check=True
            )
            found = re.search(r"pip install .*--no-deps -r requirements-peers\.txt", done.stdout) is not None
            assert found == expected, f"{target} with {env}"


def test_environment_yml_installs_the_lock():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "- -r requirements.lock" in text
    assert re.search(r"- python=3\.1[1-3]$", text, re.MULTILINE)


def test_what_is_installed_is_the_lock():
    from importlib.metadata import version

    pins = locked()
    for requirement in wanted():
        assert Version(version(requirement.name)).base_version == pins[canonicalize_name(requirement.name)].base_version


def test_the_lock_installs_on_the_oldest_python_that_is_promised():
    from importlib.metadata import metadata

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = Version(project["requires-python"].removeprefix(">=") + ".0")
    asked = {name: metadata(name).get("Requires-Python") for name in locked()}
    refusing = {name: text for name, text in asked.items() if text and oldest not in SpecifierSet(text)}
    assert not refusing, f"these want a newer Python than {oldest}: pin an older release of each"


def test_makefile_is_short_and_explained():
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    phony = next(line for line in lines if line.startswith(".PHONY:")).split()[1:]
    for target in phony:
        assert any(re.match(rf"{target}:.*## ", line) for line in lines), f"{target} has no help text"


def test_make_hands_on_several_notebooks_as_one_argument():
    outside = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    for target, word in {
        "reproduce": "run",
        "plan": "plan",
        "why": "why",
        "smoke": "run",
        "bench": "lib.bench",
        "explore": "explore",
    }.items():
        asked = ["make", "--dry-run", "--no-print-directory", "ENV=active", target, "ONLY=cxr/01 xai"]
        done = subprocess.run(asked, cwd=ROOT, env=outside, capture_output=True, text=True, check=True)
        line = done.stdout.splitlines()[-1]
        words = shlex.split(line)
        assert word in words
        assert words[words.index("--only") + 1] == "cxr/01 xai"
