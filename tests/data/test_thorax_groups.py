"""Exact numbers in every group, rates as asked, and nothing else different."""

import numpy as np
import pytest

from lib.data import thorax
from lib.data.thorax_groups import ARMS, Group, sample_groups

SHARES = {"A": 0.8, "B": 0.2}


def draw(arm="shortcut", n=1000, seed=0):
    return sample_groups(n, ARMS[arm], shares=SHARES, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("n", [20, 101])
def test_groups_and_sick_are_counted(arm, n):
    table = draw(arm, n)
    assert len(table) == n and table["patient_id"].is_unique and table["seed"].is_unique
    assert abs((table["group"] == "B").sum() - 0.2 * n) <= 0.5
    for _, rows in table.groupby("group"):
        assert abs(rows["pneumothorax"].sum() - len(rows) / 2) <= 0.5


def test_drains_follow_the_rates_of_the_group():
    table = draw(n=6000)
    share = table.groupby(["group", "pneumothorax"])["drain"].mean()
    assert share["A"].tolist() == pytest.approx([0.1, 0.9], abs=0.03)
    assert share["B"].tolist() == pytest.approx([0.5, 0.5], abs=0.06)


def test_severity_lies_in_the_range_of_the_group():
    table = draw("severity")
    for name, rows in table.groupby("group"):
        low, high = ARMS["severity"][name].shrink
        assert rows["pneumothorax_shrink"].between(low, high).all()
    assert table.groupby("pneumothorax")["drain"].mean().tolist() == pytest.approx([0.5, 0.5], abs=0.08)


def test_the_table_can_be_rendered_and_the_seed_decides():
    assert thorax.render(draw(n=20), size=16).x.shape == (20, 1, 16, 16)
    assert draw(n=20).equals(draw(n=20))
    assert not draw(n=20).equals(draw(n=20, seed=1))


def test_errors_say_what_to_do():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="shares must be positive"):
        sample_groups(20, ARMS["shortcut"], shares={"A": 1.0}, rng=rng)
    with pytest.raises(ValueError, match="draw more patients"):
        sample_groups(4, ARMS["shortcut"], shares={"A": 0.9, "B": 0.1}, rng=rng)
    with pytest.raises(ValueError, match="unknown|must be one of"):
        sample_groups(20, {"Z": Group()}, shares={"Z": 1.0}, rng=rng)
