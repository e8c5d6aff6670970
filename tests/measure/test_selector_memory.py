"""Peak memory of several selectors: known blocks come out, and the two ways agree on what both can see."""

import sys
from typing import Any, Self

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from lib.measure.selector_memory import peaks


class Holder(BaseEstimator):
    """Holds a block of memory while it fits as many columns as it is shown."""

    def __init__(self, n_features_to_select: int = 1, megabytes: int = 0) -> None:
        self.n_features_to_select = n_features_to_select
        self.megabytes = megabytes

    def fit(self, X: Any, y: Any = None) -> Self:
        block = np.ones(self.megabytes * 2**17 if X.shape[1] > 8 else 0)  # nothing in the first, small fit
        self.total_ = block.sum()
        return self


X, Y = np.random.default_rng(0).normal(size=(20, 30)), np.arange(20) % 2
HOLDERS = {"none": Holder(), "large": Holder(megabytes=64), "small": Holder(megabytes=16), "again": Holder()}


def test_traced_peaks_are_the_blocks() -> None:
    found = peaks(HOLDERS, X, Y, memory="traced")
    assert list(found) == list(HOLDERS)
    assert found["large"] == pytest.approx(64 * 2**20, rel=0.01) and found["none"] < 2**16


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_fit_is_alone_in_its_process() -> None:
    found = peaks(HOLDERS, X, Y)
    assert found["large"] == pytest.approx(64 * 2**20, rel=0.1)
    assert found["small"] == pytest.approx(16 * 2**20, rel=0.2)  # after a larger one, nothing freed is taken up
    assert max(found["none"], found["again"]) < 4 * 2**20  # pages
    assert not any(hasattr(holder, "total_") for holder in HOLDERS.values())


def test_unknown_ways_and_empty_leagues_are_refused() -> None:
    with pytest.raises(ValueError, match="memory must be one of"):
        peaks(HOLDERS, X, Y, memory="resident")
    with pytest.raises(ValueError, match="at least one"):
        peaks({}, X, Y)
