"""The environment's kernels are told once to load lib.lab; what somebody else wrote there stays as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib.setup import CONFIG, LINE, MARK, install_kernel

ROOT = Path(__file__).resolve().parents[2]


def config(prefix: Path) -> Path:
    return prefix / "etc" / "ipython" / "ipython_kernel_config.py"


def test_written_once_where_kernels_of_the_environment_look(tmp_path):
    from IPython.core.application import ENV_CONFIG_DIRS

    assert config(Path(sys.prefix)).parent == Path(ENV_CONFIG_DIRS[0])
    assert "set up" in install_kernel(tmp_path)
    assert config(tmp_path).read_text() == CONFIG and LINE in CONFIG
    assert "already" in install_kernel(tmp_path)
    config(tmp_path).write_text(f"{MARK}# of an earlier version\n")
    assert "set up" in install_kernel(tmp_path) and config(tmp_path).read_text() == CONFIG
    assert [path.name for path in config(tmp_path).parent.iterdir()] == [config(tmp_path).name], "no half-written file"


@pytest.mark.parametrize(("more", "told"), [("", "add to it"), (LINE, "already")])
def test_a_configuration_of_somebody_else_is_left_alone(tmp_path, more, told):
    config(tmp_path).parent.mkdir(parents=True)
    config(tmp_path).write_text(f"c.Application.log_level = 30\n{more}\n")
    line = install_kernel(tmp_path)
    assert told in line and (LINE in line) is (more == "")
    assert config(tmp_path).read_text() == f"c.Application.log_level = 30\n{more}\n"


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "etc").write_text("a file where the folder should be")
    assert "cannot be written" in install_kernel(tmp_path)


def test_the_extension_is_light_and_in_no_key():
    from lib.closure import Library

    heavy = ("torch", "numpy", "pandas", "matplotlib", "IPython", "lib.run", "lib.experiments")
    parts = ("cards", "errors", "interrupt", "ledger", "pictures", "progress")
    imports = ", ".join(f"lib.lab.{part}" for part in parts)
    code = f"import sys, {imports}; print([name for name in {heavy} if name in sys.modules])"
    kept = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=kept)
    assert done.stdout.strip() == "[]"
    reached = Library(ROOT / "lib").closure(["import lib.run", "from lib import train, stats, plots, data, measure"])
    assert reached and not [name for name in reached if name.startswith(("lib.lab", "lib.setup"))]
