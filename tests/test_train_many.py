"""Many processes train as one does: the same loss, every row once, and no work lost with a process."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import many_ranks
import pytest
import torch
from many_ranks import BATCH, EPOCHS, RANKS, left, same


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What two processes left, the second of which died once in the middle of ``broken``."""
    here = tmp_path_factory.mktemp("ranks")
    many_ranks.launch(many_ranks.__file__, here)
    return here


@pytest.mark.parametrize("name", ["mlp", "mae"])
def test_losses_are_those_of_one_process(folder, name):
    """The mlp with moving average, early stop and clipping, the masked autoencoder with its masks given."""
    alone = many_ranks.losses_of_one_process(folder, name)
    assert alone["history"]["loss"][-1] < 0.9 * alone["history"]["loss"][0], "or it would show nothing"


def test_weights_are_those_of_one_process(folder):
    many_ranks.weights_of_one_process(folder)


@pytest.mark.parametrize(("name", "n", "steps"), [("mlp", 64, 4), ("uneven", 30, 4)])
def test_every_row_once_and_by_one_process(folder, name, n, steps):
    """Also where neither the rows nor the batches divide evenly."""
    seen = [result["rows"] for result in left(folder, name)]
    alone = many_ranks.trained(name)["rows"]
    for epoch in range(EPOCHS):
        mine = slice(epoch * steps, (epoch + 1) * steps)
        assert sorted(chain.from_iterable(chain(*(rows[mine] for rows in seen)))) == list(range(n))
    for whole, *shares in zip(alone, *seen, strict=True):
        assert list(chain(*shares)) == whole, "the shares of a batch are the batch"
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert len({tuple(row) for row in alone}) == len(alone), "every epoch in another order"


def test_a_killed_process_changes_nothing(folder):
    """To the bit: the launcher starts both again, and both go on from the checkpoint with the chance they had."""
    straight, broken = left(folder, "noisy"), left(folder, "broken")
    assert [result["history"]["resumed_at"] for result in broken] == [2, 2]
    assert [len(result["rows"]) for result in broken] == [3 * 64 // BATCH] * RANKS, "three of five epochs were left"
    assert all(same(a, b) for a, b in zip(straight, broken, strict=True))


def test_one_process_goes_on_where_two_were(folder, tmp_path):
    shutil.copy(folder / "half.pt", tmp_path)
    alone, joined = many_ranks.trained("mlp"), many_ranks.trained("mlp", checkpoint=tmp_path / "half.pt")
    assert joined["history"]["resumed_at"] == 2
    assert joined["history"]["loss"] == pytest.approx(alone["history"]["loss"], abs=1e-5)
    assert all(torch.allclose(value, joined["weights"][name], atol=1e-5) for name, value in alone["weights"].items())


def test_the_first_process_writes_the_checkpoint(folder):
    assert (folder / "mae-0.pt").exists() and not (folder / "mae-1.pt").exists()
    assert not list(folder.glob("*.part")), "nothing half-written is left, not even by a killed process"
