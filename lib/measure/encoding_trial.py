"""One trial of encoding against use: a network that learns a finding, a probe for the group, twins, erasure, saliency.

Glocker et al. 2023 (arXiv:2110.14755) freeze a network trained for disease and fit a new last layer for a protected
characteristic (the SPLIT test), and warn that success does not say that the network uses it. Stanley et al. 2025
(eBioMedicine, PMC11700256) find in synthetic images that stronger encoding need not mean use. Here each patient also
has the film that the other acquisition group would have taken, so that use is measured and not inferred.

Differences: the probe, its floors and the erasure are fitted on patients of their own, in whom the group says nothing
about the finding, so a probe cannot answer through the finding; heads are ridge regressions.

Conventions: a trial is one independent unit. Levels are strengths of the association in training; they share patients,
noise, initial weights and order of batches. Axes: level, then film (0 = group A, 1 = B), then test patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from pandas import DataFrame
from torch import Tensor
from torch.nn import functional

from lib import train
from lib.data.group_pairs import assign, draw_patients, render_pairs
from lib.explain.gradients import gradient
from lib.measure.erasure import leace, mean_difference
from lib.measure.mask_grid import fit_heads
from lib.measure.pointing import energy_inside
from lib.models.cnn import SmallCNN, small_cnn

__all__ = ["ERASURES", "SEEN", "changed_region", "encoding_trial", "saliency_audit"]

SEEN = 32  # side of the films that the network sees, pixels
CELLS = 16  # side of the silhouettes that the floor sees
ERASURES = {"mean difference": mean_difference, "LEACE": leace}
PENALTY = 0.1  # of the ridge heads that look for the group
INDEPENDENT = 0.5


def encoding_trial(
    *,
    seed: int,
    strengths: tuple[float, ...],
    n_train: int,
    n_audit: int,
    n_test: int,
    size: int,
    width: int,
    epochs: int,
    batch_size: int,
    lr: float,
    finding: str,
    severity: str,
) -> dict[str, Tensor]:
    """Draw patients, train a network at every strength, and look for the group in it by every means.

    Parameters
    ----------
    seed : int
        Everything random.
    strengths : tuple of float
        See `lib.data.group_pairs.assign`.
    n_train, n_audit, n_test : int
        Patients for the network, for probes and erasure, and for all numbers that come back; nobody is in two.
    size : int
        Side of a rendered film, pixels, at least SEEN; the network sees it reduced to SEEN.
    width, epochs, batch_size, lr
        See `lib.models.cnn.small_cnn` and `lib.train.fit`.
    finding, severity : str
        See `lib.data.group_pairs.draw_patients`.

    Returns
    -------
    dict of Tensor
        "logit" (levels, 2, n_test) of the finding; "erased" (levels, erasures, 2, n_test) the same after erasure;
        "probe", "permuted" (levels, n_test), "probe erased" (levels, erasures, n_test) scores for group B of the film
        in "shown"; "untrained", "table", "silhouette" (n_test) the same from a network before training and from no
        film; "mass", "first order" (levels, n_test), see `saliency_audit`; "positive", "shown" int64 (n_test), the
        finding and the group of the film that probes and gradients see, independent of each other; "place" (n_test).

    Raises
    ------
    ValueError
        If films are smaller than SEEN, and as `lib.data.group_pairs`.
    """
    if size < SEEN:
        raise ValueError(f"size must be at least {SEEN}, which is what the network sees, got {size}")
    rng = np.random.default_rng([seed, 6])
    parts = [draw_patients(n, finding=finding, severity=severity, rng=rng) for n in (n_train, n_audit, n_test)]
    films = _Films(parts, finding, strengths, size)
    learn = partial(_learn, seed=seed, width=width, batch_size=batch_size, lr=lr)
    label = torch.tensor(parts[0][finding].to_numpy())
    order = np.random.default_rng([seed, 7]).permutation(n_audit)
    rows: dict[str, list[Tensor]] = {}
    for strength in strengths:
        shown = films.train[torch.arange(n_train), torch.tensor(assign(parts[0], finding, strength=strength))]
        for name, value in _level(learn(shown, label, epochs=epochs), films, order).items():
            rows.setdefault(name, []).append(value)
    fresh = learn(films.train[:0], label[:0], epochs=0)
    blind = {"table": [_known(part) for part in parts[1:]], "silhouette": films.silhouettes}
    blind["untrained"] = [train.predict(fresh.features, x) for x in films.probed]
    return {name: torch.stack(values) for name, values in rows.items()} | {
        "positive": torch.tensor(parts[2][finding].to_numpy()),
        "place": torch.tensor(parts[2]["place"].to_numpy()),
        "shown": films.groups[1],
        **{name: _probe(views[0], views[1], films.groups[0]) for name, views in blind.items()},
    }


class _Films:
    """All films of a trial, reduced to what the network sees, and the independent groups of audit and test patients."""

    def __init__(self, parts: Sequence[DataFrame], finding: str, strengths: Sequence[float], size: int) -> None:
        taken = [np.stack([assign(parts[0], finding, strength=p) == code for p in strengths]) for code in (0, 1)]
        free = [assign(part, finding, strength=INDEPENDENT) for part in parts[1:]]
        wanted = [np.stack([each.any(0) for each in taken], 1), np.stack([free[0] == 0, free[0] == 1], 1)]
        wanted.append(np.ones((len(parts[2]), 2), bool))
        made = [render_pairs(part, want, size=size) for part, want in zip(parts, wanted, strict=True)]
        self.train, audit, self.test = (functional.adaptive_avg_pool2d(x, SEEN)[:, :, None] for x, _ in made)
        self.groups = [torch.tensor(each) for each in free]
        self.probed = [x[torch.arange(len(x)), g] for x, g in zip((audit, self.test), self.groups, strict=True)]
        outlines = [lungs[torch.arange(len(g)), g] for (_, lungs), g in zip(made[1:], self.groups, strict=True)]
        self.silhouettes = [
            functional.adaptive_avg_pool2d(each[:, None].float(), CELLS).flatten(1) for each in outlines
        ]


def _learn(x: Tensor, label: Tensor, *, seed: int, width: int, epochs: int, batch_size: int, lr: float) -> SmallCNN:
    """A network trained for the finding; as it was made where there are no epochs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = small_cnn(1, 1, width=width)
    if epochs:
        order = torch.Generator().manual_seed(seed)
        train.fit(model, _loss, (x, label), epochs=epochs, batch_size=batch_size, lr=lr, generator=order)
    return model.eval()


