"""One trial of subpopulation shift: new patients, four shifted training sets made of them, all methods, all answers.

Yang et al. 2023 (arXiv:2302.12254). Patients come from `lib.data.subpopulations`, methods from
`lib.measure.cell_methods`. A trial is one independent unit: its patients and films belong to no other. Its training
sets share as many patients as they can, and the validation and test patients are the same for all.

Differences: features are fixed and the network above them has one hidden layer; validation patients fill all cells
equally, and shares of the training set come in as weights when they are scored.

Conventions: features of a training set are standardised and reduced by its own films alone, so a group that is absent
has left no trace in them.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.data import thorax
from lib.data.subpopulations import NONE, SHIFTS, counts, enough, rows_of, sample_cells
from lib.measure import mitigation
from lib.measure.cell_methods import METHODS, Patients, train_by
from lib.measure.film_components import principal
from lib.models.cell_features import cell_features
from lib.models.filters import line_maps
from lib.models.mlp import mlp

__all__ = ["ARMS", "described", "lengths", "subpopulation_trial"]

ARMS = (NONE, *SHIFTS)
CHUNK = 128  # films rendered together
GREYS, LINES = 8, 4  # cells along a side: mean grey and edges, and line maps


def lengths(epochs: int) -> tuple[int, int]:
    """The two lengths of training that are tried: a quarter, and all of it.

    Examples
    --------
    >>> lengths(60)
    (15, 60)
    """
    return max(1, epochs // 4), epochs


def described(people: pd.DataFrame, *, size: int = 64) -> Tensor:
    """Render patients and describe their films, a few at a time.

    Parameters
    ----------
    people : DataFrame
        From `lib.data.subpopulations.sample_cells`.
    size : int
        Height and width of a film, pixels.

    Returns
    -------
    Tensor, float32 (n, features)
        Mean greys and edges, which show the window of an acquisition group, then line maps, which show thin rims.
    """
    found = []
    for start in range(0, len(people), CHUNK):
        x = thorax.render(people.iloc[start : start + CHUNK], size=size, batch=CHUNK).x
        found.append(torch.cat([cell_features(x, grid=GREYS), line_maps(x, grid=LINES).flatten(1)], 1))
    return torch.cat(found)


def subpopulation_trial(
    *,
    seed: int,
    n_train: int,
    n_valid: int,
    n_test: int,
    rare: float,
    components: int,
    width: int,
    epochs: int,
    lr: float,
    weight_decay: float,
    severity: str,
) -> dict[str, Tensor]:
    """Draw patients, render their films, and train and ask every method under every shift.

    Parameters
    ----------
    seed : int
        Everything random.
    n_train, n_valid, n_test : int
        Patients of each training set, and of the two other parts, rounded down to six equal cells.
    rare : float
        See `lib.data.subpopulations.shares`.
    components : int
        Principal components of the features, below ``n_train``.
    width, epochs, lr, weight_decay
        Hidden units, and the longer `lib.measure.mitigation.Training`.
    severity : str
        Of the pneumothorax, a key of `lib.data.thorax.SEVERITIES`.

    Returns
    -------
    dict of Tensor
        "valid" and "test": logits float32 (arms, methods, lengths, patients), in the order of ARMS, METHODS and
        `lengths`; without a shift ERM alone, NaN elsewhere. "cell valid" and "cell test": codes, int64 (patients,).

    Raises
    ------
    ValueError
        If a part has fewer patients than cells, or the severity is unknown; as `lib.data.subpopulations.counts` and
        `lib.measure.film_components.principal`.
    """
    if min(n_valid, n_test) < 6:
        raise ValueError(f"n_valid and n_test must be at least 6, got {n_valid} and {n_test}; one patient per cell")
    if severity not in thorax.SEVERITIES:
        raise ValueError(
            f"severity must be one of {', '.join(thorax.SEVERITIES)}, got {severity!r}; choose one of these"
        )
    people = _drawn(
        seed, n_train, n_valid, n_test, rare=rare, shrink=thorax.SEVERITIES[severity]["pneumothorax_shrink"]
    )
    features = [described(part) for part in people]
    cells = [torch.tensor(part["cell"].to_numpy()) for part in people]
    answers = [torch.full((len(ARMS), len(METHODS), 2, len(cell)), math.nan) for cell in cells[1:]]
    for a, arm in enumerate(ARMS):
        rows = torch.as_tensor(rows_of(cells[0], counts(arm, n_train, rare=rare)))
        parts = _reduced(features, cells, rows, components=components)
        for m, method in enumerate(METHODS if arm != NONE else ("ERM",)):
            for k, length in enumerate(lengths(epochs)):
                torch.manual_seed(seed)
                training = mitigation.Training(epochs=length, lr=lr, weight_decay=weight_decay)
                start = mlp(components, 1, width=width, depth=1)
                model = train_by(method, start, *parts[:2], seed=seed, training=training)
                for answer, part in zip(answers, parts[1:], strict=True):
                    answer[a, m, k] = mitigation.scored(model, part.x)
    return {"valid": answers[0], "test": answers[1], "cell valid": cells[1], "cell test": cells[2]}


def _drawn(
    seed: int, n_train: int, n_valid: int, n_test: int, *, rare: float, shrink: tuple[float, float]
) -> list[pd.DataFrame]:
    """A pool that serves every training set, validation and test patients; nobody is in two of them."""
    pool = enough([counts(arm, n_train, rare=rare) for arm in ARMS])
    people: list[pd.DataFrame] = []
    for part, table in enumerate([pool, *(counts(NONE, n // 6 * 6, rare=rare) for n in (n_valid, n_test))]):
        rng = np.random.default_rng([seed, part])
        people.append(sample_cells(table, rng=rng, shrink=shrink, first=sum(len(before) for before in people)))
    return people


def _reduced(features: list[Tensor], cells: list[Tensor], rows: Tensor, *, components: int) -> list[Patients]:
    """Training, validation and test patients with components of the training rows."""
    seen = features[0][rows]
    mean, deviation = seen.mean(0), seen.std(0) + 1e-6
    scaled = [(each - mean) / deviation for each in (seen, *features[1:])]
    first, others = principal(scaled[0], torch.cat(scaled[1:]), components=components)
    split = [first, *others.split([len(each) for each in scaled[1:]])]
    codes = [cells[0][rows], *cells[1:]]
    return [Patients(x.float(), code % 2, code) for x, code in zip(split, codes, strict=True)]
