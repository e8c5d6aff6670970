"""Train under one mask, test under another: the AUC of every pair, with linear heads on fixed features.

Paper: Sourget et al. 2024, arXiv:2412.04030, who cross five masks in training with five in testing. Differences: the
features are fixed, so a head is a ridge regression with a closed form; every head comes with a twin that was fitted to
permuted labels, one of the floors.

Conventions: features float (n, d), targets 0/1 (n,); an AUC of .5 = guessing. A pair of masks shares its patients with
all other pairs, so differences between pairs are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.measure.fairness import auc
from lib.measure.probes import MIN_SCALE

PERMUTED = "permuted"
FLOORS = ("silhouette", "table", "permuted labels")


@dataclass(frozen=True)
class Heads:
    """Linear heads for several questions on the same features.

    Attributes
    ----------
    mean, scale : Tensor, float64 (d,)
        Of the training features; the scale of a constant feature is infinite, so that it never counts.
    weights : Tensor, float64 (d, k)
        One column for each question.
    """

    mean: Tensor
    scale: Tensor
    weights: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Scores, float64 (m, k), higher = more likely present: features float (m, d)."""
        return ((features.double() - self.mean) / self.scale) @ self.weights


def fit_heads(features: Tensor, targets: Tensor, *, penalty: float) -> Heads:
    """Ridge regression of 0/1 targets on standardised features.

    Parameters
    ----------
    features : Tensor
        float (n, d).
    targets : Tensor
        0/1, (n, k), one column for each question.
    penalty : float
        Weight of the squared norm beside the mean squared error, > 0; large = all features count a little.

    Returns
    -------
    Heads

    Raises
    ------
    ValueError
        If features and targets do not pair up, or the penalty is not positive.

    Examples
    --------
    >>> heads = fit_heads(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0], [0], [1]]), penalty=0.1)
    >>> heads(torch.tensor([[0.0], [5.0]])).flatten().diff().item() > 0
    True
    """
    if features.ndim != 2 or targets.ndim != 2 or len(features) != len(targets) or not len(features):
        shapes = f"{tuple(features.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"features must be (n, d) and targets (n, k) with n >= 1, got {shapes}; pair their rows")
    if not penalty > 0:
        raise ValueError(f"penalty must be > 0, got {penalty}; without one, more features than films have no solution")
    x, y = features.double(), targets.double()
    mean, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale < MIN_SCALE, torch.inf, scale)
    x = (x - mean) / scale
    y = (y - y.mean(0)) / len(x)
    n, d = x.shape
    normal = (x.T @ x if d <= n else x @ x.T) / n  # whichever is smaller; both ways lead to the same weights
    factor = torch.linalg.cholesky(normal + penalty * torch.eye(len(normal), dtype=x.dtype, device=x.device))
    weights = torch.cholesky_solve(x.T @ y, factor) if d <= n else x.T @ torch.cholesky_solve(y, factor)
    return Heads(mean, scale, weights)


