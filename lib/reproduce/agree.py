"""What a worker of a cluster must have in common with the runner, and the words when it has not.

A result belongs to its key: to the code, the environment and the data it was made with. A worker on another machine has
its own copy of all three, so each job carries what the runner has of them and the worker compares before it starts:
every module of ``lib`` by what it does (comments do not count, see :mod:`lib.closure`), ``requirements.lock``, the
notebook's code, its family's declarations, and the data the job reads, whose files are checked against their sums.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lib import closure, experiments
from lib.reproduce import keys, locks
from lib.reproduce.store import read_json, write_json

SHOWN = 8  # names of one kind in a message
MACHINERY = "lib.reproduce"
AGAIN = "check out the runner's commit there, run `make setup`, and start its workers again"
DATA = "get the data there (set DATA_MIRROR to a folder that has them, or call lib.data.fetch) and run it again"


@dataclass(frozen=True)
class Common:
    """What every job of a run needs.

    Attributes
    ----------
    modules : dict of str
        A hash of what each module of ``lib`` does, by dotted name.
    lock : str
        Sha256 of ``requirements.lock``, empty where there is none.
    """

    modules: Mapping[str, str]
    lock: str


@dataclass(frozen=True)
class Agreement:
    """What one job needs.

    Attributes
    ----------
    common : Common
    notebook : str
        Its path below the project's folder, with forward slashes.
    cells : list of str
        Hashes of its code cells.
    declared : str
        Hash of its family's ``experiments.toml``, whose comments do not count.
    data : dict of dict
        The registered sums of the data ids it reads.
    """

    common: Common
    notebook: str
    cells: list[str]
    declared: str
    data: Mapping[str, Mapping[str, str]]


def module_hashes(modules: closure.Library) -> dict[str, str]:
    """A hash of what each module of a library does, by name; remembered on this machine by the files' bytes."""
    files = {name: hashlib.sha256(module.path.read_bytes()).hexdigest() for name, module in modules.modules.items()}
    rule = hashlib.sha256(Path(closure.__file__).read_bytes()).hexdigest()[:12]
    memory = locks.machine_folder() / f"modules-{rule}.json"
    kept = read_json(memory)
    known = dict(kept) if isinstance(kept, dict) else {}
    new = {digest: modules.hash(name) for name, digest in files.items() if digest not in known}
    if new:
        write_json(memory, {**known, **new})
    return {name: known.get(digest) or new[digest] for name, digest in sorted(files.items())}


def common(root: Path) -> Common:
    """What the project in ``root`` has, as it lies on the disk now."""
    lock = root / keys.LOCK
    digest = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else ""
    return Common(module_hashes(keys.library(root)), digest)


def of(root: Path, notebook: Path, datasets: list[str], shared: Common) -> Agreement:
    """What the runner has for one job.

    Parameters
    ----------
    root, notebook : Path
        The project's folder and a notebook in it.
    datasets : list of str
        The data ids that the job reads.
    shared : Common
        Of the same project; see :func:`common`.
    """
    from lib import data

    return Agreement(
        shared,
        notebook.relative_to(root).as_posix(),
        _cells(notebook),
        _declared(notebook),
        {name: dict(data.sums(name)) for name in datasets},
    )


def _cells(notebook: Path) -> list[str]:
    return [cell["sha256"] for cell in keys.cell_hashes(keys.code_cells(notebook))]


def _declared(notebook: Path) -> str:
    blocks = tomllib.loads((notebook.parent / "experiments.toml").read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps(blocks, sort_keys=True, default=str).encode()).hexdigest()


@cache
def _loaded(root: Path) -> dict[str, str]:
    """The runner's own modules as they were when this process first looked, which is when it loaded them."""
    return {name: digest for name, digest in common(root).modules.items() if name.startswith(MACHINERY)}


