"""What the parameters of a notebook multiply: the terms that the work of a cell may be a sum of.

Names are shared by the families, so what a parameter counts is read from its name. One without a role (a rate, a ratio,
a batch size, cheap resamples) is taken to leave the work as it is. A term is a product of counts, at most one of each
column but any of the repeats, and nothing at all is a constant:

======= ============= ===== ======================================================
once or for           by    stands for
======= ============= ===== ======================================================
repeats rows          draws making data, fits in closed form, trees
..      passes x rows ..    training by gradient steps
..      asked         ..    evaluation, attributions, perturbations
======= ============= ===== ======================================================
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ROLES = {
    "repeats": r"n_(seeds|splits|repeats)",
    "passes": r"(\w+_)?epochs(_\w+)?|lasso_steps",
    "rows": r"n_(train|concept|bone|rows|most|bags|labels|wide|images|toy_rows|planted|naive|fit|tinted)|"
    r"max_(rows|dense)",
    "asked": r"n_(test|held|audit|valid|explained|pictures|pool|check|read|fresh|boxes|pairs|moved|listed|curves|"
    r"mosaics|least|points)",
    "draws": r"n_(permutations|masks|samples|random|shuffles|resamples|orders|scrambles|design|trees|queries|draws|"
    r"background|reference|angles|steps|patch_steps|tables|designs|formulas|targets|retrain|clusterings|cubes|"
    r"halvings|twins|checked|first)|largest|rounds|imputations|draws|effort",
}
_PATTERNS = {role: re.compile(pattern) for role, pattern in ROLES.items()}
POWERS = {"width": 2, "hidden": 2, "units": 2, "side": 2, "size": 2, "depth": 1, "components": 1, "levels": 1}
POWERS |= {"max_columns": 1, "n_noise": 1, "views": 1, "n_patterns": 1, "n_sizes": 1}
SIDES = {"fashion-mnist": 28, "digits": 28, "auto": 28, "tiny-imagenet-50": 64, "cifar10-jpeg": 32}


def role(name: str) -> str:
    """The role of a parameter, empty where it has none.

    Examples
    --------
    >>> role("n_seeds"), role("tune_epochs"), role("n_masks"), role("lr")
    ('repeats', 'passes', 'draws', '')
    """
    return next((role for role, pattern in _PATTERNS.items() if pattern.fullmatch(name)), "")


def counted(parameters: Mapping[str, Any], wanted: str) -> list[float]:
    """The values of a role. A count of 0 or less means "all of them", which no parameter tells: it is left out."""
    return [float(value) for name, value in parameters.items() if role(name) == wanted and value > 0]


def tokens(parameters: Mapping[str, Any]) -> float:
    """Tokens of one picture: patches of a vision transformer, else 1."""
    side = SIDES.get(str(parameters.get("images", "auto")), SIDES["auto"])
    return max((side // parameters["patch"]) ** 2, 1) if "patch" in parameters else 1.0


def operations(parameters: Mapping[str, Any]) -> float:
    """Logarithm of the floating-point operations for one sample, up to a constant of the notebook.

    A vision transformer (``patch``, ``width``, ``depth``) of T tokens takes ``24 T w² + 4 T² w`` for a layer's forward
    pass (two for each multiply and add: 12 w² weights, and attention's two products). Any other network is taken as
    dense or convolutional: operations grow with the square of its width and of the side of its pictures, and in
    proportion to what else sizes it. The ``size`` of a bag of pictures (``n_bags``) counts once.

    Examples
    --------
    >>> round(operations({"width": 16}) - operations({"width": 8}), 3)  # four times
    1.386
    """
    if "patch" in parameters and "width" in parameters:
        count, width = tokens(parameters), parameters["width"]
        layers = parameters.get("depth", 1)
        return math.log(layers * (24 * count * width**2 + 4 * count**2 * width))
    powers = POWERS | ({"size": 1} if "n_bags" in parameters else {})
    counts = (power * math.log(parameters[name]) for name, power in powers.items() if parameters.get(name, 0) > 0)
    return math.fsum(counts)


def moved(runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The counts that are not the same in some sets of parameters, and positive in all: 0 means "all of them"."""
    last = runs[-1]
    named = (name for name in last if role(name) and all(run.get(name, 0) > 0 for run in runs))
    return tuple(name for name in named if any(run[name] != last[name] for run in runs))


def terms(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The terms that can be made of some counts, the constant first.

    Examples
    --------
    >>> terms(["n_seeds", "n_train"])
    [(), ('n_train',), ('n_seeds',), ('n_seeds', 'n_train')]
    >>> len(terms(["n_seeds", "epochs", "n_train", "n_test", "n_masks"]))
    16
    """
    of = {wanted: [name for name in names if role(name) == wanted] for wanted in ROLES}
    once = [some for count in range(len(of["repeats"]) + 1) for some in itertools.combinations(of["repeats"], count)]
    passed = [(passes, rows) for passes in of["passes"] for rows in of["rows"]]
    on = [(), *([name] for name in of["rows"]), *(passed or ([name] for name in of["passes"])), *zip(of["asked"])]
    by = [(), *([name] for name in of["draws"])]
    return [(*repeats, *counts, *draws) for repeats in once for counts in on for draws in by]


def growth(
    among: Sequence[tuple[str, ...]], small: Mapping[str, Any], large: Mapping[str, Any], exponent: float = 1.0
) -> np.ndarray:
    """How terms grow from one set of parameters to another.

    Parameters
    ----------
    among : sequence of tuple of str
        As :func:`terms` gives them.
    exponent : float
        Of the operations for one sample, which multiply every term but the constant.

    Returns
    -------
    ndarray, (terms,)
        Ratios.

    Examples
    --------
    >>> growth([(), ("n_seeds",), ("n_seeds", "n_train")], {"n_seeds": 2, "n_train": 10}, {"n_seeds": 4, "n_train": 30})
    array([1., 2., 6.])
    """
    sized = exponent * (operations(large) - operations(small))
    counts = (math.fsum(math.log(large[name] / small[name]) for name in term) for term in among)
    return np.exp([of + sized if term else 0.0 for term, of in zip(among, counts, strict=True)])