def cross(
    train: Mapping[str, Tensor],
    test: Mapping[str, Tensor],
    labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    penalty: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """AUC of every training mask under every test mask, with the true labels and with permuted ones.

    Parameters
    ----------
    train, test : mapping of str to Tensor
        Features by mask, float (n, d) and (m, d). A training set may repeat its patients (several masks at once): its
        length is then a multiple of ``len(labels)`` and its rows go through the patients again and again.
    labels, test_labels : ndarray of 0/1, (n,) and (m,)
    penalty : float
        See `fit_heads`.
    rng : numpy.random.Generator
        Of the permutation of the training labels, one for all masks; test labels are always the true ones.

    Returns
    -------
    DataFrame
        train, test (names of masks), auc, permuted (the AUC of the head fitted to permuted labels), both in [0, 1].

    Raises
    ------
    ValueError
        If a training set is no multiple of the labels, or a shape does not fit.
    """
    targets = torch.as_tensor(np.stack([labels, rng.permutation(labels)], 1))  # (n, 2)
    rows = []
    for shown, features in train.items():
        times, left = divmod(len(features), len(targets))
        if left or not times:
            raise ValueError(
                f"train[{shown!r}] must hold a multiple of {len(targets)} rows, got {len(features)}; stack it"
            )
        heads = fit_heads(features, targets.to(features.device).repeat(times, 1), penalty=penalty)
        for asked, others in test.items():
            scores = heads(others).cpu().numpy()
            rows.append((shown, asked, *(auc(column, test_labels) for column in scores.T)))
    return pd.DataFrame(rows, columns=["train", "test", "auc", PERMUTED])


def floors(
    train: Mapping[str, Tensor],
    test: Mapping[str, Tensor],
    labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    penalty: float,
) -> pd.DataFrame:
    """AUC of heads on features that hold no grey value of a film: columns of a table, or silhouettes.

    Parameters
    ----------
    train, test : mapping of str to Tensor
        Features by the name of the floor, float (n, d) and (m, d).
    labels, test_labels : ndarray of 0/1, (n,) and (m,)
    penalty : float
        See `fit_heads`.

    Returns
    -------
    DataFrame
        floor (name), auc in [0, 1]; exactly .5 where the features are the same for all rows.

    Raises
    ------
    ValueError
        As `fit_heads`.
    """
    targets, rows = torch.tensor(labels)[:, None], []
    for name, features in train.items():
        heads = fit_heads(features, targets.to(features.device), penalty=penalty)
        rows.append((name, auc(heads(test[name])[:, 0].cpu().numpy(), test_labels)))
    return pd.DataFrame(rows, columns=["floor", "auc"])


def beside_floors(cells: pd.DataFrame, found: pd.DataFrame, *, masks: Sequence[str]) -> pd.DataFrame:
    """Lay the AUC of each mask in both arms beside its floors.

    Parameters
    ----------
    cells : DataFrame
        Rows of `cross` with the columns arm ("off", "on"), task and seed added.
    found : DataFrame
        Rows of `floors` with task and seed added; the floor named as a mask is that mask's silhouette, the floor
        "table" belongs to every mask.
    masks : sequence of str
        Which masks to keep, in training and in testing alike.

    Returns
    -------
    DataFrame
        task, mask, what, seed, auc; ``what`` is "shortcut off", "shortcut on", or one of FLOORS. The permuted labels
        are those of the arm that is off.

    Examples
    --------
    >>> one = pd.DataFrame({"train": ["a"], "test": "a", "auc": 0.9, "permuted": 0.4, "arm": "off"})
    >>> two = pd.DataFrame({"floor": ["table", "a"], "auc": [0.6, 0.7]})
    >>> one, two = (part.assign(task="sex", seed=0) for part in (one, two))
    >>> beside_floors(one, two, masks=["a"]).set_index("what")["auc"].to_dict()
    {'shortcut off': 0.9, 'silhouette': 0.7, 'table': 0.6, 'permuted labels': 0.4}
    """
    same = cells[(cells["train"] == cells["test"]) & cells["test"].isin(masks)].rename(columns={"test": "mask"})
    arms = same.assign(what="shortcut " + same["arm"])
    shape = found[found["floor"].isin(masks)].assign(mask=lambda rows: rows["floor"], what=FLOORS[0])
    table = (
        found[found["floor"] == "table"].merge(pd.DataFrame({"mask": list(masks)}), how="cross").assign(what=FLOORS[1])
    )
    shuffled = same[same["arm"] == "off"].assign(auc=lambda rows: rows[PERMUTED], what=FLOORS[2])
    return pd.concat([arms, shape, table, shuffled])[["task", "mask", "what", "seed", "auc"]].reset_index(drop=True)


def above_floor(
    levels: pd.DataFrame, *, mask: str, arm: str, tasks: Sequence[str], allowed: Sequence[str] = FLOORS
) -> np.ndarray:
    """AUC of a mask minus its best floor, mean over questions.

    Parameters
    ----------
    levels : DataFrame
        From `beside_floors`.
    mask, arm : str
        Which mask, and "off" or "on".
    tasks : sequence of str
        Questions to average over.
    allowed : sequence of str
        Which of FLOORS count. The best is taken for each question by its mean over seeds: the best of each seed would
        count chance among the floors.

    Returns
    -------
    ndarray
        float (seeds,), in order of the seeds; 0 = nothing above the floor.

    Raises
    ------
    ValueError
        If nothing of this mask, arm or a question is there.
    """
    gains = []
    for task in tasks:
        part = levels[(levels["mask"] == mask) & (levels["task"] == task)]
        wide = part.pivot(index="seed", columns="what", values="auc")
        missing = {f"shortcut {arm}", *allowed} - set(wide.columns)
        if missing:
            raise ValueError(
                f"levels must hold {sorted(missing)} of mask {mask!r} and task {task!r}, got none; add them"
            )
        best = wide[list(allowed)].mean().idxmax()
        gains.append((wide[f"shortcut {arm}"] - wide[best]).to_numpy())
    return np.mean(gains, axis=0)
