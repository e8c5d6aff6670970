"""The benchmarks: the arithmetic on a clock that stands still unless told, and that both sides do the same job.

No test decides by a time: how fast something is, is measured by ``make bench``.
"""

from __future__ import annotations

import json
import random

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from lib import masks as samplers
from lib.bench import __main__ as command
from lib.bench import harness, masks, published, readme, steps
from lib.bench.harness import AnotherJob, Case, Clocks, Pair

SMALL = masks.Sizes(batch=6, side=8, patterns=8, pattern_side=12, widths=(3,))
NETWORK = steps.Network("a small network", 3, 16, 4, 16, 1, 2, 16, 1, 2)
CASES = masks.cases(SMALL, networks=(NETWORK,))


class Clock:
    """Time that passes only while a job runs; ``pace`` stretches it, as a drifting clock rate would."""

    def __init__(self) -> None:
        self.cpu, self.wall, self.pace, self.log = 0.0, 0.0, 1.0, []

    def job(self, name, cpu, wall):
        def work():
            self.cpu += cpu * self.pace
            self.wall += wall * self.pace
            self.log.append(name)
            return name

        return work

    @property
    def clocks(self):
        return Clocks(cpu=lambda: self.cpu, wall=lambda: self.wall)


def agree(_ours, _peer):
    """Every result will do."""


def case(pair, **changed):
    fields = {"name": "a job", "unit": "masks", "amount": 10, "target": 2.0, "peer_version": "a peer 1.0"}
    return Case(**(fields | changed), setup=lambda: pair)


@pytest.fixture
def clock():
    return Clock()


def test_rates_and_ratios_are_those_of_the_clock(clock):
    pair = Pair(clock.job("ours", 0.01, 0.02), clock.job("peer", 0.04, 0.06), agree)
    table = harness.measure(case(pair), threads=(1,), clocks=clock.clocks)
    assert tuple(table.columns) == harness.COLUMNS
    cpu, wall = table.to_dict("records")
    assert (cpu["unit"], wall["unit"]) == ("masks / CPU s", "masks / wall s")
    assert (cpu["ours"], cpu["peer"], cpu["ratio"]) == pytest.approx((1000.0, 250.0, 4.0))
    assert (wall["ours"], wall["peer"], wall["ratio"]) == pytest.approx((500.0, 10 / 0.06, 3.0))
    assert (cpu["low"], cpu["high"]) == pytest.approx((4.0, 4.0))
    assert (cpu["name"], cpu["peer_version"], cpu["target"], cpu["rounds"]) == ("a job", "a peer 1.0", 2.0, 5)


def test_the_columns_are_the_contract():
    expected = "name, ours, peer, peer_version, unit, ratio, target, low, high, rounds, threads, load, device"
    assert list(harness.COLUMNS) == expected.split(", ")


def test_rounds_take_turns_and_the_order_changes(clock):
    pair = Pair(clock.job("ours", 0.2, 0.2), clock.job("peer", 0.3, 0.3), agree)
    harness.measure(case(pair), threads=(1,), clocks=clock.clocks, rounds=6)
    assert clock.log[-12:] == ["ours", "peer", "peer", "ours"] * 3, "one call of each lasts long enough"


@pytest.mark.parametrize("seconds", [0.15, 0.149, 0.01, 0.0007])
def test_enough_calls_for_a_round(clock, seconds):
    repeats = harness.enough(clock.job("", seconds, seconds), least_s=0.15, clocks=clock.clocks)
    assert repeats * seconds >= 0.15 - 1e-9
    assert (repeats - 1) * seconds < 10 * 0.15


def test_the_slower_clock_decides_how_long_a_round_is(clock):
    assert harness.enough(clock.job("", 0.1, 0.01), least_s=0.15, clocks=clock.clocks) >= 15


def test_a_drifting_machine_does_not_move_the_ratio(clock):
    """Absolute rates change by half; ratios within a round do not."""
    ours, peer = clock.job("ours", 0.2, 0.2), clock.job("peer", 0.6, 0.6)

    def drifting():
        if len(clock.log) % 2 == 0:
            clock.pace *= 1.1
        return ours()

    table = harness.measure(case(Pair(drifting, peer, agree)), threads=(1,), clocks=clock.clocks)
    assert table["ratio"].tolist() == pytest.approx([3.0, 3.0], rel=0.12)
    assert (table["low"] <= table["ratio"]).all() and (table["ratio"] <= table["high"]).all()


def test_the_median_forgives_one_disturbed_round(clock):
    calls = []

    def disturbed():
        calls.append(1)
        clock.cpu += 2.0 if len(calls) == 6 else 0.2  # agreement, warm-up, choice of repeats, then the rounds
        clock.wall += 0.2

    table = harness.measure(case(Pair(disturbed, clock.job("", 0.4, 0.4), agree)), threads=(1,), clocks=clock.clocks)
    assert table["ratio"].iloc[0] == pytest.approx(2.0) and table["low"].iloc[0] == pytest.approx(0.2)


