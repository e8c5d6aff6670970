"""The samplers of `lib.masks` by name, since the arguments of a pretraining are literals."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from lib import masks

Sampler = Callable[..., Tensor]

SAMPLERS: dict[str, Sampler] = {
    "random": masks.random, "block": masks.block, "grid": masks.grid, "jittered_grid": masks.jittered_grid,
    "cells": masks.cells, "blue": masks.blue, "green": masks.green, "purple": masks.purple, "red": masks.red,
    "cox": masks.cox_process,
}  # fmt: skip


def sampler(sampling: str, *, cell: int = 1) -> Sampler:
    """Choose a sampler of masks by literals.

    Parameters
    ----------
    sampling : {"random", "block", "grid", "jittered_grid", "cells", "blue", "green", "purple", "red", "cox"}
    cell : int
        Side of a cell of "cells" in patches; 1 = the law of "random". The others have none.

    Returns
    -------
    callable
        ``(n, grid, *, ratio, generator) -> bool (n, tokens)``, True = hidden.

    Raises
    ------
    ValueError
        An unknown sampler.
    """
    if sampling not in SAMPLERS:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLERS)}, got {sampling!r}")
    return partial(masks.cells, cell=cell) if sampling == "cells" else SAMPLERS[sampling]
