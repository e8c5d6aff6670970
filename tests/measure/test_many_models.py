"""Sixty models on one draw: groups that differ in the cue alone, halves that mean nothing, and no patient twice."""

import numpy as np
import pytest
import torch

from lib.data import thorax
from lib.measure import many_models
from lib.measure.many_models import (
    CUES,
    STRENGTHS,
    VIEWS,
    balanced_patients,
    film_views,
    group_accuracies,
    half_accuracies,
    model_trial,
    settings,
)
from lib.models.filters import line_maps

SMALL = {"n_train": 20, "n_test": 8, "size": 32, "severity": "easy"}


@pytest.fixture(scope="module")
def trial():
    return model_trial(seed=1, **SMALL)


def test_the_models_are_all_combinations_once():
    table = settings()
    assert len(table) == 60 == len(table.drop(columns="model").drop_duplicates())
    assert table["model"].tolist() == list(range(60))


def test_any_first_patients_are_balanced():
    people = balanced_patients(9, rng=np.random.default_rng(0), severity="hard")
    assert abs(people["pneumothorax"].iloc[:5].mean() - 0.5) <= 0.1
    assert people["seed"].nunique() == 9


def test_shapes_and_views(trial):
    assert trial["right"].shape == (len(CUES), len(STRENGTHS), 60, 2, 8)
    assert trial["right"].dtype == torch.bool
    assert trial["told"].shape == (len(CUES), len(VIEWS))
    films = torch.rand(2, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    views = film_views(films)
    assert tuple(views) == VIEWS
    assert torch.equal(views["coarse lines"], line_maps(films, grid=4).flatten(1))


def test_it_repeats_to_the_bit_and_another_seed_differs(trial):
    assert all(torch.equal(value, model_trial(seed=1, **SMALL)[name]) for name, value in trial.items())
    assert not torch.equal(trial["right"], model_trial(seed=2, **SMALL)["right"])


def test_without_drains_on_film_both_groups_are_one(monkeypatch):
    plain = thorax.render

    def without(patients, device, *, size):
        return (plain(patients.assign(drain=0), size=size),) * 2

    monkeypatch.setattr(many_models.thorax, "render_device_twins", without)
    drain, tag = model_trial(seed=1, **SMALL)["right"]
    assert torch.equal(drain[:, :, 0], drain[:, :, 1])
    assert torch.equal(drain[:1].expand_as(drain), drain)
    assert not torch.equal(tag[-1, :, 0], tag[-1, :, 1])


def test_accuracies_are_means_of_the_parts(trial):
    table = group_accuracies(trial, seed=7)
    row = table[(table["cue"] == "tag") & (table["p"] == 0.9) & (table["model"] == 33)].iloc[0]
    right = trial["right"][CUES.index("tag"), STRENGTHS.index(0.9), 33].double()
    assert row["majority"] == pytest.approx(float(right[0].mean()))
    assert row["minority"] == pytest.approx(float(right[1].mean()))
    assert (row["films"], row["seed"], row["view"]) == (8, 7, settings()["view"][33])


def test_halves_together_are_the_mixture_of_both_groups(trial):
    groups, halves = group_accuracies(trial, seed=7), half_accuracies(trial, seed=7)
    mixture = groups["p"] * groups["majority"] + (1 - groups["p"]) * groups["minority"]
    np.testing.assert_allclose((halves["majority"] + halves["minority"]) / 2, mixture)
    assert (halves["films"] == 4).all()
    assert not halves["majority"].equals(half_accuracies(trial, seed=8)["majority"])


def test_too_few_patients_are_refused():
    with pytest.raises(ValueError, match="n_train must be at least 20"):
        model_trial(seed=0, **SMALL | {"n_train": 12})