def test_another_result_is_refused_before_anything_is_timed(clock):
    def differ(ours, peer):
        if ours != peer:
            raise AnotherJob(f"{ours} is not {peer}")

    pair = Pair(clock.job("ours", 1.0, 1.0), clock.job("peer", 1.0, 1.0), differ)
    with pytest.raises(AnotherJob, match="a job: ours is not peer"):
        harness.measure(case(pair), clocks=clock.clocks)
    assert clock.log == ["ours", "peer"]


def test_too_few_rounds(clock):
    with pytest.raises(ValueError, match="rounds must be at least 5, got 4"):
        harness.measure(case(Pair(list, list, agree)), rounds=4, clocks=clock.clocks)


def test_threads_are_set_and_put_back(clock):
    seen, before = set(), torch.get_num_threads()
    work = clock.job("", 1.0, 1.0)
    pair = Pair(lambda: (seen.add(torch.get_num_threads()), work()), work, agree)
    table = harness.measure(case(pair), threads=(1, 2), clocks=clock.clocks)
    assert {1, 2} <= seen and torch.get_num_threads() == before
    assert table["threads"].tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("small", CASES, ids=lambda one: one.name)
def test_every_case_does_one_job(small):
    """Ours and the peer run once, and the case's own check (counts, shapes, losses, gradients) passes."""
    pair = harness.checked(small)
    results = [result if isinstance(result, tuple) else (result,) for result in (pair.ours(), pair.peer())]
    if small.unit == "masks":
        shape = (SMALL.batch, SMALL.tokens)
        found = [[r for r in result if tuple(r.shape) == shape and r.max() == 1] for result in results]
        assert (found[0][0].sum(1) == SMALL.hidden).all()
        short = SMALL.hidden * 0.5 if "block" in small.name else 0
        assert ((found[1][0].sum(1) >= SMALL.hidden - short) & (found[1][0].sum(1) <= SMALL.hidden)).all()


def test_cases_have_their_own_names_and_sane_targets():
    full = masks.cases(networks=(steps.TINY, steps.BASE))
    assert len({one.name for one in full}) == len(full)
    assert all(one.target > 0 and one.amount > 0 and one.peer_version for one in full)


@pytest.mark.parametrize(
    ("ours", "peer", "short", "words"),
    [
        ([1, 1, 1, 0], [1, 1, 0, 0], 0.0, "the peer must hide 3"),
        ([1, 1, 0, 0], [1, 1, 1, 0], 0.0, "ours must hide 3"),
        ([1, 1, 1, 0], [1, 1, 1, 1], 0.5, "the peer must hide 3"),
        ([1, 1, 1, 0], [1, 1, 1], 0.0, "masks must have shape"),
    ],
)
def test_masks_of_another_count_are_refused(ours, peer, short, words):
    with pytest.raises(AnotherJob, match=words):
        masks._same_masks(torch.tensor([ours]), torch.tensor([peer]), masks.Sizes(batch=1, side=2), short=short)


def test_a_step_with_other_weights_is_refused(monkeypatch):
    monkeypatch.setattr(steps.PlainMAE, "copy_from", lambda self, model: None)
    with pytest.raises(AnotherJob, match="losses must be finite and equal"):
        harness.checked(steps.step_plain(NETWORK))


def test_the_published_gather_returns_the_visible_tokens():
    tokens = torch.rand(5, 16, 3)
    visible, mask, back = published.mae_masking(tokens, ratio=0.75, generator=torch.Generator().manual_seed(0))
    hidden_last = torch.cat([visible, torch.zeros(5, 12, 3)], 1)
    restored = hidden_last.gather(1, back.unsqueeze(-1).expand(-1, -1, 3))
    assert torch.equal(restored, tokens * (1 - mask).unsqueeze(-1))


def test_the_published_crop_leaves_the_highest_visible():
    bank = torch.rand(6, 4, 4)  # as large as the mask: only the flips are left
    mask, _, visible = published.colour_masking(bank, 5, side=4, ratio=0.75, generator=torch.Generator().manual_seed(1))
    assert torch.equal(mask.gather(1, visible), torch.zeros(5, 4))
    expected = samplers.hide_highest(-bank[:5].flatten(1), ratio=0.75).view(5, 4, 4).float()
    flips = [expected.flip(axes) for axes in ((), (1,), (2,), (1, 2))]
    assert any(torch.equal(mask.view(5, 4, 4), flip) for flip in flips)


def test_published_blocks_stay_below_the_count_and_hold_rectangles():
    for grow in (published.grown_blocks, published.filled_blocks):
        mask = grow(20, 14, count=75, rng=random.Random(0)).bool()
        assert (mask.sum(1) <= 75).all() and mask.sum(1).float().mean() > 65
        assert samplers.describe.morans_i(mask, 14).mean() > 0.5, "blocks, not speckle"


