"""Shares by hand, references that know nothing of the slices, and groups that are too small."""

import math

import numpy as np
import pytest

from lib.measure.slice_attribute import SHARES, attribute_shares


def ask(belongs, error, has, rows=None, seed=0, **options):
    rows = np.ones(len(error), bool) if rows is None else rows
    return attribute_shares(belongs, error, has, rows=rows, generator=np.random.default_rng(seed), **options)


def patients(seed=0, n=400):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(5), n), rng.random(n), rng.random(n) < 0.4, rng.random(n) < 0.7


def test_shares_by_definition():
    belongs, error, has, rows = patients()
    found, owner = ask(belongs, error, has, rows), belongs.argmax(1)
    mean = [error[rows & (owner == k)].mean() for k in range(5)]
    for name, k in (("worst slice", np.argmax(mean)), ("best slice", np.argmin(mean))):
        assert found[name] == pytest.approx(has[rows & (owner == k)].mean())
    n = int((rows & (owner == np.argmax(mean))).sum())
    worst = np.flatnonzero(rows)[np.argsort(-error[rows])[:n]]
    assert found["largest errors"] == pytest.approx(has[worst].mean())
    assert (found["all"], found["n"]) == (pytest.approx(has[rows].mean()), n)


def test_rows_left_out_do_not_matter():
    belongs, error, has, rows = patients()
    inside = ask(belongs[rows], error[rows], has[rows])
    assert ask(belongs, error, has, rows) == inside


def test_random_slices_hold_the_share_of_all_where_errors_know_nothing():
    belongs, error, has, _ = patients(n=2000)
    found = ask(belongs, error, has, draws=400)
    assert found["random slices"] == pytest.approx(found["all"], abs=0.01)
    assert found["auc"] == pytest.approx(0.5, abs=0.05)


def test_random_slices_profit_from_errors_alone():
    rng = np.random.default_rng(0)
    has = rng.random(400) < 0.5
    error = has + 0.1 * rng.random(400)
    found = ask(np.eye(8)[rng.integers(0, 8, 400)], error, has, draws=400)
    assert found["random slices"] > found["all"] + 0.03
    assert found["largest errors"] == 1.0


def test_a_slice_that_is_the_attribute_is_found():
    has = np.arange(100) < 40
    found = ask(np.eye(2)[has.astype(int)], np.where(has, 0.5, 0.1), has)
    assert [found[name] for name in ("worst slice", "best slice", "auc")] == [1.0, 0.0, 1.0]


def test_small_slices_are_no_slices():
    belongs, error, has, _ = patients(n=30)
    found = ask(belongs, error, has, minimum=25)
    assert all(math.isnan(found[name]) for name in SHARES if name != "all")
    assert found["all"] == pytest.approx(has.mean())


def test_no_row_is_an_error():
    belongs, error, has, rows = patients()
    with pytest.raises(ValueError, match="rows must keep at least one row"):
        ask(belongs, error, has, ~(rows | ~rows))
