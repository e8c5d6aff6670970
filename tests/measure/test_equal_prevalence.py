"""Resampling to equal prevalence: what it equalises, what it cannot change, and a drawn resample as the oracle."""

import math

import numpy as np
import pandas as pd
import pytest

from lib.measure import equal_prevalence as ep
from lib.measure.fairness_thresholds import at_fpr, rates


def films(n=600, seed=0):
    g = np.random.default_rng(seed)
    group = g.choice(["F", "M"], n)
    view = np.where(g.random(n) < np.where(group == "F", 0.3, 0.7), "AP", "PA")
    positive = (g.random(n) < np.where(view == "AP", 0.7, 0.2)).astype(int)
    score = positive + 0.8 * (view == "AP") + g.normal(size=n)
    return pd.DataFrame({"score": score, "positive": positive, "group": group, "view": view})


def share(t, w, **where):
    inside = np.logical_and.reduce([t[name] == value for name, value in where.items()])
    return w[inside].sum()


def test_groups_end_with_the_same_prevalence_and_size():
    t = films()
    w = ep.weights(t["positive"], t["group"])
    assert w.sum() == pytest.approx(600)
    for group in "FM":
        assert share(t, w, group=group) == pytest.approx(300)
        assert share(t, w, group=group, positive=1) / 300 == pytest.approx(t["positive"].mean())


def test_strata_are_equal_within_each_label():
    t = films()
    w = ep.weights(t["positive"], t["group"], strata=t["view"])
    for label in (0, 1):
        target = (t["view"][t["positive"] == label] == "AP").mean()
        for group in "FM":
            cell = share(t, w, group=group, positive=label, view="AP")
            assert cell / share(t, w, group=group, positive=label) == pytest.approx(target)
    assert share(t, w, group="F") == pytest.approx(300) and w.sum() == pytest.approx(600)


def test_a_stratum_without_counterpart_counts_for_nothing():
    t = films()
    t.loc[t["group"] == "F", "view"] = t.loc[t["group"] == "F", "view"].replace("AP", "lateral")
    w = ep.weights(t["positive"], t["group"], strata=t["view"])
    assert (w[t["view"] != "PA"] == 0).all() and w.sum() == pytest.approx(600)
    assert np.isnan(ep.weights(t["positive"], t["group"], strata=t["group"])).all()


def test_a_fixed_threshold_knows_nothing_of_prevalence():
    t = films()
    w = ep.weights(t["positive"], t["group"])
    before = rates(t["score"], t["positive"], t["group"], threshold=0.7)
    after = rates(t["score"], t["positive"], t["group"], threshold=0.7, weights=w)
    np.testing.assert_allclose(before[["tpr", "fpr"]], after[["tpr", "fpr"]], atol=1e-12)


def test_weights_are_what_drawing_films_gives_on_average():
    t = films(4000)
    options = {"fpr": 0.2, "first": "F", "second": "M"}
    ours = ep.tpr_gap_at_fpr(t, t, balance=("view",), **options)
    w = ep.weights(t["positive"], t["group"], strata=t["view"])
    drawn = t.iloc[np.random.default_rng(1).choice(4000, 200_000, p=w / w.sum())]
    cut = at_fpr(drawn["score"], drawn["positive"], fpr=0.2)
    peer = rates(drawn["score"], drawn["positive"], drawn["group"], threshold=cut).set_index("group")["tpr"]
    assert ours == pytest.approx(peer["F"] - peer["M"], abs=0.01)  # 200,000 draws: error of a gap of shares below .003


def test_balancing_the_cause_removes_the_gap_and_prevalence_alone_does_not():
    valid, test = films(20_000, 1), films(20_000, 2)
    gaps = [
        ep.tpr_gap_at_fpr(valid, test, fpr=0.2, first="F", second="M", balance=balance)
        for balance in (None, (), ("view",))
    ]
    assert abs(gaps[0]) > 0.08 and abs(gaps[1]) > 0.08 and abs(gaps[2]) < 0.03


def test_too_few_rows_are_nan():
    t = films(40)
    assert math.isnan(ep.tpr_gap_at_fpr(t, t, fpr=0.2, first="F", second="M", minimum=30))


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="equally long"):
        ep.weights([1, 0], ["A"])
    with pytest.raises(ValueError, match="0 and 1 only"):
        ep.weights([2, 0], ["A", "B"])
