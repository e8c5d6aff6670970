"""What a notebook holds: its parameters, seeds, device, figures, tables and claims.

A notebook opens a run in its fourth cell, hands it figures and claims, and finishes it in its last code cell. Opened
in JupyterLab a run is a *draft*: it writes to ``.blindspot/draft/<experiment>/`` and shows everything inline. Under
``make reproduce`` the runner names the folder of the attempt in ``BLINDSPOT_ATTEMPT`` and publishes it when the run
has finished. The science is the same through both doors.

Conventions: one CPU thread, so that the same seed gives the same bits whatever runs beside it; the ``gpu`` and
``paper`` profiles use CUDA where it is available, the others never do.
"""

from __future__ import annotations

import json
import os
import platform
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lib import claims as verdicts
from lib import experiments, trained
from lib.data.fetch import available
from lib.data.registry import TWIN
from lib.plots import legible
from lib.plots.style import house_style
from lib.stats import Estimate

Item = TypeVar("Item")
SMOKE_REASON = "the smoke profile shows that the notebook runs; it never gives a verdict"
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]*")


def open(experiment: str, namespace: Mapping[str, Any]) -> Run:  # noqa: A001 - reads as lib.run.open in a notebook
    """Open the run of a notebook: check its parameters, seed everything, choose data and device.

    Parameters
    ----------
    experiment : str
        ``family/number`` as declared in ``experiments.toml``.
    namespace : mapping
        The notebook's ``globals()``.

    Returns
    -------
    Run

    Raises
    ------
    DeclarationError
        For an unknown experiment, a parameter that is missing, unknown or of another type.
    """
    project = experiments.root()
    declared = experiments.load(project)
    if experiment not in declared:
        raise experiments.DeclarationError(
            f"unknown experiment {experiment!r}{experiments.nearest(experiment, declared)}"
        )
    spec = declared[experiment]
    attempt = os.environ.get("BLINDSPOT_ATTEMPT")
    context = json.loads((Path(attempt) / "context.json").read_text(encoding="utf-8")) if attempt else {}
    values = _check(spec, namespace, first="run" not in namespace)
    profile = context.get("profile") or os.environ.get("BLINDSPOT_PROFILE", "smoke")
    folder = Path(attempt) if attempt else project / ".blindspot" / "draft" / experiment
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(spec, profile, values, folder, _datasets(spec, profile, context), draft=not attempt)
    _settle(run)
    return run


def _check(spec: experiments.Experiment, namespace: Mapping[str, Any], *, first: bool) -> dict[str, Any]:
    """The values of all declared parameters; ``first`` also looks for literals nobody declared."""
    declared = experiments.parameters(spec.notebook)
    values = {}
    for name, parameter in declared.items():
        if name not in namespace:
            raise experiments.DeclarationError(
                f"{spec.id}: parameter {name} is not defined; run the parameters cell first"
            )
        values[name] = experiments.typed(parameter, namespace[name], spec.id)
    if first:
        for name, value in namespace.items():
            stray = type(value) in experiments.LITERALS and not name.startswith("_") and name not in declared
            if stray:
                raise experiments.DeclarationError(
                    f"{spec.id}: unknown parameter {name!r}{experiments.nearest(name, declared)}"
                )
    return values


def _datasets(spec: experiments.Experiment, profile: str, context: Mapping[str, Any]) -> tuple[str, ...]:
    """What is to be had of the declared data, in the declared order; smoke takes the last, bundled one."""
    if context:
        return tuple(context["datasets"])
    if profile == "smoke":
        return spec.data[-1:]
    return tuple(name for name in spec.data[:-1] if available(name)) or spec.data[-1:]


def _settle(run: Run) -> None:
    """Seed all sources of chance, bound the threads, set the house style."""
    from threadpoolctl import threadpool_limits

    random.seed(run.seed)
    np.random.seed(run.seed)  # noqa: NPY002 - libraries that offer no generator read this one
    torch.manual_seed(run.seed)
    if run.device.type == "cpu":
        torch.set_num_threads(1)
        threadpool_limits(1)
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms, but without importing torch._inductor
    house_style()


