"""One trial of fusion with missing films: new patients, films hidden in several ways, every model, every test.

Swamy et al. 2023, MultiModN (arXiv:2309.14118). Films go missing among the sick when a model is trained and among the
healthy when it is tested. Patients come from `lib.data.missing_films`, models from `lib.models.sequential_fusion`.

What a patient without a film tells differs between the models. One that sees whether there is a film can learn that
only the sick lack theirs. A state that attributes have made is read for all patients, and keeps the prevalence of all.
A state that a film has made is read for those with a film only: by Bayes' rule its log odds move by the log odds of
the finding among them minus among all, log(1 - m) for half of the patients sick and a share m of these hidden.
"prior corrected" takes this known shift out; "Bayes' rule" puts it into a model that was trained with all films.

Conventions: a hiding is (among, share) as in `lib.data.missing_films.without_film`, ("none", 0.0) hides nothing. The
same patients, films, luck and order of batches serve all models, and models of one class start from the same weights.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib.data import thorax
from lib.data.missing_films import ATTRIBUTES, attribute_columns, patients_at_risk, without_film
from lib.measure.fairness import auc, too_few
from lib.measure.film_components import film_components
from lib.models.sequential_fusion import (
    Abreast,
    ParallelFusion,
    SequentialFusion,
    fusion_loss,
    last_decision,
    skipped_by_batch,
)
from lib.train import fit, predict

__all__ = ["ARMS", "DERIVED", "FOLLOWED", "Hiding", "missing_trial", "step_means", "asked_hidings", "trained_cases"]
__all__ += ["trial_scores"]

Hiding = tuple[str, float]
COMPLETE: Hiding = ("none", 0.0)
FOLLOWED = ("parallel", "sequential", "film first")  # trained at every share
ARMS = (*FOLLOWED, "parallel, indicator", "parallel, regressed", "sequential, skips batches", "indicator, no film")
FLOOR = "attributes only"
DERIVED = ("prior corrected", "Bayes' rule")
SKIP = 16  # rows in a batch of the public code, whose skipping "sequential, skips batches" repeats


def shares(levels: int, most: float) -> list[float]:
    """Shares of hidden films above 0, evenly spaced up to the largest."""
    return [round(most * k / levels, 6) for k in range(1, levels + 1)]


def trained_cases(levels: int, most: float) -> list[tuple[str, Hiding]]:
    """Every model of a trial: its arm, and who lacks a film while it is trained.

    Examples
    --------
    >>> len(trained_cases(2, 0.8))
    21
    """
    control = ("all", most / 2)  # as many films as among the sick, who are half of the patients
    followed = [COMPLETE, *(("sick", share) for share in shares(levels, most)), control]
    cases = [(arm, hiding) for arm in FOLLOWED for hiding in followed]
    return [*cases, *((arm, hiding) for arm in ARMS[3:] for hiding in (("sick", most), control)), (FLOOR, COMPLETE)]


def asked_hidings(levels: int, most: float) -> list[Hiding]:
    """Who lacks a film when the models are asked: nobody, a share of the healthy, of the sick, of all."""
    return [COMPLETE, *(("healthy", share) for share in shares(levels, most)), ("sick", most), ("all", most / 2)]


def missing_trial(
    *,
    seed: int,
    n_train: int,
    n_test: int,
    size: int,
    components: int,
    severity: str,
    levels: int,
    most: float,
    epochs: int,
    batch_size: int,
    lr: float,
) -> dict[str, Tensor]:
    """Draw patients, render their films, train every model of `trained_cases`, and ask it in every test.

    Parameters
    ----------
    seed : int
        Everything random.
    n_train, n_test : int
        Patients, one film each; nobody is in both.
    size, components : int
        Side of a film, pixels; see `lib.measure.film_components.film_components`.
    severity : str
        Of the enlarged hearts, as `lib.data.thorax.sample_patients`.
    levels, most
        See `trained_cases`.
    epochs, batch_size, lr
        As `lib.train.fit`.

    Returns
    -------
    dict of Tensor
        "logits" float32 (cases, tests, n_test, 3): log odds before any modality and after every step, NaN = skipped,
        with a parallel model's one decision in the last place; "positive" int64 (n_test,); "shift" float64 (cases,):
        log odds of the finding among training patients with a film minus among all.
    """
    people = patients_at_risk(n_train + n_test, rng=np.random.default_rng([seed, 15]), severity=severity)
    people = people.sample(frac=1, random_state=seed)
    films = film_components(*thorax.render(people, size=size).x.split([n_train, n_test]), components=components)
    known = attribute_columns(people).split([n_train, n_test])
    positive = torch.tensor(people["cardiomegaly"].to_numpy()).split([n_train, n_test])
    luck = np.random.default_rng([seed, 16]).random(n_train + n_test)
    chances = luck[:n_train], luck[n_train:]
    cases, tests = trained_cases(levels, most), asked_hidings(levels, most)
    seen, asked, shifts = [], [], []
    for arm, hiding in cases:
        lacks = _lacks(positive[0], chances[0], hiding)
        view = _View(arm, known[0], films[0].float(), lacks)
        seen.append(view.rows(known[0], films[0].float(), lacks))
        hidden = [_lacks(positive[1], chances[1], test) for test in tests]
        asked.append(torch.stack([view.rows(known[1], films[1].float(), part) for part in hidden]))
        shifts.append(_log_odds(positive[0][~lacks]) - _log_odds(positive[0]))
    widths = (len(ATTRIBUTES), films[0].shape[1])
    models = Abreast([_model(arm, widths, seed) for arm, _ in cases])
    order = torch.Generator().manual_seed(seed)
    rows = torch.stack(seen, dim=1)  # (n_train, cases, columns)
    data = (rows, positive[0])  # no clipping below: a shared norm would couple the models
    fit(models, fusion_loss, data, epochs=epochs, batch_size=batch_size, lr=lr, generator=order, clip=0.0)
    logits = torch.stack([predict(models, part) for part in torch.stack(asked, dim=2)])  # (tests, n_test, cases, 3)
    return {"logits": logits.permute(2, 0, 1, 3), "positive": positive[1], "shift": torch.tensor(shifts).double()}


def trial_scores(trial: dict[str, Tensor], *, seed: int, levels: int, most: float) -> pd.DataFrame:
    """AUC of every model in every test, and of the two arms that follow from others.

    Parameters
    ----------
    trial : dict of Tensor
        From `missing_trial`, with the same ``levels`` and ``most``.
    seed : int
        Name of the trial in the table.

    Returns
    -------
    DataFrame
        seed, arm, hidden (among whom in training), share, test_hidden, test_share, auc; NaN with fewer than 20
        positives or negatives.
    """
    cases, tests = trained_cases(levels, most), asked_hidings(levels, most)
    positive, logits = trial["positive"].numpy(), trial["logits"]
    full = logits[cases.index(("sequential", COMPLETE))]
    rows = []
    for k, (arm, hiding) in enumerate(cases):
        for t, test in enumerate(tests):
            found = [(arm, hiding, last_decision(logits[k, t]))]
            filmed = ~logits[k, t, :, 2].isnan()
            if arm == "sequential":
                corrected = torch.where(filmed, found[0][2] - trial["shift"][k], found[0][2])
                by_rule = torch.where(filmed, last_decision(full[t]) + trial["shift"][k], last_decision(full[t]))
                found += [(DERIVED[0], hiding, corrected), (DERIVED[1], hiding, by_rule)]
            for name, trained, answer in found:
                value = math.nan if too_few(positive) else auc(answer.double().numpy(), positive)
                rows.append((seed, name, *trained, *test, value))
    return pd.DataFrame(rows, columns=["seed", "arm", "hidden", "share", "test_hidden", "test_share", "auc"])


def step_means(trial: dict[str, Tensor], *, seed: int, levels: int, most: float) -> pd.DataFrame:
    """Mean log odds of the sequential model after each step, when every test patient has a film.

    Parameters
    ----------
    trial, seed, levels, most
        As `trial_scores`.

    Returns
    -------
    DataFrame
        seed, hidden, share, step ("start", "attributes", "film"), log_odds (mean over the sick and over the healthy,
        both weighing the same), shift (what Bayes' rule says of the step, from the patients in training).
    """
    positive, rows = trial["positive"] == 1, []
    for k, (arm, (hidden, share)) in enumerate(trained_cases(levels, most)):
        if arm != "sequential":
            continue
        for s, step in enumerate(("start", "attributes", "film")):
            logits = trial["logits"][k, 0, :, s]
            mean = (logits[positive].mean() + logits[~positive].mean()).item() / 2
            rows.append((seed, hidden, share, step, mean, trial["shift"][k].item() if step == "film" else 0.0))
    return pd.DataFrame(rows, columns=["seed", "hidden", "share", "step", "log_odds", "shift"])


class _View:
    """How an arm sees patients; all it must know is taken from training patients who have a film."""

    def __init__(self, arm: str, known: Tensor, films: Tensor, lacks: Tensor):
        self.arm = arm
        self.mean, self.sd = films[~lacks].mean(0), films[~lacks].std(0).clamp_min(1e-6)
        design = torch.cat([torch.ones(len(known), 1), known], dim=1)
        self.slopes = torch.linalg.lstsq(design[~lacks], (films[~lacks] - self.mean) / self.sd, driver="gelsd").solution

    def rows(self, known: Tensor, films: Tensor, lacks: Tensor) -> Tensor:
        """Attributes beside standardised films, (n, columns), so that an absent film's 0 is the mean of the others."""
        film = ((films - self.mean) / self.sd).masked_fill(lacks[:, None], torch.nan)
        if self.arm == "indicator, no film":
            film = film * 0
        if self.arm == FLOOR:
            film = torch.zeros_like(film)
        if self.arm == "parallel, regressed":
            guess = torch.cat([torch.ones(len(known), 1), known], dim=1) @ self.slopes
            film = torch.where(lacks[:, None], guess, film)
        rows = torch.cat([known, film], dim=1)
        widths = (known.shape[1], film.shape[1])
        return skipped_by_batch(rows, widths, batch=SKIP) if self.arm == "sequential, skips batches" else rows


def _model(arm: str, widths: tuple[int, int], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if arm in ("sequential", "sequential, skips batches", "film first"):
            return SequentialFusion(widths, order=(1, 0) if arm == "film first" else (0, 1))
        return ParallelFusion(widths, indicator="indicator" in arm)


def _lacks(positive: Tensor, luck: np.ndarray, hiding: Hiding) -> Tensor:
    among, share = hiding
    absent = without_film(positive.numpy(), luck, share=share, among="all" if among == "none" else among)
    return torch.from_numpy(absent)


def _log_odds(positive: Tensor) -> float:
    share = positive.double().mean().item()
    return math.log(share / (1 - share))
