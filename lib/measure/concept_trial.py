"""One trial of concept models under confounding: new patients, three shortcuts, all models, all scores.

Yan et al. 2023 (arXiv:2310.03182) train on films where something goes with the label and test where it goes against
it; Koh et al. 2020 (arXiv:2007.04612) for the ways to train a bottleneck; Xplainer (Pellegrini et al. 2023,
arXiv:2303.13391) for descriptors that are combined without training. Patients come from `lib.data.thorax_concepts`,
models from `lib.models.concept_bottleneck`. Differences: concepts that are learnt elsewhere come from other patients of
the same generator, on whom shortcuts are present at random, and not from a language model; descriptors are linear.

Conventions: features are cells of `lib.models.cell_features`, standardised over the films of the concept set. A model
scores every test patient without and with the shortcut; which of the two counts is decided later, so that train-like
and flipped tests hold the same patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from lib.data.corner_tag import worn
from lib.data.thorax_concepts import CONCEPTS, SHORTCUTS, admission_patients, concept_values, films, mixed_films
from lib.measure.fairness import auc, too_few
from lib.models.cell_features import cell_features
from lib.models.concept_bottleneck import ConceptBottleneck, Linear, concept_map, label_head, random_concepts
from lib.models.filters import LineCNN, line_maps
from lib.train import fit, predict

__all__ = ["MODELS", "STRENGTHS", "concept_trial", "trial_scores"]

MODELS = (
    "direct", "network", "random", "elsewhere", "elsewhere, hard", "independent", "sequential", "joint",
    "sequential, hard", "descriptors", "true concepts", "shortcut alone",
)  # fmt: skip
STRENGTHS = ("none", "confounded")  # of training: the shortcut is present in half of all, or goes with the label
DRAWS = 5  # of random concepts
GRID, LINE_GRID = 16, 8
HEAD = 1e-3  # penalty of heads on concepts
UNKNOWN = dict.fromkeys(("train_like", "flipped", "even", "drop"), math.nan)


@dataclass
class _Setting:
    """What all models of a trial share; states of films are "none" and one for each shortcut."""

    seen: dict[str, Tensor]
    asked: dict[str, Tensor]
    readings: Tensor
    truth: Tensor
    labels: Tensor
    elsewhere: Linear
    random: list[Linear]
    descriptors: list[Linear]
    penalty: float
    joint_weight: float


def concept_trial(
    *,
    seed: int,
    n_concept: int,
    n_train: int,
    n_test: int,
    size: int,
    epochs: int,
    strength: float,
    doubt: float,
    reading_noise: float,
    penalty: float,
    joint_weight: float,
) -> dict[str, Tensor]:
    """Draw patients, render their films, train every model and ask it about every test patient twice.

    Parameters
    ----------
    seed : int
        Everything random.
    n_concept, n_train, n_test : int
        Patients whose concepts are read elsewhere, patients with labels, patients asked; nobody is in two of them.
    size : int
        Side of a film, pixels.
    epochs : int
        Of the small network, for the corner tag alone; 0 = no network (NaN).
    strength : float in [0.5, 1]
        Share with the shortcut among the admitted in confounded training; 1 - strength among the others.
    doubt : float
        See `lib.data.thorax_concepts.admission_patients`.
    reading_noise : float
        Deviation of the readers' error about a concept, in deviations of the concept.
    penalty, joint_weight : float
        See `lib.models.concept_bottleneck`; the penalty serves every model on features.

    Returns
    -------
    dict of Tensor
        "score" float64 (shortcuts, strengths, models, draws, states, n_test): draws count for "random" only, states are
        without and with the shortcut; "steps" float64 (shortcuts, concepts + 1, states, n_test): the sequential model
        after 0, 1, ... true concepts; "shift" float64 (shortcuts, 2, concepts): what the shortcut adds to a concept
        learnt elsewhere, and on the confounded films, in deviations; "found" the same shape: correlation with the
        truth without a shortcut; "positive" int64 (n_test,); "propensity" float64 (shortcuts, n_test).
    """
    rng = np.random.default_rng([seed, 13])
    people = admission_patients(n_concept + n_train + n_test, rng=rng, doubt=doubt)
    other, train, test = (part for part in np.split(np.arange(len(people)), [n_concept, n_concept + n_train]))
    values = concept_values(people)
    z = torch.tensor((values - values[other].mean(0)) / np.maximum(values[other].std(0), 1e-12))
    readings = z + reading_noise * torch.tensor(rng.normal(size=z.shape))
    mixed = mixed_films(people.iloc[other], size=size, rng=rng)
    shown = {name: films(people.iloc[rows], size=size) for name, rows in (("train", train), ("test", test))}
    centre, spread = _scale(cell_features(mixed, grid=GRID))
    elsewhere = (cell_features(mixed, grid=GRID) - centre) / spread
    states = {
        part: {name: (cell_features(x, grid=GRID) - centre) / spread for name, x in each.items()}
        for part, each in shown.items()
    }
    admitted = torch.tensor(people["admitted"].to_numpy())
    draws = [torch.Generator().manual_seed(1000 * seed + draw) for draw in range(DRAWS)]
    setting = _Setting(
        seen=states["train"], asked=states["test"], readings=readings[train], truth=z[test], labels=admitted[train],
        elsewhere=concept_map(elsewhere, readings[other], penalty=penalty),
        random=[random_concepts(elsewhere, z.shape[1], generator=draw) for draw in draws],
        descriptors=[label_head(elsewhere, present, penalty=penalty) for present in (readings[other] > 0).T],
        penalty=penalty, joint_weight=joint_weight,
    )  # fmt: skip
    luck = rng.random((len(SHORTCUTS), len(people)))
    found = _all_models(setting, luck[:, train], strength=strength)
    if epochs:
        tags = worn(luck[0, train], admitted[train], p=strength)
        place = (0, STRENGTHS.index("confounded"), MODELS.index("network"), 0)
        found["score"][place] = _network(shown, tags, admitted[train], epochs=epochs, seed=seed)
    return found | {"positive": admitted[test], "propensity": torch.tensor(luck[:, test])}


def trial_scores(trial: dict[str, Tensor], *, seed: int, strength: float) -> pd.DataFrame:
    """AUC of every model on patients like those of training, and on patients for whom the shortcut is turned round.

    Parameters
    ----------
    trial : dict of Tensor
        From `concept_trial`.
    seed : int
        Name of the trial in the table.
    strength : float
        As in `concept_trial`.

    Returns
    -------
    DataFrame
        One row per shortcut, training (STRENGTHS), model (MODELS) and number of true concepts put in (0, or 0 to 5 for
        the model "sequential, corrected"): seed, shortcut, training, model, true_concepts, train_like and flipped AUC,
        drop (their difference), even (AUC where the shortcut says nothing). NaN for models that were not trained, and
        with fewer than 20 positives or negatives.
    """
    rows = []
    for s, shortcut in enumerate(SHORTCUTS):
        test = (trial["positive"].numpy(), trial["propensity"][s].numpy(), strength)
        about: dict[str, Any] = {"seed": seed, "shortcut": shortcut}
        for t, training in enumerate(STRENGTHS):
            for m, model in enumerate(MODELS):
                draws = [_aucs(draw, *test) for draw in trial["score"][s, t, m].numpy() if np.isfinite(draw).all()]
                found = {name: float(np.mean([draw[name] for draw in draws or [UNKNOWN]])) for name in UNKNOWN}
                rows.append(about | {"training": training, "model": model, "true_concepts": 0} | found)
        for step, score in enumerate(trial["steps"][s].numpy()):
            corrected = {"training": "confounded", "model": "sequential, corrected", "true_concepts": step}
            rows.append(about | corrected | _aucs(score, *test))
    return pd.DataFrame(rows)


def _aucs(score: np.ndarray, positive: np.ndarray, luck: np.ndarray, strength: float) -> dict[str, float]:
    """AUCs of scores (states, n) with the shortcut handed out in three ways."""
    if too_few(positive):
        return UNKNOWN
    found = {}
    for name, p in (("train_like", strength), ("flipped", 1 - strength), ("even", 0.5)):
        found[name] = auc(np.where(worn(luck, positive, p=p), score[1], score[0]), positive)
    return found | {"drop": found["train_like"] - found["flipped"]}


def _scale(rows: Tensor) -> tuple[Tensor, Tensor]:
    return rows.mean(0), rows.std(0).clamp_min(1e-3)  # a cell that never varies stays small


def _all_models(setting: _Setting, luck: np.ndarray, *, strength: float) -> dict[str, Tensor]:
    n, k = len(setting.truth), setting.truth.shape[1]
    nan = torch.nan
    found = {
        "score": torch.full((len(SHORTCUTS), len(STRENGTHS), len(MODELS), DRAWS, 2, n), nan, dtype=torch.float64),
        "steps": torch.full((len(SHORTCUTS), k + 1, 2, n), nan, dtype=torch.float64),
        "shift": torch.full((len(SHORTCUTS), 2, k), nan, dtype=torch.float64),
        "found": torch.full((len(SHORTCUTS), 2, k), nan, dtype=torch.float64),
    }
    for s, shortcut in enumerate(SHORTCUTS):
        asked = [setting.asked["none"], setting.asked[shortcut]]
        for t, p in enumerate((0.5, strength)):
            wears = torch.tensor(worn(luck[s], setting.labels.numpy(), p=p))[:, None]
            x = torch.where(wears, setting.seen[shortcut], setting.seen["none"])
            scores, same = _models(setting, x, asked)
            for name, score in scores.items():
                found["score"][s, t, MODELS.index(name), : len(score)] = score
        found["steps"][s] = _steps(same, asked, setting.truth)
        for row, learnt in enumerate((setting.elsewhere, same.map_)):
            bare, with_it = (learnt(x) for x in asked)
            found["shift"][s, row] = (with_it - bare).mean(0)
            found["found"][s, row] = _correlation(bare, setting.truth)
    return found


def _models(setting: _Setting, x: Tensor, asked: list[Tensor]) -> tuple[dict[str, Tensor], ConceptBottleneck]:
    """Scores (draws, states, n) of all linear models that are trained on films ``x``; and the sequential bottleneck."""
    options: dict[str, Any] = {"penalty": setting.penalty, "head_penalty": HEAD, "weight": setting.joint_weight}
    makers: dict[str, dict[str, Any]] = {
        "elsewhere": {"concepts": setting.elsewhere},
        "elsewhere, hard": {"concepts": setting.elsewhere, "form": "hard"},
        "independent": {"training": "independent"},
        "sequential": {"training": "sequential"},
        "joint": {"training": "joint"},
        "sequential, hard": {"form": "hard"},
    }
    made = {
        name: ConceptBottleneck(**options | more).fit(x, setting.readings, setting.labels)
        for name, more in makers.items()
    }
    scores = {name: torch.stack([model.predict(a) for a in asked])[None] for name, model in made.items()}
    direct = label_head(x, setting.labels, penalty=setting.penalty)
    scores["direct"] = torch.stack([direct(a)[:, 0] for a in asked])[None]
    controls = [(drawn, label_head(drawn(x), setting.labels, penalty=HEAD)) for drawn in setting.random]
    scores["random"] = torch.stack([torch.stack([head(drawn(a))[:, 0] for a in asked]) for drawn, head in controls])
    told = [torch.stack([logsigmoid(each(a)[:, 0]) for each in setting.descriptors]).mean(0) for a in asked]
    scores["descriptors"] = torch.stack(told)[None]  # log probability of every descriptor, averaged as in Xplainer
    best = label_head(setting.readings, setting.labels, penalty=HEAD)(setting.truth)[:, 0]
    scores["true concepts"] = torch.stack([best, best])[None]
    scores["shortcut alone"] = torch.stack([torch.zeros_like(best), torch.ones_like(best)])[None]
    return scores, made["sequential"]


def _steps(model: ConceptBottleneck, asked: list[Tensor], truth: Tensor) -> Tensor:
    """Answers (concepts + 1, states, n) with the first 0, 1, ... concepts true."""
    replaced = [tuple(range(m)) for m in range(len(CONCEPTS) + 1)]
    return torch.stack([torch.stack([model.intervene(a, truth, which=which) for a in asked]) for which in replaced])


def _correlation(one: Tensor, two: Tensor) -> Tensor:
    first, second = one - one.mean(0), two - two.mean(0)
    return (first * second).sum(0) / (first.norm(dim=0) * second.norm(dim=0)).clamp_min(1e-12)


def _network(
    shown: dict[str, dict[str, Tensor]], tags: np.ndarray, labels: Tensor, *, epochs: int, seed: int
) -> Tensor:
    """Logits (states, n) of a small network, trained on films with and without a corner tag."""
    bare, tagged = (shown["train"][name] for name in ("none", SHORTCUTS[0]))
    maps = line_maps(torch.where(torch.as_tensor(tags)[:, None, None, None], tagged, bare), grid=LINE_GRID)
    torch.manual_seed(seed)
    model = LineCNN(maps.shape[1], grid=LINE_GRID, width=8).fit_scale(maps)

    def loss(net: nn.Module, batch: tuple[Tensor, ...], _: torch.Generator) -> Tensor:
        return binary_cross_entropy_with_logits(net(batch[0]), batch[1])

    order = torch.Generator().manual_seed(seed)
    options: dict[str, Any] = {"batch_size": 32, "lr": 4e-3, "weight_decay": 1.0, "compile": "off"}
    fit(model, loss, (maps, labels.float()), epochs=epochs, generator=order, **options)
    asked = [line_maps(shown["test"][name], grid=LINE_GRID) for name in ("none", SHORTCUTS[0])]
    return torch.stack([predict(model, each).double() for each in asked])
