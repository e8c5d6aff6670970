"""One trial of the question whether a gap between the sexes is a gap between drains: patients, films, heads, scores.

Olesen et al. 2024 (arXiv:2406.12142). Patients and arms come from `lib.data.thorax_sexes`. A film is described by
principal components of its line maps, which have seen no label; a logistic regression finds the pneumothorax. A trial
is one independent unit: its patients and films belong to no other.

Conventions: arms in the order of `lib.data.thorax_sexes.ARMS`; they share patients, luck and anatomy and differ in who
has a drain and in the sex that is recorded. The head is never told the sex. Nobody is both in training and test.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from lib.data import thorax
from lib.data.thorax_sexes import ARMS, in_arm, sample_builds
from lib.measure.film_components import principal
from lib.models.filters import line_maps

__all__ = ["sex_trial", "trial_table"]

CHUNK = 128  # patients rendered together


def sex_trial(
    *,
    seed: int,
    n_train: int,
    n_test: int,
    size: int,
    components: int,
    penalty: float,
    shown: int,
    women: float,
    men: float,
    well: float,
    thinner: float,
    sick: float,
) -> dict[str, Tensor]:
    """Draw patients, render their films without and with a drain, and train and ask a head for every arm.

    Parameters
    ----------
    seed : int
        Everything random.
    n_train, n_test : int
        Patients, one film each.
    size : int
        Side of a film, pixels.
    components : int
        Principal components that the head sees.
    penalty : float
        C of the logistic regressions; the smaller, the stronger the penalty.
    shown : int
        Components that are handed on for slice discovery: those that move the head's answer most.
    women, men, well
        See `lib.data.thorax_sexes.in_arm`.
    thinner, sick
        See `lib.data.thorax_sexes.sample_builds`; ``sick`` is the share in the test set, in training it is one half.

    Returns
    -------
    dict of Tensor
        For the test patients: "sick" int64 (n_test,); by arm, first axis: "female" (recorded) and "drain" int64 (4,
        n_test), "probability" of a pneumothorax, "floor" (a head that knows recorded sex and drain but sees no
        film), "sex" and "sex_floor" (the probability of a recorded woman, from the film, trained on the healthy, and
        the same with permuted labels) float64 (4, n_test), "features" float64 (4, n_test, shown), unit variance.
    """
    rng = np.random.default_rng([seed, 10])
    parts = [sample_builds(n, rng=rng, sick=s, thinner=thinner) for n, s in ((n_train, 0.5), (n_test, sick))]
    maps = [_maps(part, size=size) for part in parts]  # two of (2, n, d)
    shares = {"women": women, "men": men, "well": well}
    tables = [[in_arm(part, arm, **shares) for part in parts] for arm in ARMS]
    answers = [_ask(each, maps, components=components, penalty=penalty, shown=shown, rng=rng) for each in tables]
    found = {name: torch.stack([answer[name] for answer in answers]) for name in answers[0]}
    return {"sick": torch.tensor(parts[1]["pneumothorax"].to_numpy())} | found


def trial_table(trial: dict[str, Tensor]) -> pd.DataFrame:
    """Test patients of a trial in all arms.

    Parameters
    ----------
    trial : dict of Tensor
        From `sex_trial`.

    Returns
    -------
    DataFrame
        One row per arm and patient: arm, patient, sick, sex (recorded, "women" or "men"), drain ("drain" or "no
        drain"), probability, floor, sex_score, sex_floor, and error, the squared error of the probability.
    """
    parts = []
    for a, arm in enumerate(ARMS):
        columns = {name: trial[name][a].numpy() for name in ("probability", "floor", "sex_floor")}
        part = pd.DataFrame({"arm": arm, "patient": np.arange(len(trial["sick"])), "sick": trial["sick"].numpy()})
        part["sex"] = np.where(trial["female"][a].numpy() == 1, "women", "men")
        part["drain"] = np.where(trial["drain"][a].numpy() == 1, "drain", "no drain")
        parts.append(part.assign(**columns, sex_score=trial["sex"][a].numpy()))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(error=(table["probability"] - table["sick"]) ** 2)


def _maps(patients: pd.DataFrame, *, size: int) -> Tensor:
    """Line maps without and with a drain, float32 (2, n, d)."""
    found = []
    for start in range(0, len(patients), CHUNK):
        films = thorax.render_device_twins(patients.iloc[start : start + CHUNK], "drain", size=size)
        found.append(torch.stack([line_maps(each.x, grid=8).flatten(1) for each in films]))
    return torch.cat(found, dim=1)


def _ask(
    tables: list[pd.DataFrame],
    maps: list[Tensor],
    *,
    components: int,
    penalty: float,
    shown: int,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Train on the first table and ask about the second, one arm."""
    drains = [torch.tensor(table["drain"].to_numpy()) for table in tables]
    worn = [torch.where(drain[:, None] == 1, m[1], m[0]) for drain, m in zip(drains, maps, strict=True)]
    seen, asked = (rows.numpy() for rows in principal(worn[0], worn[1], components=components))
    sick = tables[0]["pneumothorax"].to_numpy()
    female = [(table["recorded"] == "F").to_numpy().astype(np.int64) for table in tables]
    known = [np.stack([f, drain.numpy()], 1).astype(float) for f, drain in zip(female, drains, strict=True)]
    head = _head(penalty).fit(seen, sick)
    strongest = np.sort(np.argsort(-np.abs(head.coef_[0]), kind="stable")[:shown])
    well = sick == 0
    permuted = rng.permutation(female[0][well])
    return {
        "female": torch.tensor(female[1]),
        "drain": drains[1],
        "probability": torch.tensor(head.predict_proba(asked)[:, 1]),
        "floor": torch.tensor(_head(1.0).fit(known[0], sick).predict_proba(known[1])[:, 1]),
        "sex": torch.tensor(_head(penalty).fit(seen[well], female[0][well]).predict_proba(asked)[:, 1]),
        "sex_floor": torch.tensor(_head(penalty).fit(seen[well], permuted).predict_proba(asked)[:, 1]),
        "features": torch.tensor(asked[:, strongest]),
    }


def _head(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=1000)
