"""OutRank's approximation factor: what drawing a share of the rows does to its score, as published and put right.

Škrlj and Mramor, OutRank, RecSys 2023 (arXiv 2309.01552); public code, version 0.97.5. Rows are drawn with replacement.
"published" divides the counts of the drawn rows by the value counts of *all* rows and multiplies the result by the
share once more, so that conditional probabilities do not add up to one. "own" computes the same score on the drawn rows
with their own counts.

Differences from the public code: nats in float64, one random generator that is passed in; values that occur once are
skipped by all rows' counts in "published", as there.

Conventions: codes as in `lib.select.outrank`; larger is better.
"""

from __future__ import annotations

import numpy as np

from lib.select.discretised import category_codes
from lib.select.outrank import cardinality_information

__all__ = ["COUNTS", "subsampled_information"]

COUNTS = ("published", "own")


def subsampled_information(
    x: np.ndarray, y: np.ndarray, *, share: float, counts: str = "own", generator: np.random.Generator
) -> float:
    """Cardinality-aware information from a share of the rows.

    Parameters
    ----------
    x, y : ndarray of shape (n,), int, >= 0
        Codes of a column and of the classes, without gaps.
    share : float in (0, 1]
        Rows drawn, with replacement, at least one.
    counts : {"published", "own"}
        See the module.
    generator : numpy.random.Generator
        Draws the rows.

    Returns
    -------
    float
        Nats; about 0 = nothing beyond chance. "published" with a share of 1 still draws rows.

    Raises
    ------
    ValueError
        If ``share`` or ``counts`` is not allowed, or the codes do not fit.

    Source
    ------
    Public code of OutRank, feature ranking by mutual information, version 0.97.5.

    Examples
    --------
    >>> y = np.random.default_rng(0).integers(2, size=4000)
    >>> parts = [subsampled_information(y, y, share=0.3, counts=c, generator=np.random.default_rng(1)) for c in COUNTS]
    >>> bool(abs(parts[1] - np.log(2)) < 0.01), bool(parts[0] < 0.3 * np.log(2))
    (True, True)
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}; the public code's example has 0.3")
    if counts not in COUNTS:
        raise ValueError(f"counts must be one of {COUNTS}, got {counts!r}")
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape or x.ndim != 1 or x.size == 0 or x.dtype.kind not in "iu" or y.dtype.kind not in "iu":
        raise ValueError(
            f"x and y must be whole codes of one length, got {x.dtype} {x.shape} and {y.dtype} {y.shape}; "
            "make them with lib.select.discretised.category_codes"
        )
    rows = generator.integers(x.size, size=max(1, int(share * x.size)))
    if counts == "own":
        return cardinality_information(category_codes(x[rows])[0], category_codes(y[rows])[0])
    return share * _published(x[rows], y[rows], np.bincount(x), x.size)


def _published(x: np.ndarray, y: np.ndarray, whole: np.ndarray, n: int) -> float:
    """H(background | X) - H(Y | X) with value counts of all n rows, on the drawn rows."""
    further = (np.arange(x.size) - whole[x]) % x.size
    classes = int(y.max()) + 1
    entropies = []
    for labels in (y, y[further]):
        joint = np.bincount(x * classes + labels, minlength=whole.size * classes).reshape(-1, classes)
        share = joint[whole > 1] / whole[whole > 1, None]  # (values, classes)
        logs = np.log(np.where(share > 0, share, 1.0))
        entropies.append(-float((whole[whole > 1, None] / n * share * logs).sum()))
    return entropies[1] - entropies[0]
