"""The cost model: finds what made-up notebooks cost, never reads the receipt it predicts, prices with intervals."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mini_project import FINISH, ROOT, Mini

from lib import experiments
from lib.reproduce import cost, cost_receipts, cost_roles, plan, price
from lib.reproduce.cost import Run

SMALL = {"n_seeds": 2, "epochs": 1, "n_train": 40, "n_test": 20, "n_masks": 16, "width": 8}
LARGE = {"n_seeds": 8, "epochs": 10, "n_train": 2000, "n_test": 400, "n_masks": 512, "width": 8}


def world(notebooks: int = 16, seed: int = 0) -> dict[str, dict[float, Run]]:
    """Made-up notebooks whose seconds are sums of the terms, with shares and noise of their own."""
    chance, found = np.random.default_rng(seed), {}
    for index in range(notebooks):
        name = f"family{index % 2}/{index:02d}"
        large = {**LARGE, "n_train": int(chance.integers(500, 4000)), "n_masks": int(chance.integers(64, 2048))}
        rates = chance.dirichlet([4.0, 2.0, 1.0, 1.0]) * chance.uniform(0.5, 2.0)
        taken = {}
        for share in (0.0, 0.4, 1.0):
            parameters = cost_receipts.between(SMALL, large, share)
            terms, _ = cost_roles.change(SMALL, parameters)
            seconds = 5.0 + float(rates @ np.exp(terms)) * math.exp(0.05 * chance.standard_normal())
            taken[share] = Run(name, share, seconds, 500.0, parameters)
        found[name] = taken
    return found


def test_held_out_runs_of_a_made_up_world_are_predicted() -> None:
    measured = world()
    held = cost.check(measured)
    assert len(held) == len(measured)
    median, within = cost.skill([one.error for one in held])
    plain, _ = cost.skill(cost.baseline(held))
    assert within >= 0.6 and median < 0.25
    assert median < 0.6 * plain, "better than a guess that looks at no run of the notebook"
    covered = np.mean([one.estimate.low <= one.measured <= one.estimate.high for one in held])
    assert covered >= 0.7, "the interval is meant to hold 80 of 100"


def test_a_prediction_never_reads_the_receipt_it_predicts() -> None:
    measured = world(6)
    before = {one.experiment: one.estimate for one in cost.check(measured)}
    name = "family0/02"
    measured[name][1.0] = replace(measured[name][1.0], seconds=40 * measured[name][1.0].seconds)
    after = {one.experiment: one.estimate for one in cost.check(measured)}
    assert after[name] == before[name]
    assert any(after[other] != before[other] for other in before if other != name)


def test_a_run_of_the_notebook_itself_narrows_the_interval() -> None:
    measured = world(8)
    model = cost.fit([cost.chain(taken) for name, taken in measured.items() if name != "family1/01"])
    own, wanted = measured["family1/01"], {**LARGE, "epochs": 400, "n_train": 50_000}
    alone = cost.predict(model, [own[0.0], own[1.0]], wanted)
    both = cost.predict(model, [own[0.0], own[0.4], own[1.0]], wanted)
    assert alone.low < alone.value < alone.high
    assert both.high / both.low < alone.high / alone.low


def test_the_interval_widens_with_the_distance() -> None:
    measured = world(8)
    model = cost.fit([cost.chain(taken) for taken in measured.values()])
    own = cost.chain(measured["family0/00"])
    near = cost.predict(model, own, {**own[-1].parameters, "epochs": 20})
    far = cost.predict(model, own, {**own[-1].parameters, "epochs": 2000})
    assert far.value > near.value > own[-1].seconds
    assert far.high / far.low > near.high / near.low
    same = cost.predict(model, own, own[-1].parameters)
    assert same.value == pytest.approx(own[-1].seconds, rel=0.1)


def test_without_any_pair_the_grid_counts_evenly() -> None:
    model = cost.fit([])
    assert model.notebooks == 0 and np.ptp(model.weights[""]) == 0


@pytest.mark.parametrize(
    ("small", "large", "terms"),
    [
        ({"n_seeds": 2}, {"n_seeds": 4}, [2, 2, 2, 2]),
        ({"epochs": 2, "tune_epochs": 2}, {"epochs": 10, "tune_epochs": 2}, [3, 1, 1, 1]),
        ({"n_train": 10, "n_labels": 1}, {"n_train": 32, "n_labels": 1}, [3, 3, 1, 1]),
        ({"n_test": 10, "n_masks": 4}, {"n_test": 30, "n_masks": 8}, [1, 1, 6, 2]),
        ({"n_masks": 4, "n_trees": 5}, {"n_masks": 16, "n_trees": 5}, [1, 1, 2, 2]),
        ({"n_patients": 500, "lr": 0.1}, {"n_patients": 0, "lr": 0.2}, [1, 1, 1, 1]),
    ],
)
def test_what_the_terms_count(small: dict[str, float], large: dict[str, float], terms: list[float]) -> None:
    found, sized = cost_roles.change(small, large)
    assert np.exp(found) == pytest.approx(terms) and sized == 0


def test_operations_of_a_vision_transformer() -> None:
    base = {"patch": 7, "width": 64, "depth": 2, "images": "auto"}
    assert cost_roles.tokens(base) == 16
    assert math.exp(cost_roles.operations(base)) == pytest.approx(2 * (24 * 16 * 64**2 + 4 * 16**2 * 64))
    assert cost_roles.tokens({**base, "images": "tiny-imagenet-50", "patch": 8}) == 64
    deeper = cost_roles.operations({**base, "depth": 8}) - cost_roles.operations(base)
    assert math.exp(deeper) == pytest.approx(4)


def test_every_scale_parameter_of_the_notebooks_is_placed_or_left_out_knowingly() -> None:
    unplaced = set()
    for experiment in experiments.load(ROOT).values():
        for name, parameter in experiments.parameters(experiment.notebook).items():
            counts = parameter.group == "scale" and parameter.type is int
            if counts and not cost_roles.role(name) and name not in cost_roles.POWERS:
                unplaced.add(name)
    left_out = {"batch_size", "max_batch", "n_boot", "patch", "n_fractions", "n_kept", "n_patients", "n_films", "steps"}
    left_out |= {"seed", "heads", "n_inner", "witness"}
    assert unplaced <= left_out, "a new name: give it a role in cost_roles, or leave it out here"


def test_between_keeps_sizes_and_shrinks_counts() -> None:
    large: dict[str, experiments.Literal] = {**LARGE, "width": 32, "n_patients": 0, "kind": "a"}
    small: dict[str, experiments.Literal] = {**SMALL, "n_patients": 9, "kind": "b"}
    middle = cost_receipts.between(small, large, 0.5)
    assert middle == {**large, "n_seeds": 4, "epochs": 3, "n_train": 283, "n_test": 89, "n_masks": 91}
    assert cost_receipts.between(small, large, 0) == small and cost_receipts.between(small, large, 1) == large


def test_small_runs_are_measured_and_nothing_is_published(mini: Mini) -> None:
    mini.add("01", FINISH.replace('"cpu_seconds": 0.5', '"cpu_seconds": 0.5 * n_seeds, "peak_memory_mb": 100'))
    mini.add("02", "raise ValueError('no')")
    text = (mini.family / "experiments.toml").read_text()
    (mini.family / "experiments.toml").write_text(text + '\n["01".profiles.cpu]\nn_seeds = 32\n')
    rows = cost_receipts.measure(mini.root, None, [0.5])
    assert [(row["experiment"], row["share"], row["cpu_seconds"]) for row in rows] == [("demo/01", "0.5", "4.00")]
    assert json.loads(rows[0]["parameters"])["n_seeds"] == 8
    with (mini.root / cost_receipts.TABLE).open() as stream:
        assert list(csv.DictReader(stream)) == rows == cost_receipts.read(mini.root)
    assert mini.receipt("01", "cpu") is None and not list(mini.layout.attempts.glob("*"))
    (mini.layout.scratch / "trained").mkdir()
    with pytest.raises(experiments.DeclarationError, match="fresh clone"):
        cost_receipts.measure(mini.root, None, [0.5])


# --- the price of the paper profile


def test_prices_of_this_repository_have_every_column_and_an_interval() -> None:
    items = plan.build(ROOT, "paper", only="masking/02,selection/01,cxr/01")
    prices = price.all_of(ROOT, items)
    assert set(prices) == {"masking/02", "selection/01", "cxr/01"}
    for one in prices.values():
        assert 0 < one.cpu_hours.low < one.cpu_hours.value < one.cpu_hours.high
        assert one.memory_gb > 0.3 and one.disk_gb > 0 and one.source == "cpu receipt"
    trained, tables = prices["masking/02"], prices["selection/01"]
    assert trained.gpu_hours and tables.gpu_hours is None
    ratio = trained.gpu_hours.high / trained.gpu_hours.low
    assert ratio > trained.cpu_hours.high / trained.cpu_hours.low, "the ratio of the devices is uncertain too"


def test_the_check_on_the_committed_runs_says_how_good_it_is() -> None:
    held = cost.check(cost.runs(ROOT))
    assert len({one.experiment for one in held}) >= 8
    assert all(one.small < one.measured for one in held)
    ours, guessed = cost.skill([one.error for one in held])[0], cost.skill(cost.baseline(held))[0]
    assert ours < guessed, "a price must say more than the median of the other notebooks"


def test_plan_prices_the_paper_profile_and_says_that_no_gpu_was_measured(
    mini: Mini, capsys: pytest.CaptureFixture[str]
) -> None:
    mini.add("01", FINISH, more="")
    assert mini.cli("plan", "--profile", "paper") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "GPU hours (A100 80 GB)" in said and "memory of a device, GB" in said and "disk, GB" in said
    assert "declared" in said and "0 of 1 priced" in said and "no GPU receipt exists" in said


def test_the_rate_of_a_core_is_that_of_one_thread() -> None:
    before = torch.get_num_threads()
    assert 1e7 < price.core_flops(side=64, rounds=2) < 1e13, "floating-point operations per second of one core"
    assert torch.get_num_threads() == before


def test_memory_and_disk_grow_with_their_bytes(tmp_path: Path) -> None:
    base = {"n_images": 1000, "patch": 8, "width": 64, "depth": 2, "batch_size": 32, "images": "tiny-imagenet-50"}
    data = ["tiny-imagenet-50"]
    small = price.memory_gb(base, data, 500.0)
    rows = price.memory_gb({**base, "n_images": 2000}, data, 500.0) - small
    assert rows == pytest.approx(price.COPIES * 1000 * price.row_bytes(base, data) / 1e9)
    batch = price.memory_gb({**base, "batch_size": 64}, data, 500.0) - small
    assert batch == pytest.approx(32 * 64 * 64 * 2 * price.KEPT * 2 / 1e9)
    assert price.row_bytes({"size": 64}, ["thorax"]) == 4 * 64**2
    (tmp_path / "a.csv").write_text("x" * 1000)
    alone = price.disk_gb({}, ["digits"], tmp_path)
    assert alone == pytest.approx(1e-6)
    assert price.disk_gb(base, data, tmp_path) > 0.01
