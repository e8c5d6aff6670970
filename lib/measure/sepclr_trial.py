"""One trial of separation: healthy and sick patients, their films, every arm, and what probes read from every space.

Louiset et al. 2024, SepCLR (arXiv:2402.11928): subtype, sex and age are read by linear probes from the common and the
salient code of target patients. Differences: encoders stand on fixed features that have seen no label
(`lib.measure.film_components`); every film has a few views that are drawn once; each probe is scored by the AUC,
as is age, cut in two, instead of by its error in years.

Conventions: a case is (arm, space). All arms of a seed share patients, films, views and the order of batches, and the
three trainings of SepCLR start from the same weights. Probes learn from training targets and are asked about test
targets, who are other patients; "target" itself is asked of both sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from pandas import DataFrame
from torch import Tensor, nn
from torch.nn import functional

from lib.data import thorax
from lib.data.film_views import film_views
from lib.data.one_finding import everybody_sick, one_finding_patients, two_kinds
from lib.measure.factor_probes import FACTORS, factor_aucs, factor_labels, probe, shuffled_labels
from lib.measure.film_components import film_components, principal
from lib.models.contrastive_pca import contrastive_axes
from lib.models.sepclr import (
    SepCLR,
    alignment,
    information,
    projector,
    sepclr_loss,
    supervised_contrastive,
    uniformity,
)
from lib.models.two_tower import feature_tower
from lib.train import fit

__all__ = ["CASES", "FLOORS", "SEPARATED", "SPLIT", "sepclr_trial", "trial_scores", "two_views"]

SEPARATED = ("SepCLR", "no joint term", "sick background")  # the trainings of SepCLR
SPLIT = (*SEPARATED, "untrained", "halved contrastive", "contrastive PCA")
FLOORS = ("table", "outline", "permuted")
CASES = tuple((arm, space) for arm in SPLIT for space in ("common", "salient")) + (
    ("supervised contrastive", "whole"),
    ("PCA", "whole"),
    ("all features", "whole"),
    *(("floor", name) for name in FLOORS),
)
Case = tuple[str, str]
Rows = tuple[Tensor, Tensor]  # of training and of test patients
Loss = Callable[[nn.Module, tuple[Tensor, ...], torch.Generator], Tensor]
HIDDEN, BATCH, RATE, PENALTY = 64, 120, 3e-3, 0.03
OUTLINE, OUTLINE_PARTS = 16, 20  # cells along a side of the lungs' outline, and its principal components


@dataclass
class Films:
    """One seed's patients as numbers: rows of ``seen`` and ``asked`` are training and test patients."""

    people: tuple[DataFrame, DataFrame]
    seen: Tensor  # float32 (n, f)
    asked: Tensor  # float32 (m, f)
    views: Tensor  # float32 (n, views, f)
    sick_views: Tensor  # the same with a sick background
    outline: Rows


def sepclr_trial(
    *,
    seed: int,
    n_train: int,
    n_test: int,
    size: int,
    views: int,
    components: int,
    epochs: int,
    dimensions: int,
    severity: str,
    constant: float,
    independence: float,
) -> dict[str, Tensor]:
    """Draw, render, train every arm and probe every space; a function of literals for `lib.run.Run.trained`.

    Parameters
    ----------
    seed : int
        Everything random.
    n_train, n_test : int
        Patients in each training set, background and target; target patients in the test, with half as many healthy.
    size, views : int
        Side of a film, pixels, at least 32; moved copies of each training film.
    components : int
        Principal components of the pixels, and as many of the line maps.
    epochs, dimensions : int
        Passes over the training patients; length of either code.
    severity : str
        As `lib.data.one_finding.one_finding_patients`.
    constant, independence : float
        Weights of the loss, see `lib.models.sepclr.sepclr_loss`.

    Returns
    -------
    dict of Tensor
        "auc" float64 (cases, factors); "balanced" float64 (cases,), balanced accuracy of the subtype;
        "information" float64 (len(SEPARATED),), nats, of the test patients' codes; of SepCLR on the test targets
        "common", "salient" float32 (n, d), with "kind" and "sex" int64 (n,). NaN = not asked, or too few patients.
    """
    films = _films(seed, n_train, n_test, size=size, views=views, components=components, severity=severity)
    target = torch.tensor(films.people[0]["target"].to_numpy() == 1)
    options = {"dimensions": dimensions, "epochs": epochs, "seed": seed}
    models = {}
    for arm in (*SEPARATED, "untrained"):
        rows = films.sick_views if arm == "sick background" else films.views
        weights = (constant, 0.0 if arm == "no joint term" else independence)
        models[arm] = _separate(rows, target, weights, **(options | {"epochs": 0 if arm == "untrained" else epochs}))
    spaces: dict[Case, Rows] = {}
    with torch.no_grad():
        for arm, model in models.items():
            codes = [model.spaces(rows).split(dimensions, dim=1) for rows in (films.seen, films.asked)]
            spaces |= {(arm, space): (codes[0][k], codes[1][k]) for k, space in enumerate(("common", "salient"))}
        heads = {arm: models[arm](films.asked) for arm in SEPARATED}
        found = [float(information(out[1].double(), out[3].double())) for out in heads.values()]
    spaces |= _rivals(films, target, **options)
    aucs, balanced = _probed(films, spaces, seed=seed)
    asked = films.people[1]["target"].to_numpy() == 1
    return {
        "auc": aucs,
        "balanced": balanced,
        "information": torch.tensor(found).double(),
        "common": spaces["SepCLR", "common"][1][torch.tensor(asked)],
        "salient": spaces["SepCLR", "salient"][1][torch.tensor(asked)],
        "kind": torch.tensor(films.people[1]["kind"].to_numpy()[asked]),
        "sex": torch.tensor(two_kinds(films.people[1])[asked, 0]),
    }


