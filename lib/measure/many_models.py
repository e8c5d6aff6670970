"""Sixty models of one task, some good and some bad, and what each is worth to those who contradict a shortcut.

After Liang et al. 2023 (arXiv:2305.02995), who train 500 image networks (architecture, learning rate, batch, duration)
on data with a spurious correlation. Here the task is a pneumothorax on films of `lib.data.thorax`, and the shortcut one
of two cues: a chest drain, thin and hard to see, or a tag in the corner of the film, plain to see. Models differ in
what they see of a film, in the patients they learn from, and in how freely or how long they fit
(`lib.measure.kernel_heads`): a linear head by its penalty, a wide network by its passes.

Conventions: at strength p the share p of the sick and 1 - p of the healthy have the cue in training. *Agreeing* films
(the majority: sick with the cue, healthy without) and *conflicting* films (the minority: sick without, healthy with)
show the same test patients, so that both groups are equally large and differ in the cue alone. Exactly every second
patient has the finding, so any first patients are balanced.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from lib.data import thorax
from lib.data.corner_tag import tagged
from lib.measure.kernel_heads import arc_cosine, coordinates, penalised, pooled, standardised_twins, stopped
from lib.models.filters import line_maps

CUES = ("drain", "tag")
STRENGTHS = (0.5, 0.7, 0.9, 0.95)
VIEWS = ("coarse pixels", "pixels", "coarse lines", "lines", "both")
GRIDS = {"coarse pixels": 16, "pixels": 32, "lines": 8}  # cells along a side
SHARES = (0.2, 1.0)  # of the training patients
PENALTIES = (1.0, 0.03, 0.001)  # on half the squared norm, beside the mean loss
PASSES = (4, 40, 400)
HEADS = ("linear", "wide network")


def settings() -> pd.DataFrame:
    """The models, in the order of every result of this module.

    Returns
    -------
    DataFrame
        One row per model: model (its number), view, share (of the training patients), head (HEADS), setting (the
        penalty of a linear head, the passes of a wide network).

    Examples
    --------
    >>> len(settings())
    60
    """
    heads = [(HEADS[0], value) for value in PENALTIES] + [(HEADS[1], float(value)) for value in PASSES]
    rows = [
        {"view": view, "share": share, "head": head, "setting": value}
        for view in VIEWS for share in SHARES for head, value in heads
    ]  # fmt: skip
    return pd.DataFrame(rows).rename_axis("model").reset_index()


def balanced_patients(n: int, *, rng: np.random.Generator, severity: str) -> pd.DataFrame:
    """Patients of whom every second one has a pneumothorax.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator
    severity : str
        As in `lib.data.thorax.sample_patients`.

    Returns
    -------
    DataFrame
        As from `lib.data.thorax.sample_patients`.

    Examples
    --------
    >>> balanced_patients(4, rng=np.random.default_rng(0), severity="easy")["pneumothorax"].tolist()
    [0, 1, 0, 1]
    """
    return thorax.sample_patients(n, rng=rng, severity=severity).assign(pneumothorax=np.arange(n) % 2)


def model_trial(*, seed: int, n_train: int, n_test: int, size: int, severity: str) -> dict[str, Tensor]:
    """Draw patients, render their films, train all models on both cues at all strengths and ask them about both groups.

    Parameters
    ----------
    seed : int
        Everything random: patients, who has the cue, the noise of their films.
    n_train, n_test : int
        Patients, each with a film without cues, one with a drain and one with a tag; nobody is in both sets.
    size : int
        Side of a film, pixels, 32 or more.
    severity : str
        Of the findings, see `lib.data.thorax.SEVERITIES`.

    Returns
    -------
    dict of Tensor
        "right" bool (cues, strengths, models, 2, n_test): whether a model is right about the agreeing and the
        conflicting film of each test patient. "told" float64 (cues, views): share of these films of which a linear
        head tells whether they have the cue, trained on that instead of the finding, where half of all have it.

    Raises
    ------
    ValueError
        If ``n_train`` is too small for the smallest share to hold both classes.
    """
    if n_train * min(SHARES) < 4:
        raise ValueError(f"n_train must be at least {math.ceil(4 / min(SHARES))}, got {n_train}; some see a share only")
    rng = np.random.default_rng([seed, 11])
    parts = [balanced_patients(n, rng=rng, severity=severity) for n in (n_train, n_test)]
    seen, asked = (_described(part, size) for part in parts)
    sick = [torch.tensor(part["pneumothorax"].to_numpy() == 1) for part in parts]
    wired = torch.stack([_wired(parts[0], p) for p in STRENGTHS])  # (strengths, n_train)
    found = [_cue_trial([seen[0], seen[k]], [asked[0], asked[k]], sick, wired) for k in range(1, len(CUES) + 1)]
    logits = torch.stack([each for each, _ in found]).unflatten(-1, (2, n_test))
    return {"right": (logits > 0) == sick[1], "told": torch.stack([told for _, told in found])}


def _described(patients: pd.DataFrame, size: int) -> list[dict[str, Tensor]]:
    """Views of the films without a cue and with each of CUES."""
    bare, drained = (each.x for each in thorax.render_device_twins(patients, "drain", size=size))
    return [film_views(films) for films in (bare, drained, tagged(bare))]


def _cue_trial(
    train: list[dict[str, Tensor]], test: list[dict[str, Tensor]], sick: list[Tensor], wired: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits (strengths, models, 2 * n_test) on films without and with one cue, and how well each view tells it."""
    n, m = (len(each) for each in sick)
    seen = torch.where(wired, n, 0) + torch.arange(n)  # rows of the films with the cue come second
    shown = torch.cat([torch.where(who, m, 0) + torch.arange(m) for who in (sick[1], ~sick[1])])
    logits, told = [], []
    for view in VIEWS:
        rows, others = (torch.stack([each[view] for each in films]) for films in (train, test))
        rows, others = standardised_twins(rows, others)
        both, lengths = (rows @ rows.T, others[shown] @ rows.T), others[shown].square().sum(1)
        for share in SHARES:
            few = round(share * n)
            logits.append(_crowd(both, lengths, seen[:, :few], sick[0][:few]))
        half = STRENGTHS.index(0.5)
        points, asked = coordinates(both[0][seen[half]][:, seen[half]], both[1][:, seen[half]])
        guess = penalised(points, wired[half], asked, penalties=PENALTIES[-1:])[0] > 0
        told.append((guess == (shown >= m)).double().mean())
    return torch.cat(logits, dim=1), torch.stack(told)


