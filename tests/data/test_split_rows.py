"""Splits keep their parts apart, probes are copies that mean nothing, and shuffled targets keep their values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

from lib.data.formulas import FORMULAS
from lib.data.split_rows import formula_split, table_split

X, y = load_wine(return_X_y=True)
SIZES = {"seed": 0, "n_train": 90, "n_test": 30, "n_noise": 15, "n_null": 3}


def test_formulas_see_their_own_and_idle_columns() -> None:
    split = formula_split(FORMULAS[:4], n_fresh=50, **SIZES)
    assert split.train.y.shape == (90, 7) and split.fresh.x.shape[0] == 50
    assert split.null.tolist() == [False] * 4 + [True] * 3
    assert split.relevant.sum(1).tolist() == [1, 1, 2, 2, 1, 1, 2]
    assert split.shown.sum(1).tolist() == [16, 16, 17, 17, 16, 16, 17]


@pytest.mark.parametrize("part", ["train", "test", "fresh"])
def test_null_targets_are_shuffled_within_their_part(part: str) -> None:
    rows = getattr(formula_split(FORMULAS[:2], n_fresh=60, **SIZES), part)
    assert torch.equal(rows.y[:, 2].sort().values, rows.y[:, 0].sort().values)
    assert not torch.equal(rows.y[:, 2], rows.y[:, 0])
    assert not torch.equal(rows.y[:, 2], rows.y[:, 4]), "two copies of one target have orders of their own"


def test_a_table_is_cut_into_disjoint_standardised_parts() -> None:
    split = table_split(X, y, **SIZES)
    parts = (split.train, split.test, split.fresh)
    assert [len(part.x) for part in parts] == [90, 30, 58]
    torch.testing.assert_close(split.train.x.mean(0), torch.zeros(28), atol=1e-5, rtol=0)
    torch.testing.assert_close(split.train.x.std(0, unbiased=False), torch.ones(28), atol=1e-4, rtol=0)
    assert len(torch.unique(torch.cat([part.x[:, :13] for part in parts]), dim=0)) == len(np.unique(X, axis=0))
    assert split.relevant.sum() == 4 * 13 and bool(split.shown.all())


def test_probes_have_the_values_of_their_columns_and_no_more() -> None:
    split = table_split(X, y, **SIZES)
    whole = torch.cat([part.x for part in (split.train, split.test, split.fresh)]).double().numpy()
    for probe in range(13, 28):
        own = whole[:, (probe - 13) % 13]
        ranks = [np.sort(column).argsort() for column in (own, whole[:, probe])]
        np.testing.assert_array_equal(*ranks)
        assert abs(np.corrcoef(own, whole[:, probe])[0, 1]) < 0.35  # 178 rows: five standard errors


def test_seeds_decide_and_too_few_rows_are_refused() -> None:
    first, same, other = (table_split(X, y, **SIZES | {"seed": seed}) for seed in (0, 0, 1))
    assert torch.equal(first.train.x, same.train.x) and torch.equal(first.test.y, same.test.y)
    assert not torch.equal(first.train.x, other.train.x)
    with pytest.raises(ValueError, match="n_train \\+ n_test must be below 178"):
        table_split(X, y, **SIZES | {"n_train": 148})
