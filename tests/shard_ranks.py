"""As `many_ranks`, with every model in shards, and with models and losses that shards may find hard.

``torchrun --standalone --nproc-per-node 2 --max-restarts 1 tests/shard_ranks.py FOLDER`` leaves one file of results for
each training and rank; ``FOLDER/alone.pt`` has to be a checkpoint of one process. On the first attempt the last rank
kills itself in ``broken``.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import many_ranks
import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor

from lib import train
from lib.reproduce import shards


class Odd(nn.Module):
    """Weights used twice, a frozen block, a kernel stored channels last, another method beside ``forward``.

    What its blocks return is a view and is changed in place, which a hook on it does not survive.
    """

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.kernels = nn.Sequential(nn.Conv2d(1, 8, 3, stride=3), nn.Conv2d(8, 8, 2, stride=2))
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.first, self.last = nn.Linear(32, 16), nn.Linear(16, 16)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(16, 16), nn.GELU(), nn.Unflatten(1, (4, 4))) for _ in range(3)
        )
        self.head = nn.Linear(16, 16)
        self.head.weight = self.last.weight
        self.blocks[1].requires_grad_(False)
        self.kernels[1].to(memory_format=torch.channels_last)

    def encode(self, images: Tensor) -> Tensor:
        z = self.first(self.norm(self.kernels(images)).flatten(1))
        for block in self.blocks:
            added = block(z)
            added += z.view(-1, 4, 4)
            z = added.flatten(1)
        return self.last(z)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encode(images))


def odd(*, norm: bool = False, seed: int = 0) -> Odd:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Odd(norm=norm)


def corner(model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
    """Squared error of the corner of the images."""
    return (model(batch[0]).view(-1, 4, 4) - batch[0][:, 0, :4, :4]).square().mean()


def encoded(model: nn.Module) -> float:
    """A score through another method than ``forward``."""
    return float(train.predict(model.encode, many_ranks.images()[0][:9]).square().mean())


def asking(model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
    return model.encode(batch[0]).square().mean()


def weighing(model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
    return corner(model, batch, generator) + sum(parameter.square().sum() for parameter in model.parameters())


class Reaching(Odd):
    """Uses the weight of a block without calling the block."""

    def encode(self, images: Tensor) -> Tensor:
        z = self.first(self.kernels(images).flatten(1))
        return nn.functional.linear(z, self.blocks[0][0].weight)


class Scaled(Odd):
    """Has a parameter without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))


def fitted(model: nn.Module, loss: train.Loss = corner, *, tensors: Any = None, **options: Any) -> train.History:
    return train.fit(
        model, loss, tensors or many_ranks.images(), epochs=2, batch_size=16, lr=2e-3,
        generator=torch.Generator().manual_seed(1), **options,
    )  # fmt: skip


def twice(rank: int = 0) -> dict[str, Any]:
    """Two fits of one model: losses, scores, weights, and what became of its parts. Ranks begin with other weights."""
    model = odd(seed=rank)
    own, kinds, calls = list(model.parameters()), [type(module) for module in model.modules()], []
    handle = model.blocks[0].register_forward_hook(lambda *_: calls.append(1))
    frozen = odd().blocks[1][0].weight
    histories = [fitted(model, ema=ema, early_stop=train.EarlyStop(encoded, 9)) for ema in (0.0, 0.9)]
    handle.remove()
    hooks = [hook for module in model.modules() for name, held in vars(module).items() if "_hooks" in name
             for hook in held]  # fmt: skip
    names = {name for module in model.modules() for name in vars(module) if "fsdp" in name or "composable" in name}
    return {
        "loss": [history.loss for history in histories], "score": [history.score for history in histories],
        "weights": {name: value.clone() for name, value in model.state_dict().items()}, "calls": len(calls),
        "own": all(a is b for a, b in zip(own, model.parameters(), strict=True)), "hooks": len(hooks),
        "kinds": [type(module) for module in model.modules()] == kinds, "names": sorted(names),
        "plain": {type(value).__name__ for value in model.state_dict().values()} == {"Tensor"},
        "tied": model.head.weight is model.last.weight, "frozen": torch.equal(frozen, model.blocks[1][0].weight),
        "last": model.kernels[1].weight.is_contiguous(memory_format=torch.channels_last),
    }  # fmt: skip


def measured(*, shard: bool) -> dict[str, Any]:
    """Bytes of weights, gradients and moments of the autoencoder before a late step, and of all tensors alive."""
    before, bytes_ = alive(), {}

    class Watching(train._State):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.optimiser.register_step_pre_hook(lambda *_: self.note())

        def note(self) -> None:
            if self.history.steps != 5:
                return
            model, moments = list(self.model.parameters()), self.optimiser.state.values()
            bytes_["weights"], bytes_["gradients"] = size(model), size([parameter.grad for parameter in model])
            bytes_["moments"] = size([one[name] for one in moments for name in ("exp_avg", "exp_avg_sq")])
            bytes_["alive"] = alive() - before

    plain, train._State = train._State, Watching  # type: ignore[misc]
    many_ranks.trained("mae")
    train._State = plain  # type: ignore[misc]
    assert issubclass(Watching, shards.State) == shard
    return bytes_


def size(tensors: list[Tensor]) -> int:
    return sum(getattr(tensor, "_local_tensor", tensor).nbytes for tensor in tensors)


def alive() -> int:
    """Bytes of the storages of all tensors that python holds."""
    gc.collect()
    found = [one for one in gc.get_objects() if issubclass(type(one), Tensor) and type(one) is not DTensor]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in found}
    return sum(storages.values())


def refused(function: Callable[[], object]) -> str:
    try:
        function()
    except (ValueError, AttributeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was refused"


def refusals(rank: int, folder: Path) -> dict[str, str]:
    broken, absent = odd(), folder / f"absent-{rank}.pt"
    if rank == 0:
        fitted(odd(), checkpoint=absent)
    else:
        fitted(odd(), checkpoint=folder / "other.pt")
    return {
        "method": refused(lambda: fitted(broken, asking)),
        "in shards": refused(lambda: fitted(broken)),
        "penalty": refused(lambda: fitted(odd(), weighing)),
        "reaching": refused(lambda: fitted(Reaching())),
        "scalar": refused(lambda: fitted(Scaled())),
        "list": refused(lambda: fitted(nn.ModuleList([nn.Linear(2, 2)]))),
        "other file": refused(lambda: fitted(odd(), checkpoint=absent)),
        "other run": refused(lambda: fitted(odd(), checkpoint=folder / "mlp.pt")),
    }


def main(folder: Path) -> None:
    """What one rank does; every training is one that the other ranks take part in."""
    rank = int(os.environ["RANK"])
    with shards.sharding():
        many_ranks.main(folder)
        torch.save(many_ranks.trained("mlp", checkpoint=folder / "alone.pt"), folder / f"joined-{rank}")
        torch.save(many_ranks.trained("mlp", checkpoint=folder / "mlp.pt"), folder / f"over-{rank}")
        torch.save(twice(rank), folder / f"twice-{rank}")
        normed = odd(norm=True)
        history = fitted(normed, early_stop=train.EarlyStop(encoded, 9), precision="bfloat16")
        torch.save({"weights": normed.state_dict(), "loss": history.loss}, folder / f"normed-{rank}")
        torch.save(measured(shard=True), folder / f"bytes-{rank}")
        torch.save(refusals(rank, folder), folder / f"refusals-{rank}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    distributed.destroy_process_group()  # threads of gloo that outlive the interpreter abort the process