def trial_scores(trial: dict[str, Tensor], *, seed: int) -> DataFrame:
    """The AUCs of `sepclr_trial` as a table: seed, arm, space, factor, auc (0.5 = the space does not tell).

    The rows of factor "subtype" also hold ``balanced``, the balanced accuracy; elsewhere it is NaN.
    """
    rows = [
        (seed, arm, space, name, float(trial["auc"][c, f]), float(trial["balanced"][c]) if f == 0 else math.nan)
        for c, (arm, space) in enumerate(CASES)
        for f, name in enumerate(FACTORS)
    ]
    return pd.DataFrame(rows, columns=["seed", "arm", "space", "factor", "auc", "balanced"])


def _films(seed: int, n_train: int, n_test: int, *, size: int, views: int, components: int, severity: str) -> Films:
    rng = np.random.default_rng([seed, 16])
    train = one_finding_patients(n_train, n_train, rng=rng, severity=severity)
    test = one_finding_patients(n_test // 2, n_test, rng=rng, severity=severity)
    test = test.assign(patient_id=test["patient_id"] + len(train))
    films = thorax.render(pd.concat([train, test]), size=size)
    seen, asked = films.x.split([len(train), len(test)])
    healthy = torch.tensor(train["target"].to_numpy() == 0)
    sick = seen.clone()
    sick[healthy] = thorax.render(everybody_sick(train[train["target"] == 0]), size=size).x
    copies = [film_views(x, views=views, generator=torch.Generator().manual_seed(seed)) for x in (seen, sick)]
    others = torch.cat([asked, *(part.flatten(0, 1) for part in copies)])
    known, rest = (part.float() for part in film_components(seen, others, components=components))
    test_rows, moved, sick_moved = rest.split([len(test), len(train) * views, len(train) * views])
    lungs = (films.masks["lung_right"] | films.masks["lung_left"]).float()[:, None]
    outline = functional.adaptive_avg_pool2d(lungs, OUTLINE).flatten(1)
    parts = principal(outline[: len(train)], outline[len(train) :], components=min(OUTLINE_PARTS, len(train) - 1))
    shape = (len(train), views, -1)
    return Films((train, test), known, test_rows, moved.view(shape), sick_moved.view(shape), parts)


def two_views(rows: Tensor, chance: torch.Generator) -> Tensor:
    """Two different views of every patient, one set below the other: (n, views, f) -> (2 n, f)."""
    pick = torch.rand(rows.shape[:2], generator=chance).argsort(dim=1).to(rows.device)
    here = torch.arange(len(rows), device=rows.device)
    return torch.cat([rows[here, pick[:, 0]], rows[here, pick[:, 1]]])


def _separate(
    rows: Tensor, target: Tensor, weights: tuple[float, float], *, dimensions: int, epochs: int, seed: int
) -> SepCLR:
    """Train SepCLR with the weights of the constant and of the joint term; without epochs it stays as it was born."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        towers = [feature_tower(rows.shape[2], dimensions, hidden=HIDDEN) for _ in range(2)]
        model = SepCLR(towers[0], towers[1], dimensions=dimensions)

    def loss(module: nn.Module, batch: tuple[Tensor, ...], chance: torch.Generator) -> Tensor:
        halves = [part.chunk(2) for part in module(two_views(batch[0], chance))]
        first, second = zip(*halves, strict=True)
        return sepclr_loss(first, second, batch[1], constant=weights[0], independence=weights[1])

    if epochs:
        _fit(model, loss, rows, target, epochs=epochs, seed=seed)
    return model.eval()


class _Single(nn.Module):
    """One encoder and its head."""

    def __init__(self, n_in: int, dimensions: int, *, hidden: int) -> None:
        super().__init__()
        self.encoder = feature_tower(n_in, dimensions, hidden=hidden)
        self.head = projector(dimensions)

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(self.head(self.encoder(x)), dim=1)


def _contrast(module: nn.Module, batch: tuple[Tensor, ...], chance: torch.Generator) -> Tensor:
    first, second = module(two_views(batch[0], chance)).chunk(2)
    return alignment(first, second) + uniformity(first) + uniformity(second)


def _supervised(module: nn.Module, batch: tuple[Tensor, ...], chance: torch.Generator) -> Tensor:
    return supervised_contrastive(module(two_views(batch[0], chance)), batch[1].long().repeat(2))


def _fit(model: nn.Module, loss: Loss, rows: Tensor, target: Tensor, *, epochs: int, seed: int) -> None:
    order = torch.Generator().manual_seed(seed)
    fit(model, loss, (rows, target), epochs=epochs, batch_size=BATCH, lr=RATE, generator=order)


def _rivals(films: Films, target: Tensor, *, dimensions: int, epochs: int, seed: int) -> dict[Case, Rows]:
    """Spaces of the other methods, by case: rows of training and of test patients."""
    both = torch.cat([films.seen, films.asked]).double()  # (n + m, f)
    codes = {}
    for name, loss, width in (("halved contrastive", _contrast, 2), ("supervised contrastive", _supervised, 1)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _Single(both.shape[1], width * dimensions, hidden=width * HIDDEN)
        _fit(model, loss, films.views, target, epochs=epochs, seed=seed)
        with torch.no_grad():
            codes[name] = model.encoder(both.float())
    halves = torch.randperm(2 * dimensions, generator=torch.Generator().manual_seed(seed)).split(dimensions)
    sick, healthy = films.seen[target], films.seen[~target]
    parts = both.shape[1] // 2
    leading = [*range(min(dimensions // 2, parts)), *range(parts, parts + min(dimensions // 2, parts))]
    width = min(dimensions, both.shape[1])
    rows = {
        ("halved contrastive", "common"): codes["halved contrastive"][:, halves[0]],
        ("halved contrastive", "salient"): codes["halved contrastive"][:, halves[1]],
        ("contrastive PCA", "common"): both @ contrastive_axes(healthy, sick, components=width, alpha=0.0),
        ("contrastive PCA", "salient"): both @ contrastive_axes(sick, healthy, components=width),
        ("supervised contrastive", "whole"): codes["supervised contrastive"],
        ("PCA", "whole"): both[:, leading],
        ("all features", "whole"): both,
    }
    return {case: (part[: len(films.seen)], part[len(films.seen) :]) for case, part in rows.items()}


def _table(people: DataFrame) -> Tensor:
    """Sex, old, bedside, heavy, age, BMI and two indicators of the acquisition group: float64 (n, 8)."""
    groups = [(people["group"] == name).to_numpy() for name in ("B", "C")]
    return torch.tensor(np.column_stack([two_kinds(people), people["age_years"], people["bmi"], *groups])).double()


def _probed(films: Films, spaces: dict[Case, Rows], *, seed: int) -> tuple[Tensor, Tensor]:
    """AUCs float64 (cases, factors) and balanced accuracies of the subtype (cases,)."""
    labels, truth = (factor_labels(people) for people in films.people)
    mixed = shuffled_labels(labels, rng=np.random.default_rng([seed, 17]))
    table = tuple(_table(people) for people in films.people)
    rows = spaces | {("floor", "outline"): films.outline, ("floor", "permuted"): (films.seen, films.asked)}
    aucs, balanced = [], []
    for case in CASES:
        if case == ("floor", "table"):
            found = _table_aucs(table[0], labels, table[1], truth)
        else:
            known = mixed if case == ("floor", "permuted") else labels
            unasked = ("target",) if case[0] == "sick background" else ()
            found = factor_aucs(rows[case][0], known, rows[case][1], truth, penalty=PENALTY, left_out=unasked)
        aucs.append(found[0])
        balanced.append(found[1])
    return torch.tensor(aucs).double(), torch.tensor(balanced).double()


def _table_aucs(
    seen: Tensor, labels: dict[str, np.ndarray], asked: Tensor, truth: dict[str, np.ndarray]
) -> tuple[list[float], float]:
    """What the attributes tell of each other and of the finding; a factor's own columns are taken out."""
    found, balanced = factor_aucs(seen, labels, asked, truth, penalty=PENALTY)
    for name, own in {"sex": (0,), "age": (1, 4), "view": (2,), "body": (3, 5)}.items():
        kept = [k for k in range(seen.shape[1]) if k not in own]
        scored = probe(seen[:, kept], labels[name], asked[:, kept], truth[name], penalty=PENALTY)
        found[FACTORS.index(name)] = scored[0]
    return found, balanced
