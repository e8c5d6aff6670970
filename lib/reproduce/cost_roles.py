"""What the parameters of a notebook multiply: the terms that the work of a cell may follow.

Names are shared by the families, so what a parameter counts is read from its name. One without a role (a rate, a ratio,
a batch size, cheap resamples) is taken to leave the work as it is. A term is a product of roles, one of each column or
none, and nothing at all is a constant:

======= ============= ========== ======================================================
once or for           by         stands for
======= ============= ========== ======================================================
repeats rows          draws      making data, fits in closed form, trees
..      passes x rows every draw training by gradient steps
..      asked         ..         evaluation, attributions, perturbations
======= ============= ========== ======================================================

Draws have no common unit. *draws* grow by the mean of the logarithms of their ratios, as one of them would; *every
draw* by the product of all, as loops in loops do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
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
TERMS = tuple(
    (*once, *rows, *draws)
    for once in ((), ("repeats",))
    for rows in ((), ("rows",), ("passes", "rows"), ("asked",))
    for draws in ((), ("draws",), ("every draw",))
)
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


def change(small: Mapping[str, Any], large: Mapping[str, Any]) -> tuple[np.ndarray, float]:
    """How the terms grow from one set of parameters to another.

    Within a role the sums of the counts are compared, so that the largest decides, except for draws.

    Returns
    -------
    ndarray, (terms,)
        Logarithm of the ratio of each of :data:`TERMS`, without the operations.
    float
        Logarithm of the ratio of the operations for one sample.

    Examples
    --------
    >>> terms, sized = change({"n_seeds": 2, "n_train": 10, "n_test": 5}, {"n_seeds": 4, "n_train": 20, "n_test": 5})
    >>> [round(float(np.exp(terms[TERMS.index(of)])), 3) for of in ((), ("repeats", "rows"), ("repeats", "asked"))]
    [1.0, 4.0, 2.0]
    """
    both = [name for name in large if name in small and role(name)]
    low, high = ({name: side[name] for name in both} for side in (small, large))
    grown = dict.fromkeys((*ROLES, "every draw"), 0.0)
    for name in ROLES:
        before, after = counted(low, name), counted(high, name)
        if len(before) == len(after) and before:
            grown[name] = math.log(sum(after) / sum(before))
            if name == "draws":
                grown["every draw"] = float(np.sum(np.log(after)) - np.sum(np.log(before)))
                grown[name] = grown["every draw"] / len(before)
    terms = np.array([math.fsum(grown[name] for name in term) for term in TERMS])
    return terms, operations(large) - operations(small)