def _loss(model: torch.nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    return functional.binary_cross_entropy_with_logits(model(batch[0])[:, 0], batch[1].float())


def _level(model: SmallCNN, films: _Films, order: np.ndarray) -> dict[str, Tensor]:
    """Everything that is measured about one trained network."""
    both = torch.stack([train.predict(model.features, films.test[:, code]) for code in (0, 1)])  # (2, n_test, d)
    audit, probed = (train.predict(model.features, x) for x in films.probed)
    group = films.groups[0]
    found = {"logit": _head(model, both), "probe": _probe(audit, probed, group)}
    found["permuted"] = _probe(audit, probed, group[torch.as_tensor(order)])
    maps = [fit(audit, group) for fit in ERASURES.values()]
    erased = [_head(model, erase(both.flatten(0, 1)).view_as(both)) for erase in maps]
    found["erased"] = torch.stack(erased)
    found["probe erased"] = torch.stack([_probe(erase(audit), erase(probed), group) for erase in maps])
    found["mass"], found["first order"] = saliency_audit(model, films.test, films.groups[1])
    return found


def _head(model: SmallCNN, features: Tensor) -> Tensor:
    """Logits (...) of features (..., d) by the network's own last layer."""
    with torch.no_grad():
        return model.head(features.float())[..., 0].double()


def _probe(features: Tensor, asked: Tensor, group: Tensor) -> Tensor:
    """Scores (m,) for group B, by a ridge regression on labelled features."""
    return fit_heads(features, group[:, None], penalty=PENALTY)(asked)[:, 0]


def _known(patients: DataFrame) -> Tensor:
    """Age, sex and view as numbers, (n, 3)."""
    columns = [patients["age_years"] / 50 - 1, patients["sex"] == "F", patients["view"] == "AP"]
    return torch.tensor(np.stack(columns, 1).astype(float))


def changed_region(first: Tensor, second: Tensor, *, share: float = 0.25) -> Tensor:
    """The pixels in which two films of a patient differ most.

    Parameters
    ----------
    first, second : Tensor, float (n, h, w)
    share : float in (0, 1)
        Of the pixels.

    Returns
    -------
    Tensor, bool (n, h, w)
        Exactly ``round(share * h * w)`` of each film; ties by place.

    Raises
    ------
    ValueError
        If shapes differ or the share is not in (0, 1).

    Examples
    --------
    >>> changed_region(torch.zeros(1, 2, 2), torch.tensor([[[0.1, -0.9], [0.0, 0.2]]])).tolist()
    [[[False, True], [False, False]]]
    """
    if first.shape != second.shape or first.ndim != 3 or not 0 < share < 1:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"films must be two times (n, h, w) and share in (0, 1), got {shapes} and {share}")
    change = (first - second).abs().flatten(1)
    order = change.argsort(dim=1, descending=True, stable=True)[:, : round(share * change.shape[1])]
    return torch.zeros_like(change, dtype=torch.bool).scatter(1, order, True).view_as(first)


def saliency_audit(model: torch.nn.Module, pairs: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Two guesses, from gradients at one film, of how far the logit would move on the patient's other film.

    Parameters
    ----------
    model : nn.Module
        Films (m, 1, h, w) -> logits (m, 1).
    pairs : Tensor, float (n, 2, 1, h, w)
        Both films of every patient.
    shown : Tensor, int64 (n,)
        Which of the two the gradient is taken at.

    Returns
    -------
    mass : Tensor, float64 (n,)
        Share of the gradient's magnitude inside `changed_region`; 0.25 = as much as its area.
    first_order : Tensor, float64 (n,)
        Gradient times change, the other film minus this one, in logits; exact for a linear model.
    """
    rows = torch.arange(len(pairs))
    here, other = pairs[rows, shown], pairs[rows, 1 - shown]
    slope = gradient(model, here, torch.zeros(len(pairs), dtype=torch.int64), 256)[:, 0]  # (n, h, w)
    mass = energy_inside(slope.abs(), changed_region(here[:, 0], other[:, 0])).value
    return mass.double(), (slope * (other - here)[:, 0]).double().sum((1, 2))
