"""A model in shards trains as a whole one does, at a part of the memory, and leaves no trace of it."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import many_ranks
import pytest
import shard_ranks
import torch
from many_ranks import EPOCHS, RANKS, left, same
from torch import nn

from lib import train
from lib.models.timm_parts import vit_block
from lib.reproduce import cut, shards


def half(path: Path, copy: Path) -> dict[str, Any]:
    """The mlp by one process, with a copy of the checkpoint that it had after two epochs."""
    train.CHECKPOINT_EVERY_S, usual = 0.0, train.CHECKPOINT_EVERY_S
    try:
        return many_ranks.trained("mlp", checkpoint=path, at={many_ranks.COPIED_AT: lambda: shutil.copy(path, copy)})
    finally:
        train.CHECKPOINT_EVERY_S = usual


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What two processes left, the second of which died once in the middle of ``broken``."""
    here = tmp_path_factory.mktemp("shards")
    half(here / "whole.pt", here / "alone.pt")
    many_ranks.launch(shard_ranks.__file__, here)
    return here


@pytest.mark.parametrize("name", ["mlp", "mae"])
def test_losses_are_those_of_one_process(folder, name):
    """The mlp with moving average, early stop and clipping, the masked autoencoder with its masks given."""
    many_ranks.losses_of_one_process(folder, name)


def test_weights_are_those_of_one_process(folder):
    many_ranks.weights_of_one_process(folder)


def test_every_row_once_and_by_one_process(folder):
    seen = [result["rows"] for result in left(folder, "uneven")]
    for epoch in range(EPOCHS):
        mine = slice(epoch * 4, (epoch + 1) * 4)
        assert sorted(chain.from_iterable(chain(*(rows[mine] for rows in seen)))) == list(range(30))


def test_a_process_holds_its_part_alone(folder):
    """Half of weights, gradients and moments each; nothing else that is as large stays alive."""
    whole = shard_ranks.measured(shard=False)
    for mine in left(folder, "bytes"):
        for kind in ("weights", "gradients", "moments"):
            assert mine[kind] == pytest.approx(whole[kind] / RANKS, rel=0.01), kind
        # a step ends with no block gathered; beside the parts there are images, masks and positions, 80 kB
        assert mine["alive"] < 0.5 * whole["alive"] + 80_000
    assert whole["weights"] > 150_000, "or the rest would count"


def test_a_killed_process_changes_nothing(folder):
    """To the bit: the launcher starts both again, and both go on from the checkpoint with the chance they had."""
    straight, broken = left(folder, "noisy"), left(folder, "broken")
    assert [result["history"]["resumed_at"] for result in broken] == [2, 2]
    assert all(same(a, b) for a, b in zip(straight, broken, strict=True))
    assert not list(folder.glob("*.part")), "nothing half-written is left, not even by a killed process"


def test_checkpoints_of_shards_are_those_of_one_process(folder, tmp_path):
    """Either goes on where the other was, and the files hold the same tensors."""
    alone = half(tmp_path / "alone.pt", tmp_path / "copy.pt")
    shutil.copy(folder / "half.pt", tmp_path)
    for went_on in (many_ranks.trained("mlp", checkpoint=tmp_path / "half.pt"), *left(folder, "joined")):
        assert went_on["history"]["resumed_at"] == 2
        assert went_on["history"]["loss"] == pytest.approx(alone["history"]["loss"], abs=1e-5)
        assert all(torch.allclose(v, went_on["weights"][name], atol=1e-5) for name, v in alone["weights"].items())
    ours, theirs = (torch.load(path, weights_only=True) for path in (folder / "half.pt", tmp_path / "copy.pt"))
    assert ours["fingerprint"] == theirs["fingerprint"] and ours["optimiser"]["param_groups"] == [
        group | {"lr": pytest.approx(group["lr"])} for group in theirs["optimiser"]["param_groups"]
    ]
    for number, moments in theirs["optimiser"]["state"].items():
        for name, value in moments.items():
            assert torch.allclose(ours["optimiser"]["state"][number][name], value, atol=1e-5), (number, name)


def test_a_finished_training_is_read_back(folder):
    finished, read = left(folder, "mlp"), left(folder, "over")
    assert all(same(a, b) and b["rows"] == [] for a, b in zip(finished, read, strict=True))


