"""The approximation factor of OutRank, by its definition and by what it does to a signal."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lib.select.outrank import cardinality_information
from lib.select.outrank_subsample import COUNTS, subsampled_information


def _slow(x: np.ndarray, y: np.ndarray, share: float, generator: np.random.Generator) -> float:
    """Loop over values and classes: joint counts of the drawn rows over counts of all rows."""
    rows = generator.integers(x.size, size=int(share * x.size))
    drawn_x, drawn_y, found = x[rows], y[rows], 0.0
    for value in np.unique(x):
        count = int((x == value).sum())
        if count == 1:
            continue
        for sign, labels in ((-1, drawn_y), (1, np.roll(drawn_y, count))):
            for one in np.unique(y):
                part = np.sum((drawn_x == value) & (labels == one)) / count
                found += sign * (-(count / x.size) * part * math.log(part) if part > 0 else 0.0)
    return share * found


@pytest.mark.parametrize(("values", "classes", "share"), [(4, 2, 0.3), (60, 3, 0.5), (150, 2, 0.9)])
def test_published_by_brute_force(values: int, classes: int, share: float) -> None:
    rng = np.random.default_rng(values)
    x = np.unique(rng.integers(values, size=200), return_inverse=True)[1]
    y = np.r_[np.arange(classes), rng.integers(classes, size=200 - classes)]
    pair = [np.random.default_rng(9) for _ in range(2)]
    wanted = _slow(x, y, share, pair[0])
    assert subsampled_information(x, y, share=share, counts="published", generator=pair[1]) == pytest.approx(wanted)


def test_own_counts_keep_a_signal_and_published_ones_shrink_it() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=20_000)
    x = np.where(rng.random(20_000) < 0.65, y, 1 - y)
    whole = cardinality_information(x, y)
    own, published = (
        np.mean([subsampled_information(x, y, share=0.3, counts=how, generator=rng) for _ in range(20)])
        for how in ("own", "published")
    )
    assert own == pytest.approx(whole, rel=0.1)
    assert 0 < published < 0.3 * whole


@pytest.mark.parametrize("counts", COUNTS)
def test_seeds(counts: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(10, size=500), rng.integers(2, size=500)
    one, again, other = (
        subsampled_information(x, y, share=0.4, counts=counts, generator=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    assert one == again != other


def test_refusals() -> None:
    rng, x = np.random.default_rng(0), np.array([0, 1, 1])
    with pytest.raises(ValueError, match="share must be in"):
        subsampled_information(x, x, share=30, generator=rng)
    with pytest.raises(ValueError, match="counts must be one of"):
        subsampled_information(x, x, share=0.5, counts="full", generator=rng)
    with pytest.raises(ValueError, match="whole codes of one length"):
        subsampled_information(x / 2, x, share=0.5, generator=rng)
