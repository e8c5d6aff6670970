"""Windows by law: equal area, over or off the lesion's place, and silent about the label but where they search."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.data import thorax_places
from lib.data.bone_free import bone_pair, lesion_patients
from lib.measure.fairness import auc
from lib.measure.gaze_windows import LAWS, READINGS, VIEWS, gaze_answers, gaze_windows, view

SHOWN = {"shown": 0.04, "scatter_mm": 10.0}


@pytest.fixture(scope="module")
def films():
    return bone_pair(lesion_patients(50, rng=np.random.default_rng(0)), size=32)[0]


def drawn(films, law, seed=0):
    return gaze_windows(films, law, rng=np.random.default_rng(seed), **SHOWN)


def place(films):
    distance = thorax_places.place_distance(films.patients, size=32)
    return distance <= 10 * torch.tensor(films.patients["nodule_radius_cm"].to_numpy())[:, None, None]


@pytest.mark.parametrize("law", LAWS)
def test_all_windows_are_equally_large(films, law):
    assert set(drawn(films, law).flatten(1).sum(1).tolist()) == {41}
    assert not torch.equal(drawn(films, law), drawn(films, law, seed=1))


def test_lesion_windows_meet_the_place_and_lesion_free_ones_never_do(films):
    region = place(films)

    def met(shown):
        return ((shown & region).flatten(1).sum(1) / region.flatten(1).sum(1)).mean().item()

    assert met(drawn(films, "lesion")) > 0.6 > met(drawn(films, "random"))
    assert met(drawn(films, "lesion-free")) == 0


def test_search_differs_from_lesion_among_the_healthy_only(films):
    sick = torch.tensor((films.patients["nodule"] == 1).to_numpy())
    one, other = drawn(films, "lesion"), drawn(films, "search")
    assert torch.equal(one[sick], other[sick])
    assert not torch.equal(one[~sick], other[~sick])


def test_views_show_the_window_and_nothing_else(films):
    shown = drawn(films, "lesion")
    kept = view(films.x, shown, "in place")
    assert torch.equal(kept[:, 0][shown], films.x[:, 0][shown])
    assert kept[:, 0][~shown].abs().max() == 0
    cut = view(films.x, shown, "crop")
    assert cut.shape == (50, 1, 12, 12)
    assert (cut.flatten(1).sum(1) <= kept.flatten(1).sum(1) + 1e-3).all()


def test_only_searching_tells_the_label_without_a_film(films):
    others = bone_pair(lesion_patients(50, rng=np.random.default_rng(1)), size=32)[0]
    answers = gaze_answers(films, others, penalty=0.1, rng=np.random.default_rng(2), **SHOWN)
    assert answers.shape == (len(LAWS), len(VIEWS), len(READINGS), 50)
    label = others.patients["nodule"].to_numpy()

    def told(law, what):
        index = LAWS.index(law), VIEWS.index("in place"), READINGS.index(what)
        return auc(answers[index].numpy(), label)

    assert told("search", "silhouette") > 0.8
    for law in LAWS[:3]:
        assert abs(told(law, "silhouette") - 0.5) < 0.3  # three and a half standard errors with 25 and 25


def test_an_unknown_law_is_named(films):
    with pytest.raises(ValueError, match="law must be one of lesion, random, lesion-free, search"):
        drawn(films, "reader")
