"""One trial of separation: shapes, what a seed decides, and which arms share what."""

import math
from typing import Any

import pytest
import torch

from lib.measure import sepclr_trial as st
from lib.measure.factor_probes import FACTORS

SMALL: dict[str, Any] = {
    "n_train": 30,
    "n_test": 66,
    "size": 32,
    "views": 2,
    "components": 5,
    "epochs": 2,
    "dimensions": 4,
}
SMALL |= {"severity": "easy", "constant": 10.0, "independence": 10.0}


@pytest.fixture(scope="module")
def trial() -> dict[str, torch.Tensor]:
    return st.sepclr_trial(seed=3, **SMALL)


def test_shapes_and_what_is_not_asked(trial: dict[str, torch.Tensor]) -> None:
    assert trial["auc"].shape == (len(st.CASES), len(FACTORS))
    known = st.trial_scores(trial, seed=3).set_index(["arm", "space", "factor"])["auc"]
    unknown = {(arm, factor) for (arm, _, factor) in known[known.isna()].index if factor != "severity"}
    assert unknown == {("sick background", "target")}  # severity: too few patients in a test of this size
    assert trial["auc"][~trial["auc"].isnan()].ge(0).all() and trial["auc"][~trial["auc"].isnan()].le(1).all()
    assert trial["common"].shape == trial["salient"].shape == (66, 4)
    assert trial["information"].shape == (3,) and bool(trial["information"].isfinite().all())


def test_a_seed_decides_everything(trial: dict[str, torch.Tensor]) -> None:
    again = st.sepclr_trial(seed=3, **SMALL)
    for name, value in trial.items():
        assert torch.equal(again[name].nan_to_num(), value.nan_to_num()), name


def test_without_the_term_arms_coincide_and_another_seed_differs(trial: dict[str, torch.Tensor]) -> None:
    none = st.sepclr_trial(seed=4, **(SMALL | {"independence": 0.0}))
    assert not torch.equal(none["salient"], trial["salient"])
    place = {case: none["auc"][c].nan_to_num() for c, case in enumerate(st.CASES)}
    for space in ("common", "salient"):  # the two arms differ in nothing else
        assert torch.equal(place["SepCLR", space], place["no joint term", space])
        assert not torch.equal(place["SepCLR", space], place["untrained", space])


def test_two_views_are_different_views_of_the_same_patient() -> None:
    rows = (torch.arange(5.0)[:, None] * 10 + torch.arange(3.0))[..., None]  # patient 10 i, view j
    for seed in range(5):
        first, second = st.two_views(rows, torch.Generator().manual_seed(seed)).chunk(2)
        assert torch.equal(first // 10, torch.arange(5.0)[:, None]) and torch.equal(second // 10, first // 10)
        assert (first != second).all()


def test_balanced_accuracy_stands_beside_the_subtype_only(trial: dict[str, torch.Tensor]) -> None:
    scores = st.trial_scores(trial, seed=3)
    assert (scores["balanced"].notna() == (scores["factor"] == "subtype")).all()
    assert len(scores) == len(st.CASES) * len(FACTORS) and (scores["seed"] == 3).all()
    assert not math.isnan(scores.loc[scores["factor"] == "sex", "auc"].iloc[0])
