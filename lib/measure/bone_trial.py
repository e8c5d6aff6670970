"""One trial of films without bone and of windows cut by gaze: new patients, their films, every head, every answer.

After studies of bone suppression (BS-LDM, arXiv:2412.15670, gives readers films without bone) and of masks made from
gaze (I-AI, arXiv:2309.13550). Differences: the bare film is the generator's own and exact, the reader is a linear head
on fixed features, trained anew for every kind of film, and a low-pass of equal change stands beside the removal.

Conventions: kinds of film are KINDS; scores higher = more likely present; nobody is in two of the three sets, those
from whom suppression is learnt, those from whom heads learn, and those who are asked.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.data.bone_free import ASKED, bone_pair, lesion_patients, rib_share
from lib.data.radiographs import Radiographs
from lib.measure.bone_suppression import change, equal_blur, low_pass, suppress, train_suppressor
from lib.measure.fairness import auc, too_few
from lib.measure.gaze_windows import LAWS, READINGS, VIEWS, gaze_answers
from lib.measure.mask_grid import fit_heads
from lib.models.cell_features import cell_features

__all__ = ["BONES", "FLOORS", "KINDS", "bone_scores", "bone_trial", "gaze_scores", "kinds_of_film"]

KINDS = ("plain", "true removal", "learnt removal", "low-pass")
FLOORS = ("table", "permuted labels")
BONES = ("all", "more rib", "less rib")


def kinds_of_film(pair: tuple[Radiographs, Radiographs], model: torch.nn.Module, sigma: float) -> dict[str, Tensor]:
    """All kinds of film of the same patients, float32 (n, 1, h, w) by the names in KINDS."""
    plain, bare = pair[0].x, pair[1].x
    return dict(zip(KINDS, (plain, bare, suppress(model, plain), low_pass(plain, sigma)), strict=True))


def bone_trial(
    *,
    seed: int,
    n_bone: int,
    n_train: int,
    n_test: int,
    size: int,
    epochs: int,
    penalty: float,
    shown: float,
    scatter_mm: float,
) -> dict[str, Tensor]:
    """Draw patients, render them with and without bone, learn to remove bone, and ask every head.

    Parameters
    ----------
    seed : int
        Everything random.
    n_bone, n_train, n_test : int
        Patients from whom suppression is learnt, from whom heads learn, and who are asked.
    size : int
        Height and width of a film, pixels.
    epochs : int
        As `lib.measure.bone_suppression.train_suppressor`.
    penalty : float
        As `lib.measure.mask_grid.fit_heads`.
    shown, scatter_mm
        As `lib.measure.gaze_windows.gaze_windows`.

    Returns
    -------
    dict of Tensor
        "bones" float64 (kinds + floors, n_test, findings); "gaze" as `lib.measure.gaze_windows.gaze_answers`;
        "labels" int64 (n_test, findings); "ribs" float64 (n_test,), share of the nodule's place behind ribs, and
        "middle", its median over training patients; "change" float64 (kinds, 2), mean change of the pattern of test
        lungs against the plain and the bare film; "sigma", of the low-pass, pixels.
    """
    rng = np.random.default_rng([seed, 18])
    known, train, test = (bone_pair(lesion_patients(n, rng=rng), size=size) for n in (n_bone, n_train, n_test))
    model = train_suppressor(known[0].x, known[1].x, epochs=epochs, seed=seed)
    sigma = equal_blur(known[0].x, known[1].x, _lungs(known[0]))
    seen, asked = (kinds_of_film(pair, model, sigma) for pair in (train, test))
    goals = torch.tensor(train[0].patients[list(ASKED)].to_numpy())
    looks = {kind: (cell_features(films), cell_features(asked[kind])) for kind, films in seen.items()}
    answers = [fit_heads(one, goals, penalty=penalty)(other) for one, other in looks.values()]
    answers.append(fit_heads(_table(train[0]), goals, penalty=penalty)(_table(test[0])))
    mixed = goals[torch.from_numpy(rng.permutation(n_train))]
    answers.append(fit_heads(looks["plain"][0], mixed, penalty=penalty)(looks["plain"][1]))
    region = _lungs(test[0])
    moved = [[change(film, asked[kind], region) for kind in KINDS[:2]] for film in asked.values()]
    gaze = gaze_answers(train[0], test[0], shown=shown, scatter_mm=scatter_mm, penalty=penalty, rng=rng)
    return {
        "bones": torch.stack(answers),
        "gaze": gaze,
        "labels": torch.tensor(test[0].patients[list(ASKED)].to_numpy()),
        "ribs": rib_share(test[0]),
        "middle": rib_share(train[0]).median(),
        "change": torch.tensor(moved, dtype=torch.float64),
        "sigma": torch.tensor(sigma, dtype=torch.float64),
    }


def bone_scores(trial: dict[str, Tensor], *, seed: int) -> pd.DataFrame:
    """AUC of every kind of film and of two floors, for every finding, and by the ribs before a nodule.

    Parameters
    ----------
    trial : dict of Tensor
        From `bone_trial`.
    seed : int
        Name of the trial in the table.

    Returns
    -------
    DataFrame
        seed, finding, bones, film, auc, positives. Bones: "all"; for the nodule also "more rib" and "less rib", the
        positives whose place lies behind ribs for more, or not more, than the median share, all against the same
        negatives. NaN with fewer than 20 positives or negatives.
    """
    rows, labels = [], trial["labels"].numpy()
    more = (trial["ribs"] > trial["middle"]).numpy()
    keeps = dict(zip(BONES, (np.ones_like(more), more, ~more), strict=True))
    for k, finding in enumerate(ASKED):
        for bones in BONES if finding == "nodule" else BONES[:1]:
            kept = (labels[:, k] == 0) | keeps[bones]
            for film, scores in zip((*KINDS, *FLOORS), trial["bones"].numpy(), strict=True):
                positive = labels[kept, k]
                rows.append((seed, finding, bones, film, _auc(scores[kept, k], positive), int(positive.sum())))
    return pd.DataFrame(rows, columns=["seed", "finding", "bones", "film", "auc", "positives"])


def gaze_scores(trial: dict[str, Tensor], *, seed: int) -> pd.DataFrame:
    """AUC for a nodule under every law of gaze, in every view, and of its floors.

    Parameters
    ----------
    trial, seed
        As `bone_scores`.

    Returns
    -------
    DataFrame
        seed, law, view, what (READINGS), auc; NaN with fewer than 20 positives or negatives.
    """
    positive = trial["labels"][:, ASKED.index("nodule")].numpy()
    rows = []
    for law, views in zip(LAWS, trial["gaze"].numpy(), strict=True):
        for how, readings in zip(VIEWS, views, strict=True):
            for what, scores in zip(READINGS, readings, strict=True):
                rows.append((seed, law, how, what, _auc(scores, positive)))
    return pd.DataFrame(rows, columns=["seed", "law", "view", "what", "auc"])


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    return math.nan if too_few(positive) else auc(scores, positive)


def _lungs(films: Radiographs) -> Tensor:
    return films.masks["lung_left"] | films.masks["lung_right"]


def _table(films: Radiographs) -> Tensor:
    """Age, bedside view, sex, body mass index: float64 (n, 4)."""
    table = films.patients
    columns = (table["age_years"], table["view"] == "AP", table["sex"] == "F", table["bmi"])
    return torch.tensor(np.stack([column.to_numpy(np.float64) for column in columns], 1))
