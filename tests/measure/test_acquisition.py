"""Rows for asking networks: splits by individual, no leak in the scaling; weights come back; a model of one order."""

import numpy as np
import pytest
import torch

from lib import data
from lib.data.tables import table
from lib.measure import acquisition
from lib.select.dime_networks import Dime

QUICK = {"pretrain_epochs": 4, "epochs": 1}


def test_rows_are_scaled_by_the_training_part_alone() -> None:
    rows = acquisition.table_rows("breast-cancer", seed=3, n_rows=400)
    assert len(rows.x) + len(rows.x_test) == 400
    assert len(rows.x_test) == pytest.approx(400 / 3, abs=2)
    np.testing.assert_allclose(rows.x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(rows.x.std(0, correction=0), 1, atol=1e-4)  # float32
    assert rows.x_test.mean(0).abs().max() > 1e-3
    other = acquisition.table_rows("breast-cancer", seed=4, n_rows=400)
    assert not torch.equal(other.x[:5], rows.x[:5])


def test_individuals_stay_whole_and_every_class_is_in_both_parts() -> None:
    found = table("mice-protein-twin", missing="keep")
    assert found.groups is not None
    train, test = acquisition._split(found, 10_000, np.random.default_rng(0))
    assert not set(found.groups[train]) & set(found.groups[test])
    assert sorted([*train, *test]) == list(range(found.y.size))
    assert set(found.y[train]) >= set(found.y[test])
    assert "mice-protein" in data.ids()


def test_columns_that_do_not_vary_are_left_out_and_nothing_is_missing() -> None:
    rows = acquisition.table_rows("digits-table", seed=0, n_rows=300)
    assert rows.x.shape[1] < 64
    assert torch.isfinite(rows.x).all() and torch.isfinite(rows.x_test).all()


def test_costs_have_mean_one_and_the_ratio_bounds_them() -> None:
    costs = acquisition.drawn_costs(500, ratio=10.0, seed=0).double().numpy()
    assert costs.mean() == pytest.approx(1.0, abs=1e-6)  # float32
    assert 8 < costs.max() / costs.min() <= 10 + 1e-6
    with pytest.raises(ValueError, match="ratio must be at least 1"):
        acquisition.drawn_costs(3, ratio=0.5, seed=0)


def test_weights_come_back_as_the_same_networks_and_seeds_matter() -> None:
    literals = {"n_rows": 256, "questions": 2, **QUICK}
    weights = acquisition.train_on_law("independent", seed=0, **literals)
    again = acquisition.train_on_law("independent", seed=0, **literals)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    other = acquisition.train_on_law("independent", seed=1, **literals)
    assert not torch.equal(weights["predictor.1.weight"], other["predictor.1.weight"])
    network = acquisition.asking_network(weights)
    logits, cmi = network(torch.zeros(2, 6), torch.zeros(2, 6, dtype=torch.bool))
    assert logits.shape == (2, 8) and cmi.shape == (2, 6) and not network.training
    direct = Dime(6, 8, width=acquisition.WIDTH, depth=acquisition.DEPTH)
    direct.load_state_dict(weights)
    assert torch.equal(direct(torch.ones(1, 6), torch.ones(1, 6, dtype=torch.bool))[0], network(
        torch.ones(1, 6), torch.ones(1, 6, dtype=torch.bool))[0])  # fmt: skip


def test_training_on_a_table_learns_it() -> None:
    weights = acquisition.train_on_table("breast-cancer", seed=0, n_rows=300, questions=3, pretrain_epochs=20, epochs=1)
    rows = acquisition.table_rows("breast-cancer", seed=0, n_rows=300)
    known = torch.ones(rows.x_test.shape, dtype=torch.bool)
    guess = acquisition.asking_network(weights)(rows.x_test, known)[0].argmax(dim=1)
    assert (guess == rows.y_test).float().mean() > 0.9


def test_a_model_of_one_order_knows_its_columns_and_no_other() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.choice([-1.0, 1.0], (600, 4))).float()
    rows = acquisition.Rows(x[:400], (x[:400, 2] > 0).long(), x[400:], (x[400:, 2] > 0).long(), 2)
    answers = {}
    for name, order in {"right": [2, 0], "wrong": [0, 1]}.items():
        model = acquisition.train_for_order(rows, torch.tensor(order), epochs=15, seed=0)
        known = torch.zeros(x[400:].shape, dtype=torch.bool)
        known[:, order] = True
        answers[name] = (model(rows.x_test, known)[0].argmax(dim=1) == rows.y_test).float().mean()
    assert answers["right"] == 1.0 and answers["wrong"] < 0.65


def test_impossible_orders_are_refused() -> None:
    x, y = torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)
    rows = acquisition.Rows(x, y, x, y, 2)
    with pytest.raises(ValueError, match="different columns"):
        acquisition.train_for_order(rows, torch.tensor([1, 1]), epochs=1, seed=0)
    with pytest.raises(ValueError, match="at least 3"):
        acquisition.train_for_order(rows, torch.tensor([1, 0]), epochs=1, seed=0, least=3)
