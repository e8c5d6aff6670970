"""Concepts are those of the generator, admission follows them alone, and a shortcut changes nothing else."""

import numpy as np
import pytest
import torch

from lib.data import thorax
from lib.data.thorax_concepts import CONCEPTS, SHORTCUTS, admission_patients, concept_values, films, mixed_films
from lib.measure.fairness import auc


@pytest.fixture(scope="module")
def people():
    return admission_patients(2000, rng=np.random.default_rng(0), doubt=0.5)


def test_concepts_are_absent_with_the_finding_and_grow_with_its_size(people):
    values = concept_values(people)
    assert values.shape == (2000, len(CONCEPTS))
    findings = ("effusion", "pneumothorax", "consolidation", "edema")
    for column, name in enumerate(findings, start=1):
        assert ((values[:, column] > 0) == (people[name] == 1)).all()
    bigger = concept_values(people.assign(effusion_ml=2 * people["effusion_ml"]))
    assert (bigger[:, 1] >= values[:, 1]).all()
    np.testing.assert_array_equal(values[:, 0], people["ctr"] + people["cardiomegaly"] * people["cardiomegaly_excess"])


def test_admission_follows_the_concepts_and_nothing_else(people):
    values = concept_values(people)
    labels = people["admitted"].to_numpy()
    assert labels.sum() == 1000
    burden = ((values - values.mean(0)) / values.std(0)).sum(1)
    assert auc(burden, labels) > 0.9
    certain = admission_patients(500, rng=np.random.default_rng(1), doubt=0.0)
    known = concept_values(certain)
    assert auc(((known - known.mean(0)) / known.std(0)).sum(1), certain["admitted"]) == 1.0
    assert abs(auc(people["bmi"], labels) - 0.5) < 0.06  # 1000 a side: 4 standard errors
    assert set(people["group"]) == {"A"}
    assert people["drain"].sum() == 0


def test_each_film_differs_by_its_shortcut_alone(people):
    few = people.iloc[:4]
    shown = films(few, size=32)
    assert tuple(shown) == ("none", *SHORTCUTS)
    change = {name: (x - shown["none"]).abs()[:, 0] for name, x in shown.items()}
    assert (change["corner tag"][:, 3:].max(), change["corner tag"][:, :, 3:].max()) == (0, 0)
    mask = thorax.render(few.assign(drain=1), size=32).masks["drain"]
    assert change["drain"][mask].mean() > 20 * change["drain"][~mask].mean()
    assert all(float(each.mean()) > 0 for name, each in change.items() if name != "none")


def test_mixed_films_repeat_and_hold_every_shortcut(people):
    few = people.iloc[:12]
    first, again, other = (mixed_films(few, size=32, rng=np.random.default_rng(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    tags = (first[:, 0, :3, :3] == 1).all(1).all(1)
    assert 0 < int(tags.sum()) < 12


def test_bad_arguments_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="doubt must be >= 0"):
        admission_patients(10, rng=rng, doubt=-1)
    with pytest.raises(ValueError, match="severity must be one of"):
        admission_patients(10, rng=rng, doubt=0, severity="extreme")