@dataclass
class Run:
    """One execution of one notebook; made by :func:`open`.

    Attributes
    ----------
    profile : {"smoke", "cpu", "gpu", "paper"}
    parameters : dict
        Effective parameters.
    folder : Path
        Where figures, tables and claims are written.
    datasets : tuple of str
        The declared data ids that are available here, in the declared order.
    draft : bool
        True when opened by hand rather than by ``make reproduce``.
    """

    experiment: experiments.Experiment
    profile: str
    parameters: dict[str, Any]
    folder: Path
    datasets: tuple[str, ...]
    draft: bool
    started: tuple[float, float] = field(default_factory=lambda: (time.time(), time.process_time()))
    estimates: dict[str, Estimate] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    spared: dict[str, float] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The seed everything else is derived from: the parameter ``seed`` where there is one, else 0."""
        return int(self.parameters.get("seed", 0))

    @property
    def dataset(self) -> str:
        """The preferred data id among those available here."""
        return self.datasets[0]

    @property
    def device(self) -> torch.device:
        """CUDA in the gpu and paper profiles where it is available, else the CPU."""
        usable = self.profile in ("gpu", "paper") and torch.cuda.is_available()
        return torch.device("cuda" if usable else "cpu")

    def rng(self, offset: int = 0) -> np.random.Generator:
        """A NumPy generator; another ``offset`` gives an independent stream."""
        return np.random.default_rng([self.seed, offset])

    def generator(self, offset: int = 0) -> torch.Generator:
        """A torch generator on the CPU; another ``offset`` gives an independent stream."""
        state = np.random.SeedSequence([self.seed, offset]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state >> np.uint64(1)))

    def progress(self, items: Iterable[Item], label: str) -> Iterator[Item]:
        """Iterate with a progress bar that appears only where somebody watches."""
        from tqdm import tqdm

        return iter(tqdm(items, desc=label, disable=not self.draft, delay=3, file=sys.stderr, leave=False))

    def trained(self, function: Callable[..., dict[str, Tensor]], **arguments: Any) -> dict[str, Tensor]:
        """The tensors of ``function(**arguments)``, computed once for all notebooks and kept across a crash.

        See :func:`lib.trained.once`; the arguments must be literals, so that they can be part of the key.
        """
        store = experiments.root() / ".blindspot" / "trained"
        return trained.once(function, arguments, store=store, spared=self.spared)

    def figure(self, name: str, fig: Figure, *, data: pd.DataFrame, alt: str, caption: str) -> None:
        """Keep a figure as SVG and PNG together with the table it was drawn from, and show it.

        Parameters
        ----------
        name : str
            Lower-case identifier, unique in the notebook, e.g. ``accuracy-by-ratio``.
        fig : Figure
        data : DataFrame
            The numbers behind the figure; later runs are compared with them.
        alt : str
            What a reader who cannot see the figure needs to know, at least five words.
        caption : str
            What to see, for everybody.

        Raises
        ------
        ValueError
            For a bad name, ``alt`` or table, and for text that the picture cuts off or covers.
        """
        if len(alt.split()) < 5:
            raise ValueError(f"alt of figure {name} must say in at least five words what the figure shows, got {alt!r}")
        self._keep(name, data, kind="figure", caption=caption, alt=alt)
        fig.savefig(self.folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
        fig.savefig(self.folder / f"{name}.png", metadata={"Software": None})
        import matplotlib.pyplot as plt

        plt.close(fig)
        legible.check(fig, name)
        _display_png(self.folder / f"{name}.png", alt)

    def table(self, name: str, frame: pd.DataFrame, *, caption: str) -> pd.DataFrame:
        """Keep a table as csv; returns it, so that as the last line of a cell it is shown."""
        self._keep(name, frame, kind="table", caption=caption, alt="")
        return frame

    def _keep(self, name: str, frame: pd.DataFrame, *, kind: str, caption: str, alt: str) -> None:
        if not IDENTIFIER.fullmatch(name):
            raise ValueError(f"{kind} name must be lower-case letters, digits and hyphens, got {name!r}")
        if frame.empty:
            raise ValueError(f"{kind} {name} needs the table behind it, got an empty one")
        frame.to_csv(self.folder / f"{name}.csv", index=False, lineterminator="\n")
        if name not in self.shown:
            self.shown.append(name)
        about = {"id": name, "kind": kind, "order": self.shown.index(name), "caption": caption, "alt": alt}
        _write_json(self.folder / f"{name}.json", about)

    def claim(self, name: str, estimate: Estimate) -> ClaimCard:
        """Fill in a declared claim; the declared rule decides, and the verdict stands when the run finishes.

        Raises
        ------
        DeclarationError
            For a claim nobody declared, or an estimate made by another rule than the declared one.
        """
        declared = self.experiment.claims
        if name not in declared:
            raise experiments.DeclarationError(
                f"{self.experiment.id}: claim {name!r} is not declared{experiments.nearest(name, declared)}"
            )
        if estimate.method != declared[name].rule:
            raise experiments.DeclarationError(
                f"{self.experiment.id}, claim {name}: the declared rule is {declared[name].rule!r}, "
                f"the estimate was made by {estimate.method!r}"
            )
        self.estimates[name] = estimate
        verdict = verdicts.judge_all([(declared[name], estimate)], untested_reason=self._untested())[0]
        return ClaimCard(declared[name], estimate, verdict)

    def finish(self) -> pd.DataFrame:
        """Check that every declared claim is filled in, judge them together (Holm), and write the results.

        Returns
        -------
        DataFrame
            One row per claim: what it says, estimate, interval, verdict, reason.

        Raises
        ------
        DeclarationError
            When a declared claim was never filled in.
        """
        declared = self.experiment.claims
        missing = [name for name in declared if name not in self.estimates]
        if missing:
            raise experiments.DeclarationError(f"{self.experiment.id}: claims never filled in: {', '.join(missing)}")
        pairs = [(declared[name], self.estimates[name]) for name in declared]
        judged = verdicts.judge_all(pairs, untested_reason=self._untested())
        records = [
            verdict.as_record(claim, estimate, self.experiment.paper)
            for (claim, estimate), verdict in zip(pairs, judged, strict=True)
        ]
        _write_json(self.folder / "claims.json", records)
        _write_json(self.folder / "finished.json", self._receipt())
        columns = ["id", "statement", "estimate", "low", "high", "unit", "n", "n_unit", "verdict", "reason"]
        return pd.DataFrame(records, columns=columns)

    def _untested(self) -> str:
        """Why no claim of this run may get a verdict; empty when they may."""
        twins = [name for name in self.datasets if name.endswith(TWIN)]
        if self.profile != "smoke" and twins:
            return f"{twins[0]} has the shape of the data, not its content: get the data itself for a verdict"
        return SMOKE_REASON if self.profile == "smoke" else ""

    def _receipt(self) -> dict[str, Any]:
        """What the notebook knows about its own execution; the runner adds the rest."""
        import resource
        from importlib.metadata import version

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
        cuda = self.device.type == "cuda"
        return {
            "seconds": round(time.time() - self.started[0], 2),
            "cpu_seconds": round(time.process_time() - self.started[1], 2),
            "spared_cpu_seconds": round(sum(self.spared.values()), 2),  # of trainings that were found in the store
            "peak_memory_mb": round(peak),
            "peak_gpu_memory_mb": round(torch.cuda.max_memory_allocated() / 2**20) if cuda else None,
            "device": torch.cuda.get_device_name() if cuda else f"CPU ({platform.machine()})",
            "seeds": [self.seed],
            "datasets": list(self.datasets),
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("torch", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib")},
        }


@dataclass(frozen=True)
class ClaimCard:
    """A claim as a notebook shows it: the statement, the estimate with its interval, and what follows so far."""

    claim: verdicts.Claim
    estimate: Estimate
    verdict: verdicts.Verdict

    def __repr__(self) -> str:
        value = f"{self.estimate.estimate:.3g} [{self.estimate.low:.3g}, {self.estimate.high:.3g}] {self.claim.unit}"
        reason = f" ({self.verdict.reason})" if self.verdict.reason else ""
        return (
            f"{self.claim.says}\n{self.claim.quantity}: {value}, n = {self.estimate.n} {self.estimate.unit}; "
            f"expected {self.claim.expected}, smallest effect of interest {self.claim.smallest_effect:g}\n"
            f"before Holm's correction: {self.verdict.verdict}{reason}"
        )


def _display_png(path: Path, alt: str) -> None:
    """Show a picture where a front end listens; elsewhere do nothing."""
    try:
        from IPython import get_ipython
        from IPython.display import Image, display
    except ImportError:
        return
    if get_ipython() is not None:
        display(Image(data=path.read_bytes(), alt=alt, retina=False))


def _write_json(path: Path, content: Any) -> None:
    """Write beside, then rename: a reader never meets half a file."""
    beside = path.with_suffix(".json.part")
    beside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(beside, path)
