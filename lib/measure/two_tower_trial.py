"""One trial of zero-shot questions: patients, films, reports, a two-tower training, and what it answers on new films.

Sourget et al. 2025 (arXiv:2507.21291) ask six published image-text models in words and compare groups of patients.
Here the model is trained on `lib.data.templated_reports` and films of `lib.data.thorax`. Differences: the image tower
is a trained map above fixed features that have seen no label (`lib.measure.film_components`), and a patient has several
reports in other words, one of which is drawn at each step, as ConVIRT draws sentences (Zhang et al. 2020,
arXiv:2010.00747).

Conventions: one film per patient; training and test patients are different ones; scores are higher for "present".
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from pandas import DataFrame
from torch import Tensor, nn
from torch.nn import functional

from lib.data import thorax
from lib.data.templated_reports import NAMES, STYLES, prompts, reports, vocabulary
from lib.measure.company_gaps import OLD, YOUNG
from lib.measure.film_components import film_components, principal
from lib.measure.probes import logistic
from lib.models.two_tower import TextTower, Tokeniser, TwoTower, descriptor_scores, feature_tower, info_nce, zero_shot
from lib.train import fit

__all__ = ["FINDINGS", "FLOORS", "attribute_kinds", "attributes", "floor_rows", "two_tower_trial"]

FINDINGS = tuple(NAMES)
FLOORS = ("table", "silhouette", "permuted")
DIMENSIONS, VERSIONS, BATCH, RATE, DROPOUT = 32, 8, 64, 1e-2, 0.3
OUTLINE, OUTLINE_PARTS = 16, 20  # cells along a side of the lungs' outline, and its principal components
DRAINS = 0.2  # share with a chest drain, whatever the patient has: a drain says nothing


def draw_patients(n: int, *, prevalence: float, rng: np.random.Generator) -> DataFrame:
    """Patients with large findings, independent of each other and of every attribute; see `lib.data.thorax`."""
    rates = dict.fromkeys(FINDINGS, prevalence)
    return thorax.sample_patients(
        n, rng=rng, prevalence=rates, p_drain_given_pneumothorax=DRAINS, p_drain_given_none=DRAINS, severity="easy"
    )


def attributes(patients: DataFrame) -> Tensor:
    """Age (years), sex (1 = F), view (1 = AP) and acquisition group (0, 1, 2 = A, B, C): float64 (n, 4)."""
    codes = patients["group"].map({name: i for i, name in enumerate(thorax.GROUPS)})
    columns = [patients["age_years"], patients["sex"] == "F", patients["view"] == "AP", codes]
    return torch.tensor(np.stack([np.asarray(column, dtype=float) for column in columns], 1))


def floor_rows(known: Tensor) -> Tensor:
    """What a floor without a film sees of `attributes`: age, sex, view and two indicators of the group, (n, 5)."""
    return torch.cat([known[:, :3], (known[:, 3:] == torch.tensor([1.0, 2.0])).double()], 1)


def attribute_kinds(known: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Three yes-or-no attributes, each with what a table knows of the patients beside it.

    Parameters
    ----------
    known : Tensor
        From `attributes`, (n, 4).

    Returns
    -------
    dict of str to (Tensor, Tensor)
        "sex" (1 = F), "age" (1 = 60 or over, 0 = under 50) and "group" (1 = C, 0 = A), float64 (n,) with NaN for
        patients who are neither; and the columns of `floor_rows` without those of the attribute.
    """
    age, sex, group = known[:, 0], known[:, 1], known[:, 3]
    old = torch.where(age >= OLD, 1.0, torch.where(age < YOUNG, 0.0, torch.nan)).double()
    last = torch.where(group == 2, 1.0, torch.where(group == 0, 0.0, torch.nan)).double()
    kept = {"sex": (sex, [0, 2, 3, 4]), "age": (old, [1, 2, 3, 4]), "group": (last, [0, 1, 2])}
    return {name: (kind, floor_rows(known)[:, columns]) for name, (kind, columns) in kept.items()}


