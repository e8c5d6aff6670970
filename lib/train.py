"""One training loop for every model: AdamW, warm-up and cosine, clipping, moving average, checkpoints.

The recipe (AdamW with betas .9 and .95, linear warm-up, half a cosine to zero, no decay on vectors) is that of masked
autoencoders (He et al. 2022, arXiv:2111.06377, public code); learning rates are given as they are used, never scaled
by the batch size. ``accelerate`` runs the loop underneath, so the same call serves one CPU, one accelerator or, when
started by ``accelerate launch`` or ``torchrun``, many.

Conventions: the data are tensors in memory and the device is theirs; every epoch sees every row once, in batches whose
sizes differ by at most one; all randomness is drawn from the given generator, once per epoch, so that a run resumed
from a checkpoint continues with the bits it would have had.
"""

import contextlib
import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, ...]
Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]

BETAS = (0.9, 0.95)
COMPILE_STEPS = 2_000  # compiling costs up to a minute: shorter runs would not earn it back
CHECKPOINT_EVERY_S = 30.0
PROGRESS_AFTER_S = 3.0


@dataclass(frozen=True)
class EarlyStop:
    """Stop after ``patience`` epochs without a new lowest ``score(model)`` and keep the weights that scored lowest.

    The score is a float on held-out data, taken after every epoch in eval mode; with ``ema`` it is the average's.
    """

    score: Callable[[nn.Module], float]
    patience: int = 5


@dataclass
class History:
    """What a training run was like: mean loss and score per epoch, optimiser steps, and wall-clock seconds.

    ``seconds`` adds up over interruptions; ``resumed_at`` is the number of epochs a checkpoint supplied and
    ``best_epoch`` the epoch whose weights an early stop kept (-1 = no early stop).
    """

    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    resumed_at: int = 0
    best_epoch: int = -1


def fit(
    model: nn.Module,
    loss: Loss,
    tensors: Sequence[Tensor],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    generator: torch.Generator,
    weight_decay: float = 0.05,
    warmup: float = 0.05,
    clip: float = 1.0,
    ema: float = 0.0,
    precision: str = "auto",
    compile: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    label: str = "",
    early_stop: EarlyStop | None = None,
) -> History:
    """Train ``model`` in place and leave it in eval mode on the device of ``tensors``.

    Parameters
    ----------
    model : nn.Module
        What has ``requires_grad`` is trained; what has fewer than two dimensions is not decayed.
    loss : callable
        ``loss(model, batch, generator) -> scalar``, with a CPU generator for masks and augmentation. It calls
        ``model(...)`` and no other method, since the model may come wrapped.
    tensors : sequence of Tensor
        Equally long; a batch holds the same rows of each, at most ``batch_size`` over all processes.
    lr, weight_decay, warmup, clip, ema : float
        Peak rate; decoupled decay; share of steps in [0, 1) that warm up; largest gradient norm (0 = unlimited);
        decay of the moving average that replaces the weights at the end (0 = none).
    precision : {"auto", "float32", "bfloat16"}
        "auto" is bfloat16 autocast on CUDA devices that have it, else float32.
    compile : {"auto", "on", "off"}
        "auto" compiles on CUDA when there are at least ``COMPILE_STEPS`` steps.
    checkpoint : path, optional
        Written every ``CHECKPOINT_EVERY_S`` seconds and at the end; resumed from, if it is of this very run.

    Raises
    ------
    ValueError, FloatingPointError
        Bad options, a checkpoint of another run; an epoch whose mean loss is not finite.
    """
    rows = _check(tensors, epochs, batch_size, lr, warmup, ema, precision, compile)
    accelerator = _accelerator(tensors[0].device)
    device = accelerator.device if accelerator.num_processes > 1 else tensors[0].device
    model.to(device).train()
    path, total = None if checkpoint is None else Path(checkpoint), epochs * math.ceil(rows / batch_size)
    state = _State(model, ema, _optimiser(model, lr, weight_decay), generator)
    if path is not None:
        patience = early_stop and early_stop.patience
        options = [epochs, batch_size, lr, weight_decay, warmup, clip, ema, precision, patience]
        state.fingerprint = _fingerprint(model, loss, tensors, generator, options)
        state.load(path)
    prepared, optimiser = accelerator.prepare(model, state.optimiser)
    compiles = compile == "on" or (compile == "auto" and device.type == "cuda" and total >= COMPILE_STEPS)
    wrapped: Any = torch.compile(prepared) if compiles else prepared
    held = [t.to(device) for t in tensors]
    plan = _Plan(
        loss, held, epochs, batch_size, total, lr, warmup, clip, _autocast(device, precision), path, early_stop
    )
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), _progress(total, state.history.steps, label, accelerator) as tick:
        _epochs(plan, state, wrapped, optimiser, accelerator, tick)
    model.__dict__.pop("_is_accelerate_prepared", None)  # a second fit of the same model prepares it anew
    state.finish(early_stop is not None)
    model.eval()
    return state.history


