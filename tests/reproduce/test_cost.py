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
from lib.reproduce.cost_receipts import Design

SMALL = {"n_seeds": 2, "epochs": 1, "n_train": 40, "n_test": 20, "n_masks": 16, "width": 8}
LARGE = {"n_seeds": 8, "epochs": 10, "n_train": 2000, "n_test": 400, "n_masks": 512, "width": 8}


WORK = (
    ("n_seeds", "epochs", "n_train"),
    ("n_seeds", "n_train"),
    ("n_seeds", "n_test", "n_masks"),
    ("n_seeds", "n_masks"),
)
NOISE = 0.05
DESIGNS = [*cost_receipts.designs((0.0, 0.3, 0.6), (1, 2, 3)), cost.CPU]


def world(notebooks: int = 16, seed: int = 0) -> dict[str, dict[Design, Run]]:
    """Made-up notebooks of cells that are a constant and one or two terms, with noise."""
    chance, found = np.random.default_rng(seed), {}
    for index in range(notebooks):
        name = f"family{index % 2}/{index:02d}"
        large = {**LARGE, "n_train": int(chance.integers(500, 4000)), "n_masks": int(chance.integers(64, 2048))}
        follows = [WORK[place] for place in chance.integers(len(WORK), size=5)]
        at_cpu, constant = chance.lognormal(3.5, 1.0, size=5), chance.uniform(0.1, 0.6, size=10)
        taken = {}
        for design in DESIGNS:
            mixed = cost_receipts.mixed(SMALL, large, design.mix) if design.mix else None
            parameters = mixed or cost_receipts.between(SMALL, large, design.share)
            work = at_cpu * cost_roles.growth(follows, large, parameters)
            cells = constant + np.r_[work[:3], work[3] + work[4], np.zeros(6)]
            cells *= np.exp(NOISE * chance.standard_normal(10))
            kept = () if design == cost.CPU else tuple(cells)
            taken[design] = Run(name, design, float(cells.sum()), 500.0, parameters, kept)
        found[name] = taken
    return found


def checked(measured: dict[str, dict[Design, Run]]) -> list[cost.Held]:
    return cost.check(measured, cost.tried(measured))


def from_all(held: Sequence[cost.Held]) -> list[cost.Held]:
    """What all small runs of each notebook say, not only the smaller of them."""
    return [one for one in held if one.share == 0.6]


def test_held_out_runs_of_a_made_up_world_are_predicted() -> None:
    measured = world(24)
    every = checked(measured)
    held = from_all(every)
    assert len(held) == len(measured) and len(every) == 2 * len(measured)
    median, within = cost.skill([one.error for one in held])
    assert within >= 0.85 and median < 3 * NOISE, "it grows 20 times from the last small run"
    plain, _ = cost.skill(cost.baseline(held))
    assert median < 0.5 * plain, "better than a guess that looks at no run of the notebook"
    covered = np.mean([one.estimate.low <= one.measured <= one.estimate.high for one in every])
    assert covered >= 0.7, "the interval is meant to hold 80 of 100"


def test_mixed_runs_tell_apart_what_a_cell_multiplies() -> None:
    measured = world(24)
    without = {
        name: {design: run for design, run in taken.items() if not design.mix} for name, taken in measured.items()
    }
    (better, _), (worse, _) = (
        cost.skill([one.error for one in from_all(checked(runs))]) for runs in (measured, without)
    )
    assert better < 0.7 * worse


def test_smoke_counts_only_where_there_is_little_else() -> None:
    measured, smoke = world(8), Design(0.0)
    before = {(one.experiment, one.share): one.estimate.value for one in checked(measured)}
    for taken in measured.values():
        cells = tuple(40 * seconds for seconds in taken[smoke].cells)
        taken[smoke] = replace(taken[smoke], seconds=sum(cells), cells=cells)
    after = {(one.experiment, one.share): one.estimate.value for one in checked(measured)}
    assert {share for (name, share), value in after.items() if value != before[name, share]} == {0.3}


def test_a_prediction_never_reads_the_receipt_it_predicts() -> None:
    measured = world(8)
    before = {(one.experiment, one.share): one.estimate for one in checked(measured)}
    name = "family0/02"
    measured[name][cost.CPU] = replace(measured[name][cost.CPU], seconds=40 * measured[name][cost.CPU].seconds)
    after = {(one.experiment, one.share): one.estimate for one in checked(measured)}
    assert all(after[name, share] == before[name, share] for share in (0.3, 0.6))
    assert any(after[other] != before[other] for other in before if other[0] != name)


