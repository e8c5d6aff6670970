"""Two groups that differ in one thing at a time: rates, pairing of arms, and films that show what the table says."""

import numpy as np
import pytest
import torch

from lib.data import thorax
from lib.data import thorax_shifts as ts


@pytest.fixture(scope="module")
def pool():
    return ts.draw_pool(6000, rng=np.random.default_rng(0))


def rate(table, column, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    return table[column].mean()


def test_each_arm_shifts_what_it_says(pool):
    arms = {name: ts.apply(pool, shift) for name, shift in ts.ARMS.items()}
    expected = {"none": (0.45, 0.45), "prevalence": (0.3, 0.6), "severity": (0.45, 0.45), "labels": (0.45, 0.45)}
    for name, shares in expected.items():
        for sex, share in zip("FM", shares, strict=True):
            assert rate(arms[name], "sick", sex=sex) == pytest.approx(share, abs=0.04)  # 3000 each: 4 standard errors
    assert rate(arms["labels"], "recorded", sex="F") == pytest.approx(0.45 * 0.7, abs=0.04)
    assert (arms["labels"].query("sex == 'M'")["recorded"] == arms["labels"].query("sex == 'M'")["sick"]).all()
    assert (arms["severity"]["mild"] == ((arms["severity"]["sex"] == "F") & (arms["severity"]["sick"] == 1))).all()


def test_view_explains_all_of_its_arm(pool):
    table = ts.apply(pool, ts.ARMS["view"])
    for view, share in (("PA", 0.2), ("AP", 0.7)):
        for sex in "FM":
            assert rate(table, "sick", sex=sex, view=view) == pytest.approx(share, abs=0.06)  # 600 at least
    assert rate(table, "sick", sex="M") - rate(table, "sick", sex="F") > 0.15


def test_arms_share_patients_and_health(pool):
    none, labels, more = (ts.apply(pool, ts.ARMS[name]) for name in ("none", "labels", "prevalence"))
    assert (none["sick"] == labels["sick"]).all()
    changed = (none["sick"] != more["sick"]).mean()
    assert changed == pytest.approx(0.15, abs=0.02)  # as few as the rates allow


def test_a_patient_has_one_finding_or_none(pool):
    table = ts.apply(pool, ts.ARMS["severity"])
    people = ts.equip(pool, table)
    count = people[list(thorax.FINDINGS)].sum(1).to_numpy()
    assert (count == table["sick"].to_numpy()).all() and (people["drain"] == 0).all()
    low, high = thorax.SEVERITIES["hard"]["effusion_ml"]
    mild = table["mild"].to_numpy()
    assert people["effusion_ml"][mild].between(low, high).all()
    assert people["effusion_ml"][~mild].between(*thorax.SEVERITIES["easy"]["effusion_ml"]).all()
    assert pool["drain"].sum() == 0 and (pool[list(thorax.FINDINGS)].to_numpy() == 0).all()


def test_films_are_rendered_once_and_are_those_of_the_generator(pool):
    few = pool.iloc[:6].reset_index(drop=True)
    tables = [ts.apply(few, ts.ARMS[name]) for name in ("none", "severity", "prevalence")]
    films = ts.Films(few, tables, size=16)
    assert len(films.x) < sum(map(len, tables))
    for table in tables:
        torch.testing.assert_close(films.of(table), thorax.render(ts.equip(few, table), size=16).x, rtol=0, atol=0)


def test_a_film_that_was_not_asked_for_is_an_error(pool):
    few = pool.iloc[:6].reset_index(drop=True)
    films = ts.Films(few, [ts.apply(few, ts.Shift(0.0, 0.0))], size=16)
    with pytest.raises(ValueError, match="were not rendered"):
        films.of(ts.apply(few, ts.Shift(1.0, 1.0)))


def test_unknown_severity_and_another_seed():
    with pytest.raises(ValueError, match="mild must be one of"):
        ts.draw_pool(3, rng=np.random.default_rng(0), mild="faint")
    one, two = (ts.draw_pool(50, rng=np.random.default_rng(seed)) for seed in (1, 2))
    assert not one["u_sick"].equals(two["u_sick"])
