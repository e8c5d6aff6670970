"""One trial of class queries: shapes, what counts as a hit, what the tag changes, and the linear head's map."""

import math

import numpy as np
import pytest
import torch

from lib.data import thorax
from lib.measure import glori_trial as gt
from lib.measure.fairness import auc

SMALL = {"n_train": 60, "n_test": 55, "size": 32, "grid": 8, "units": 6, "width": 8, "prevalence": 0.5}
SMALL |= {"strength": 0.9, "epochs": 2, "lr": 0.01}


@pytest.fixture(scope="module")
def trial():
    return gt.glori_trial(seed=3, **SMALL)


def test_shapes(trial):
    assert trial["score"].shape == (len(gt.ARMS), 55, 6) and trial["hit"].shape == (len(gt.MAPS), 55, 6)
    assert trial["tag_score"].shape == trial["tag_hit"].shape == (2, 2, 55, 6)
    assert trial["maps"].shape == (2, 40, 6, 8, 8) and trial["films"].shape == (40, 32, 32)
    assert all(value.isfinite().all() for name, value in trial.items() if name != "hit")


def test_hits_are_asked_where_there_is_something_to_hit(trial):
    nothing = trial["area"] == 0
    assert torch.equal(trial["hit"].isnan(), nothing.expand(len(gt.MAPS), -1, -1))
    assert nothing[trial["positive"] == 0].all()
    known = trial["hit"][~trial["hit"].isnan()]
    assert ((known >= 0) & (known <= 1)).all()
    attention = trial["maps"][1]
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(40, 6))


def test_hits_by_hand(trial):
    cells = trial["cells"]
    for row, finding in ((0, 2), (5, 1), (9, 3)):
        if cells[row, finding].any():
            top = trial["maps"][1, row, finding].argmax()
            assert trial["hit"][gt.MAPS.index("frozen"), row, finding] == cells[row, finding].flatten()[top].float()


def test_cells_touched_by_brute_force():
    films = thorax.render(gt.sized_patients(3, rng=np.random.default_rng(0), prevalence=1.0), size=32)
    cells = gt.finding_cells(films, grid=8)
    for name, mask in (("effusion", films.masks["effusion"]), ("cardiomegaly", films.masks["heart"])):
        found = cells[:, thorax.FINDINGS.index(name)]
        for n in range(3):
            for i in range(8):
                for j in range(8):
                    assert found[n, i, j] == mask[n, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].any()


def test_patients_have_the_sizes_that_are_named():
    people = gt.sized_patients(200, rng=np.random.default_rng(1), prevalence=0.4)
    for column, (low, high) in gt.SIZES.items():
        assert people[column].between(low, high).all()
    assert set(people["group"]) == {"A"} and not people[["drain", *gt.DEVICES, "bones"]].to_numpy().any()
    assert abs(people[list(thorax.FINDINGS)].to_numpy().mean() - 0.4) < 0.05  # 1,200 draws, deviation 0.014


def test_the_linear_map_adds_up_to_the_logit():
    generator = torch.Generator().manual_seed(0)
    cells = torch.randn(60, 9, 4, generator=generator)
    labels = (cells.mean(1)[:, :2] > 0).float()
    head = gt._Linear(cells, labels, 0)
    logits, maps = head(cells)
    torch.testing.assert_close(maps.mean(2) + head.bias, logits)
    assert auc(logits[:, 0].double().numpy(), labels[:, 0].numpy()) > 0.95


def test_tables(trial):
    scores, hits = gt.score_rows(trial, seed=3), gt.pointing_rows(trial, seed=3)
    assert len(scores) == 6 * len(gt.ARMS) and set(scores["arm"]) == set(gt.ARMS)
    row = scores[(scores["finding"] == "effusion") & (scores["arm"] == "frozen")]["auc"].item()
    values = trial["score"][gt.ARMS.index("frozen"), :, 1].double().numpy()
    assert row == auc(values, trial["positive"][:, 1].numpy())
    area = hits[(hits["finding"] == "effusion") & (hits["map"] == "area")].iloc[0]
    there = trial["area"][:, 1] > 0
    assert area["films"] == int(there.sum())
    assert area["films"] < 20 or math.isclose(area["hit"], trial["area"][there, 1].mean().item(), rel_tol=1e-6)


def test_too_few_positives_have_no_number(trial):
    few = {name: value[..., :10, :] if name in ("score", "hit", "area", "positive") else value
           for name, value in trial.items()}  # fmt: skip
    assert gt.score_rows(few, seed=0)["auc"].isna().all() and gt.pointing_rows(few, seed=0)["hit"].isna().all()


def test_another_seed_differs_and_the_same_does_not(trial):
    small = SMALL | {"epochs": 1, "n_train": 40, "n_test": 20}
    first, again, other = (gt.glori_trial(seed=s, **small) for s in (5, 5, 6))
    assert torch.equal(first["score"], again["score"]) and not torch.equal(first["score"], other["score"])
