"""Train a model in shards: each process holds a part of the weights, of their gradients and of AdamW's moments.

Within `sharding` every `lib.train.fit` does so, over all processes of a launcher. A block's weights are whole while it
computes, those outside of blocks from the model's forward to its backward pass; `lib.reproduce.cut` says what a block
is and how it is cut. ``python -m lib.reproduce.many … --shard`` turns this on.

Differences from `lib.train` alone: rows, order, rates, clipping, average and early stop are its own code, on shards; of
it only what holds the weights (`State`), names a run and goes through the epochs is replaced. A checkpoint is one file
with whole tensors, which one process without shards reads and writes as well. After ``fit`` the model has its own
parameters again, whole, in every process.

What it costs: the weights (not gradients and moments) have to fit on a device once, before they are cut and after they
are joined; autocast keeps bfloat16 copies of the weights of a step from its forward to its backward pass.

Conventions: a loss calls ``model(...)`` and nothing else, a score may call any method; all processes call the same
blocks in the same order. Buffers are whole everywhere, and those of the first process count.
"""

from __future__ import annotations

import copy
import gc
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.serialization import config

from lib import train
from lib.reproduce.cut import Shards, blocks, own_name, share

MIXED = "mixed torch.Tensor and DTensor"  # what torch says when a shard meets a whole tensor
AloneState: TypeAlias = train._State
alone_epochs, alone_fingerprint = train._epochs, train._fingerprint


