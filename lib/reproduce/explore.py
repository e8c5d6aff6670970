"""Sweep parameters of one notebook over the slots of the machine or cluster, and put the runs side by side.

``mask_ratio=0.3,0.5,0.9`` runs the notebook once for each value; several parameters are crossed. Nothing is published:
the runs lie in ``.blindspot/explore/<family>/<number>/<setting>/`` with receipts of their own, so that a sweep that was
stopped goes on where it was, and a wider one runs only what is new. The page shows what the declared rule says at each
setting; with many settings some verdict will come out by chance, so a sweep is a look, not a test.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lib.experiments import DeclarationError, Experiment, Literal
from lib.reproduce import ledger, plan, runner, store
from lib.reproduce.plan import Item
from lib.reproduce.spool import Spool
from lib.reproduce.store import Layout

MOST = 100  # settings of one sweep
WIDTH, MARGIN = 320.0, 8.0  # of a drawn scale, in its own units


class Explored(Layout):
    """The layout of a sweep: as the project's, but its reports stay with the machine."""

    @property
    def reports(self) -> Path:
        """Runs of sweeps, by experiment and setting."""
        return self.scratch / "explore"


@dataclass(frozen=True)
class Setting:
    """One combination of values.

    Attributes
    ----------
    name : str
        Of its folder, ``mask_ratio=0.3``.
    values : dict
        The swept parameters, as typed by the notebook.
    item : Item
        The plan of its run; ``reasons`` is empty when it is done.
    """

    name: str
    values: dict[str, Literal]
    item: Item


def grid(sets: Sequence[str]) -> list[list[str]]:
    """All combinations of ``name=value,value``, as lists of ``name=value``.

    Raises
    ------
    DeclarationError
        For a text of another form, a name that comes twice, or more than `MOST` combinations.

    Examples
    --------
    >>> grid(["ratio=0.3,0.5 epochs=2"])
    [['ratio=0.3', 'epochs=2'], ['ratio=0.5', 'epochs=2']]
    """
    words = [word for text in sets for word in text.split()]
    pairs = plan.assignments(words)
    if not words or len(pairs) < len(words):
        raise DeclarationError(f'SET must name each parameter once, like SET="ratio=0.3,0.5 epochs=2", got {words}')
    choices = [[f"{name}={value}" for value in values.split(",")] for name, values in pairs.items()]
    empty = [text for values in choices for text in values if text.endswith("=")]
    if empty:
        raise DeclarationError(f"SET must give values without blanks around the commas, got {empty[0]!r} without one")
    if (count := math.prod(map(len, choices))) > MOST:
        raise DeclarationError(f"SET must combine to at most {MOST} settings, got {count}; take fewer values")
    return [list(combination) for combination in itertools.product(*choices)]


def settings(root: Path, profile: str, *, only: str, sets: Sequence[str]) -> list[Setting]:
    """What a sweep runs, checked before anything runs.

    Parameters
    ----------
    root : Path
        The project's folder.
    profile : {"smoke", "cpu", "gpu", "paper"}
    only : str
        One notebook.
    sets : sequence of str
        See :func:`grid`.

    Raises
    ------
    DeclarationError
        When several notebooks are named, a value does not fit its parameter, or two settings are the same.
    """
    layout, found = Explored(root), dict[str, Setting]()
    for texts in grid(sets):
        items = plan.build(root, profile, only=only, sets=texts)
        if len(items) != 1:
            raise DeclarationError(
                f"a sweep takes one notebook, got {len(items)}; name it, ONLY={items[0].experiment.id}"
            )
        item = items[0]
        values = {name: item.parameters[name] for name in plan.assignments(texts)}
        name = re.sub(r"[^\w.+=,-]", "-", ",".join([profile, *(f"{key}={value}" for key, value in values.items())]))
        if name in found:
            raise DeclarationError(f"SET gives the same setting twice: {', '.join(texts)}")
        reasons = store.reasons(layout, item.experiment.id, name, item.parts, "none")
        found[name] = Setting(name, values, replace(item, reasons=reasons))
    return list(found.values())


def work(chosen: Sequence[Setting], root: Path, limit_min: float | None) -> runner.Work:
    """The jobs of the settings that have to run; each goes by its setting where a report goes by its profile."""
    found = runner.work((setting.item for setting in chosen), root, limit_min)
    names = [setting.name for setting in chosen if setting.item.reasons]
    named = (
        replace(job, profile=name, log=str(Explored(root).log(job.experiment, name)))
        for job, name in zip(found.jobs, names, strict=True)
    )
    return replace(found, jobs=Spool(named))


def settler(root: Path) -> runner.Settle:
    """Keeps what succeeded in the sweep's own folder."""
    return runner.publisher(Explored(root))