def test_small_runs_of_the_notebook_itself_narrow_the_interval() -> None:
    measured = world(8)
    own, wanted = measured["family1/01"], {**LARGE, "epochs": 400, "n_train": 50_000}
    model = cost.fit(cost.tried(measured), "family1/01")
    single = cost.predict(model, [own[cost.CPU]], wanted)
    every = cost.predict(model, cost.chain(own), wanted)
    assert single.low < single.value < single.high
    assert every.high / every.low < single.high / single.low


def test_the_interval_widens_with_the_distance() -> None:
    measured = world(8)
    model = cost.fit(cost.tried(measured))
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
    model = cost.Model({3: 1.5})
    path = [
        Run("a/01", Design(share), n / 4, 500.0, {"n_seeds": n}, (n / 4,))
        for share, n in ((0.3, 40), (0.6, 80), (1.0, 160))
    ]
    for growth in (1, 8, 512):
        estimate = cost.predict(model, path, {"n_seeds": 160 * growth})
        assert estimate.value == pytest.approx(40 * growth, rel=0.1), "no constant fits these runs"
        width = math.log(estimate.high / estimate.value)
        assert width == pytest.approx(math.log(estimate.value / estimate.low))
        assert width == pytest.approx(1.5 * cost.REPEAT_SD * (1 + math.log(estimate.value / 40)), rel=0.05)


def test_without_any_notebook_the_interval_is_a_guess() -> None:
    model = cost.fit({})
    assert set(model.widths.values()) == {cost.UNKNOWN}


def test_terms_take_one_count_of_a_column_and_any_of_the_repeats() -> None:
    names = ["n_seeds", "n_splits", "epochs", "n_train", "n_labels", "n_test", "n_masks", "n_trees"]
    found = cost_roles.terms(names)
    assert len(found) == len(set(found)) == 4 * (1 + 2 + 2 + 1) * 3
    assert ("n_seeds", "n_splits", "epochs", "n_labels", "n_trees") in found
    assert not any({"n_masks", "n_trees"} <= set(term) or {"n_train", "n_labels"} <= set(term) for term in found)
    assert not any("epochs" in term and not {"n_train", "n_labels"} & set(term) for term in found), "passes over rows"
    assert ("n_seeds", "epochs") in cost_roles.terms(["n_seeds", "epochs"]), "over rows that do not move"


def test_counts_that_move_are_found() -> None:
    runs = [{"n_seeds": 2, "n_test": 0, "lr": 0.1, "n_train": 5}, {"n_seeds": 4, "n_test": 9, "lr": 0.2, "n_train": 5}]
    assert cost_roles.moved(runs) == ("n_seeds",), "all of them, a rate, and what stays the same are none"
    wider = cost_roles.growth([(), ("n_seeds",)], {**runs[0], "width": 8}, {**runs[1], "width": 16}, 0.5)
    assert wider == pytest.approx([1, 2 * 2]), "operations grow four times, to the power of one half"


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


def test_mixes_raise_different_counts_and_each_pair_of_the_fastest_apart() -> None:
    low, high = (cost_receipts.between(SMALL, LARGE, share) for share in (cost_receipts.LOW, cost_receipts.HIGH))
    mixes = [cost_receipts.mixed(SMALL, LARGE, mix) for mix in (1, 2, 3)]
    fastest = ["n_train", "n_masks", "n_test", "epochs", "n_seeds"]
    patterns = [tuple(mix[name] == high[name] for mix in mixes) for name in fastest]
    assert len(set(patterns)) == len(fastest) and all(
        any(own) and low[name] != high[name] for own, name in zip(patterns, fastest, strict=True)
    )
    assert all(mix[name] in (low[name], high[name]) for mix in mixes for name in fastest)
    assert all(mix["width"] == LARGE["width"] for mix in mixes)
    less = cost_receipts.between(SMALL, LARGE, 0.45)
    assert cost_receipts.mixed(SMALL, LARGE, 1, 0.45)["n_test"] == less["n_test"] > low["n_test"]
    stays = cost_receipts.mixed({"n_seeds": 2}, {"n_seeds": 3}, 1)
    assert cost_receipts.between({"n_seeds": 2}, {"n_seeds": 3}, 0.6)["n_seeds"] == 3 == stays["n_seeds"]
    assert cost_receipts.mixed({"n_seeds": 2}, {"n_seeds": 4}, 1) == {"n_seeds": 3}
    same = {"n_masks": 16}, {"n_masks": 64}
    assert cost_receipts.between(*same, 0.3) == cost_receipts.between(*same, 0.6) == {"n_masks": 32}
    assert cost_receipts.mixed(*same, 1) == {"n_masks": 64}, "to that of cpu, where it would not move"


HALF = cost_receipts.designs([0.5])
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
    assert cost_receipts.main(["--shares", "0.5", "--mixes"]) == 1
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
        cost_receipts.measure(mini.root, None, HALF)


