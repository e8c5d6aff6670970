"""Splits that hold enough of every label: each does, none was passed over that does, and no patient crosses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.data import patient_split
from lib.data.checked_splits import checked_splits


def archive(seed=0, n=60):
    rng = np.random.default_rng(seed)
    people = pd.DataFrame({"patient_id": rng.integers(0, n // 2, n)})
    return people, {"a": rng.integers(0, 2, n), "b": (rng.random(n) < 0.3).astype(np.int64)}


def enough(labels, rows, minimum):
    return all(min(v[rows].sum(), len(rows) - v[rows].sum()) >= minimum for v in labels.values())


def test_the_first_splits_that_hold_enough():
    people, labels = archive()
    found = checked_splits(people, labels, count=5, test_share=0.5, minimum=7, first_seed=3)
    expected = []
    for seed in range(3, found[-1].seed + 1):
        train, test = patient_split(people, test_share=0.5, seed=seed)
        if enough(labels, train, 7) and enough(labels, test, 7):
            expected.append(seed)
    assert [split.seed for split in found] == expected
    assert len(expected) < found[-1].seed - 2, "at least one seed was passed over, or this test shows nothing"
    for split in found:
        who = people["patient_id"].to_numpy()
        assert not set(who[split.train]) & set(who[split.test])
        assert np.array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(len(people)))


def test_results_do_not_depend_on_how_many_are_asked():
    people, labels = archive(1)
    few, many = (checked_splits(people, labels, count=k, test_share=0.4, minimum=2, first_seed=0) for k in (2, 5))
    assert [split.seed for split in few] == [split.seed for split in many][:2]


def test_fewer_when_the_tries_run_out():
    people, labels = archive()
    assert checked_splits(people, labels, count=3, test_share=0.5, minimum=30, first_seed=0, tries=20) == []


@pytest.mark.parametrize(("how", "match"), [({"count": 0}, ">= 1"), ({"minimum": 0}, ">= 1")])
def test_bad_numbers(how, match):
    people, labels = archive()
    with pytest.raises(ValueError, match=match):
        checked_splits(people, labels, **({"count": 1, "test_share": 0.5, "minimum": 1, "first_seed": 0} | how))


def test_labels_of_another_length():
    people, labels = archive()
    with pytest.raises(ValueError, match="60 rows"):
        checked_splits(people, {"a": labels["a"][:5]}, count=1, test_share=0.5, minimum=1, first_seed=0)