def page(root: Path, chosen: Sequence[Setting]) -> Path:
    """Write the comparison of a sweep, ``reports/site/explore/<family>-<number>.html``; returns its path.

    Raises
    ------
    DeclarationError
        When none of the settings has run.
    """
    from lib.reproduce import pages

    layout, experiment = Explored(root), chosen[0].item.experiment
    name = f"explore/{experiment.family}-{experiment.number}.html"
    folder = (root / "reports" / "site" / name).parent
    runs = [run for setting in chosen if (run := _run(layout, setting, folder))]
    if not runs:
        raise DeclarationError("no setting of the sweep has run through: nothing to compare")
    content = {
        "experiment": experiment, "profile": chosen[0].item.profile, "names": list(chosen[0].values), "runs": runs,
        "missing": [setting.name for setting in chosen if setting.name not in {run["name"] for run in runs}],
        "claims": list(_claims(experiment, runs)), "figures": list(_figures(runs)),
    }  # fmt: skip
    return pages.render(root, name, "explore.html", content)


def _run(layout: Layout, setting: Setting, beside: Path) -> dict[str, Any] | None:
    """What a setting left behind; None where its run is missing or of another code."""
    folder = layout.report(setting.item.experiment.id, setting.name)
    receipt = store.receipt(folder)
    if receipt is None or store.reasons(layout, setting.item.experiment.id, setting.name, setting.item.parts, "none"):
        return None
    return {
        "name": setting.name,
        "label": ", ".join(map(str, setting.values.values())),
        "seconds": store.alone_s(receipt),
        "peak": receipt["peak_memory_mb"],
        "found": store.found_trainings(receipt),
        "claims": {claim["id"]: claim for claim in store.read_json(folder / "claims.json")},
        "figures": ledger.figures(folder),
        "at": Path(os.path.relpath(folder, beside)).as_posix(),
    }


def _claims(experiment: Experiment, runs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each claim with its intervals at all settings, drawn on one scale."""
    for name, claim in experiment.claims.items():
        found = [(run, run["claims"][name]) for run in runs if name in run["claims"]]
        at = scale([measured for _, measured in found], claim.smallest_effect)
        rows = [{"run": run, "claim": measured, "at": at(measured)} for run, measured in found]
        yield {"id": name, "claim": claim, "rows": rows, "band": at.band, "zero": at.zero, "edge": WIDTH}


@dataclass(frozen=True)
class Scale:
    """Natural units to places on a drawn axis, the same for all settings of a claim."""

    low: float
    high: float
    margin: float

    def place(self, value: float) -> float:
        """Where a value lies, from `MARGIN` to `WIDTH` - `MARGIN`."""
        span = (self.high - self.low) or 1.0
        return round(MARGIN + (value - self.low) / span * (WIDTH - 2 * MARGIN), 1)

    def __call__(self, claim: Mapping[str, Any]) -> dict[str, float] | None:
        """Estimate and interval on the axis; None for a claim without an estimate."""
        if claim["estimate"] is None:
            return None
        ends = {name: claim["estimate"] if claim[name] is None else claim[name] for name in ("low", "high")}
        return {name: self.place(value) for name, value in ({"estimate": claim["estimate"]} | ends).items()}

    @property
    def band(self) -> tuple[float, float]:
        """Ends of what is too small to matter."""
        return self.place(-self.margin), self.place(self.margin)

    @property
    def zero(self) -> float:
        """Where no effect lies."""
        return self.place(0.0)


def scale(claims: Sequence[Mapping[str, Any]], margin: float) -> Scale:
    """The scale that holds all intervals of a claim, no effect, and what is too small to matter.

    Parameters
    ----------
    claims : sequence of mapping
        Entries of ``claims.json``.
    margin : float
        The smallest effect of interest, in the claim's unit.

    Examples
    --------
    >>> drawn = scale([{"estimate": 2.0, "low": 1.0, "high": 3.0}], 1.0)
    >>> drawn.zero, drawn({"estimate": 3.0, "low": None, "high": None})["estimate"]
    (84.0, 312.0)
    """
    seen = [claim[name] for claim in claims for name in ("estimate", "low", "high") if claim[name] is not None]
    return Scale(min([-margin, *seen]), max([margin, *seen]), margin)


def _figures(runs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each figure of the notebook at all settings that made it."""
    names = dict.fromkeys(name for run in runs for name, about in run["figures"].items() if about["kind"] == "figure")
    for name in names:
        held = [run for run in runs if name in run["figures"]]
        about = held[0]["figures"][name]
        yield {
            "name": name,
            "caption": about["caption"],
            "pictures": [
                {"run": run, "src": f"{run['at']}/{name}.svg", "csv": f"{run['at']}/{name}.csv",
                 "alt": f"{run['label']}: {run['figures'][name]['alt']}"}
                for run in held
            ],
        }  # fmt: skip
