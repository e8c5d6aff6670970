"""A tiny trial: shapes, what the arms share, that nothing leaks from the test set, and a seed that decides."""

import numpy as np
import pytest
import torch

from lib.data.thorax_sexes import ARMS
from lib.measure.sex_trial import sex_trial, trial_table

OPTIONS = {"n_train": 24, "n_test": 20, "size": 32, "components": 8, "penalty": 0.01, "shown": 4, "women": 0.3}
OPTIONS |= {"men": 0.9, "well": 0.1, "thinner": 0.6, "sick": 0.6}


@pytest.fixture(scope="module")
def trial():
    return sex_trial(seed=0, **OPTIONS)


def test_shapes_and_ranges(trial):
    assert trial["sick"].sum() == 12 and trial["sick"].shape == (20,)
    for name in ("female", "drain", "probability", "floor", "sex", "sex_floor"):
        assert trial[name].shape == (4, 20)
        assert ((trial[name] >= 0) & (trial[name] <= 1)).all()
    assert trial["features"].shape == (4, 20, 4)
    assert trial["features"].isfinite().all()


def test_arms_without_other_drains_share_their_head(trial):
    none, anatomy = (list(ARMS).index(name) for name in ("none", "anatomy"))
    for name in ("drain", "probability", "features"):
        assert torch.equal(trial[name][none], trial[name][anatomy])
    assert not torch.equal(trial["female"][none], trial["female"][anatomy])
    drains, both = (list(ARMS).index(name) for name in ("drains", "both"))
    assert torch.equal(trial["female"][none], trial["female"][drains])
    assert torch.equal(trial["female"][anatomy], trial["female"][both])


def test_the_table_says_the_same(trial):
    table = trial_table(trial)
    assert len(table) == 80 and table["arm"].unique().tolist() == list(ARMS)
    part = table[table["arm"] == "both"]
    np.testing.assert_array_equal(part["drain"] == "drain", trial["drain"][3].numpy() == 1)
    np.testing.assert_array_equal(part["sex"] == "women", trial["female"][3].numpy() == 1)
    np.testing.assert_allclose(part["error"], (trial["probability"][3] - trial["sick"]).numpy() ** 2)


def test_a_seed_decides(trial):
    again, other = (sex_trial(seed=seed, **OPTIONS) for seed in (0, 1))
    assert all(torch.equal(trial[name], again[name]) for name in trial)
    assert not torch.equal(trial["probability"], other["probability"])
