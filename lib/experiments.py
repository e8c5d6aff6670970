"""What is declared before it is measured: ``experiments.toml`` and the parameters cell of each notebook.

One ``experiments.toml`` per family lists, for every notebook, its paper, data, cost, profile overrides and claims. The
parameters cell of the notebook holds the smoke profile as literals. This module reads both strictly: an unknown name,
a type that drifts or an override of a ``# method`` parameter is an error that names the file and the nearest match.

Conventions: an experiment is named ``family/number`` (``masking/02``); a profile is one of :data:`PROFILES`.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import io
import json
import os
import tokenize
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lib.claims import Claim

FAMILIES = ("masking", "cxr", "selection", "xai")
DECLARED = "experiments.toml"
PROFILES = ("smoke", "cpu", "gpu", "paper")
LITERALS = (int, float, str, bool)
Literal = int | float | str | bool


class DeclarationError(ValueError):
    """A declaration that cannot be followed: the text says where it stands and what was expected."""


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell.

    Attributes
    ----------
    name, type, default
        The name, the exact Python type of the literal and its value in the smoke profile.
    group : {"scale", "method"}
        Profiles may override ``scale`` names only; the paper fixed the ``method`` names.
    comment : str
        Meaning and unit, as the notebook states them.
    """

    name: str
    type: type
    default: Literal
    group: str
    comment: str


@dataclass(frozen=True)
class Experiment:
    """One notebook and what its family declares about it.

    Attributes
    ----------
    id : str
        ``family/number``.
    data : tuple of str
        Data ids in order of preference; the last one is bundled or generated, so that a run needs no network.
    minutes, memory_gb : dict
        First guesses of the cost, by profile; receipts replace them.
    needs_gpu : bool
        Whether the ``gpu`` and ``paper`` profiles need a GPU slot.
    profiles : dict
        Overrides of ``# scale`` parameters, by profile. ``smoke`` has none: it is the notebook itself.
    claims : dict of Claim
        Declared claims by id, in the order of the file.
    """

    id: str
    family: str
    number: str
    notebook: Path
    title: str
    paper: str
    cite: str
    data: tuple[str, ...]
    minutes: dict[str, float]
    memory_gb: dict[str, float]
    needs_gpu: bool
    profiles: dict[str, dict[str, Literal]] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)


def root() -> Path:
    """The project's folder: ``BLINDSPOT_ROOT`` when set, else the folder above ``lib``."""
    chosen = os.environ.get("BLINDSPOT_ROOT")
    return Path(chosen).resolve() if chosen else Path(__file__).resolve().parent.parent


def families(project: Path) -> list[str]:
    """The families of a project: the folders of ``notebooks`` that declare experiments, sorted."""
    return sorted(declared.parent.name for declared in (project / "notebooks").glob(f"*/{DECLARED}"))


def load(project: Path | None = None, *, family: str | None = None) -> dict[str, Experiment]:
    """Read every ``notebooks/<family>/experiments.toml`` of a project.

    Parameters
    ----------
    project : Path, optional
        The project's folder; :func:`root` by default.
    family : str, optional
        Read this one alone.

    Returns
    -------
    dict of Experiment
        By id, sorted.

    Raises
    ------
    DeclarationError
        Where a block is malformed, or has no notebook, or a notebook has no block.
    """
    project = project or root()
    found: dict[str, Experiment] = {}
    for name in families(project) if family is None else [family]:
        declared = project / "notebooks" / name / DECLARED
        try:
            blocks = tomllib.loads(declared.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise DeclarationError(f"{declared} is not valid TOML: {error}") from error
        for number, block in sorted(blocks.items()):
            found[f"{name}/{number}"] = _experiment(declared, name, number, block)
        for notebook in sorted(declared.parent.glob("[0-9]*_*.ipynb")):
            if notebook.name.split("_")[0] not in blocks:
                raise DeclarationError(f"{notebook.name} has no block in {declared}; add one, or try `make new`")
    return found


def _experiment(declared: Path, family: str, number: str, block: Mapping[str, Any]) -> Experiment:
    where = f"{declared}, block [{number}]"
    allowed = ("title", "paper", "cite", "data", "minutes", "memory_gb", "needs_gpu", "profiles", "claims")
    _known(block, allowed, where)
    notebooks = sorted(declared.parent.glob(f"{number}_*.ipynb"))
    if len(notebooks) != 1:
        names = [notebook.name for notebook in notebooks]
        raise DeclarationError(f"{where}: expected exactly one notebook {number}_*.ipynb, found {names or 'none'}")
    data = tuple(block.get("data", ()))
    if not data:
        raise DeclarationError(f"{where}: `data` is empty; list data ids, the last one bundled or generated")
    profiles = {name: dict(overrides) for name, overrides in block.get("profiles", {}).items()}
    _known(profiles, PROFILES[1:], f"{where}, profiles")
    return Experiment(
        id=f"{family}/{number}",
        family=family,
        number=number,
        notebook=notebooks[0],
        title=_text(block, "title", where),
        paper=_text(block, "paper", where),
        cite=block.get("cite", ""),
        data=data,
        minutes=_costs(block, "minutes", where),
        memory_gb=_costs(block, "memory_gb", where),
        needs_gpu=bool(block.get("needs_gpu", False)),
        profiles=profiles,
        claims={name: _claim(name, entry, where) for name, entry in block.get("claims", {}).items()},
    )


def _claim(name: str, entry: Mapping[str, Any], where: str) -> Claim:
    here = f"{where}, claim {name}"
    allowed = [spec.name for spec in fields(Claim) if spec.name != "id"]
    _known(entry, allowed, here)
    required = ("says", "where", "quantity", "unit", "expected", "smallest_effect", "rule")
    missing = [key for key in required if key not in entry]
    if missing:
        raise DeclarationError(f"{here}: {', '.join(missing)} missing; a claim is complete before it is measured")
    if ("paper_effect" in entry) != ("paper_effect_source" in entry):
        raise DeclarationError(f"{here}: paper_effect and paper_effect_source go together")
    try:
        return Claim(id=name, **entry)
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"{here}: {error}") from error