@contextmanager
def sharding() -> Iterator[None]:
    """Within the block `lib.train.fit` trains in shards; afterwards it is as it was."""
    # `fit` looks them up there; the module itself is in the key of most reports and stays as it is
    replaced = {"_State": State, "_fingerprint": fingerprint, "_epochs": epochs}
    before = {name: getattr(train, name) for name in replaced}
    try:
        for name, value in replaced.items():
            setattr(train, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(train, name, value)


class State(AloneState):
    """Everything a checkpoint holds, in shards; what is written and read is whole."""

    def __init__(self, model: nn.Module, ema: float, optimiser: torch.optim.Optimizer, generator: torch.Generator):
        self.shards = Shards(model)
        for group in optimiser.param_groups:
            group["params"] = [self.shards.now(parameter) for parameter in group["params"]]
        held = model.state_dict()
        self.kept = [name for name, _ in model.named_buffers() if name in held]
        self.hook = optimiser.register_step_post_hook(lambda *_: self._share_buffers())
        vars(model)["_is_accelerate_prepared"] = True  # or it would average gradients that are averaged already
        super().__init__(model, ema, optimiser, generator)

    def _share_buffers(self) -> None:
        for name in self.kept:
            share(self.model.get_buffer(name))

    def finish(self, early: bool) -> None:
        super().finish(early)
        self.shards.join()
        self.hook.remove()
        gc.collect()  # shards refer to each other in circles, and the next model needs their memory

    def save(self, path: Path) -> None:
        """Write one file of whole tensors; all processes have to take part, the first one writes."""
        first = distributed.get_rank() == 0
        whole: Any = copy.copy(self)
        model, optimiser = gathered(self.model.state_dict(), first), gathered(self.optimiser.state_dict(), first)
        whole.model, whole.optimiser = _known(model), _known(optimiser)
        whole.average, whole.best = gathered(self.average, first), gathered(self.best, first)
        if first:
            AloneState.save(whole, path)

    def load(self, path: Path) -> None:
        """Take one's own part of every tensor in the file.

        Raises
        ------
        ValueError
            The file is of another run, or not the same for all processes.
        """
        whole: Any = copy.copy(self)
        whole.model, whole.optimiser = _Reader(self._load_model), _Reader(self._load_optimiser)
        with config.patch("load.mmap", True):  # type: ignore[attr-defined] # torch adds it as it is imported
            AloneState.load(whole, path)
        steps: list[int] = [0] * distributed.get_world_size()
        distributed.all_gather_object(steps, whole.history.steps)
        if len(set(steps)) > 1:
            raise ValueError(f"checkpoint {path} must be the same file for all processes, got files of {steps} steps "
                             "(0 = none); put it where all of them see it")  # fmt: skip
        self.history, self.stopped = whole.history, whole.stopped
        self.average, self.best = self._parts(whole.average), self._parts(whole.best)

    def _parts(self, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        now = self.model.state_dict()
        return {name: _part(value, now[name]) for name, value in whole.items()}

    def _load_model(self, whole: Mapping[str, Tensor]) -> None:
        self.model.load_state_dict(self._parts(whole))

    def _load_optimiser(self, whole: dict[str, Any]) -> None:
        held = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        state = {
            number: {name: _part(value, held[number]) for name, value in moments.items()}
            for number, moments in whole["state"].items()
        }
        self.optimiser.load_state_dict({**whole, "state": state})


def gathered(tree: Any, keep: bool) -> Any:
    """A dict, nested or not, with whole tensors on the CPU in the place of shards.

    Parameters
    ----------
    tree : dict
        The same keys in every process, in the same order: each shard is gathered by all.
    keep : bool
        Without it the tensors are let go as they come and the result is empty.
    """
    if isinstance(tree, dict):
        values = {name: gathered(value, keep) for name, value in tree.items()}
        return values if keep else {}
    value = tree.full_tensor() if isinstance(tree, DTensor) else tree
    return value.detach().cpu() if keep and isinstance(value, Tensor) else value if keep else None


def _part(whole: Any, like: Any) -> Any:
    """One's own shard of a whole tensor, cut as ``like`` is; what has another shape (a count of steps) stays whole."""
    if not isinstance(whole, Tensor) or not isinstance(like, Tensor):
        return whole
    if not isinstance(like, DTensor) or whole.shape != like.shape:
        return whole.to(like.device)
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _known(state: Any) -> Any:
    return SimpleNamespace(state_dict=lambda: state)


class _Reader:
    """What `lib.train` loads a checkpoint into; whatever else it holds stays on the CPU."""

    def __init__(self, load: Callable[[Any], None]) -> None:
        self.load_state_dict = load

    def parameters(self) -> Iterator[Tensor]:
        yield torch.empty(0)


def fingerprint(model: nn.Module, *rest: Any) -> dict[str, str]:
    """That of the whole model, as `lib.train` makes it; the first process's word for all."""
    first = distributed.get_rank() == 0
    whole = gathered(model.state_dict(), first)
    said = [alone_fingerprint(_known(whole), *rest) if first else None]
    distributed.broadcast_object_list(said, src=0)
    assert said[0] is not None
    return said[0]


def epochs(
    plan: train._Plan, state: State, wrapped: nn.Module, optimiser: Any, accelerator: Any, tick: Callable[[], None]
) -> None:
    """Run the epochs that are left, each by `lib.train`; all processes write the checkpoint when the first says so."""
    early = plan.early_stop and replace(plan.early_stop, score=_readable(plan.early_stop.score))
    called, history, saved = _Called(wrapped), state.history, time.perf_counter()
    while len(history.loss) < plan.epochs and not state.stopped:
        one = replace(plan, epochs=len(history.loss) + 1, path=None, early_stop=early)
        with _named(state.model):
            alone_epochs(one, state, called, optimiser, accelerator, tick)
        if plan.path is None:
            continue
        last = len(history.loss) == plan.epochs or state.stopped
        due = torch.tensor(last or time.perf_counter() - saved >= train.CHECKPOINT_EVERY_S, device=accelerator.device)
        distributed.broadcast(due, src=0)
        if due:
            state.save(plan.path)
            saved = time.perf_counter()


def _readable(score: Callable[[nn.Module], float]) -> Callable[[nn.Module], float]:
    """A score that may call any method: what is outside of the blocks is whole meanwhile."""

    def scored(model: nn.Module) -> float:
        assert isinstance(model, FSDPModule)
        model.unshard()
        try:
            return score(model)
        finally:
            model.reshard()

    return scored


class _Called(nn.Module):
    """A model in shards as a loss sees it: it can be called, and nothing else."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **options: Any) -> Any:
        return self.model(*args, **options)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AttributeError(
                f"a loss may only call model(...) when it is trained in shards, it asked for model.{name}; "
                "move that into forward, or train without --shard"
            ) from None


@contextmanager
def _named(model: nn.Module) -> Iterator[None]:
    """Say who used a weight without calling the block that holds it."""
    try:
        yield
    except RuntimeError as error:
        if MIXED not in str(error):
            raise
        names = {module: name or own_name(model) for name, module in model.named_modules()}
        users = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
        user = next((names[module] for module in reversed(users) if isinstance(module, nn.Module) and module in names),
                    "the loss or the score")  # fmt: skip
        raise RuntimeError(
            f"{user} uses a weight without calling the block that holds it, so it has only a shard of it; "
            f"call the block (they are {', '.join(blocks(model)) or 'none'}), or train without --shard"
        ) from error