def film_views(films: Tensor) -> dict[str, Tensor]:
    """What models may see of films, by VIEWS; nothing in it was learnt.

    Parameters
    ----------
    films : Tensor (n, 1, h, w)

    Returns
    -------
    dict of str to Tensor (n, features)
        Mean greys in a coarse and a fine grid, strongest light and dark lines in a coarse and a fine grid
        (`lib.models.filters.line_maps`), and the coarse greys beside the fine lines.
    """
    found = {name: pooled(films, GRIDS[name]) for name in VIEWS[:2]}
    fine = line_maps(films, grid=GRIDS["lines"])  # (n, channels, 8, 8); a maximum of maxima is the coarse grid's
    found |= {"coarse lines": functional.max_pool2d(fine, 2).flatten(1), "lines": fine.flatten(1)}
    return found | {VIEWS[4]: torch.cat([found["coarse pixels"], found["lines"]], dim=1)}


def _crowd(products: tuple[Tensor, Tensor], lengths: Tensor, seen: Tensor, sick: Tensor) -> Tensor:
    """Logits (strengths, heads, asked) of all heads on one view and one number of patients."""
    squares, linear, wide = products[0].diagonal(), [], []
    for rows in seen:
        kernel, asked = products[0][rows][:, rows], products[1][:, rows]
        linear.append(penalised(*_paired(coordinates(kernel, asked), sick), penalties=PENALTIES))
        bent = arc_cosine(kernel, squares[rows], squares[rows]), arc_cosine(asked, lengths, squares[rows])
        wide.append(coordinates(*bent))
    points, others = (torch.stack(part) for part in zip(*wide, strict=True))
    return torch.cat([torch.stack(linear), stopped(points, sick, others, passes=PASSES)], dim=1)


def _paired(points: tuple[Tensor, Tensor], sick: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return points[0], sick, points[1]


def group_accuracies(trial: dict[str, Tensor], *, seed: int) -> pd.DataFrame:
    """Accuracy of every model in the majority and in the minority.

    Parameters
    ----------
    trial : dict of Tensor
        From `model_trial`.
    seed : int
        Name of the trial in the table.

    Returns
    -------
    DataFrame
        One row per cue, strength and model: seed, cue, p, the columns of `settings`, majority, minority (shares), films
        (behind each of the two).
    """
    return _table(trial["right"].double().mean(-1).numpy(), seed=seed, films=trial["right"].shape[-1])


def half_accuracies(trial: dict[str, Tensor], *, seed: int) -> pd.DataFrame:
    """The same table for two groups that mean nothing: random halves of the test patients.

    Each half holds agreeing and conflicting films in the proportion of training, p to 1 - p, by weights, so no film is
    thrown away. Whatever bends here is no moon.

    Parameters
    ----------
    trial, seed
        As in `group_accuracies`; the seed also draws the halves.

    Returns
    -------
    DataFrame
        As `group_accuracies`; majority and minority are the two halves.
    """
    right = trial["right"].double().numpy()
    order = np.random.default_rng([seed, 12]).permutation(right.shape[-1])
    weights = np.array([[p, 1 - p] for p in STRENGTHS])[:, None, :, None]  # (strengths, 1, 2, 1)
    mixed = (right * weights).sum(3)  # (cues, strengths, models, n_test)
    half = right.shape[-1] // 2
    values = np.stack([mixed[..., order[:half]].mean(-1), mixed[..., order[half : 2 * half]].mean(-1)], axis=-1)
    return _table(values, seed=seed, films=half)


def _table(values: np.ndarray, *, seed: int, films: int) -> pd.DataFrame:
    parts = [
        settings().assign(seed=seed, cue=cue, p=p, majority=pair[:, 0], minority=pair[:, 1], films=films)
        for cue, dial in zip(CUES, np.clip(values, 0.0, 1.0), strict=True)
        for p, pair in zip(STRENGTHS, dial, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _wired(patients: pd.DataFrame, p: float) -> Tensor:
    table = thorax.assign_drains(patients, p_drain_given_pneumothorax=p, p_drain_given_none=1 - p)
    return torch.tensor(table["drain"].to_numpy() == 1)
