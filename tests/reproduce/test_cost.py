"""The cost model: finds what made-up notebooks cost, never reads the receipt it predicts, prices with intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
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


WORK = (("repeats", "passes", "rows"), ("repeats", "rows"), ("repeats", "asked", "draws"), ("repeats", "draws"))
NOISE = 0.05


def world(notebooks: int = 16, seed: int = 0, *, slower: float = 1.0) -> dict[str, dict[float, Run]]:
    """Made-up notebooks of cells that are constants and terms with noise; receipts are slower, by the same for all."""
    chance, found = np.random.default_rng(seed), {}
    for index in range(notebooks):
        name = f"family{index % 2}/{index:02d}"
        large = {**LARGE, "n_train": int(chance.integers(500, 4000)), "n_masks": int(chance.integers(64, 2048))}
        follows = [cost_roles.TERMS.index(WORK[chance.integers(len(WORK))]) for _ in range(4)]
        at_cpu, constant = chance.lognormal(3.5, 1.0, size=4), chance.uniform(0.1, 0.6, size=10)
        taken = {}
        for share in (0.0, 0.3, 0.6, 1.0):
            parameters = cost_receipts.between(SMALL, large, share)
            terms, _ = cost_roles.change(large, parameters)
            cells = constant + np.r_[at_cpu * np.exp(terms[follows]), np.zeros(6)]
            cells *= np.exp(NOISE * chance.standard_normal(10)) * (slower if share == 1 else 1.0)
            kept = () if share == 1 else tuple(cells)
            taken[share] = Run(name, share, float(cells.sum()), 500.0, parameters, kept)
        found[name] = taken
    return found


def from_all(held: Sequence[cost.Held]) -> list[cost.Held]:
    """What all small runs of each notebook say, not only the smaller of them."""
    return [one for one in held if one.share == 0.6]


def test_held_out_runs_of_a_made_up_world_are_predicted() -> None:
    measured = world(24)
    every = cost.check(measured)
    held = from_all(every)
    assert len(held) == len(measured) and len(every) == 2 * len(measured)
    median, within = cost.skill([one.error for one in held])
    assert within >= 0.85 and median < 3 * NOISE, "it grows 20 times from the last small run"
    plain, _ = cost.skill(cost.baseline(held))
    assert median < 0.5 * plain, "better than a guess that looks at no run of the notebook"
    covered = np.mean([one.estimate.low <= one.measured <= one.estimate.high for one in every])
    assert covered >= 0.7, "the interval is meant to hold 80 of 100"


def test_what_all_receipts_have_in_common_is_corrected_and_said() -> None:
    slow, held = world(slower=1.6), from_all(cost.check(world()))
    slower = from_all(cost.check(slow))
    for one, other in zip(held, slower, strict=True):
        assert other.receipt and other.factor == pytest.approx(1.6 * one.factor)
        assert other.error == pytest.approx(one.error)
    assert f"factor of receipts x{np.median([one.factor for one in slower]):.2f}" in price.check_lines(slower)[0]
    for taken in slow.values():  # a cpu run that was measured alone needs no factor
        taken[1.0] = replace(taken[1.0], cells=(taken[1.0].seconds, *[0.0] * 9))
    assert {(one.factor, one.receipt) for one in cost.check(slow)} == {(1.0, False)}


def test_a_prediction_never_reads_the_receipt_it_predicts() -> None:
    measured = world(8)
    before = {(one.experiment, one.share): one.estimate for one in cost.check(measured)}
    name = "family0/02"
    measured[name][1.0] = replace(measured[name][1.0], seconds=40 * measured[name][1.0].seconds)
    after = {(one.experiment, one.share): one.estimate for one in cost.check(measured)}
    assert all(after[name, share] == before[name, share] for share in (0.3, 0.6))
    assert any(after[other] != before[other] for other in before if other[0] != name)


def test_small_runs_of_the_notebook_itself_narrow_the_interval() -> None:
    measured = world(8)
    own, wanted = measured["family1/01"], {**LARGE, "epochs": 400, "n_train": 50_000}
    model = cost.fit({name: taken for name, taken in measured.items() if name != "family1/01"})
    single = cost.predict(model, [own[1.0]], wanted)
    every = cost.predict(model, cost.chain(own), wanted)
    assert single.low < single.value < single.high
    assert every.high / every.low < single.high / single.low


def test_the_interval_widens_with_the_distance() -> None:
    measured = world(8)
    model = cost.fit(measured)
    own = cost.chain(measured["family0/00"])
    widths, last = [], own[-1].seconds
    for epochs in (10, 20, 200, 2000, 20_000):
        estimate = cost.predict(model, own, {**own[-1].parameters, "epochs": epochs})
        assert estimate.value >= last
        widths.append(estimate.high / estimate.low)
        last = estimate.value
    assert widths == sorted(widths) and widths[-1] > 1.5 * widths[0]
    same = cost.predict(model, own, own[-1].parameters)
    assert same.value == pytest.approx(own[-1].seconds)


def test_the_width_is_proportional_to_the_distance_where_no_terms_disagree() -> None:
    sure = np.full(len(cost.POINTS), 1e-12)
    term = cost_roles.TERMS.index(("repeats",))
    sure[np.isclose(cost.POINTS, (term, 0.0, 1.0)).all(axis=1)] = 1.0
    model = cost.Model(sure / sure.sum(), 1.0, {1: 1.5}, 1)
    for growth in (1, 8, 512):
        estimate = cost.predict(model, [Run("a/01", 1.0, 10.0, 500.0, {"n_seeds": 2})], {"n_seeds": 2 * growth})
        assert estimate.value == pytest.approx(10 * growth)
        width = 1.5 * cost.REPEAT_SD * (1 + math.log(growth))
        assert math.log(estimate.high / estimate.value) == pytest.approx(width)
        assert math.log(estimate.value / estimate.low) == pytest.approx(width)


def test_without_any_notebook_all_points_count_evenly_and_nothing_is_corrected() -> None:
    model = cost.fit({})
    assert model.notebooks == 0 and np.ptp(model.chances) == 0 and model.factor == 1


@pytest.mark.parametrize(
    ("small", "large", "grown"),
    [
        ({"n_seeds": 2}, {"n_seeds": 4}, [1, 2, 2, 2, 2]),
        ({"epochs": 2, "tune_epochs": 2}, {"epochs": 10, "tune_epochs": 2}, [1, 3, 1, 1, 1]),
        ({"n_train": 10, "n_labels": 1}, {"n_train": 32, "n_labels": 1}, [1, 3, 3, 1, 1]),
        ({"n_test": 10, "n_masks": 4}, {"n_test": 30, "n_masks": 8}, [1, 1, 1, 6, 6]),
        ({"n_masks": 4, "n_trees": 5}, {"n_masks": 16, "n_trees": 5}, [1, 1, 1, 2, 4]),
        ({"n_patients": 500, "lr": 0.1}, {"n_patients": 0, "lr": 0.2}, [1, 1, 1, 1, 1]),
    ],
)
def test_what_the_terms_count(small: dict[str, float], large: dict[str, float], grown: list[float]) -> None:
    found, sized = cost_roles.change(small, large)
    train, fit, ask = ("repeats", "passes", "rows"), ("repeats", "rows"), ("repeats", "asked", "draws")
    named = [(), train, fit, ask, ("repeats", "asked", "every draw")]
    assert np.exp(found[[cost_roles.TERMS.index(term) for term in named]]) == pytest.approx(grown) and sized == 0


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
    assert middle == {**large, "n_seeds": 4, "epochs": 3, "n_train": 280, "n_test": 88, "n_masks": 64}
    assert cost_receipts.between(small, large, 0) == small and cost_receipts.between(small, large, 1) == large


SCALED = FINISH.replace(
    '"cpu_seconds": 0.5', '"cpu_seconds": 0.5 * n_seeds, "spared_cpu_seconds": n_seeds // 32, "peak_memory_mb": 100'
)


def scaled(mini: Mini, *cells: str) -> None:
    """A notebook whose CPU seconds are its seeds, 32 of them in cpu."""
    mini.add("01", *cells, SCALED)
    declared = mini.family / "experiments.toml"
    if "profiles.cpu" not in declared.read_text():
        declared.write_text(declared.read_text() + '\n["01".profiles.cpu]\nn_seeds = 32\n')


def test_small_runs_are_measured_and_nothing_is_published(
    mini: Mini, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled(mini, "import time; time.sleep(0.2)")
    mini.add("02", "raise ValueError('no')")
    monkeypatch.setenv("BLINDSPOT_ROOT", str(mini.root))
    assert cost_receipts.main(["--shares", "0.5"]) == 1
    said = capsys.readouterr().out
    assert "demo/01 cpu-0.5: 4.0 s of the CPU" in said and "not measured: demo/02 cpu-0.5: cell error" in said
    rows = cost_receipts.read(mini.root)
    assert [(row["experiment"], row["share"], row["cpu_seconds"]) for row in rows] == [("demo/01", "0.5", "4.00")]
    assert json.loads(rows[0]["parameters"])["n_seeds"] == 8
    cells = json.loads(rows[0]["cells"])
    assert len(cells) == 3 and cells[1] > max(cells[0], cells[2]) and sum(cells) == pytest.approx(4, abs=0.01)
    assert mini.receipt("01", "cpu") is None and not list(mini.layout.attempts.glob("*"))
    (mini.layout.scratch / "trained").mkdir()
    with pytest.raises(experiments.DeclarationError, match="fresh clone"):
        cost_receipts.measure(mini.root, None, [0.5])


def test_rows_of_other_code_are_ignored_said_and_measured_again(mini: Mini) -> None:
    scaled(mini)
    rows, failed = cost_receipts.measure(mini.root, None, [0.5])
    assert len(rows) == 1 and not failed and cost.runs(mini.root)["demo/01"][0.5].cells
    assert not cost_receipts.jobs_of(mini.root, None, [0.5], "run", rows), "done is done"
    scaled(mini, "# a comment is a cell, but no work")
    assert cost_receipts.current(mini.root) == ([], ["demo/01 0.5"]) and not cost.runs(mini.root)
    assert any("1 rows of" in line and "demo/01" in line for line in price.lines(mini.root, [], {}))
    again, _ = cost_receipts.measure(mini.root, None, [0.5])
    assert len(again) == 1 and again[0]["code"] != rows[0]["code"] and cost_receipts.current(mini.root)[1] == []


def test_runs_of_one_key_are_compared_with_each_other(mini: Mini) -> None:
    scaled(mini)
    assert mini.cli("run", "--profile", "cpu", "--scheduler", "inline", "--no-pages") == 0
    cost_receipts.measure(mini.root, None, [0.5, 1.0])
    receipt = mini.layout.report("demo/01", "cpu") / "receipt.json"
    content = json.loads(receipt.read_text())
    assert content["seconds"]["spared_cpu"] == 1.0
    receipt.write_text(json.dumps(content | {"seconds": content["seconds"] | {"spared_cpu": None}}))
    assert cost.repeats(mini.root) == [0.0], "the stub says 16 s each time; a smaller run is no repeat"
    receipt.write_text(json.dumps(content | {"seconds": content["seconds"] | {"cpu": 5.0, "spared_cpu": 3.0}}))
    assert cost.repeats(mini.root) == [pytest.approx(math.log(2))], "trainings that it found done are its own, too"
    assert cost.runs(mini.root)["demo/01"][1.0].seconds == 16.0, "a run of the table takes the place of the receipt"
    assert "CPU seconds x2.00 apart in the median, 0 % within" in price.repeat_lines(cost.repeats(mini.root))[0]
    receipt.write_text(json.dumps(content | {"parameters": content["parameters"] | {"n_seeds": 3}}))
    assert cost.repeats(mini.root) == [] and price.repeat_lines([]) == []


@pytest.mark.parametrize("cells", [[4.0], [1.0, 1.0, 1.0], [5.0, -1.0], [1.0, 1.0]])
def test_cells_that_do_not_fit_are_refused(mini: Mini, cells: list[float]) -> None:
    scaled(mini)
    row = {"experiment": "demo/01", "share": "0.5", "cpu_seconds": "4.00", "peak_memory_mb": "100", "parameters": "{}"}
    row |= {"code": cost_receipts.code(next(mini.family.glob("*.ipynb")))}
    cost_receipts.write(mini.root, [row | {"cells": "[0, 4]"}])
    assert len(cost_receipts.current(mini.root)[0]) == 1
    cost_receipts.write(mini.root, [row | {"cells": json.dumps(cells)}])
    with pytest.raises(experiments.DeclarationError, match=r"demo/01 0\.5 must be 2 .* sum to 4"):
        cost_receipts.current(mini.root)


def test_cells_before_the_run_opens_and_those_of_papermill_do_not_count(tmp_path: Path) -> None:
    sources = [("import lib", [], 9.0), ("n = 1", ["injected-parameters"], 9.0), ("run = lib.run.open(1)", [], 1.0)]
    cells = [
        {"cell_type": "code", "source": source, "metadata": {"tags": tags, "papermill": {"duration": seconds}}}
        for source, tags, seconds in [*sources, ("train()", [], 3.0)]
    ]
    path = tmp_path / "executed.ipynb"
    path.write_text(json.dumps({"cells": [*cells, {"cell_type": "markdown", "source": "", "metadata": {}}]}))
    assert cost_receipts.cells_of(path, 2.0) == [0.0, 0.5, 1.5]


# --- the price of the paper profile


def test_prices_of_this_repository_have_every_column_and_an_interval() -> None:
    items = plan.build(ROOT, "paper", only="masking/02,selection/01,cxr/01")
    prices = price.all_of(ROOT, items)
    assert set(prices) == {"masking/02", "selection/01", "cxr/01"}
    for one in prices.values():
        assert 0 < one.cpu_hours.low < one.cpu_hours.value < one.cpu_hours.high
        assert one.memory_gb > 0.3 and one.disk_gb > 0 and one.source in ("cpu receipt", "run at share 1")
    trained, tables = prices["masking/02"], prices["selection/01"]
    assert trained.gpu_hours and tables.gpu_hours is None
    ratio = trained.gpu_hours.high / trained.gpu_hours.low
    assert ratio > trained.cpu_hours.high / trained.cpu_hours.low, "the ratio of the devices is uncertain too"


def test_the_check_on_the_committed_runs_says_how_good_it_is() -> None:
    held = cost.check(cost.runs(ROOT))
    said = price.check_lines(held)
    assert all(one.small < one.measured for one in held)
    assert all("held-out cpu receipts" in line and "% in their interval" in line for line in said if held)
    last = [one for one in held if one.share == max(other.share for other in held)]
    if len(last) < 8:
        pytest.skip("fewer than 8 notebooks have small runs: python -m lib.reproduce.cost_receipts")
    ours, guessed = cost.skill([one.error for one in last])[0], cost.skill(cost.baseline(last))[0]
    assert ours < guessed, "a price must say more than the median of the other notebooks"


def test_plan_prices_the_paper_profile_and_says_that_no_gpu_was_measured(
    mini: Mini, capsys: pytest.CaptureFixture[str]
) -> None:
    mini.add("01", FINISH, more="")
    assert mini.cli("plan", "--profile", "paper") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "GPU hours (A100 80 GB)" in said and "memory of a device, GB" in said and "disk, GB" in said
    assert "declared" in said and "0 of 1 priced" in said and "no GPU receipt exists" in said
    assert "check on 0 held-out cpu receipts" in said


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
