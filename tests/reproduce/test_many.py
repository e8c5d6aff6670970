"""Training on many devices ahead of a notebook: the notebook finds it, a dead process costs no finished work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mini_project import Mini

from lib import trained
from lib.experiments import DeclarationError
from lib.measure import inpainting, table_networks
from lib.reproduce import many

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
WAVES = dict(columns=2, cycles=2.0, n_rows=64, epochs=5, seed=3, batch_size=16, n_frequencies=4, width=16)
PATCHES = dict(category="objects", source="digits", seed=1, hiding="salient", fill="empty", patch=4, sets=4, cell=2)
PATCHES |= dict(n_images=32, epochs=3, width=4, batch_size=16, lr=2e-3)
OPEN = """import os, signal
import lib.run
from lib import train
from lib.measure import inpainting, table_networks
run = lib.run.open("demo/01", globals())
assert n_seeds == 3, n_seeds"""
WATCH = """first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
train.CHECKPOINT_EVERY_S = 0.0
save, fit = train._State.save, train.fit
def last_save(*args, **options):
    save(*args, **options)
    if first and os.environ["RANK"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
def told(*args, **options):
    history = fit(*args, **options)
    if os.environ["RANK"] == "0":
        print(f"fitted {len(history.loss)} epochs from {history.resumed_at} by {train._State.__module__}")
    return history
train._State.save, train.fit = last_save, told"""
SHARED = f"def network(seed):\n    return run.trained(table_networks.train_on_waves, **{WAVES!r} | dict(seed=seed))"
ASK = f"""waves = network(n_seeds)
restorer = run.trained(inpainting.train_inpainting, **{PATCHES!r})
print(f"rank {{os.environ['RANK']}} holds {{sum(float(v.sum()) for v in restorer.values()):.9f}}")"""
MEASURE = "raise RuntimeError('the cells after the last training are not for this')"


@pytest.fixture(scope="module", params=[[], ["--shard"]], ids=["whole", "shards"])
def done(request, tmp_path_factory) -> tuple[Mini, subprocess.CompletedProcess[str]]:
    """Two processes, the first of which dies once in the second training, after its first checkpoint."""
    mini = Mini(tmp_path_factory.mktemp("many") / "project")
    mini.add("01", OPEN, WATCH, SHARED, ASK, MEASURE, more='["01".profiles.cpu]\nn_seeds = 3')
    command = [sys.executable, "-m", "lib.reproduce.many", "demo/01", "--profile", "cpu", "--devices", "2"]
    environment = {**os.environ, "BLINDSPOT_ROOT": str(mini.root), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command += ["--restarts", "1", *request.param]
    return mini, subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


def kept(mini: Mini, function, arguments) -> dict[str, torch.Tensor]:
    """What the store has; fails where it would train."""

    def never(**_: object) -> dict[str, torch.Tensor]:
        raise AssertionError(f"{function.__name__} is not kept")

    never.__name__, never.__qualname__, never.__module__ = function.__name__, function.__qualname__, function.__module__
    return trained.once(never, arguments, store=mini.root / ".blindspot" / "trained")


def test_the_notebook_finds_what_was_trained(done):
    mini, ended = done
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "1 trained by 2 processes, 1 kept before" in ended.stdout
    found = kept(mini, table_networks.train_on_waves, WAVES)
    alone = table_networks.train_on_waves(**WAVES)
    # 1e-5: the mean of two half-batch gradients is summed in another order, and Adam divides by small roots
    assert all(torch.allclose(value, found[name], atol=1e-5) for name, value in alone.items())


def test_a_dead_process_costs_no_finished_epoch(done):
    mini, ended = done
    how = "lib.reproduce.shards" if "--shard" in ended.args else "lib.train"
    assert f"fitted 3 epochs from 1 by {how}" in ended.stdout, "it goes on from its first checkpoint"
    assert ended.stdout.count("fitted") == 1
    assert len(kept(mini, inpainting.train_inpainting, PATCHES)["loss"]) == 3


def test_processes_hold_the_same_and_leave_no_scraps(done, request):
    mini, ended = done
    held = re.findall(r"holds (-?\d+\.\d{9})", ended.stdout)  # two processes write one line between them at times
    assert len(held) == 2 and len(set(held)) == 1, ended.stdout
    store = mini.root / ".blindspot" / "trained"
    endings = sorted(path.suffix for path in store.iterdir() if path.suffix != ".lock")
    assert endings == [".json", ".json", ".pt", ".pt"]
    made = [json.loads(path.read_text()) for path in store.glob("*.json")]
    assert [one["processes"] for one in made] == [2, 2]
    assert [one["shards"] for one in made] == ["shards" in request.node.name] * 2
    assert [path.name for path in (mini.root / ".blindspot").iterdir()] == ["trained"], "no draft, no report"
    assert not (mini.root / "reports").exists()


def test_cells_end_with_the_last_training(mini):
    path = mini.add(
        "01", "a = run.trained(f)", "def g():\n    return run.trained(f)", "b = g()", "trained = a", "c = 2"
    )
    found = list(many.cells(path, {"share": 0.25}))
    assert [place.split(", ")[-1] for place, _ in found] == [
        "code cell 1", "parameters", "code cell 2", "code cell 3", "code cell 4"
    ]  # fmt: skip
    assert found[1][1] == "share = 0.25"
    assert not list(many.cells(mini.add("02", "c = 2"), {}))


def test_one_notebook_at_a_time(mini):
    mini.add("01", "c = 2")
    mini.add("02", "c = 2")
    with pytest.raises(DeclarationError, match="demo names 2 notebooks; name one, for example demo/01"):
        many.only(mini.root, "demo", "smoke")
    assert many.only(mini.root, "demo/02", "smoke").experiment.id == "demo/02"
