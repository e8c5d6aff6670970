"""The trial: levels share everything but the association, patients stay apart, and its gradients are true gradients."""

import numpy as np
import pytest
import torch
from torch import nn

from lib.measure.encoding_trial import ERASURES, changed_region, encoding_trial, saliency_audit

TINY = {
    "strengths": (0.5, 0.9), "n_train": 24, "n_audit": 20, "n_test": 16, "size": 32, "width": 2, "epochs": 1,
    "batch_size": 8, "lr": 1e-3, "finding": "effusion", "severity": "easy",
}  # fmt: skip


@pytest.fixture(scope="module")
def trial():
    return encoding_trial(seed=1, **TINY)


def test_shapes_and_finite(trial):
    shapes = {"logit": (2, 2, 16), "erased": (2, len(ERASURES), 2, 16), "probe erased": (2, len(ERASURES), 16)}
    shapes |= dict.fromkeys(("probe", "permuted", "mass", "first order"), (2, 16))
    shapes |= dict.fromkeys(("untrained", "table", "silhouette", "positive", "shown", "place"), (16,))
    assert {name: tuple(value.shape) for name, value in trial.items()} == shapes
    assert all(bool(value.isfinite().all()) for value in trial.values())


def test_the_shown_group_is_balanced_within_the_finding(trial):
    assert trial["positive"].sum() == 8
    for kind in (0, 1):
        assert trial["shown"][trial["positive"] == kind].sum() == 4


def test_it_repeats_to_the_bit_and_another_seed_differs(trial):
    again, other = (encoding_trial(seed=s, **TINY) for s in (1, 2))
    assert all(torch.equal(trial[name], again[name]) for name in trial)
    assert not torch.equal(trial["logit"], other["logit"])


def test_a_level_does_not_depend_on_the_other_levels(trial):
    alone = encoding_trial(seed=1, **TINY | {"strengths": (0.9,)})
    for name in ("logit", "probe", "erased"):
        torch.testing.assert_close(alone[name][0], trial[name][1], rtol=0, atol=1e-5)  # batches of films differ
        assert not torch.allclose(trial[name][0], trial[name][1], atol=1e-5)
    torch.testing.assert_close(alone["untrained"], trial["untrained"])


def test_films_smaller_than_the_network_sees_are_refused():
    with pytest.raises(ValueError, match="size must be at least"):
        encoding_trial(seed=0, **TINY | {"size": 16})


def test_changed_region_holds_the_largest_changes():
    first, second = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    region, change = changed_region(first, second), (first - second).abs()
    assert region.sum((1, 2)).tolist() == [16, 16, 16]
    for inside, each in zip(region, change, strict=True):
        assert each[inside].min() >= each[~inside].max()
    with pytest.raises(ValueError, match="share in"):
        changed_region(first, second, share=25)


def test_the_audit_of_a_linear_model_is_exact():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).eval()
    pairs = torch.rand(5, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = torch.tensor([0, 1, 1, 0, 1])
    mass, first_order = saliency_audit(model, pairs, shown)
    logit = torch.stack([model(pairs[:, code])[:, 0] for code in (0, 1)], 1).detach().double()
    rows = np.arange(5)
    torch.testing.assert_close(first_order, logit[rows, 1 - shown] - logit[rows, shown], rtol=0, atol=1e-5)
    weight = model[1].weight.detach().abs().view(8, 8)
    region = changed_region(pairs[:, 0, 0], pairs[:, 1, 0])
    torch.testing.assert_close(mass, ((weight * region).sum((1, 2)) / weight.sum()).double(), rtol=0, atol=1e-5)