def differs(here: Common, wanted: Common, loaded: Mapping[str, str]) -> list[str]:
    """What of a worker's code and lock is not as the runner's, in words; empty when they are equal.

    Parameters
    ----------
    here, wanted : Common
        The worker's and the runner's.
    loaded : mapping
        Hashes of modules that the worker's process has imported; they must not have changed since.

    Examples
    --------
    >>> differs(Common({"lib.a": "1", "lib.c": "1"}, "x"), Common({"lib.a": "2", "lib.b": "1"}, "y"), {})
    ['module lib.a differs', 'module lib.b is missing', 'module lib.c is only there', 'requirements.lock differs']
    """
    both = here.modules.keys() & wanted.modules.keys()
    old = [name for name, digest in loaded.items() if here.modules.get(name) != digest]
    found = [
        _named("module", [name for name in both if here.modules[name] != wanted.modules[name]], "differs"),
        _named("module", list(wanted.modules.keys() - both), "is missing"),
        _named("module", list(here.modules.keys() - both), "is only there"),
        _named("module", old, "changed after the worker was started"),
    ]
    return [words for words in found if words] + ([f"{keys.LOCK} differs"] if here.lock != wanted.lock else [])


def _named(kind: str, names: list[str], what: str) -> str:
    """``module a, b and 3 more differs``; empty for no names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{kind} {', '.join(sorted(names)[:SHOWN])}{more} {what}" if names else ""


def check_code(wanted: Common) -> list[str]:
    """What of this process's code and lock is not as the runner's; called on a worker."""
    root = experiments.root()
    return differs(common(root), wanted, _loaded(root))


def check_notebook(wanted: Agreement) -> list[str]:
    """What of one notebook and its declarations is not as the runner's; called on a worker."""
    notebook = experiments.root() / wanted.notebook
    try:
        found = [f"notebook {wanted.notebook} differs"] if _cells(notebook) != wanted.cells else []
        declared = f"{Path(wanted.notebook).parent.as_posix()}/experiments.toml"
        return found + ([f"{declared} differs"] if _declared(notebook) != wanted.declared else [])
    except (OSError, ValueError, KeyError) as error:
        return [f"notebook {wanted.notebook} cannot be read ({type(error).__name__}: {error})"]


def check_data(wanted: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What of the data one job reads is not as the runner's; called on a worker. Downloads nothing."""
    from lib import data

    for name, sums in wanted.items():
        try:
            if dict(data.sums(name)) != dict(sums):
                yield f"data {name} differs in the registry or in the version of its library"
            elif not data.available(name):
                yield f"data {name} is missing"
            elif data.entry(name).needs_files:
                data.fetch(name)
        except (data.DataError, OSError) as error:
            yield f"data {name} cannot be used: {error}"


def refusal(wanted: Agreement, host: str) -> str:
    """Why a worker cannot do a job, with the next step; empty when it can.

    Parameters
    ----------
    wanted : Agreement
        What came with the job.
    host : str
        The worker's name and address, for the message.
    """
    code, step = check_code(wanted.common) + check_notebook(wanted), AGAIN
    found = code or list(check_data(wanted.data))
    if not found:
        return ""
    return f"refused by the worker on {host}: {'; '.join(found)}; {step if code else DATA}"


def refused(answers: Mapping[str, Any]) -> list[str]:
    """What workers that were asked with :func:`check_code` have not in common with the runner, a line each.

    Parameters
    ----------
    answers : mapping
        By address, what each said: a list of differences, or the error it met.
    """
    lines = []
    for address, answer in sorted(answers.items()):
        if isinstance(answer, (ImportError, AttributeError)):
            lines.append(f"{address}: its lib cannot be imported or is another one ({answer})")
        elif isinstance(answer, Exception):
            lines += [] if isinstance(answer, OSError) else [f"{address}: {type(answer).__name__}: {answer}"]
        elif answer:
            lines.append(f"{address}: {'; '.join(answer)}")
    return lines
