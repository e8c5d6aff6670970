"""One trial of class queries: new patients, one frozen description of their films, several heads, where each points.

The question of Yang et al. 2025 (arXiv:2502.05142) where the truth is known: what does a query for each class gain over
the mean of all cells for small and for large findings, and does its attention lie on the finding? Films come from
`lib.data.thorax`, cells from `lib.models.patch_features`, heads from `lib.models.glori_head`.

Conventions: findings in the order of `lib.data.thorax.FINDINGS`; a map points at the cell of its largest value, a hit
is a cell that the finding touches, and cardiomegaly touches the cells of the heart. The corner tag
(`lib.data.corner_tag`) lies in the first cell; a map points at it if its largest value is there. The linear head
chooses its penalty on a third of its training patients, held back; the others have one setting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from lib.data import thorax
from lib.data.corner_tag import tagged, worn
from lib.data.radiographs import Radiographs
from lib.measure.fairness import auc, too_few
from lib.measure.pointing import pointing_game
from lib.models.glori_head import GloriHead
from lib.models.patch_features import PatchFeatures
from lib.train import fit

__all__ = ["ARMS", "LARGE", "MAPS", "SIZES", "SMALL", "TAGGED", "glori_trial", "pointing_rows", "sized_patients"]
__all__ += ["finding_cells", "score_rows"]

SIZES = {"nodule_radius_cm": (1.5, 2.0), "pneumothorax_shrink": (0.05, 0.10), "effusion_ml": (400.0, 1500.0)}
SMALL, LARGE = ("nodule", "pneumothorax"), ("cardiomegaly", "effusion")
DEVICES = ("ecg_leads", "pacemaker", "marker")
TAGGED = "nodule"  # the finding that the tag goes with
ARMS = ("mean, linear", "uniform", "shared", "frozen", "learnt", "shuffled")
MAPS = ("mean, linear", "shared", "frozen", "learnt", "shuffled", "other patient")
BATCH, PICTURES = 64, 40  # films in a step of the optimiser; test films whose maps are kept
PENALTIES = (0.001, 0.01, 0.1, 1.0)  # inverse penalties from which the linear head chooses in training


@dataclass(frozen=True)
class _Setting:
    """How heads are trained."""

    epochs: int
    lr: float
    width: int
    seed: int


def sized_patients(n: int, *, rng: np.random.Generator, prevalence: float) -> pd.DataFrame:
    """Draw patients with small pneumothoraces, plain nodules, large effusions; other sizes are medium.

    One acquisition group, one view, no device and no bones: what is asked is size, and the rest would only add noise.

    Parameters
    ----------
    n : int
        Patients.
    rng : numpy.random.Generator
    prevalence : float
        Of every finding.

    Returns
    -------
    DataFrame
        As `lib.data.thorax.sample_patients`, with the sizes of SIZES.
    """
    people = thorax.sample_patients(
        n, rng=rng, prevalence=dict.fromkeys(thorax.FINDINGS, prevalence), devices=dict.fromkeys(DEVICES, 0.0),
        groups={"A": 1.0}, p_ap=0.0, p_drain_given_pneumothorax=0.0, p_drain_given_none=0.0,
    )  # fmt: skip
    return people.assign(bones=0.0, **{column: rng.uniform(*bounds, n) for column, bounds in SIZES.items()})


def finding_cells(films: Radiographs, *, grid: int) -> Tensor:
    """Which cells each finding touches, bool (n, findings, grid, grid); all False where it is absent or not to be seen.

    Parameters
    ----------
    films : Radiographs
        From `lib.data.thorax.render`; the side is a multiple of ``grid``.
    grid : int
        Cells along a side.
    """
    present = torch.tensor(films.findings[list(thorax.FINDINGS)].to_numpy() == 1)
    names = ["heart" if name == "cardiomegaly" else name for name in thorax.FINDINGS]
    masks = torch.stack([films.masks[name] for name in names], 1) & present[:, :, None, None]
    return functional.max_pool2d(masks.float(), masks.shape[-1] // grid) > 0


def glori_trial(
    *,
    seed: int,
    n_train: int,
    n_test: int,
    size: int,
    grid: int,
    units: int,
    width: int,
    prevalence: float,
    strength: float,
    epochs: int,
    lr: float,
) -> dict[str, Tensor]:
    """Draw patients, describe their films, train every head on the same cells, and ask where each looks.

    Parameters
    ----------
    seed : int
        Everything random.
    n_train, n_test : int
        Patients, one film each; nobody is in both.
    size, grid : int
        Sides of a film, pixels, and of the map of its cells.
    units, width : int
        See `lib.models.patch_features.PatchFeatures` and `lib.models.glori_head.GloriHead`.
    prevalence, strength : float
        Of every finding; share with the tag among training patients with TAGGED (1 minus this among the others).
    epochs, lr
        As `lib.train.fit`.

    Returns
    -------
    dict of Tensor
        "score" float32 (ARMS, n_test, findings); "hit" float32 (MAPS, n_test, findings), NaN where there is nothing to
        hit; "area" the share of cells that are hits; "positive" int64 (n_test, findings); after training with the tag,
        for ("mean, linear", "frozen"): "tag_score" (2, states without and with tag, n_test, findings) and "tag_hit"
        (2, states, n_test, findings); "maps" float32 (2, PICTURES at most, findings, grid, grid) of these two arms
        without tag, "films" the films they belong to, "cells" bool their truth.
    """
    rng = np.random.default_rng([seed, 14])
    people = sized_patients(n_train + n_test, rng=rng, prevalence=prevalence)
    films = thorax.render(people, size=size)
    labels = torch.tensor(people[list(thorax.FINDINGS)].to_numpy()).float()
    backbone = PatchFeatures(films.x[:n_train], grid=grid, units=units, generator=torch.Generator().manual_seed(seed))
    train, test = backbone(films.x).split([n_train, n_test])
    setting = _Setting(epochs, lr, width, seed)
    scores, maps = _all_heads(train, labels[:n_train], test, setting)
    truth = finding_cells(films, grid=grid)[n_train:]
    maps["other patient"] = maps["frozen"].roll(1, 0)
    hits = torch.stack([_hits(maps[name], truth) for name in MAPS])
    found = {"score": torch.stack([scores[arm] for arm in ARMS]), "hit": hits, "area": truth.float().mean((2, 3))}
    luck = rng.random(n_train)
    wears = torch.tensor(worn(luck, people[TAGGED].to_numpy()[:n_train], p=strength))
    seen = torch.where(wears[:, None, None], backbone(tagged(films.x[:n_train])), train)
    found |= _with_tag(seen, labels[:n_train], (test, backbone(tagged(films.x[n_train:]))), setting)
    shape = (-1, len(thorax.FINDINGS), grid, grid)
    found["maps"] = torch.stack([maps[name][:PICTURES].reshape(shape) for name in ("mean, linear", "frozen")])
    found |= {"films": films.x[n_train:][:PICTURES, 0], "cells": truth[:PICTURES].clone()}
    return {name: value.contiguous() for name, value in found.items()} | {"positive": labels[n_train:].long()}


def score_rows(trial: dict[str, Tensor], *, seed: int) -> pd.DataFrame:
    """AUC of every arm and finding: seed, finding, arm, auc; NaN with fewer than 20 positives or negatives.

    Parameters
    ----------
    trial : dict of Tensor
        From `glori_trial`.
    seed : int
        Name of the trial in the table.
    """
    rows = []
    for c, finding in enumerate(thorax.FINDINGS):
        positive = trial["positive"][:, c].numpy()
        for a, arm in enumerate(ARMS):
            score = trial["score"][a, :, c].double().numpy()
            rows.append((seed, finding, arm, math.nan if too_few(positive) else auc(score, positive)))
    return pd.DataFrame(rows, columns=["seed", "finding", "arm", "auc"])


def pointing_rows(trial: dict[str, Tensor], *, seed: int) -> pd.DataFrame:
    """Hit rate of every map and finding: seed, finding, map ("area" = a cell at random), hit, films (NaN below 20).

    Parameters
    ----------
    trial, seed
        As `score_rows`.
    """
    rows = []
    for c, finding in enumerate(thorax.FINDINGS):
        there = ~trial["hit"][0, :, c].isnan()
        films = int(there.sum())
        values = dict(zip(MAPS, trial["hit"][:, there, c], strict=True)) | {"area": trial["area"][there, c]}
        for name, value in values.items():
            rows.append((seed, finding, name, value.mean().item() if films >= 20 else math.nan, films))
    return pd.DataFrame(rows, columns=["seed", "finding", "map", "hit", "films"])


def _all_heads(
    train: Tensor, labels: Tensor, test: Tensor, setting: _Setting
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Scores (n, findings) by arm and maps (n, findings, cells) by map."""
    scores, maps = {}, {}
    scores[ARMS[0]], maps[ARMS[0]] = _Linear(train, labels, setting.seed)(test)
    for arm in ("uniform", "shared", "frozen", "learnt"):
        head = _trained_head(train, labels, arm, setting)
        scores[arm], maps[arm] = _looked(head, test)
        if arm == "frozen":
            order = [(c - 1) % labels.shape[1] for c in range(labels.shape[1])]
            scores["shuffled"], maps["shuffled"] = _looked(head, test, order)
    return scores, maps


