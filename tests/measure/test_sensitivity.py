"""Measures of maps by features: by hand, and on functions with known indices."""

from __future__ import annotations

import pytest
import torch

from lib.explain import truths
from lib.measure import sensitivity


def test_one_at_a_time_has_a_blind_spot_on_every_logical_model():
    for model in truths.logical(spare=1):
        table = sensitivity.one_at_a_time(model)
        assert (table["total"][:2] > 0.5).all()
        blind = (table.loc[:1, ["hide one", "show one", "first order"]].abs() < 1e-7).any(axis=1)
        assert blind.all() or model.name == "saturated sum" and (table.loc[:1, "hide one"].abs() < 1e-7).all()
        assert (table.iloc[2, 2:].astype(float) == 0).all()


def test_errors_fall_with_the_size_and_quasi_random_points_are_nearer():
    known = truths.g_function()
    kinds = {}
    for points in ("sobol", "mc"):
        runs = [sensitivity.index_errors(known, sizes=[32, 512], points=points, seed=seed) for seed in range(8)]
        kinds[points] = torch.tensor([list(run["error"]) for run in runs]).mean(0)
        assert kinds[points][1] < 0.5 * kinds[points][0]
    assert (kinds["sobol"] < kinds["mc"]).all()


def test_estimators_read_the_same_scores_and_seeds_differ():
    known = truths.ishigami()
    table = sensitivity.index_errors(known, sizes=[16, 32], points="mc", seed=3, estimators=("jansen", "glen"))
    assert list(table["estimator"]) == ["jansen", "glen"] * 2
    assert (table["bias"].abs() <= table["error"] + 1e-12).all()
    again = sensitivity.index_errors(known, sizes=[16, 32], points="mc", seed=3)
    assert list(again["error"]) == list(table.loc[table["estimator"] == "jansen", "error"])
    other = sensitivity.index_errors(known, sizes=[16, 32], points="mc", seed=4)
    assert not set(other["error"]) & set(again["error"])


def test_mosaics_and_their_quarters():
    images = torch.rand(8, 3, 4, 6)
    whole = sensitivity.mosaics(images)
    assert whole.shape == (2, 3, 8, 12)
    assert torch.equal(whole[1, :, 4:, :6], images[6])
    assert torch.equal(whole[0, :, :4, 6:], images[1])
    for quarter, (down, right) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        cells = torch.zeros(1, 4, 4)
        cells[0, down : down + 2, right : right + 2] = 1
        cells[0, (down + 2) % 4, right] = 2  # one cell of another quarter is the highest
        assert float(sensitivity.share_in_quarter(cells, torch.tensor([quarter]))) == 0.75
    with pytest.raises(ValueError, match="images must come in fours, got 3"):
        sensitivity.mosaics(images[:3])
    with pytest.raises(ValueError, match="cell_maps must have even edges"):
        sensitivity.share_in_quarter(torch.rand(1, 7, 7), torch.tensor([0]))


def test_random_cells_lie_in_a_quarter_by_chance():
    cells = torch.rand(2000, 8, 8, generator=torch.Generator().manual_seed(0))
    found = sensitivity.share_in_quarter(cells, torch.arange(2000) % 4)
    assert float(found.mean()) == pytest.approx(0.25, abs=0.01)  # standard error .002
