"""Counts, switches that act alone, and arms that share everything else."""

import numpy as np
import pytest

from lib.data.thorax_sexes import ARMS, SHRINK, in_arm, sample_builds

SHARES = {"women": 0.3, "men": 0.9, "well": 0.1}


def draw(n=4000, seed=0, **options):
    return sample_builds(n, rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize("n", [20, 101])
@pytest.mark.parametrize("sick", [0.5, 0.7])
def test_sick_and_builds_are_counted(n, sick):
    table = draw(n, sick=sick)
    assert table["patient_id"].is_unique and table["seed"].is_unique
    assert table["pneumothorax"].sum() == round(sick * n)
    for _, rows in table.groupby("pneumothorax"):
        assert abs((rows["sex"] == "F").sum() - len(rows) / 2) <= 1


def test_the_female_build_is_thinner_by_the_factor():
    table = draw(thinner=0.6)
    for build, factor in (("F", 0.6), ("M", 1.0)):
        shrink = table.loc[table["sex"] == build, "pneumothorax_shrink"]
        assert shrink.between(factor * SHRINK[0], factor * SHRINK[1]).all()


@pytest.mark.parametrize("arm", ARMS)
def test_drains_follow_the_arm(arm):
    table = in_arm(draw(), arm, **SHARES)
    share = table.groupby(["pneumothorax", "recorded"])["drain"].mean()
    assert share[0].tolist() == pytest.approx([0.1, 0.1], abs=0.03)
    expected = [0.3, 0.9] if ARMS[arm].drains else [0.6, 0.6]
    assert share[1].tolist() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("arm", ARMS)
def test_the_film_knows_the_recorded_sex_only_with_anatomy(arm):
    table = in_arm(draw(), arm, **SHARES)
    agree = (table["recorded"] == table["sex"]).mean()
    assert agree == (1.0 if ARMS[arm].anatomy else pytest.approx(0.5, abs=0.03))
    assert abs((table["recorded"] == "F").sum() - 2000) <= 2


def test_without_anatomy_the_sexes_are_alike_in_pairs():
    table = in_arm(draw(400), "drains", **SHARES)
    for _, rows in table.groupby(["pneumothorax", "sex"]):
        shrink = rows.groupby("recorded")["pneumothorax_shrink"].mean()
        assert shrink["F"] == pytest.approx(shrink["M"], abs=0.001)


def test_arms_change_the_record_and_the_drain_alone():
    pool = draw(200)
    for arm in ARMS:
        dealt = in_arm(pool, arm, **SHARES)
        assert dealt.drop(columns=["recorded", "drain"]).equals(pool.drop(columns="drain"))
    none, anatomy = (in_arm(pool, arm, **SHARES)["drain"] for arm in ("none", "anatomy"))
    assert none.equals(anatomy)


def test_a_seed_decides():
    assert draw(40).equals(draw(40))
    assert not draw(40)["seed"].equals(draw(40, seed=1)["seed"])


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="thinner in"):
        draw(thinner=0.0)
    with pytest.raises(ValueError, match="arm must be one of none, drains, anatomy, both, got 'x'"):
        in_arm(draw(8), "x", **SHARES)
    with pytest.raises(ValueError, match="write 0.3 for 30 %"):
        in_arm(draw(8), "none", women=30, men=0.9, well=0.1)
