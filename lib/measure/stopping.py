"""Which rows may say what goes and when it ends: recursive elimination with every choice of them, side by side.

Shi et al. 2024, ChaosMining (arXiv:2406.12150, RFEwNA): train, drop the fifth of the columns with the smallest
attribution, train again, until the error rises. The public code attributes and stops by the test rows whose error it
reports. Here the same rule runs with other rows in those two parts, under one budget of rows that are not for the test:

- all of them train; importance by the training rows or by the test rows; stopped by the test rows, or by inner folds of
  the training rows (nested: Varma & Simon 2006, doi:10.1186/1471-2105-7-91);
- some of them are held out of the training and decide both (validation).

Differences: the set kept is the best one seen. Whole paths are recorded and stopped afterwards, so that rules of
stopping share their networks. RFE with a linear model (Guyon et al. 2002, doi:10.1023/A:1012487302797) stands beside.

Conventions: targets are those of a `lib.data.split_rows.Split`; errors are mean absolute ones in the target's unit. An
arm is "<rows that are asked>, <importance>".
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor, nn

from lib.data.formulas import FormulaRows
from lib.data.split_rows import Split, formula_split, table_split
from lib.data.tables import table
from lib.explain.gradients import integrated_gradients
from lib.measure.chaos import set_precision
from lib.measure.elimination import (
    Path,
    Step,
    attribution_importance,
    best_round,
    eliminate,
    permutation_importance,
)
from lib.measure.regressors import Recipe, absolute_errors, spread_formulas, train_networks

__all__ = ["ALL_ROWS", "FEWER_ROWS", "PARTS", "stopped", "train_stops"]

ALL_ROWS = ("training, gradient", "test, gradient", "test, permutation")  # arms that train on all rows
FEWER_ROWS = ("validation, gradient", "validation, integrated gradients", "validation, permutation")
PARTS = (8, 4, 2)  # smaller tests: the first rows of the test
FORMULAS = "formulas"


def train_stops(
    *,
    source: str,
    seed: int,
    n_train: int,
    n_held: int,
    n_test: int,
    n_fresh: int,
    n_noise: int,
    n_targets: int,
    n_null: int,
    n_folds: int,
    width: int,
    depth: int,
    activation: str,
    epochs: int,
    share: float = 0.2,
) -> dict[str, Tensor]:
    """Whole paths of elimination of all arms, from literals.

    Parameters
    ----------
    source : str
        "formulas", or a table of `lib.data.tables` (one true target: ``n_targets`` and ``n_fresh`` are ignored).
    seed, n_train, n_test, n_fresh, n_noise, n_targets, n_null
        As `lib.data.split_rows`; ``n_targets`` formulas, evenly spread.
    n_held : int
        Rows of the training that the arms of validation hold out, the last ones.
    n_folds : int, >= 2
        Inner folds.
    width, depth, activation, epochs
        As `lib.measure.regressors.Recipe`.
    share : float
        As `lib.measure.elimination.eliminate`.

    Returns
    -------
    dict of Tensor
        For each arm ``<arm>/kept``, bool (rounds, targets, columns), and ``<arm>/<rows>``, float (rounds, targets), for
        the errors on test, fresh and, where held out, validation rows; ``training, gradient/nested``, the inner folds'
        mean error; ``training, gradient/test 1/8`` and so on for smaller tests; ``relevant`` and ``null`` of the split.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    if not 1 <= n_held < n_train or n_folds < 2:
        raise ValueError(f"n_held must be in 1..{n_train - 1} and n_folds at least 2, got {n_held} and {n_folds}")
    split = _split(source, seed, n_train, n_test, n_fresh, n_noise, n_targets, n_null)
    recipe, generator = Recipe(width, depth, activation, epochs), torch.Generator().manual_seed(seed)
    judges = {"test": split.test, "fresh": split.fresh}
    smaller = {f"test 1/{part}": _rows(split.test, slice(max(1, n_test // part))) for part in PARTS}
    fewer, held = _rows(split.train, slice(n_train - n_held)), _rows(split.train, slice(n_train - n_held, n_train))
    asked = {"test": split.test, "validation": held}

    def path(arm: str, fitted: FormulaRows, judging: Mapping[str, FormulaRows]) -> Path:
        rows, kind = arm.split(", ")
        step = _step(kind, asked.get(rows, fitted), fitted, judging, recipe=recipe, seed=seed, generator=generator)
        return eliminate(step, split.shown, share=share, patience=None)

    found = {arm: path(arm, split.train, judges | smaller) for arm in ALL_ROWS}
    found |= {arm: path(arm, fewer, judges | {"validation": held}) for arm in FEWER_ROWS}
    step = _linear(fewer, {"validation": held} | judges)
    found["validation, linear"] = eliminate(step, split.shown, share=share, patience=None)
    inner = []
    for fold in range(n_folds):
        out = torch.arange(n_train) % n_folds == fold
        one = path("inner, gradient", _rows(split.train, ~out), {"held": _rows(split.train, out)})
        inner.append(one.errors["held"])
    found["training, gradient"].errors["nested"] = torch.stack(inner).mean(0)
    tensors = {f"{arm}/{rows}": error for arm, one in found.items() for rows, error in one.errors.items()}
    return tensors | {f"{arm}/kept": one.kept for arm, one in found.items()} | {
        "relevant": split.relevant, "null": split.null,
    }  # fmt: skip


def _split(
    source: str, seed: int, n_train: int, n_test: int, n_fresh: int, n_noise: int, n_targets: int, n_null: int
) -> Split:
    sizes = {"seed": seed, "n_train": n_train, "n_test": n_test, "n_noise": n_noise, "n_null": n_null}
    if source == FORMULAS:
        return formula_split(spread_formulas(n_targets), n_fresh=n_fresh, **sizes)
    found = table(source)
    return table_split(found.X, found.y, **sizes)


def _rows(rows: FormulaRows, chosen: slice | Tensor) -> FormulaRows:
    return FormulaRows(rows.x[chosen], rows.y[chosen], rows.clean[chosen], rows.formulas)


def _step(
    kind: str,
    asked: FormulaRows,
    fitted: FormulaRows,
    judges: Mapping[str, FormulaRows],
    *,
    recipe: Recipe,
    seed: int,
    generator: torch.Generator,
) -> Step:
    """One round of an arm; arms of one seed begin with the same weights."""

    def step(kept: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        found = train_networks(fitted.x, fitted.y, kept, recipe=recipe, seed=seed)
        errors = {name: absolute_errors(found, each, kept) for name, each in judges.items()}
        return errors, _importance(kind, asked, found, kept, generator)

    return step


def _importance(
    kind: str, rows: FormulaRows, found: list[nn.Sequential], kept: Tensor, generator: torch.Generator
) -> Tensor:
    if kind == "gradient":
        return attribution_importance(found, rows.x, kept)
    if kind == "permutation":
        return permutation_importance(found, rows, kept, generator=generator)
    scores = torch.zeros(kept.shape)
    for i, network in enumerate(found):
        own = rows.x[:, kept[i]][:, None, None]  # (n, 1, 1, kept)
        zero = torch.zeros(len(own), dtype=torch.int64)
        scores[i, kept[i]] = integrated_gradients(network, own, zero, max_batch=4096, n_steps=8)[:, 0].abs().mean(0)
    return scores


def _linear(fitted: FormulaRows, judges: Mapping[str, FormulaRows], *, penalty: float = 1.0) -> Step:
    """A step of elimination by ridge regression: the size of a coefficient times its column's deviation."""
    centre, level, spread = fitted.x.mean(0), fitted.y.mean(0), fitted.x.std(0)

    def step(kept: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        weights = torch.zeros(kept.shape)
        for i, columns in enumerate(kept):
            own = (fitted.x - centre)[:, columns]
            gram = own.T @ own + penalty * torch.eye(own.shape[1])
            weights[i, columns] = torch.linalg.solve(gram, own.T @ (fitted.y[:, i] - level[i]))
        errors = {name: ((each.x - centre) @ weights.T + level - each.y).abs().mean(0) for name, each in judges.items()}
        return errors, weights.abs() * spread

    return step


def stopped(
    result: Mapping[str, Tensor], *, arm: str, by: str, reported: str = "test", patience: int | None = 1
) -> pd.DataFrame:
    """What one protocol reports, and what it is worth.

    Parameters
    ----------
    result : mapping
        From :func:`train_stops`.
    arm, by, reported : str
        Whose path, the rows whose error stops it, and those whose error is reported.
    patience : int or None
        As `lib.measure.elimination.best_round`.

    Returns
    -------
    DataFrame
        One row per target: ``target``, ``null``, ``columns`` kept, ``relevant`` (share of them that are, percent),
        ``recall`` (share of the relevant ones that are kept, percent), ``reported`` and ``fresh`` error, ``optimism`` =
        100 (fresh - reported) / fresh: how much too good the report is, in percent; 0 = honest on average.

    Raises
    ------
    ValueError
        If the path or its errors are not there.
    """
    needed = {f"{arm}/{rows}" for rows in (by, reported, "fresh")}
    if missing := needed - set(result):
        raise ValueError(f"result must hold {sorted(missing)}; arms are {', '.join(ALL_ROWS + FEWER_ROWS)}")
    kept, each = result[f"{arm}/kept"], torch.arange(len(result["null"]))
    at = best_round(result[f"{arm}/{by}"], patience=patience)
    chosen, relevant = kept[at, each], result["relevant"]
    claimed, fresh = result[f"{arm}/{reported}"][at, each], result[f"{arm}/fresh"][at, each]
    columns = {
        "target": each, "null": result["null"], "columns": chosen.sum(1),
        "relevant": 100 * set_precision(chosen, relevant),
        "recall": 100 * (chosen & relevant).sum(1) / relevant.sum(1),
        "reported": claimed, "fresh": fresh, "optimism": 100 * (fresh - claimed) / fresh,
    }  # fmt: skip
    return pd.DataFrame({name: value.numpy() for name, value in columns.items()})
