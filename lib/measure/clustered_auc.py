"""AUC of many findings and groups under the same resampled patients, sorting every score once.

Source: the Mann-Whitney form of the AUC; Davison & Hinkley 1997 (resampling whole clusters); Hesterberg 2015,
arXiv:1411.5279 (expanded percentile interval). Difference: rows are not copied. A resample is a whole number per
patient, how often it was drawn, and the AUC is a sum of products of such numbers: for every distinct score of the
rarer label, the weight of that label there, times the weight of the other label below plus half of it at the same
score. These sums are products of a sparse matrix, prepared once, with the patients' weights of many resamples at once.

Conventions: weights are whole numbers, so sums are exact and only the last division rounds. Draws are those of
:func:`lib.resampling.resample_rows` with the same generator. Every finding and group is judged under the same
resampled patients, so differences of draws are paired. A tie counts half; .5 = guessing, 1 = perfect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy import stats as distributions

from lib import resampling, stats
from lib.measure.fairness import MINIMUM, too_few
from lib.stats import Estimate

Floats = NDArray[np.float64]
BLOCK = 32  # resamples whose weights are held in memory at once
EXACT = 2**23  # whole and half numbers up to here are exact in float32


@dataclass(frozen=True)
class AucDraws:
    """AUC of every finding and group, on all rows and under every resample.

    Attributes
    ----------
    table : DataFrame
        One row per finding, grouping and group: finding, grouping, group, n (rows), clusters, positives, negatives,
        auc (NaN with too few positives or negatives).
    draws : ndarray of float64, shape (n_boot, rows of the table)
        NaN where a resample holds no positive or no negative, and where auc is NaN.
    """

    table: pd.DataFrame
    draws: Floats

    def column(self, finding: str, grouping: str, group: object) -> int:
        """Row of the table, which is the column of the draws.

        Raises
        ------
        ValueError
            If there is no such row.
        """
        t = self.table
        found = np.flatnonzero((t["finding"] == finding) & (t["grouping"] == grouping) & (t["group"] == group))
        if found.size != 1:
            raise ValueError(f"finding, grouping, group must name a row of table, got {(finding, grouping, group)}")
        return int(found[0])

    def auc(self, column: int, *, reference: float = 0.5) -> Estimate:
        """AUC minus a reference with a 95 % interval over clusters; 0 = no better than the reference."""
        row = self.table.iloc[column]
        return _estimate(float(row["auc"]) - reference, self.draws[:, column] - reference, int(row["clusters"]))

    def gap(self, first: int, second: int) -> Estimate:
        """AUC of one column minus that of another, paired by resample; n is that of the smaller one."""
        rows = self.table.iloc[[first, second]]
        point = float(rows["auc"].iloc[0] - rows["auc"].iloc[1])
        return _estimate(point, self.draws[:, first] - self.draws[:, second], int(rows["clusters"].min()))


def auc_draws(
    scores: pd.DataFrame,
    positive: pd.DataFrame,
    clusters: ArrayLike,
    groupings: Mapping[str, ArrayLike],
    *,
    generator: np.random.Generator,
    n_boot: int = 2000,
    minimum: int = MINIMUM,
) -> AucDraws:
    """AUC within every group of every grouping, for every finding, under ``n_boot`` resamples of whole clusters.

    Parameters
    ----------
    scores : DataFrame of float, shape (rows, findings)
        Higher = more likely positive.
    positive : DataFrame of 0/1, shape (rows, findings)
        The truth, the same columns; NaN = the row has no label of this finding and is left out of it.
    clusters : array_like, shape (rows,)
        The cluster (patient) of each row.
    groupings : mapping of str to array_like, each of shape (rows,)
        The group of each row, per grouping; missing is left out. ``{"all": ["all"] * rows}`` gives the overall AUC.
    generator : numpy.random.Generator
    n_boot : int
        Resamples.
    minimum : int
        With fewer positives or fewer negatives the AUC and its draws are NaN.

    Returns
    -------
    AucDraws

    Raises
    ------
    ValueError
        If shapes or columns differ, a score is not finite, or a label is neither 0, 1 nor missing.

    Examples
    --------
    >>> score, truth = pd.DataFrame({"edema": [0.1, 0.4, 0.4, 0.9]}), pd.DataFrame({"edema": [0, 0, 1, 1]})
    >>> settings = {"generator": np.random.default_rng(0), "n_boot": 3, "minimum": 2}
    >>> auc_draws(score, truth, [0, 1, 2, 3], {"all": ["all"] * 4}, **settings).table["auc"].tolist()
    [0.875]
    """
    labels, codes = _checked(scores, positive, clusters)
    n_clusters = int(codes.max()) + 1
    found, cells = [], []
    for finding in scores.columns:
        score, label = scores[finding].to_numpy(np.float64), labels[finding].to_numpy(np.float64)
        for grouping, members in groupings.items():
            for name, rows in _members(members, label, grouping):
                kept = label[rows].astype(np.int64)
                lacking = too_few(kept, minimum=max(minimum, 1))
                cells.append(None if lacking else _Cell.of(score[rows], kept, codes[rows], n_clusters))
                counts = (rows.size, np.unique(codes[rows]).size, int(kept.sum()), int((1 - kept).sum()))
                found.append((finding, grouping, name, *counts))
    columns = ["finding", "grouping", "group", "n", "clusters", "positives", "negatives"]
    table = pd.DataFrame(found, columns=columns)
    once = np.ones((n_clusters, 1))
    table["auc"] = [math.nan if cell is None else float(cell.auc(once)[0]) for cell in cells]
    draws = np.full((n_boot, len(cells)), math.nan)
    kind = np.float32 if int(np.bincount(codes).max()) * n_clusters < EXACT else np.float64
    for start in range(0, n_boot, BLOCK):
        drawn = _weights(n_clusters, min(BLOCK, n_boot - start), generator).astype(kind)
        for column, cell in enumerate(cells):
            if cell is not None:
                draws[start : start + drawn.shape[1], column] = cell.auc(drawn)
    return AucDraws(table, draws)


@dataclass(frozen=True)
class _Cell:
    """One finding in one group, sorted: which clusters stand at and between the distinct scores of the rarer label."""

    rare: sparse.csr_matrix  # (levels, clusters), rows of the rarer label at each of its distinct scores
    other: sparse.csr_matrix  # (2 * levels + 1, clusters), other rows below, at, between ..., at, above the levels
    flipped: bool  # the rarer label is the negative one

    @classmethod
    def of(cls, score: Floats, label: NDArray[np.int64], codes: NDArray, n_clusters: int) -> _Cell:
        flipped = bool(2 * label.sum() > label.size)
        rarer = label == (0 if flipped else 1)
        levels, at = np.unique(score[rarer], return_inverse=True)
        left, right = (np.searchsorted(levels, score[~rarer], side) for side in ("left", "right"))
        parts = (at, levels.size, codes[rarer]), (left + right, 2 * levels.size + 1, codes[~rarer])
        rare, other = (
            sparse.csr_matrix((np.ones(where.size), (where, who)), shape=(size, n_clusters))
            for where, size, who in parts
        )
        return cls(rare.astype(np.float32), other.astype(np.float32), flipped)

    def auc(self, drawn: NDArray) -> Floats:
        """AUC under each column of weights (clusters, draws); NaN where a label has no weight."""
        rare, other = self.rare @ drawn, self.other @ drawn  # (levels, draws), (2 * levels + 1, draws)
        below = other[:-1:2] + other[1::2]
        np.cumsum(below, axis=0, out=below)
        below -= other[1::2] * below.dtype.type(0.5)  # at the level itself only half counts
        pairs = np.einsum("ld,ld->d", rare.astype(np.float64), below.astype(np.float64))
        total = rare.sum(0, dtype=np.float64) * other.sum(0, dtype=np.float64)
        share = np.divide(pairs, total, out=np.full(total.shape, math.nan), where=total > 0)
        return 1 - share if self.flipped else share


def _weights(n: int, draws: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """How often each cluster is drawn, shape (n, draws)."""
    return np.stack([np.bincount(generator.integers(0, n, n), minlength=n) for _ in range(draws)], axis=1)


def _members(members: ArrayLike, label: Floats, grouping: str) -> list[tuple[object, NDArray[np.int64]]]:
    """Names and rows of the groups, sorted by name, rows without a label left out."""
    names = np.asarray(members)
    if names.shape != label.shape:
        raise ValueError(f"groupings[{grouping!r}] must name one group per row, got {names.shape} for {label.shape}")
    codes, found = pd.factorize(names, sort=True)
    return [(name, np.flatnonzero((codes == code) & ~np.isnan(label))) for code, name in enumerate(found)]


def _checked(scores: pd.DataFrame, positive: pd.DataFrame, clusters: ArrayLike) -> tuple[pd.DataFrame, NDArray]:
    if list(scores.columns) != list(positive.columns) or len(scores) != len(positive) or scores.empty:
        shapes = f"{scores.shape} and {positive.shape}"
        raise ValueError(f"scores and positive must have the same columns and rows, got {shapes}; align them first")
    if np.shape(clusters) != (len(scores),):
        raise ValueError(f"clusters must hold one id per row, got shape {np.shape(clusters)} for {len(scores)} rows")
    if not np.isfinite(scores.to_numpy(np.float64)).all():
        raise ValueError("scores must be finite; drop the rows, or leave their label missing and set the score to 0")
    labels = positive.astype(np.float64)
    if not (labels.isna() | labels.isin([0, 1])).to_numpy().all():
        raise ValueError("positive must hold 0, 1 or NaN only; settle uncertain labels before measuring")
    return labels, np.unique(np.asarray(clusters), return_inverse=True)[1]


def _estimate(point: float, draws: Floats, n: int) -> Estimate:
    """The expanded percentile interval of :func:`lib.stats.clustered`, from draws that are already made."""
    kept = np.sort(draws[np.isfinite(draws)])
    reason = ""
    if not math.isfinite(point):
        reason = "too few positives or negatives"
    elif n < 20:
        reason = f"{n} patients, fewer than 20"
    elif kept.size < 0.9 * draws.size:
        reason = f"the AUC is undefined on {draws.size - kept.size} of {draws.size} resamples"
    if reason:
        return Estimate(point, math.nan, math.nan, n, "patients", "clustered", math.nan, reason)
    stretch = math.sqrt(n / (n - 1))
    reach = distributions.norm.cdf(stretch * distributions.t.ppf((1 + stats.LEVEL) / 2, n - 1))
    low, high = np.quantile(kept, [1 - reach, reach])
    tail = partial(resampling.percentile_tail, kept, stretch, n - 1)
    p = min(1.0, 2 * min(tail(0.0, "greater"), tail(0.0, "less")))
    return Estimate(point, float(low), float(high), n, "patients", "clustered", p, "", math.nan, tail)
