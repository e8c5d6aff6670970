"""What a picture of an embedding shows of an attribute, and what a probe reads out of it.

Sourget et al. 2025 (arXiv:2507.21291) colour two-dimensional projections of image embeddings by sex, race and age, see
no pattern, and train classifiers on the same embeddings all the same. Differences: the plane is judged by numbers, the
probe's AUC on the two components, the neighbour's label and the silhouette; the projection is fitted on training
patients alone; t-SNE, which cannot project new points, is judged within the test patients, where a neighbour is found
as easily in the full embedding.

Conventions: an attribute is 0/1; AUC .5 = nothing is read, 1 = always; balanced accuracy .5 = guessing; a silhouette
of 0 = the two kinds lie in one cloud, 1 = two far clusters.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from lib.measure.fairness import auc
from lib.measure.film_components import principal
from lib.measure.probes import logistic
from lib.measure.two_tower_trial import attribute_kinds

__all__ = ["neighbour_accuracy", "planes", "probe_auc", "read_trial", "spread"]

PERPLEXITY = 30.0


def probe_auc(rows: Tensor, kind: Tensor, others: Tensor, other_kind: Tensor, *, penalty: float) -> float:
    """AUC of a logistic probe on new rows.

    Parameters
    ----------
    rows, others : Tensor
        Float (n, d), (m, d): training and test rows.
    kind, other_kind : Tensor
        0/1 (n,), (m,).
    penalty : float
        See `lib.measure.probes.logistic`.

    Returns
    -------
    float
        NaN where the test rows are all of one kind.

    Raises
    ------
    ValueError
        If the training rows are all of one kind.
    """
    labels = kind.to(torch.int64)
    if len(labels.unique()) != 2:
        raise ValueError(f"kind must hold 0 and 1, got {labels.unique().tolist()}; draw more training patients")
    logits = logistic(rows, labels, others, classes=2, penalty=penalty)
    return auc((logits[:, 1] - logits[:, 0]).cpu().numpy(), other_kind.cpu().numpy())


def planes(train: Tensor, test: Tensor, *, seed: int) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Three views of an embedding: all of it, its two principal components, and a t-SNE map.

    Parameters
    ----------
    train, test : Tensor
        Float (n, d), (m, d); m of at least 4.
    seed : int
        Of t-SNE.

    Returns
    -------
    dict of str to (Tensor of test rows, Tensor of training rows or None)
        "embedding" (m, d), "PCA" (m, 2) fitted on the training rows and "t-SNE" (m, 2) fitted on the test rows, which
        has no training rows. Float64.
    """
    seen, asked = principal(train, test, components=2)
    perplexity = min(PERPLEXITY, (len(test) - 1) / 3)
    search = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        told = torch.from_numpy(search.fit_transform(test.double().cpu().numpy())).double()
    return {"embedding": (test.double(), train.double()), "PCA": (asked, seen), "t-SNE": (told, None)}


def neighbour_accuracy(points: ArrayLike, kind: ArrayLike) -> float:
    """How often the nearest other point is of the same kind, mean over both kinds.

    Parameters
    ----------
    points : array_like of float, shape (n, d)
    kind : array_like of 0/1, shape (n,)

    Returns
    -------
    float
        In [0, 1]: the balanced accuracy of one nearest neighbour, leaving each point out; NaN with fewer than two of
        a kind.

    Examples
    --------
    >>> neighbour_accuracy([[0.0], [0.1], [5.0], [5.1]], [0, 0, 1, 1])
    1.0
    """
    rows, kinds = np.asarray(points, dtype=float), np.asarray(kind).astype(int)
    if min(np.bincount(kinds, minlength=2)) < 2:
        return float("nan")
    nearest = NearestNeighbors(n_neighbors=1).fit(rows).kneighbors(return_distance=False)[:, 0]
    same = kinds[nearest] == kinds
    return float(np.mean([same[kinds == k].mean() for k in (0, 1)]))


def spread(points: ArrayLike, kind: ArrayLike) -> float:
    """Mean silhouette of points by their kind, in [-1, 1]; NaN with one kind only.

    Source
    ------
    Rousseeuw 1987; scikit-learn's `silhouette_score`.

    Examples
    --------
    >>> round(spread([[0.0], [0.1], [5.0], [5.1]], [0, 0, 1, 1]), 2)
    0.98
    """
    rows: NDArray[np.float64] = np.asarray(points, dtype=float)
    kinds = np.asarray(kind).astype(int)
    return float(silhouette_score(rows, kinds)) if len(np.unique(kinds)) == 2 else float("nan")


def read_trial(
    trial: Mapping[str, Tensor], views: Mapping[str, tuple[Tensor, Tensor | None]], *, penalty: float, seed: int
) -> pd.DataFrame:
    """Ask everything about every attribute, beside three floors.

    Parameters
    ----------
    trial : mapping of str to Tensor
        "images", "outline" and "known" of the test patients, and the same with " train" of the training patients; see
        `lib.measure.two_tower_trial.two_tower_trial`.
    views : mapping
        From `planes`, of the same patients.
    penalty, seed
        Of the probes; of the permuted labels.

    Returns
    -------
    DataFrame
        attribute ("sex", "age", "group"), quantity, reader, value. Quantity "AUC" has the readers "embedding" and
        "PCA" (probes), "table" (the other attributes), "silhouette" (the lungs' outline) and "permuted" (labels);
        "neighbour" (balanced accuracy) and "spread" (silhouette score) have one reader for each view.
    """
    asked, taught = attribute_kinds(trial["known"]), attribute_kinds(trial["known train"])
    chance = torch.Generator().manual_seed(seed)
    rows = []
    for name, (kind, table) in asked.items():
        known, kept = ~taught[name][0].isnan(), ~kind.isnan()
        labels, learnt = kind[kept], taught[name][0][known]
        shuffled = learnt[torch.randperm(len(learnt), generator=chance)]
        probes = {view: (past[known], learnt, now[kept]) for view, (now, past) in views.items() if past is not None}
        probes |= {
            "table": (taught[name][1][known], learnt, table[kept]),
            "silhouette": (trial["outline train"][known], learnt, trial["outline"][kept]),
            "permuted": (trial["images train"][known].double(), shuffled, trial["images"][kept].double()),
        }
        for reader, (past, goal, now) in probes.items():
            rows.append((name, "AUC", reader, probe_auc(past, goal, now, labels, penalty=penalty)))
        for view, (now, _) in views.items():
            rows.append((name, "neighbour", view, neighbour_accuracy(now[kept].numpy(), labels.numpy())))
            rows.append((name, "spread", view, spread(now[kept].numpy(), labels.numpy())))
    return pd.DataFrame(rows, columns=["attribute", "quantity", "reader", "value"])