def test_the_first_process_writes_the_checkpoint(folder):
    assert (folder / "mae-0.pt").exists() and not (folder / "mae-1.pt").exists()


def test_a_model_has_its_own_parts_back(folder):
    """Weights used twice, frozen and stored channels last, hooks, classes; a second fit begins with the first's."""
    alone = shard_ranks.twice()
    for mine in left(folder, "twice"):
        for kind in ("loss", "score"):
            for got, expected in zip(mine[kind], alone[kind], strict=True):
                assert got == pytest.approx(expected, abs=1e-5)
        assert all(torch.allclose(v, mine["weights"][name], atol=1e-4) for name, v in alone["weights"].items())
        for name in ("own", "kinds", "plain", "tied", "frozen", "last", "hooks", "names", "calls"):
            assert mine[name] == alone[name], name
    assert alone["hooks"] == 0 and alone["names"] == [] and alone["own"] and alone["tied"] and alone["frozen"]


def test_buffers_and_bfloat16(folder):
    """Statistics of batches are those of the first process, in all; autocast stays within what bfloat16 resolves."""
    first, second = left(folder, "normed")
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
    assert int(first["weights"]["norm.num_batches_tracked"]) in (4, 8), "after the first or the second epoch"
    alone = shard_ranks.fitted(shard_ranks.odd(norm=True), precision="bfloat16")
    # 0.05 of a loss near one: halves of a batch have other statistics, and bfloat16 has eight bits
    assert first["loss"] == pytest.approx(alone.loss, abs=0.05)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "method",
            "AttributeError: a loss may only call model(...) when it is trained in shards, it asked for model.enc",
        ),
        ("in shards", "ValueError: model Odd is in shards already, since an earlier fit ended with an error"),
        ("penalty", "RuntimeError: the loss or the score uses a weight without calling the block that holds it"),
        ("reaching", "RuntimeError: Reaching uses a weight without calling the block that holds it"),
        ("scalar", "ValueError: parameters must have a dimension to be cut into shards, got the scalar scale; give"),
        ("list", "ValueError: model must be called as model(...) to be trained in shards, got a ModuleList without"),
        ("other file", "must be the same file for all processes, got files of [8, 0] steps (0 = none)"),
        ("other run", "belongs to another run (it differs in model, data, options)"),
    ],
)
def test_what_shards_cannot_do_is_said(folder, what, message):
    for said in left(folder, "refusals"):
        assert message in said[what]


def test_shards_need_a_launcher():
    before = train._State, train._fingerprint, train._epochs
    with shards.sharding(), pytest.raises(ValueError, match=r"shards need the processes of a launcher.*--shard"):
        many_ranks.trained("uneven")
    assert (train._State, train._fingerprint, train._epochs) == before


def stage(depth: int, width: int) -> nn.Module:
    return nn.Sequential(*(vit_block(width, 2) for _ in range(depth)))


def test_blocks_are_the_repeated_children():
    vit = nn.Module()
    vit.embed, vit.blocks, vit.head = nn.Linear(8, 16), stage(4, 16), nn.Linear(16, 400)
    assert list(cut.blocks(vit)) == [f"blocks.{i}" for i in range(4)]
    swin = nn.ModuleList([stage(2, 8), stage(6, 16), stage(2, 8)])
    assert list(cut.blocks(swin)) == ["0", *(f"1.{i}" for i in range(6)), "2"], "a stage of most weights is cut further"
    assert list(cut.blocks(many_ranks.autoencoder())) == ["blocks.0", "blocks.1"]
    assert list(cut.blocks(shard_ranks.odd())) == ["kernels.0", "kernels.1", "blocks.0", "blocks.1", "blocks.2"]


def test_blocks_share_no_weight_and_can_be_called():
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    assert list(cut.blocks(tied)) == ["1"]
    lists = nn.ModuleList([nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]) for _ in range(9)])
    assert set(cut.blocks(lists)) == {f"{i}.{j}" for i in range(9) for j in range(2)}
    small = nn.Sequential(nn.Linear(100, 100), nn.LayerNorm(4), nn.Linear(100, 100), nn.LayerNorm(4))
    assert list(cut.blocks(small)) == ["0", "2"]