def _trained_head(cells: Tensor, labels: Tensor, queries: str, setting: _Setting) -> GloriHead:
    """A head trained on cells; heads of one seed start from the same weights and see the same batches."""
    generator = torch.Generator().manual_seed(setting.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        width, inputs = setting.width, cells.shape[2]
        head = GloriHead(inputs, labels.shape[1], generator=generator, width=width, hidden=2 * width, queries=queries)
    fit(head, _loss, (cells, labels), epochs=setting.epochs, batch_size=BATCH, lr=setting.lr, generator=generator)
    return head


def _loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    cells, labels = batch
    return functional.binary_cross_entropy_with_logits(model(cells), labels)


@torch.no_grad()
def _looked(head: GloriHead, cells: Tensor, order: list[int] | None = None) -> tuple[Tensor, Tensor]:
    parts = [head.look(part, order=order) for part in cells.split(256)]
    return torch.cat([part.logits for part in parts]), torch.cat([part.attention for part in parts])


class _Linear:
    """Logistic regression on the mean of the cells; its map is what each cell adds to the logit (CAM)."""

    def __init__(self, cells: Tensor, labels: Tensor, seed: int) -> None:
        pooled = cells.mean(1)
        self.mean, self.deviation = pooled.mean(0), pooled.std(0).clamp_min(1e-6)
        rows = ((pooled - self.mean) / self.deviation).double().numpy()
        held = np.random.default_rng(seed).permutation(len(rows)) < len(rows) // 3
        weights, biases = [], []
        for positive in labels.long().T.numpy():
            tried = [_logistic(rows[~held], positive[~held], c).decision_function(rows[held]) for c in PENALTIES]
            best = int(np.argmax([auc(score, positive[held]) for score in tried]))
            fitted = _logistic(rows, positive, PENALTIES[best])
            weights.append(fitted.coef_[0])
            biases.append(fitted.intercept_[0])
        self.weight = torch.tensor(np.array(weights)).float() / self.deviation  # (findings, units)
        self.bias = torch.tensor(np.array(biases)).float() - self.weight @ self.mean

    def __call__(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, findings) and maps (n, findings, cells)."""
        return cells.mean(1) @ self.weight.T + self.bias, (cells @ self.weight.T).transpose(1, 2)


def _logistic(rows: NDArray[np.float64], positive: NDArray[np.int64], c: float) -> LogisticRegression:
    return LogisticRegression(C=c, solver="newton-cholesky", max_iter=200).fit(rows, positive)


def _with_tag(seen: Tensor, labels: Tensor, states: tuple[Tensor, Tensor], setting: _Setting) -> dict[str, Tensor]:
    """Scores and hits of the tag by the linear and the frozen head, on test films without and with the tag."""
    linear, head = _Linear(seen, labels, setting.seed), _trained_head(seen, labels, "frozen", setting)
    answers = [[linear(cells) for cells in states], [_looked(head, cells) for cells in states]]
    grid = math.isqrt(seen.shape[1])
    place = torch.zeros(grid, grid, dtype=torch.bool)
    place[0, 0] = True
    truth = place.expand(*states[0].shape[:1], labels.shape[1], -1, -1)
    return {
        "tag_score": torch.stack([torch.stack([score for score, _ in arm]) for arm in answers]),
        "tag_hit": torch.stack([torch.stack([_hits(where, truth) for _, where in arm]) for arm in answers]),
    }


def _hits(maps: Tensor, truth: Tensor) -> Tensor:
    """Pointing game on the grid: maps (n, findings, cells), truth bool (n, findings, grid, grid) -> (n, findings)."""
    there = truth.flatten(2).any(2)
    found = torch.full(there.shape, math.nan)
    if there.any():
        found[there] = pointing_game(maps.reshape(truth.shape)[there], truth[there]).value
    return found
