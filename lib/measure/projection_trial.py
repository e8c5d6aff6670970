"""One trial of films against projections: the same patients in every picture, one bank of features, linear heads.

DRR-RATE (Hou et al. 2024, arXiv:2406.03688) trains and tests one network on projections, others on films of other
hospitals, and tests one of these on projections. Differences: here both kinds of picture show the same patients; every
ingredient that parts them is changed by itself; heads of projections are tested on films too. Features are fixed
(`cell_features`, `line_maps`), a head is a ridge regression.

Conventions: an arm is a kind of picture a head is trained on; it is tested on the same kind ("own") and on films
("film"). Arms with a matched grey scale are tested on films only. An AUC of .5 = guessing; NaN = too few patients.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.data.projections import FILM, FINDINGS, LARGE, SMALL, THIN, Recipe, pictures, projection, small_and_large
from lib.measure.fairness import auc, too_few
from lib.measure.mask_grid import fit_heads
from lib.models.cell_features import cell_features
from lib.models.filters import line_maps

__all__ = [
    "KINDS",
    "by_kind",
    "equal_histograms",
    "ABLATIONS",
    "BINS_MM",
    "FLOORS",
    "MATCHED",
    "VOXELS_MM",
    "arms",
    "bank",
    "projection_trial",
    "radius_auc",
]
__all__ += ["trial_auc", "varying"]

ABLATIONS = ("no scatter", "no noise", "more blur", "linear grey", "parallel beam", "CT voxels", "threshold")
KINDS = {"large": LARGE, "small": SMALL, "thin": THIN}
MATCHED = ("window matched", "histogram matched")
FLOORS = ("table", "silhouette", "permuted labels")
VOXELS_MM = (0.0, 5.0, 10.0, 20.0)  # a CT has up to 5; beyond, the pixel of the small films is passed
BINS_MM = (3.0, 7.0, 11.0, 15.0)  # edges of the classes of a nodule's radius
BLOCKS = (256, 256, 512)  # features of one kind and unit: mean grey, edges, lines
LEVELS = 256  # steps of a matched histogram
LEAST = 0.05  # spread of a feature that counts, against the median spread of its kind


def arms(*, voxel_mm: float, blur_mm: float) -> dict[str, Recipe]:
    """Recipes by arm: the film, the projection, films changed in one thing, and projections by voxel.

    Examples
    --------
    >>> [name for name in arms(voxel_mm=5.0, blur_mm=3.0) if name.startswith("voxels")]
    ['voxels 0', 'voxels 5', 'voxels 10', 'voxels 20']
    """
    changes = ({"scatter": False}, {"noise": False}, {"blur_mm": blur_mm}, {"curve": False}, {"parallel": True})
    grid = ({"voxel_mm": voxel_mm}, {"threshold": True})
    made = {"film": FILM, "projection": projection(voxel_mm=voxel_mm, threshold=True)}
    made |= {name: replace(FILM, **how) for name, how in zip(ABLATIONS, (*changes, *grid), strict=True)}  # type: ignore[arg-type]
    return made | {f"voxels {v:g}": projection(voxel_mm=v, threshold=False) for v in VOXELS_MM}


def bank(x: Tensor) -> Tensor:
    """Fixed features: float32 (n, 1, h, w) -> (n, 1024), cells, and lines of two widths in two directions."""
    lines = line_maps(x, scales=(1.0, 1.8), orientations=2, grid=8).flatten(1)
    return torch.cat([cell_features(x), lines], 1)


def varying(x: Tensor) -> Tensor:
    """Features of `bank` that vary in these pictures, bool (1024,): float (n, 1024).

    A cell of open air is nearly constant in a projection and noisy on a film. Standardised by the projections, it
    would outweigh all else on films; it is left out of a head that is trained on them.
    """
    spread = [part.std(0) for part in x.double().split(BLOCKS, 1)]
    return torch.cat([each > LEAST * each.median() for each in spread])


def projection_trial(
    *, seed: int, n_train: int, n_test: int, size: int, voxel_mm: float, blur_mm: float, penalty: float
) -> dict[str, Tensor]:
    """Draw patients, make all their pictures, train a head on each kind, and score test patients.

    Parameters
    ----------
    seed : int
        Of the patients and of the permutation of the labels; another seed, other patients.
    n_train, n_test : int
        Patients, one picture of each kind.
    size : int
        Side of a picture, pixels.
    voxel_mm, blur_mm : float
        Of the projection, and of the film that is blurred more.
    penalty : float
        See `fit_heads`.

    Returns
    -------
    dict of str to Tensor
        ``own/<arm>``, ``film/<arm>`` and ``permuted/<arm>`` (own kind, permuted labels): scores, float64 (n_test, 5),
        columns as FINDINGS; ``projection/film``: heads of films on projections; ``own/table`` and ``own/silhouette``:
        floors; ``labels`` (n_test, 5) and ``radius_mm`` (n_test,).
    """
    rng = np.random.default_rng(seed)
    recipes = arms(voxel_mm=voxel_mm, blur_mm=blur_mm)
    people = [small_and_large(n, rng=rng) for n in (n_train, n_test)]
    (seen, lungs), (asked, others) = (pictures(table, recipes, size=size) for table in people)
    labels, truth = (torch.tensor(table[list(FINDINGS)].to_numpy()) for table in people)
    both = torch.cat([labels, labels[torch.from_numpy(rng.permutation(n_train))]], 1)  # (n, 10)
    films, out = bank(asked["film"]), {"labels": truth}
    k = len(FINDINGS)
    for name, pool in (seen | matched(seen["projection"], seen["film"])).items():
        x = bank(pool)
        kept = varying(x)
        heads = fit_heads(x[:, kept], both, penalty=penalty)
        out[f"film/{name}"] = heads(films[:, kept])[:, :k]
        if name in asked:
            own = heads((films if name == "film" else bank(asked[name]))[:, kept])
            out |= {f"own/{name}": own[:, :k], f"permuted/{name}": own[:, k:]}
        if name == "film":
            out["projection/film"] = heads(bank(asked["projection"])[:, kept])[:, :k]
    shapes = [cell_features(mask[:, None].float()) for mask in (lungs, others)]
    for name, (x, z) in {"silhouette": shapes, "table": [_columns(table) for table in people]}.items():
        out[f"own/{name}"] = fit_heads(x, labels, penalty=penalty)(z)
    out["radius_mm"] = torch.tensor(10 * people[1]["nodule_radius_cm"].to_numpy())
    return {name: value.contiguous() for name, value in out.items()}


def matched(projections: Tensor, films: Tensor) -> dict[str, Tensor]:
    """Projections with the grey scale of films, by MATCHED: one line, or one rising curve, for all of them.

    No label and no pair of pictures is used, only the grey values of both sets.
    """
    line = (projections - projections.mean()) / projections.std() * films.std() + films.mean()
    return {MATCHED[0]: line, MATCHED[1]: equal_histograms(projections, source=projections, reference=films)}


def equal_histograms(values: Tensor, *, source: Tensor, reference: Tensor) -> Tensor:
    """Map grey values by the one rising curve that gives the source pictures the grey values of the reference.

    Parameters
    ----------
    values : Tensor
        float, any shape: what is mapped.
    source, reference : Tensor
        float, any shape: two sets of pictures; nothing but their pooled grey values is used, no label and no pair.

    Returns
    -------
    Tensor
        float32, shape of ``values``; one curve for all, so a picture keeps its order of grey values.

    Examples
    --------
    >>> grey = torch.tensor([0.0, 0.5, 1.0])
    >>> equal_histograms(grey, source=grey, reference=grey**2).tolist()
    [0.0, 0.25, 1.0]
    """
    steps = np.linspace(0, 1, LEVELS + 1)
    known, wanted = (np.quantile(x.double().numpy(), steps) for x in (source, reference))
    known, first = np.unique(known, return_index=True)
    mapped = np.interp(values.double().numpy(), known, wanted[first])
    return torch.from_numpy(mapped.astype(np.float32))


def trial_auc(trial: dict[str, Tensor]) -> pd.DataFrame:
    """AUC of every arm and floor: what (own, film, projection, permuted), arm, finding, auc; NaN = too few."""
    truth, rows = trial["labels"].numpy(), []
    for key, scores in trial.items():
        if "/" in key:
            what, arm = key.split("/")
            for k, finding in enumerate(FINDINGS):
                rows.append((what, arm, finding, _auc(scores[:, k].numpy(), truth[:, k])))
    return pd.DataFrame(rows, columns=["what", "arm", "finding", "auc"])


def radius_auc(trial: dict[str, Tensor]) -> pd.DataFrame:
    """AUC of nodules by their radius, each class against all patients without one: what, arm, radius, auc."""
    k = FINDINGS.index("nodule")
    truth, radius, rows = trial["labels"][:, k].numpy(), trial["radius_mm"].numpy(), []
    names = [name for name in trial if name.split("/")[0] in ("own", "film")]
    for low, high in zip(BINS_MM[:-1], BINS_MM[1:], strict=True):
        keep = (truth == 0) | ((radius >= low) & (radius < high))
        found = [(*name.split("/"), _auc(trial[name][:, k].numpy()[keep], truth[keep])) for name in names]
        rows += [(what, arm, f"{low:g} to {high:g} mm", value) for what, arm, value in found]
    return pd.DataFrame(rows, columns=["what", "arm", "radius", "auc"])


def by_kind(tables: Mapping[str, pd.DataFrame], *, label: str, value: str) -> pd.DataFrame:
    """Mean over the findings of each kind, long.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By name, one row per seed and one column per finding.
    label, value : str
        Columns for the name and for the mean.

    Returns
    -------
    DataFrame
        seed, ``value``, ``label``, kind (KINDS), in the order of kinds and tables.

    Examples
    --------
    >>> one = pd.DataFrame(1.0, index=pd.Index([7], name="seed"), columns=list(FINDINGS))
    >>> by_kind({"a": one}, label="route", value="loss")["kind"].tolist()
    ['large', 'small', 'thin']
    """
    parts = []
    for kind, findings in KINDS.items():
        for name, table in tables.items():
            means = table[list(findings)].mean(axis=1, skipna=False).rename(value).reset_index()
            parts.append(means.assign(**{label: name, "kind": kind}))
    return pd.concat(parts, ignore_index=True)


def _auc(scores: np.ndarray, truth: np.ndarray) -> float:
    return math.nan if too_few(truth) else auc(scores, truth)


def _columns(table: pd.DataFrame) -> Tensor:
    """Age, sex and view, without a picture: float64 (n, 3)."""
    columns = [table["age_years"], table["sex"] == "F", table["view"] == "AP"]
    return torch.tensor(np.stack([column.to_numpy(np.float64) for column in columns], 1))
