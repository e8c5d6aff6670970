"""Small trainings for one process and for many; as a script, what each process of a launcher does with them.

``torchrun --standalone --nproc-per-node 2 --max-restarts 1 tests/many_ranks.py FOLDER`` leaves one file of results for
each training and rank. On the first attempt the last rank kills itself in the middle of ``broken``; the launcher then
starts all ranks again, and ``broken`` goes on from its checkpoint.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from lib import train
from lib.models import mae

ROOT = Path(__file__).resolve().parents[1]
RANKS = 2
BATCH, EPOCHS = 16, 5
KILLED_AT = 11  # the third step of the third epoch
COPIED_AT = 9  # the first step of the third epoch


class Watched:
    """A loss that notes the rows it is given, last in the batch, and may do something at the start of a step."""

    def __init__(self, loss: train.Loss, at: dict[int, Callable[[], object]] | None = None) -> None:
        self.loss, self.at, self.rows = loss, at or {}, []

    def __call__(self, model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
        self.rows.append(batch[-1].tolist())
        self.at.get(len(self.rows), int)()
        return self.loss(model, batch, generator)


def squared(model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def noisy(model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
    return squared(model, (batch[0] + 0.1 * torch.randn(batch[0].shape, generator=generator), batch[1]), generator)


def hidden_patches(model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
    """Masks come with the images: drawn in the loss they would be other masks in every process."""
    images, hidden, _ = batch
    return mae.reconstruction_loss(model(images, hidden), mae.patches(images, 4), hidden)


def rows(n: int) -> tuple[Tensor, ...]:
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(0))
    return x, x[:, :1] * 2 - x[:, 1:2], torch.arange(n)


def images() -> tuple[Tensor, ...]:
    chance = torch.Generator().manual_seed(0)
    order = torch.rand(64, 9, generator=chance).argsort(dim=1)
    return torch.rand(64, 1, 12, 12, generator=chance), order < 6, torch.arange(64)


def network(*, dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 16), nn.Dropout(dropout), nn.ReLU(), nn.Linear(16, 1))


def autoencoder() -> nn.Module:
    return mae.MAE(12, width=32, depth=2, decoder_width=32, generator=torch.Generator().manual_seed(0))


def held_out(model: nn.Module) -> float:
    return float(squared(model, tuple(part[:9] for part in rows(40)), torch.Generator()))


def trained(
    name: str, *, checkpoint: Path | None = None, at: dict[int, Callable[[], object]] | None = None
) -> dict[str, Any]:
    """Weights, history and rows of one of the trainings: ``mlp``, ``uneven``, ``noisy`` or ``mae``."""
    if name == "mae":
        model, loss, tensors, options = autoencoder(), hidden_patches, images(), dict(lr=2e-3)
    else:
        model = network(dropout=0.2 if name == "noisy" else 0.0)
        loss, tensors = noisy if name == "noisy" else squared, rows(30 if name == "uneven" else 64)
        options = dict(lr=0.02, ema=0.9, early_stop=train.EarlyStop(held_out, patience=50))
    watched = Watched(loss, at)
    history = train.fit(
        model, watched, tensors, epochs=EPOCHS, batch_size=8 if name == "uneven" else BATCH, checkpoint=checkpoint,
        generator=torch.Generator().manual_seed(1), **options,
    )  # fmt: skip
    return {"weights": model.state_dict(), "rows": watched.rows, "history": vars(history)}


def launch(script: str, folder: Path) -> None:
    """Run a script with a folder as its word in `RANKS` processes, which start again once when one of them dies."""
    options = ["--standalone", "--nproc-per-node", str(RANKS), "--max-restarts", "1"]
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", *options, script, str(folder)]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


def left(folder: Path, name: str) -> list[dict[str, Any]]:
    """The results of one training, by rank."""
    return [torch.load(folder / f"{name}-{rank}", weights_only=True) for rank in range(RANKS)]


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two results have the same weights, losses and scores to the bit."""
    weights = all(torch.equal(value, b["weights"][name]) for name, value in a["weights"].items())
    return weights and all(a["history"][name] == b["history"][name] for name in ("loss", "score", "best_epoch"))


def losses_of_one_process(folder: Path, name: str) -> dict[str, Any]:
    """Assert that all ranks have the losses and scores of one process, and give the results of that.

    To 1e-5: the mean of two half-batch gradients is summed in another order.
    """
    alone, (first, second) = trained(name), left(folder, name)
    assert alone["history"]["steps"] == first["history"]["steps"] == 20
    for told in ("loss", "score"):
        assert first["history"][told] == pytest.approx(alone["history"][told], abs=1e-5)
    assert same(first, second), "every process has the whole weights at the end"
    return alone


def weights_of_one_process(folder: Path) -> None:
    """Assert likewise of the weights of the mlp.

    Not of attention: it has key biases whose gradient is rounding noise, which Adam blows up to full steps.
    """
    alone, first = trained("mlp"), left(folder, "mlp")[0]
    assert all(torch.allclose(value, first["weights"][name], atol=1e-5) for name, value in alone["weights"].items())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path) -> None:
    """What one rank does; every training is one that the other ranks take part in."""
    train.CHECKPOINT_EVERY_S = 0.0
    rank, again = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    last = rank == int(os.environ["WORLD_SIZE"]) - 1
    if not again:
        path = folder / "mlp.pt"
        half = {COPIED_AT: lambda: shutil.copy(path, folder / "half.pt")} if rank == 0 else {}
        torch.save(trained("mlp", checkpoint=path, at=half), folder / f"mlp-{rank}")
        torch.save(trained("mae", checkpoint=folder / f"mae-{rank}.pt"), folder / f"mae-{rank}")
        torch.save(trained("uneven"), folder / f"uneven-{rank}")
        torch.save(trained("noisy"), folder / f"noisy-{rank}")
    fatal = {KILLED_AT: die} if last and not again else {}
    torch.save(trained("noisy", checkpoint=folder / "broken.pt", at=fatal), folder / f"broken-{rank}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    distributed.destroy_process_group()  # threads of gloo that outlive the interpreter abort the process
