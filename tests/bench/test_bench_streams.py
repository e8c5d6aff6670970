"""The bench of streaming: both sides see the same rows, and what it puts on the disk goes."""

from __future__ import annotations

import pytest

from lib.bench import harness, streams
from lib.bench.steps import Network

SMALL = Network("small", 4, 16, 8, 16, 1, 2, 16, 1, 2)


@pytest.fixture
def kind(monkeypatch):
    monkeypatch.setitem(streams.KINDS, "small", (200_000, 100_000))
    yield "small"
    streams._gone()


def test_both_trainings_see_the_same_pixels(kind):
    pair = harness.checked(streams.case(SMALL, kind))
    steps, total = pair.ours()
    assert steps == streams.STEPS and total > 0
    with pytest.raises(harness.AnotherJob, match="sum of all pixels must be equal"):
        streams.same_work((steps, total), (steps, 1.01 * total))


def test_a_set_is_noise_then_holes_and_goes_with_its_folder(kind):
    packed = streams.made(SMALL, *streams.KINDS[kind])
    mapped = packed.mapped()
    assert len(packed) == 260 and mapped[: 100_000 // 768].std() > 60 and not mapped[130:].any()
    found = streams.alone(packed, name=kind, seconds=60, batch_size=16)
    assert found["images"] == 260 and found["growth, MB"] < 64
    streams._gone()
    assert not packed.folder.parent.exists()