def test_rows_of_other_code_are_ignored_said_and_measured_again(mini: Mini) -> None:
    scaled(mini)
    rows, failed = cost_receipts.measure(mini.root, None, HALF)
    assert len(rows) == 1 and not failed and cost.runs(mini.root)["demo/01"][HALF[0]].cells
    assert not cost_receipts.jobs_of(mini.root, None, HALF, "run", rows), "done is done"
    scaled(mini, "# a comment is a cell, but no work")
    assert cost_receipts.current(mini.root) == ([], ["demo/01 0.5"]) and not cost.runs(mini.root)
    assert any("1 rows of" in line and "demo/01" in line for line in price.lines(price.known(mini.root), [], {}))
    again, _ = cost_receipts.measure(mini.root, None, HALF)
    assert len(again) == 1 and again[0]["code"] != rows[0]["code"] and cost_receipts.current(mini.root)[1] == []


def test_runs_of_one_key_are_compared_with_each_other(mini: Mini) -> None:
    scaled(mini)
    assert mini.cli("run", "--profile", "cpu", "--scheduler", "inline", "--no-pages") == 0
    cost_receipts.measure(mini.root, None, [*HALF, cost.CPU])
    receipt = mini.layout.report("demo/01", "cpu") / "receipt.json"
    content = json.loads(receipt.read_text())
    assert content["seconds"]["spared_cpu"] == 1.0
    receipt.write_text(json.dumps(content | {"seconds": content["seconds"] | {"spared_cpu": None}}))
    assert cost.repeats(mini.root) == [0.0], "the stub says 16 s each time; a smaller run is no repeat"
    receipt.write_text(json.dumps(content | {"seconds": content["seconds"] | {"cpu": 5.0, "spared_cpu": 3.0}}))
    assert cost.repeats(mini.root) == [pytest.approx(math.log(2))], "trainings that it found done are its own, too"
    assert cost.runs(mini.root)["demo/01"][cost.CPU].seconds == 16.0, (
        "a run of the table takes the place of the receipt"
    )
    assert "CPU seconds x2.00 apart in the median, 0 % within" in price.repeat_lines(cost.repeats(mini.root))[0]
    receipt.write_text(json.dumps(content | {"parameters": content["parameters"] | {"n_seeds": 3}}))
    assert cost.repeats(mini.root) == [] and price.repeat_lines([]) == []


@pytest.mark.parametrize("cells", [[4.0], [1.0, 1.0, 1.0], [5.0, -1.0], [1.0, 1.0]])
def test_cells_that_do_not_fit_are_refused(mini: Mini, cells: list[float]) -> None:
    scaled(mini)
    row = {
        "experiment": "demo/01",
        "share": "0.5",
        "mix": "0",
        "cpu_seconds": "4.00",
        "peak_memory_mb": "100",
        "parameters": "{}",
    }
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
    prices = price.all_of(price.known(ROOT), items)
    assert set(prices) == {"masking/02", "selection/01", "cxr/01"}
    for one in prices.values():
        assert 0 < one.cpu_hours.low < one.cpu_hours.value < one.cpu_hours.high
        assert one.memory_gb > 0.3 and one.disk_gb > 0 and one.source in ("cpu receipt", "run at share 1")
    trained, tables = prices["masking/02"], prices["selection/01"]
    assert trained.gpu_hours and tables.gpu_hours is None
    ratio = trained.gpu_hours.high / trained.gpu_hours.low
    assert ratio > trained.cpu_hours.high / trained.cpu_hours.low, "the ratio of the devices is uncertain too"


def test_the_check_on_the_committed_runs_says_how_good_it_is() -> None:
    held = checked(cost.runs(ROOT))
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
    path = [Run("a/01", Design(0.3), 1.0, 500.0, base), Run("a/01", cost.CPU, 9.0, math.nan, {**base, "n_images": 9})]
    small = price.memory_gb(base, data, path)
    assert small == 0.5, "as measured; a run that found its trainings done tells no peak"
    rows = price.memory_gb({**base, "n_images": 2000}, data, path) - small
    assert rows == pytest.approx(price.COPIES * 1000 * price.row_bytes(base, data) / 1e9)
    batch = price.memory_gb({**base, "batch_size": 64}, data, path) - small
    assert batch == pytest.approx(32 * 64 * 64 * 2 * price.KEPT * 2 / 1e9)
    assert price.row_bytes({"size": 64}, ["thorax"]) == 4 * 64**2
    (tmp_path / "a.csv").write_text("x" * 1000)
    alone = price.disk_gb({}, ["digits"], tmp_path)
    assert alone == pytest.approx(1e-6)
    assert price.disk_gb(base, data, tmp_path) > 0.01