def predict(model: Callable[[Tensor], Tensor], x: Tensor, *, batch_size: int = 512) -> Tensor:
    """Apply a module, or a bound method of one such as ``model.encode``, in eval mode and without gradients.

    Parameters
    ----------
    x : Tensor (n, ...)
        Moved to the model's device ``batch_size`` rows at a time; the result changes only in float32 rounding.

    Returns
    -------
    Tensor (n, ...)
        On the device of ``x``; every module has its own training flag back.

    Raises
    ------
    ValueError
        ``x`` has no rows, ``batch_size`` is not positive, or ``model`` belongs to no module.
    """
    if len(x) == 0 or batch_size < 1:
        raise ValueError(f"predict needs rows and a positive batch_size, got {len(x)} rows and {batch_size}")
    module = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
    if not isinstance(module, nn.Module):
        raise ValueError(f"predict needs a module or a method of one, got {model!r}; wrap the function in a module")
    device = next((p.device for p in module.parameters()), x.device)
    with evaluating(module), torch.no_grad():
        return torch.cat([model(part.to(device)).to(x.device) for part in x.split(batch_size)])


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put ``model`` in eval mode within the block and give every module its own training flag back after it."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, flag in flags:
            module.training = flag


def learning_rate(step: int, total: int, *, lr: float, warmup: float) -> float:
    """Learning rate of optimiser step ``step`` (from 0) of ``total``: linear to ``lr``, then half a cosine to zero."""
    rising = round(warmup * total)
    if step < rising:
        return lr * (step + 1) / rising
    return lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


@dataclass
class _Plan:
    loss: Loss
    tensors: list[Tensor]
    epochs: int
    batch_size: int
    total: int
    lr: float
    warmup: float
    clip: float
    autocast: Callable[[], contextlib.AbstractContextManager[Any]]
    path: Path | None
    early_stop: EarlyStop | None


