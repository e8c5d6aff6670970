"""Train on many devices what a notebook asks for, ahead of the notebook.

``python -m lib.reproduce.many masking/02 --profile paper --devices 8`` starts one process for each device, by torchrun.
Each runs the notebook's code cells with the profile's parameters, in step with the others, up to the last cell that
trains. Every ``run.trained`` is one training by all of them: `lib.train.fit` gives each process its share of every
batch. The first process keeps the tensors where ``run.trained`` finds them, so that ``make reproduce`` trains nothing
anew; what the cells draw is thrown away. Over several machines start this module on each of them by ``torchrun``.

``--shard`` is for models too large for one device: each process then holds a part of the weights, gradients and moments
(`lib.reproduce.shards`, which says what it costs); without it each holds all of them.

When a process dies the launcher stops the others and starts all again: what is kept stays, and a training whose
function takes a ``checkpoint`` goes on from the last one, which needs a file system that all processes share.

Differences from one device: masks, noise and dropout are other draws, since each process draws for its own rows; batch
statistics are those of a share; a batch that does not divide by the number of processes gives the rows of a smaller
share a little more weight. Beside the tensors a ``.json`` says how many processes made them,
and whether in shards.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from lib import experiments
from lib.reproduce import devices, guard, locks, plan
from lib.reproduce.store import write_json

WRONG = 2
TRAIN = "train"
WAIT = timedelta(days=7)  # for the first process, which may wait until somebody else has trained the same
NAME_LETTERS = 20  # of a key, as in the names of `lib.trained.once`
CONTEXT = "context.json"
CUDA = ("gpu", "paper")  # profiles, as in `lib.run`


def main(
    experiment: Annotated[str, typer.Argument(help="one notebook, as masking/02")],
    profile: Annotated[str, typer.Option(help="smoke, cpu, gpu or paper")] = "paper",
    processes: Annotated[
        int | None, typer.Option("--devices", min=1, help="processes: one for each GPU, or for each core without GPUs")
    ] = None,
    restarts: Annotated[int, typer.Option(min=0, help="times to start again when a process dies")] = 3,
    shard: Annotated[
        bool, typer.Option("--shard", help="cut weights, gradients and moments into a part for each process")
    ] = False,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name=value, as for `run`")] = None,
) -> None:
    """Train what a notebook asks for on many devices; the notebook then finds it."""
    root = experiments.root()
    try:
        item = only(root, experiment, profile, sets or ())
    except experiments.DeclarationError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        raise typer.Exit(WRONG) from None
    if "RANK" in os.environ:
        take_part(item, root, shard=shard)
        return
    start(processes or len(devices.gpus()) or devices.cores(), restarts, sys.argv[1:])


def only(root: Path, experiment: str, profile: str, sets: list[str] | tuple[str, ...] = ()) -> plan.Item:
    """The one notebook that is meant.

    Raises
    ------
    DeclarationError
        When it is unknown, when several are meant, or when a parameter is set wrongly.
    """
    items = plan.build(root, profile, only=experiment, sets=sets)
    if len(items) != 1:
        raise experiments.DeclarationError(
            f"{experiment} names {len(items)} notebooks; name one, for example {items[0].experiment.id}"
        )
    return items[0]


def start(processes: int, restarts: int, words: list[str]) -> NoReturn:
    """Become a torchrun that runs this module in so many processes on this machine; signals are then its own."""
    options = ["--standalone", "--nproc-per-node", str(processes), "--max-restarts", str(restarts)]
    command = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "lib.reproduce.many", *words]
    here = str(Path(__file__).resolve().parents[2])
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")])),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        # processes that start again would meet the addresses of dead ones in a store they share with the launcher
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    os.execve(sys.executable, command, {**os.environ, **own})


def take_part(item: plan.Item, root: Path, *, shard: bool = False) -> None:
    """What one process of a launcher does: the notebook's cells, with every training shared, or its model in shards."""
    from lib import trained

    guard.die_with_parent()
    with ExitStack() as stack:
        team = stack.enter_context(joined(cuda=item.profile in CUDA and bool(devices.gpus()), shard=shard))
        if shard:
            from lib.reproduce import shards

            stack.enter_context(shards.sharding())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_json(folder / CONTEXT, plan.job(item, root, run="many").context)
        os.environ |= {"BLINDSPOT_ATTEMPT": str(folder), "BLINDSPOT_ROOT": str(root)}
        # `run.trained` looks its function up there; the module itself is in the key of every run and stays as it is
        setattr(trained, "once", functools.partial(team.once, trained.once))  # noqa: B010 - mypy
        stack.enter_context(chdir(item.experiment.notebook.parent))
        names: dict[str, Any] = {"__name__": "__main__"}
        for place, code in cells(item.experiment.notebook, item.parameters):
            exec(compile(code, place, "exec"), names)
        if team.rank == 0:
            typer.echo(f"{item.experiment.id} {item.profile}: {team.made} trained by {team.size} processes, "
                       f"{team.found} kept before")  # fmt: skip


