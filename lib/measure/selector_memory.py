"""Peak memory of many selectors on one table, each fit alone in a process that has everything imported.

`lib.measure.selection_costs.peak_bytes` starts a fresh interpreter for each fit, which takes longer than most fits do.
Here one interpreter imports what selectors need and is copied (``fork``) for every fit, so that no fit finds memory
that another one freed.

Differences: the copy first fits a few columns, so that what a selector imports when it is first used is not counted.
"traced" is the other way of `lib.measure.selection_costs`: quick and for any system, but blind to PyTorch's tensors.

Conventions: bytes beyond what was there before the fit, without X; a lower bound, low by a few MB (see
`lib.measure.selection_costs`).
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from sklearn.base import clone

from lib.measure import selection_costs

__all__ = ["peaks"]

_FEW = 8  # columns of the first, unmeasured fit


def peaks(selectors: Mapping[str, Any], X: np.ndarray, y: np.ndarray, *, memory: str = "process") -> dict[str, int]:
    """Largest memory that one fit of each selector holds at once.

    Parameters
    ----------
    selectors : mapping of str to estimator
        From `lib.select`, never fitted themselves; they can be pickled.
    X : ndarray of shape (n, d), float64
    y : ndarray of shape (n,)
    memory : {"process", "traced"}
        "process" needs Linux; elsewhere it is "traced" that measures.

    Returns
    -------
    dict of str to int, bytes
        0 = no more than was there before the fit.

    Raises
    ------
    ValueError
        If there is no selector, or ``memory`` is unknown.

    Examples
    --------
    >>> from lib.select import FTest
    >>> peaks({"F test": FTest()}, np.eye(6), np.arange(6) % 2, memory="traced")["F test"] > 0
    True
    """
    if memory not in selection_costs.MEMORY:
        raise ValueError(
            f"memory must be one of {selection_costs.MEMORY}, got {memory!r}; 'process' sees PyTorch's tensors too"
        )
    if not selectors:
        raise ValueError("selectors must hold at least one estimator, got none; see lib.select for their names")
    fresh = {name: clone(selector) for name, selector in selectors.items()}
    if memory == "traced" or sys.platform != "linux":
        return {name: selection_costs.peak_bytes(selector, X, y) for name, selector in fresh.items()}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        return alone.submit(_one_by_one, fresh, X, y).result()


def _one_by_one(selectors: Mapping[str, Any], X: np.ndarray, y: np.ndarray) -> dict[str, int]:
    """Runs in the fresh interpreter."""
    import torch

    torch.set_num_threads(1)
    _step_once(torch.zeros(1, requires_grad=True))
    copies = multiprocessing.get_context("fork")
    found = {}
    for name, selector in selectors.items():
        with ProcessPoolExecutor(1, mp_context=copies) as alone:
            found[name] = alone.submit(_growth, selector, X, y).result()
    return found


def _step_once(weight: Any) -> None:
    """One step of an optimiser, without a backward pass: PyTorch imports much at the first one."""
    import torch

    weight.grad = torch.zeros_like(weight)
    torch.optim.AdamW([weight]).step()


def _growth(selector: Any, X: np.ndarray, y: np.ndarray) -> int:
    """Runs in a copy of the fresh interpreter."""
    clone(selector).set_params(n_features_to_select=1).fit(X[:, :_FEW], y)
    return selection_costs._resident_growth(selector, X, y)