def train_two_towers(features: Tensor, tokens: Tensor, *, words: int, epochs: int, seed: int) -> TwoTower:
    """Train on pairs: features float32 (n, d) and tokens int64 (n, versions, length), a version drawn at each step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        image = feature_tower(features.shape[1], DIMENSIONS, dropout=DROPOUT)
        model = TwoTower(image, TextTower(words, DIMENSIONS))
    fit(
        model, _loss, (features, tokens), epochs=epochs, batch_size=BATCH, lr=RATE,
        generator=torch.Generator().manual_seed(seed), precision="float32", compile="off",
    )  # fmt: skip
    return model


def _loss(model: nn.Module, batch: tuple[Tensor, ...], chance: torch.Generator) -> Tensor:
    features, tokens = batch
    pick = torch.randint(tokens.shape[1], (len(tokens),), generator=chance).to(tokens.device)
    return info_nce(model(features, tokens[torch.arange(len(tokens), device=tokens.device), pick]))


@torch.no_grad()
def ask(model: TwoTower, words: Tokeniser, images: Tensor, *, temperature: float) -> Tensor:
    """Scores of every style of prompt and every finding: float64 (styles, findings, n), log probabilities.

    ``temperature`` is that of the descriptors; single prompts take the model's own.
    """
    scores = torch.empty(len(STYLES), len(FINDINGS), len(images), dtype=torch.float64)
    for s, style in enumerate(STYLES):
        for f, finding in enumerate(FINDINGS):
            present, absent = (model.embed_texts(words.encode(part)) for part in prompts(finding, style))
            if style == "descriptors":
                scores[s, f] = descriptor_scores(images, present, absent, temperature=temperature).mean(1)
            else:
                scores[s, f] = zero_shot(images, present, absent, temperature=model.temperature).log()
    return scores


def two_tower_trial(
    *,
    seed: int,
    n_train: int,
    n_test: int,
    size: int,
    components: int,
    epochs: int,
    prevalence: float,
    mention: float,
    temperature: float,
    penalty: float,
) -> dict[str, Tensor]:
    """Draw, render, write, train and ask; a function of literals for `lib.run.Run.trained`.

    Parameters
    ----------
    seed : int
        Everything random.
    n_train, n_test : int
        Patients.
    size : int
        Side of a film, pixels, at least 32.
    components : int
        Principal components of the pixels, and as many of the line maps.
    epochs : int
        Passes over the pairs of film and report.
    prevalence : float
        Share of patients with each finding, independently.
    mention : float
        Share of the absent findings that a report denies.
    temperature : float
        Of the descriptors, see `lib.models.two_tower.descriptor_scores`.
    penalty : float
        Of the heads that are trained on labels, see `lib.measure.probes.logistic`.

    Returns
    -------
    dict of Tensor
        Of test patients: "scores" float64 (styles, findings, n), "head" (findings, n) a head trained on labels,
        "floors" (FLOORS, findings, n), "positive" int64 (findings, n). Of test and training patients: "images" and
        "images train" float32 (n, d) embeddings, "outline", "outline train" float64 (n, 20), "known", "known train"
        as `attributes`. "temperature" and "loss" float (1,).

    Raises
    ------
    ValueError
        As `lib.data.thorax.sample_patients`, `lib.data.templated_reports.reports` and `film_components`.
    """
    rng = np.random.default_rng([seed, 5])
    people = draw_patients(n_train + n_test, prevalence=prevalence, rng=rng)
    films = thorax.render(people, size=size)
    seen, asked = (x.float() for x in film_components(films.x[:n_train], films.x[n_train:], components=components))
    words = Tokeniser(vocabulary())
    written = reports(people.iloc[:n_train], rng=rng, versions=VERSIONS, mention=mention)
    tokens = words.encode(list(written.reshape(-1))).view(n_train, VERSIONS, -1)
    model = train_two_towers(seen, tokens, words=words.size, epochs=epochs, seed=seed)
    with torch.no_grad():
        images = {"images train": model.embed_images(seen), "images": model.embed_images(asked)}
        loss = info_nce(model(seen[:BATCH], tokens[:BATCH, 0]))
    lungs = (films.masks["lung_right"] | films.masks["lung_left"]).float()[:, None]
    outline = functional.adaptive_avg_pool2d(lungs, OUTLINE).flatten(1)
    outlines = principal(outline[:n_train], outline[n_train:], components=min(OUTLINE_PARTS, n_train - 1))
    known, truth = attributes(people), torch.tensor(people[list(FINDINGS)].to_numpy()).T  # (findings, n)
    head = partial(_head, truth=truth[:, :n_train], penalty=penalty)
    table = floor_rows(known)
    shuffled = truth[:, :n_train][:, torch.from_numpy(rng.permutation(n_train))]
    floors = [head(table[:n_train], table[n_train:]), head(*outlines), head(seen, asked, truth=shuffled)]
    return {
        **images,
        "scores": ask(model, words, images["images"], temperature=temperature),
        "head": head(seen, asked),
        "floors": torch.stack(floors),
        "positive": truth[:, n_train:],
        "outline train": outlines[0], "outline": outlines[1],
        "known train": known[:n_train], "known": known[n_train:],
        "temperature": torch.tensor([model.temperature]), "loss": loss[None],
    }  # fmt: skip


def _head(rows: Tensor, others: Tensor, *, truth: Tensor, penalty: float) -> Tensor:
    """Log odds by one logistic regression for each finding: float64 (findings, n)."""
    logits = [logistic(rows, labels, others, classes=2, penalty=penalty) for labels in truth]
    return torch.stack([each[:, 1] - each[:, 0] for each in logits])
