"""Trials of films against projections: arms differ in one thing, pairs are kept, floors and too few patients."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

from lib.data.projections import FILM, FINDINGS
from lib.measure import projection_trial as trial_of
from lib.measure.fairness import auc
from lib.measure.mask_grid import fit_heads

SIZES = {"n_train": 20, "n_test": 60, "size": 32, "voxel_mm": 5.0, "blur_mm": 3.0, "penalty": 1.0}


@pytest.fixture(scope="module")
def trial():
    return trial_of.projection_trial(seed=0, **SIZES)


def test_an_ablation_changes_one_ingredient():
    recipes = trial_of.arms(voxel_mm=5.0, blur_mm=3.0)
    for name in trial_of.ABLATIONS:
        changed = [f.name for f in fields(FILM) if getattr(recipes[name], f.name) != getattr(FILM, f.name)]
        assert len(changed) == 1, name
    same = recipes["voxels 5"], recipes["projection"]
    assert [f.name for f in fields(FILM) if getattr(same[0], f.name) != getattr(same[1], f.name)] == ["threshold"]


def test_shapes_and_arms(trial):
    names = trial_of.arms(voxel_mm=5.0, blur_mm=3.0)
    assert {key.split("/")[1] for key in trial if key.startswith("own/")} == {*names, "table", "silhouette"}
    assert {key.split("/")[1] for key in trial if key.startswith("film/")} == {*names, *trial_of.MATCHED}
    assert all(value.shape == (60, len(FINDINGS)) for key, value in trial.items() if key != "radius_mm")
    assert all(torch.isfinite(value).all() for value in trial.values())


def test_films_on_films_are_both_own_and_film(trial):
    assert torch.equal(trial["own/film"], trial["film/film"])


def test_bank_knows_no_window():
    x, y = torch.rand(30, 1, 32, 32), torch.arange(30)[:, None] % 2
    a, b = fit_heads(trial_of.bank(x), y, penalty=1.0), fit_heads(trial_of.bank(2 * x + 1), y, penalty=1.0)
    assert torch.allclose(a(trial_of.bank(x)), b(trial_of.bank(2 * x + 1)), atol=1e-3)


def test_auc_by_arm_and_by_radius(trial):
    found = trial_of.trial_auc(trial).set_index(["what", "arm", "finding"])["auc"]
    expected = auc(trial["own/film"][:, 1].numpy(), trial["labels"][:, 1].numpy())
    assert found["own", "film", "effusion"] == expected
    assert trial_of.radius_auc(trial)["auc"].isna().all()  # about ten nodules of each class
    everyone = trial | {"radius_mm": torch.full((60,), 5.0, dtype=torch.float64)}
    grown = trial_of.radius_auc(everyone).set_index(["what", "arm", "radius"])["auc"]
    assert grown["own", "film", "3 to 7 mm"] == found["own", "film", "nodule"]
    assert np.isnan(grown["own", "film", "7 to 11 mm"])


def test_seeds():
    small = SIZES | {"n_train": 4, "n_test": 3}
    one, again, other = (trial_of.projection_trial(seed=s, **small) for s in (0, 0, 1))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["own/film"], other["own/film"])


def test_a_nearly_constant_feature_does_not_count():
    x = torch.randn(20, 1024, generator=torch.Generator().manual_seed(0))
    x[:, 3] *= 1e-3
    x[:, 256:512] *= 1e-4  # another kind, in another unit
    assert torch.equal(torch.nonzero(~trial_of.varying(x)).flatten(), torch.tensor([3]))
    assert torch.equal(trial_of.varying(x), trial_of.varying(5 * x))


def test_matched_uses_pooled_grey_values():
    projections, films = torch.rand(20, 1, 16, 16) * 0.3, torch.rand(20, 1, 16, 16) ** 2
    for picture in trial_of.matched(projections, films).values():
        assert picture.mean().item() == pytest.approx(films.mean().item(), abs=1e-2)
        assert picture.std().item() == pytest.approx(films.std().item(), abs=1e-2)


def test_means_by_kind_average_over_findings():
    table = pd.DataFrame([range(5), range(10, 15)], index=pd.Index([3, 4], name="seed"), columns=list(FINDINGS))
    found = trial_of.by_kind({"a": table, "b": 2 * table}, label="arm", value="v").set_index(["kind", "arm", "seed"])[
        "v"
    ]
    assert found["large", "a", 3] == 0.5 and found["small", "b", 4] == 25 and found["thin", "a", 4] == 14
    lacking = table.astype(float).assign(nodule=np.nan)
    assert trial_of.by_kind({"a": lacking}, label="arm", value="v").query("kind == 'small'")["v"].isna().all()


def test_equal_histograms_gives_the_reference_its_grey_values():
    rng = np.random.default_rng(0)
    source, reference = (torch.from_numpy(rng.beta(*ab, 5000)) for ab in ((2, 5), (5, 2)))
    mapped = trial_of.equal_histograms(source, source=source, reference=reference).double()
    for q in (0.1, 0.5, 0.9):
        assert mapped.quantile(q).item() == pytest.approx(reference.quantile(q).item(), abs=0.01)
    assert (
        torch.equal(mapped.argsort(stable=True), source.argsort(stable=True))
        or (mapped[source.argsort()].diff() >= 0).all()
    )
