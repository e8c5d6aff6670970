"""The manifest of a split: same films, same sum; a patient in two parts is refused, whatever the split was."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data import patient_split
from lib.data.split_manifest import split_manifest


def films(n=12, patients=5, seed=0):
    rng = np.random.default_rng(seed)
    who = rng.integers(patients, size=n)
    who[:2] = [0, 1]  # at least two patients
    return pd.DataFrame({"image_id": [f"f{i}" for i in range(n)], "patient_id": who, "sex": rng.choice(["F", "M"], n)})


@given(st.integers(3, 40), st.integers(2, 15), st.integers(0, 1000), st.floats(0.1, 0.9))
@settings(max_examples=60, deadline=None)
def test_a_patient_split_always_passes(n, patients, seed, share):
    table = films(n, patients, seed)
    train, test = patient_split(table, test_share=share, seed=seed)
    found = split_manifest(table, train=train, test=test)
    assert found["films"].sum() == n and found["patients"].sum() == table["patient_id"].nunique()


@given(st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_any_crossing_patient_is_refused(seed):
    rng = np.random.default_rng(seed)
    table = films(20, 6, seed)
    rows = rng.permutation(20)
    train, test = rows[:12], rows[12:]
    crosses = bool(set(table["patient_id"][train]) & set(table["patient_id"][test]))
    if crosses:
        with pytest.raises(ValueError, match="a patient must be in one part only"):
            split_manifest(table, train=train, test=test)
    else:
        assert len(split_manifest(table, train=train, test=test)) == 2


def test_the_sum_is_that_of_the_films():
    table = films()
    train, test = patient_split(table, test_share=0.3, seed=0)
    first = split_manifest(table, train=train, test=test)
    again = split_manifest(table, train=train[::-1], test=test)
    assert first["sha256"].tolist() == again["sha256"].tolist() and first["women"].tolist() == again["women"].tolist()
    fewer = split_manifest(table, train=train[1:], test=test)
    assert fewer["sha256"][0] != first["sha256"][0] and fewer["sha256"][1] == first["sha256"][1]


@pytest.mark.parametrize("rows", [[], [0, 0], [12], [-1]])
def test_rows_that_are_none(rows):
    with pytest.raises(ValueError, match=r"train must hold different rows in 0\.\.11"):
        split_manifest(films(), train=rows)
