"""Partners: uncorrelated with y alone, needed together."""

from __future__ import annotations

import numpy as np
import pytest

from lib.data.planted_partners import partners


def drawn(**options):
    return partners(4000, **options, generator=np.random.default_rng(7))


def named(table, kind):
    return [place for place, name in enumerate(table.names) if name.startswith(kind)]


def test_counts_and_names():
    table = drawn(n_pairs=3, n_noise=5)
    assert table.X.shape == (4000, 11)
    assert sorted(named(table, "relevant")) == table.relevant.tolist()
    assert len(named(table, "relevant, partner")) == 3
    assert table.redundant.size == 0


def test_partner_is_silent_alone_and_worth_something_beside_its_cause():
    table = drawn(n_pairs=1, n_noise=0, noise=0.5)
    cause, partner = named(table, "relevant, cause")[0], named(table, "relevant, partner")[0]
    assert abs(np.corrcoef(table.X[:, partner], table.y)[0, 1]) < 4 / np.sqrt(4000)

    def explained(columns):
        rest = table.y - table.X[:, columns] @ np.linalg.lstsq(table.X[:, columns], table.y, rcond=None)[0]
        return 1 - rest.var() / table.y.var()

    assert explained([cause]) == pytest.approx(0.5 / 1.25, abs=0.04)  # 1 of the column's variance 2, of y's 1.25
    assert explained([cause, partner]) == pytest.approx(1 / 1.25, abs=0.03)


def test_seeds():
    again, other = drawn(), partners(4000, generator=np.random.default_rng(8))
    assert np.array_equal(drawn().X, again.X)
    assert not np.array_equal(again.X, other.X)


@pytest.mark.parametrize("wrong", [{"n_pairs": 0}, {"n_noise": -1}, {"disturbance": 0.0}, {"noise": -1.0}])
def test_errors(wrong):
    with pytest.raises(ValueError, match="are needed, got"):
        drawn(**wrong)
