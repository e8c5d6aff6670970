"""Distance correlations beside those of the library dcor, an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest

from lib.select.distance_correlation import distance_correlation, fast_distance_correlation, marginal_scores
from lib.select.joint_distance_correlation import joint_scores

dcor = pytest.importorskip("dcor", reason="pip install --no-deps -r requirements-peers.txt")
RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((120, 5)) * [1.0, 3.0, 0.2, 1.0, 10.0]
TARGET = TABLE[:, 0] ** 2 + TABLE[:, 1] * TABLE[:, 2] + 0.1 * RNG.standard_normal(120)


@pytest.mark.parametrize("unbiased", [False, True])
def test_one_column(unbiased):
    theirs = dcor.u_distance_correlation_sqr if unbiased else dcor.distance_correlation_sqr
    for column in TABLE.T:
        wanted = theirs(column, TARGET)
        assert fast_distance_correlation(column, TARGET, unbiased=unbiased) == pytest.approx(wanted, abs=1e-10)
        matrix = distance_correlation(column[:, None], TARGET[:, None], unbiased=unbiased)
        assert matrix == pytest.approx(wanted, abs=1e-10)


def test_all_columns_at_once():
    wanted = [dcor.distance_correlation_sqr(column, TARGET) for column in TABLE.T]
    np.testing.assert_allclose(marginal_scores(TABLE, TARGET, target="numbers"), wanted, atol=1e-10)


@pytest.mark.parametrize("affine_invariant", [True, False])
def test_sets_of_columns(affine_invariant):
    theirs = dcor.distance_correlation_af_inv_sqr if affine_invariant else dcor.distance_correlation_sqr
    wanted = [theirs(np.c_[TABLE[:, :2], TABLE[:, one]], TARGET[:, None]) for one in (2, 3, 4)]
    found = joint_scores(TABLE[:, :2], TABLE[:, 2:], TARGET, affine_invariant=affine_invariant)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