class _State:
    """Everything a checkpoint holds: weights, their average and best copy, optimiser, generator, history."""

    def __init__(self, model: nn.Module, ema: float, optimiser: torch.optim.Optimizer, generator: torch.Generator):
        self.model, self.ema, self.optimiser, self.generator = model, ema, optimiser, generator
        self.history = History()
        self.average = self.copy() if ema else {}
        self.best: dict[str, Tensor] = {}
        self.stopped = False
        self.fingerprint: dict[str, str] = {}

    def copy(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    @torch.no_grad()
    def update_average(self) -> None:
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - self.ema)
            else:
                self.average[name].copy_(value)

    def finish(self, early: bool) -> None:
        if early:
            self.model.load_state_dict(self.best)
        elif self.ema:
            self.model.load_state_dict(self.average)

    def save(self, path: Path) -> None:
        content = {
            "fingerprint": self.fingerprint, "model": self.model.state_dict(), "average": self.average,
            "best": self.best, "stopped": self.stopped, "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(), "history": vars(self.history),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        torch.save(content, part)
        os.replace(part, path)  # a reader sees the old file or the new one, never half of one

    def load(self, path: Path) -> None:
        if not path.exists():
            return
        content = torch.load(path, map_location="cpu", weights_only=True)
        theirs = content["fingerprint"]
        differs = [name for name, value in self.fingerprint.items() if theirs.get(name) != value]
        if differs:
            raise ValueError(
                f"checkpoint {path} belongs to another run (it differs in {', '.join(differs)}); "
                "delete the file or give another path"
            )
        self.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        device = next(self.model.parameters()).device
        self.average = {name: value.to(device) for name, value in content["average"].items()}
        self.best = {name: value.to(device) for name, value in content["best"].items()}
        self.stopped = content["stopped"]
        self.generator.set_state(content["generator"])
        self.history = History(**content["history"])
        self.history.resumed_at = len(self.history.loss)


def _epochs(
    plan: _Plan, state: _State, wrapped: nn.Module, optimiser: Any, accelerator: Any, tick: Callable[[], None]
) -> None:
    """Run the epochs that are left, with a checkpoint now and then and after the last."""
    history, saved = state.history, time.perf_counter()
    while len(history.loss) < plan.epochs and not state.stopped:
        start = time.perf_counter()
        mean = _one_epoch(plan, state, wrapped, optimiser, accelerator, tick)
        if not math.isfinite(mean):
            hint = f"lower lr (now {plan.lr}) or clip (now {plan.clip})"
            raise FloatingPointError(f"the mean loss of epoch {len(history.loss)} is {mean}; {hint}")
        history.loss.append(mean)
        if plan.early_stop is not None:
            _score(state, plan.early_stop, accelerator)
        history.seconds += time.perf_counter() - start
        last = len(history.loss) == plan.epochs or state.stopped
        if plan.path is not None and (last or time.perf_counter() - saved >= CHECKPOINT_EVERY_S):
            if accelerator.is_main_process:
                state.save(plan.path)
            saved = time.perf_counter()


def _one_epoch(
    plan: _Plan, state: _State, wrapped: nn.Module, optimiser: Any, accelerator: Any, tick: Callable[[], None]
) -> float:
    """Train on every row once and return the mean loss over steps and processes."""
    rows = len(plan.tensors[0])
    order = torch.randperm(rows, generator=state.generator)
    seed = int(torch.randint(2**62, (), generator=state.generator)) + accelerator.process_index
    torch.manual_seed(seed)  # dropout and stochastic depth; the caller's stream is put back by fork_rng
    noise = torch.Generator().manual_seed(seed)
    losses = []
    for index in order.to(plan.tensors[0].device).tensor_split(math.ceil(rows / plan.batch_size)):
        share = index.tensor_split(accelerator.num_processes)[accelerator.process_index]
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(state.history.steps, plan.total, lr=plan.lr, warmup=plan.warmup)
        with plan.autocast():
            value = plan.loss(wrapped, tuple(t[share] for t in plan.tensors), noise)
        accelerator.backward(value)
        if plan.clip:
            accelerator.clip_grad_norm_(wrapped.parameters(), plan.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if state.ema:
            state.update_average()
        state.history.steps += 1
        losses.append(value.detach())
        tick()
    return float(accelerator.reduce(torch.stack(losses).mean(), reduction="mean"))


def _score(state: _State, early_stop: EarlyStop, accelerator: Any) -> None:
    """Score the weights (or their average) and remember them if no epoch was better."""
    candidate, now = (dict(state.average) if state.ema else state.copy()), state.copy()
    state.model.load_state_dict(candidate)
    with evaluating(state.model), torch.no_grad():
        value = torch.tensor(float(early_stop.score(state.model)), device=accelerator.device)
    score = float(accelerator.reduce(value, reduction="mean"))
    history = state.history
    if history.best_epoch < 0 or score < min(history.score):
        state.best = {name: tensor.clone() for name, tensor in candidate.items()}
        history.best_epoch = len(history.loss) - 1
    state.model.load_state_dict(now)
    history.score.append(score)
    state.stopped = len(history.loss) - 1 - history.best_epoch >= early_stop.patience


def _accelerator(device: torch.device) -> Any:
    """An ``Accelerator`` for the kind of device, replacing the process-wide state of another kind."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState

    if PartialState._shared_state and (PartialState().device.type == "cpu") != (device.type == "cpu"):
        AcceleratorState._reset_state(True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no", device_placement=False)


def _optimiser(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=BETAS, fused=True)


def _autocast(device: torch.device, precision: str) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    auto = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "bfloat16" or (precision == "auto" and auto):
        return lambda: torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext


@contextlib.contextmanager
def _progress(total: int, done: int, label: str, accelerator: Any) -> Iterator[Callable[[], None]]:
    from tqdm import tqdm

    quiet = 0.5 if sys.stderr.isatty() else 10.0  # a log file wants few lines
    with tqdm(
        total=total, initial=done, desc=label or "training", unit="step", delay=PROGRESS_AFTER_S, leave=False,
        mininterval=quiet, disable=not accelerator.is_main_process, dynamic_ncols=True,
    ) as bar:  # fmt: skip
        yield lambda: bar.update() and None


def _fingerprint(
    model: nn.Module, loss: Loss, tensors: Sequence[Tensor], generator: torch.Generator, options: list[Any]
) -> dict[str, str]:
    """Name what makes a run itself; a checkpoint with another value for any of these is refused."""
    return {
        "model": _digest(*model.state_dict().values(), names=list(model.state_dict())),
        "data": _digest(*tensors),
        "generator": _digest(generator.get_state()),
        "options": repr([getattr(loss, "__qualname__", type(loss).__qualname__), *options]),
    }


def _digest(*tensors: Tensor, names: Sequence[str] = ()) -> str:
    digest = hashlib.sha256(repr(list(names)).encode())
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _check(
    tensors: Sequence[Tensor], epochs: int, batch: int, lr: float, warmup: float, ema: float, precision: str, comp: str
) -> int:
    lengths = {len(t) for t in tensors}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"tensors must be equally long and not empty, got lengths {[len(t) for t in tensors]}")
    if epochs < 1 or batch < 1 or lr <= 0:
        raise ValueError(f"epochs, batch_size and lr must be positive, got {epochs}, {batch} and {lr}")
    if not 0 <= warmup < 1 or not 0 <= ema < 1:
        raise ValueError(f"warmup and ema must be in [0, 1), got {warmup} and {ema}; both are shares, not steps")
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision must be auto, float32 or bfloat16, got {precision!r}")
    if comp not in ("auto", "on", "off"):
        raise ValueError(f"compile must be auto, on or off, got {comp!r}")
    return lengths.pop()
