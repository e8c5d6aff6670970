"""Films that go missing: exact counts, nested, only among the eligible; attributes that tell as much as asked."""

import numpy as np
import pytest

from lib.data.missing_films import attribute_columns, patients_at_risk, without_film
from lib.measure.fairness import auc


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("among", ["sick", "healthy", "all"])
def test_counts_are_exact_nested_and_among_the_eligible(among):
    sick, luck = rng(1).random(101) < 0.4, rng(2).random(101)
    eligible = {"sick": sick, "healthy": ~sick, "all": np.ones(101, bool)}[among]
    before = np.zeros(101, bool)
    for share in (0.0, 0.2, 0.5, 0.8, 1.0):
        gone = without_film(sick, luck, share=share, among=among)
        assert gone.sum() == round(share * eligible.sum())
        assert not gone[~eligible].any()
        assert (before <= gone).all()
        before = gone
    assert (before == eligible).all()


def test_those_of_the_smallest_luck_lose_their_film():
    sick, luck = np.ones(50), rng(3).random(50)
    gone = without_film(sick, luck, share=0.3, among="sick")
    assert luck[gone].max() < luck[~gone].min()


def test_hiding_among_all_does_not_look_at_the_finding():
    sick, luck = rng(4).random(80) < 0.5, rng(5).random(80)
    gone = [without_film(label, luck, share=0.4, among="all") for label in (sick, ~sick)]
    np.testing.assert_array_equal(*gone)


def test_half_have_the_finding_and_attributes_tell_as_much_as_asked():
    odds = [-1.0, -0.5, 0.5]
    for risk, low, high in ((0.0, 0.42, 0.58), (1.0, 0.7, 0.85), (4.0, 0.9, 1.0)):
        people = patients_at_risk(400, rng=rng(), risk=risk)
        assert people["cardiomegaly"].sum() == 200
        known = -(attribute_columns(people).numpy() @ np.array(odds))
        assert low < auc(known, people["cardiomegaly"]) < high
    other = patients_at_risk(400, rng=rng(), finding="effusion")
    assert other["effusion"].sum() == 200 and other["cardiomegaly"].mean() < 0.2


def test_attribute_columns_are_of_about_unit_spread():
    known = attribute_columns(patients_at_risk(2000, rng=rng()))
    assert known.shape == (2000, 3)
    assert bool(((known.std(0) > 0.8) & (known.std(0) < 1.1)).all())


def test_patients_repeat_and_seeds_differ():
    first, again, other = (patients_at_risk(30, rng=rng(s)) for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(("change", "match"), [({"share": 80}, "as a fraction"), ({"among": "old"}, "among must be")])
def test_errors_say_what_came(change, match):
    with pytest.raises(ValueError, match=match):
        without_film([0, 1], [0.1, 0.2], **({"share": 0.5, "among": "sick"} | change))
    with pytest.raises(ValueError, match="one value per patient"):
        without_film([0, 1], [0.1], share=0.5, among="sick")
    with pytest.raises(ValueError, match="finding must be one of"):
        patients_at_risk(4, rng=rng(), finding="flu")