def test_the_published_lattice_has_one_visible_token_in_each_cell():
    mask = published.lattice_masks(3, 6, rng=np.random.RandomState(0)).view(3, 3, 2, 3, 2)
    assert (mask.sum((2, 4)) == 3).all()


def test_the_published_ranking_loss_against_all_pairs():
    predicted, true = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))

    def by_pairs(one, other):
        terms = []
        for p, t in zip(one, other, strict=True):
            pairs = [(i, j) for i in range(len(t)) for j in range(len(t)) if t[i] > t[j]]
            terms += [torch.nn.functional.softplus(p[j] - p[i]) for i, j in pairs]
        return torch.stack(terms).mean()

    assert published.ranking_loss(predicted, true).item() == pytest.approx(by_pairs(predicted, true).item(), rel=1e-3)


def test_other_values_are_refused():
    one = torch.tensor([1.0, 2.0])
    harness.same_value(one, one + 1e-4)
    for other in (one + 0.1, one[:1], torch.tensor([1.0, torch.nan])):
        with pytest.raises(AnotherJob, match="losses must be finite and equal"):
            harness.same_value(one, other)


@pytest.fixture
def table():
    clock = Clock()
    fast = Pair(clock.job("", 0.2, 0.2), clock.job("", 0.6, 0.6), agree)
    slow = Pair(clock.job("", 0.2, 0.2), clock.job("", 0.3, 0.3), agree)
    return command.run([case(fast, name="quick masks"), case(slow, name="slow masks")], rounds=5, clocks=clock.clocks)


def test_what_is_written_can_be_read(table, tmp_path, capsys):
    command.write(table, tmp_path, "masks")
    written = ["README.md", "masks.csv", "masks.json", "masks.png", "masks.svg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == written
    read = pd.read_csv(tmp_path / "masks.csv")
    assert tuple(read.columns) == harness.COLUMNS and len(read) == 8
    assert read["ratio"].tolist() == pytest.approx([3.0] * 4 + [1.5] * 4)
    command.write(table, tmp_path / "again", "masks")
    assert (tmp_path / "masks.svg").read_bytes() == (tmp_path / "again" / "masks.svg").read_bytes()


def test_the_page_holds_every_table_of_the_folder(table, tmp_path):
    command.write(table, tmp_path, "masks")
    quiet = table.assign(load=0.0)
    command.write(quiet, tmp_path, "again")
    (tmp_path / "other.csv").write_text("a,b\n", encoding="utf-8")  # not of a benchmark: no conditions
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## again", "## masks"]
    first = text.partition("## masks")[0]
    rows = [line for line in first.splitlines() if line.startswith(("| quick", "| slow"))]
    assert len(rows) == 4 and all(row.count("|") == 10 for row in rows)
    assert [row.count("below target") for row in rows] == [0, 0, 2, 2]
    assert "| quick masks | 1 | 50 masks | 16.67 | 3.00 [3.00, 3.00] | 3.00 [3.00, 3.00] | 2 | 0.0 |" in rows[0]
    assert "4 of 8 ratios reach their target. Data" in first and "![" in first and "(again.svg)" in first
    taken = json.loads((tmp_path / "masks.json").read_text(encoding="utf-8"))
    assert taken["versions"]["torch"] == torch.__version__ and taken["rounds"] == 5 and taken["cores"] >= 1
    assert f"torch {torch.__version__}, numpy {np.__version__}" in text


def test_a_busy_machine_is_named(table):
    loaded = table.assign(load=2.2)
    assert len(readme.busy(loaded, cores=2)) == 8, "more than two threads of ours have left behind"
    assert len(readme.busy(loaded, cores=4)) == 0, "four cores have room for both"
    assert len(readme.busy(table.assign(load=2.0), cores=2)) == 0, "what our own two threads leave behind"


def test_a_missed_target_is_said_in_words(table, capsys):
    command.show(table)
    lines = capsys.readouterr().out.splitlines()
    assert sum("below target" in line for line in lines) == 4 and "4 of 8 rows reach" in " ".join(lines)
    assert all("slow masks" in line for line in lines if "below target" in line)
    labels = [tick.get_text() for tick in command.draw(table).axes[0].get_yticklabels()]
    assert labels == ["quick masks", "slow masks\n(below target)"]
    one = table.copy()
    one.loc[one["threads"] == 2, "target"] = 1.0
    assert "below target with 1 thread)" in command.draw(one).axes[0].get_yticklabels()[1].get_text()


def test_an_unknown_benchmark():
    import typer

    app = typer.Typer()
    app.command()(command.main)
    result = CliRunner().invoke(app, ["--only", "nothing"])
    names = "masks, explain, select, cxr, stream, limits, startup"
    assert result.exit_code == 2 and f"must name benchmarks among {names}, got 'nothing'" in result.output