def _text(block: Mapping[str, Any], key: str, where: str) -> str:
    value = block.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DeclarationError(f"{where}: `{key}` must be a non-empty text, got {value!r}")
    return value


def _costs(block: Mapping[str, Any], key: str, where: str) -> dict[str, float]:
    costs = block.get(key, {})
    _known(costs, PROFILES, f"{where}, {key}")
    return {profile: float(value) for profile, value in costs.items()}


def _known(names: Iterable[str], allowed: Iterable[str], where: str) -> None:
    for name in names:
        if name not in allowed:
            raise DeclarationError(f"{where}: unknown name {name!r}{nearest(name, allowed)}")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest match, or the whole choice.

    Examples
    --------
    >>> nearest("n_sedes", ["n_seeds", "epochs"])
    '; did you mean n_seeds?'
    """
    allowed = list(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    return f"; did you mean {close[0]}?" if close else f"; expected one of: {', '.join(allowed) or 'nothing'}"


def parameters(notebook: Path) -> dict[str, Parameter]:
    """Read the parameters cell of a notebook.

    Parameters
    ----------
    notebook : Path
        A notebook with exactly one code cell tagged ``parameters``.

    Returns
    -------
    dict of Parameter
        By name, in the order of the cell.

    Raises
    ------
    DeclarationError
        Without such a cell, or where a line is not ``name: type = literal  # meaning, unit``.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise DeclarationError(
            f"{notebook.name}: expected exactly one cell tagged `parameters`, found {len(tagged)}; "
            "in JupyterLab: property inspector > cell tags"
        )
    return read_parameters("".join(tagged[0]["source"]), notebook.name)


def read_parameters(source: str, where: str) -> dict[str, Parameter]:
    """Read the text of a parameters cell; see :func:`parameters`."""
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    headings = {line: text.split()[0] for line, text in comments.items() if text.split()[:1] in (["scale"], ["method"])}
    found: dict[str, Parameter] = {}
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
            raise DeclarationError(f"{where}, parameters cell line {node.lineno}: expected `name: int = 3  # meaning`")
        name = node.target.id
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            value = None
        declared = node.annotation.id if isinstance(node.annotation, ast.Name) else ast.unparse(node.annotation)
        if type(value) not in LITERALS or type(value).__name__ != declared:
            raise DeclarationError(
                f"{where}, parameter {name}: the literal must be one of int, float, str, bool and of its annotated "
                f"type, got {ast.unparse(node.value)} for {declared}"
            )
        above = [group for line, group in sorted(headings.items()) if line < node.lineno]
        comment = comments.get(node.end_lineno or node.lineno, "")
        if not above or not comment:
            lacks = "a `# scale` or `# method` heading above" if not above else "a trailing comment: meaning, unit"
            raise DeclarationError(f"{where}, parameter {name}: lacks {lacks}")
        found[name] = Parameter(name, type(value), value, above[-1], comment)
    return found


def effective(
    experiment: Experiment, profile: str, sets: Mapping[str, str | Literal] | None = None
) -> dict[str, Literal]:
    """The parameters of one run: notebook < profile < ``--set``.

    Parameters
    ----------
    experiment : Experiment
    profile : {"smoke", "cpu", "gpu", "paper"}
    sets : mapping, optional
        Overrides given by hand; text is read as the parameter's type. They may change a ``method`` parameter: the
        caller then stamps the report *modified*.

    Raises
    ------
    DeclarationError
        For an unknown profile or name, a type that drifts, or a profile that overrides a ``method`` parameter.
    """
    if profile not in PROFILES:
        raise DeclarationError(f"unknown profile {profile!r}{nearest(profile, PROFILES)}")
    declared = parameters(experiment.notebook)
    values: dict[str, Literal] = {name: parameter.default for name, parameter in declared.items()}
    where = f"{experiment.id}, profile {profile}"
    for name, value in experiment.profiles.get(profile, {}).items():
        _known([name], declared, where)
        if declared[name].group != "scale":
            raise DeclarationError(
                f"{where}: {name} is a method parameter; a profile may override `# scale` names only"
            )
        values[name] = typed(declared[name], value, where)
    for name, value in (sets or {}).items():
        _known([name], declared, f"{experiment.id}, --set")
        values[name] = typed(declared[name], value, f"{experiment.id}, --set")
    return values


def typed(parameter: Parameter, value: str | Literal, where: str) -> Literal:
    """``value`` as the parameter's type: an int may become a float, nothing else drifts.

    Examples
    --------
    >>> typed(Parameter("epochs", int, 3, "scale", "passes"), "4", "here")
    4
    """
    if isinstance(value, str) and parameter.type is not str:
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value.capitalize() if parameter.type is bool else value)
    if parameter.type is float and type(value) is int:
        return float(value)
    if type(value) is not parameter.type:
        raise DeclarationError(
            f"{where}: {parameter.name} must be {parameter.type.__name__} ({parameter.comment}), "
            f"got {value!r} ({type(value).__name__})"
        )
    return value