def cells(notebook: Path, parameters: Mapping[str, experiments.Literal]) -> Iterator[tuple[str, str]]:
    """The code cells up to the last that trains, the given parameters after the cell tagged ``parameters``.

    Yields
    ------
    (str, str)
        The cell's place, as tracebacks show it, and its code.
    """
    found = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    codes = ["".join(cell["source"]) for cell in found]
    for number, (cell, code) in enumerate(zip(found, codes, strict=True), 1):
        if number > _last(codes):
            return
        yield f"{notebook.name}, code cell {number}", code
        if "parameters" in cell["metadata"].get("tags", []):
            yield "parameters", "\n".join(f"{name} = {value!r}" for name, value in parameters.items())


def _last(codes: list[str]) -> int:
    """The number, from 1, of the last cell that calls ``….trained`` or a function of the notebook that does; or 0."""
    makers: set[str] = set()
    last = 0
    for number, tree in enumerate(map(ast.parse, codes), 1):
        for part in tree.body:
            if _trains(part, makers) and isinstance(part, ast.FunctionDef):
                makers.add(part.name)
            elif _trains(part, makers):
                last = number
    return last


def _trains(tree: ast.AST, makers: set[str]) -> bool:
    nodes = list(ast.walk(tree))
    calls = any(isinstance(node, ast.Attribute) and node.attr == "trained" for node in nodes)
    return calls or any(isinstance(node, ast.Name) and node.id in makers for node in nodes)


@contextmanager
def joined(*, cuda: bool, shard: bool = False) -> Iterator[Team]:
    """The processes of a launcher, joined; with ``cuda`` each holds the GPU of its local rank for itself."""
    import torch
    from torch import distributed

    with ExitStack() as stack:
        if cuda:
            local = int(os.environ["LOCAL_RANK"])
            stack.enter_context(locks.one_of([devices.gpus()[local]]))
            torch.cuda.set_device(local)
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
        yield Team(distributed.new_group(backend="gloo", timeout=WAIT), shards=shard)
        distributed.destroy_process_group()  # not after an error: the others may wait in another call


class Team:
    """All processes of a launcher: the first decides whether there is something to train, and keeps the result.

    Attributes
    ----------
    rank, size : int
        This process among all, from 0, and how many there are.
    made, found : int
        Trainings done by all, and those that the store had.
    shards : bool
        Whether each holds a part of the model alone.
    """

    def __init__(self, group: Any, *, shards: bool = False) -> None:
        self.group, self.rank, self.size, self.shards = group, group.rank(), group.size(), shards
        self.made = self.found = 0

    def once(
        self,
        alone: Callable[..., Any],
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        *,
        store: Path,
        spared: dict[str, float] | None = None,
    ) -> Any:
        """What ``alone``, which is `lib.trained.once`, gives: the first process calls it, all of them train.

        Returns
        -------
        dict of Tensor
            The same bits in every process.
        """
        from lib.trained import key

        stem = store / f"{function.__name__}-{key(function, arguments)[:NAME_LETTERS]}"
        checkpoint = Path(f"{stem}.checkpoint")
        resumable = "checkpoint" in inspect.signature(function).parameters and "checkpoint" not in arguments
        given = {**arguments, "checkpoint": str(checkpoint)} if resumable else dict(arguments)
        if self.rank:
            word = self.tell(None)
            if word == TRAIN:
                function(**given)
                word = self.tell(None)
            return word
        started, cpu, made = time.monotonic(), time.process_time(), self.made

        @functools.wraps(function)  # `once` takes its key from the name
        def together(**_: Any) -> Any:
            self.tell(TRAIN)
            self.made += 1
            return function(**given)

        tensors = alone(together, arguments, store=store, spared=spared)
        if self.made > made:
            taken = {
                "seconds": round(time.monotonic() - started, 1),
                "cpu_seconds": round(self.size * (time.process_time() - cpu), 2),
            }
            write_json(Path(f"{stem}.json"), {"processes": self.size, "shards": self.shards, **taken})
        else:
            self.found += 1
        checkpoint.unlink(missing_ok=True)
        return self.tell(tensors)

    def tell(self, word: Any) -> Any:
        """What the first process says, in every process."""
        from torch import distributed

        said = [word]
        distributed.broadcast_object_list(said, src=0, group=self.group)
        return said[0]


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
