"""Scores agree with brute force and scikit-learn; a detector learns what is there and nothing where nothing is."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from lib.measure import detection, forgeries

SIZES = {"n_images": 8, "rounds": 1, "n_train": 96, "n_test": 64}


@pytest.mark.parametrize("ties", [False, True])
def test_scores_against_scikit_learn(ties):
    draw = torch.Generator().manual_seed(0)
    real, fake = torch.randn(40, generator=draw), 0.5 + torch.randn(30, generator=draw)
    if ties:
        real, fake = real.round(), fake.round()
    found = detection.compare(real, fake, threshold=0.2)
    labels, scores = torch.arange(70) >= 40, torch.cat([real, fake])
    assert float(found.above.mean()) == pytest.approx(roc_auc_score(labels, scores))
    assert found.precision == pytest.approx(average_precision_score(labels, scores))
    assert torch.equal(found.correct, (scores > 0.2) == labels)
    by_hand = [sum(float(r < f) + 0.5 * float(r == f) for r in real) / 40 for f in fake]
    assert found.above.tolist() == pytest.approx(by_hand)


def test_perfect_reversed_and_equal():
    low, high = torch.zeros(4), torch.ones(3)
    assert detection.compare(low, high).above.unique().tolist() == [1.0]
    assert detection.compare(high, low).above.unique().tolist() == [0.0]
    assert detection.compare(low, torch.zeros(4)).above.unique().tolist() == [0.5]
    assert detection.compare(low, torch.zeros(4)).precision == 0.5
    with pytest.raises(ValueError, match="scores"):
        detection.compare(low, high[:0])


def test_views():
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(detection.view(x, crop=True), x[:, :, 4:12, 4:12])
    assert detection.view(x, crop=False).shape == (4, 3, 8, 8)

    def drawn(**flags: bool) -> torch.Tensor:
        draw = torch.Generator().manual_seed(1)
        return detection.training_view(x, cell=2, generator=draw, **dict(crop=False, turn=False, erase=False) | flags)

    plain = drawn()
    whole = detection.view(x, crop=False)
    same = (plain == whole).flatten(1).all(1) | (plain == whole.flip(-1)).flatten(1).all(1)
    assert same.all()
    assert all(not torch.equal(drawn(**{name: True}), plain) for name in ("crop", "turn", "erase"))
    cells = (drawn(erase=True) == 0).all(1).unfold(1, 2, 2).unfold(2, 2, 2).float().mean((-1, -2))
    assert set(cells.unique().tolist()) <= {0.0, 1.0}  # whole cells or none


def test_pictures_and_encoding():
    collection = forgeries.collect("digits-twin", seed=0, device="cpu", seen="gan", **SIZES)
    real, fake = detection.pictures(collection, split="test", fake="autoencoder")
    assert torch.equal(real, collection["real/test"]) and torch.equal(fake, collection["autoencoder/test"])
    encoded = detection.pictures(collection, split="test", fake="autoencoder", quality=30)
    assert all(not torch.equal(a, b) and a.shape == b.shape for a, b in zip(encoded, (real, fake), strict=True))
    with pytest.raises(ValueError, match="fake must be"):
        detection.pictures(collection, split="train", fake="autoencoder")


def test_a_detector_is_a_function_of_its_literals_and_finds_plain_traces():
    train = dict(source="digits-twin", seed=0, epochs=6, width=8, lr=0.01, **SIZES)
    state = detection.train_detector(fake="resampling", turn=False, erase=False, **train)
    again = detection.train_detector(fake="resampling", turn=False, erase=False, **train)
    assert all(torch.equal(value, again[name]) for name, value in state.items())
    assert state["loss"].shape == (6,) and state["loss"][-1] < state["loss"][0]
    model = detection.empty_detector(1, seed=0, width=8, state=state)
    collection = forgeries.collect("digits-twin", seed=0, seen="resampling", device="cpu", **SIZES)

    def area(fake: str) -> float:
        sides = detection.pictures(collection, split="test", fake=fake)
        return float(detection.compare(*(detection.logits(model, part, crop=True) for part in sides)).above.mean())

    assert area("resampling") > 0.8
    assert 0.3 < area(detection.IDENTITY) < 0.7  # 64 against 64: 0.5 give or take 4 standard errors


def test_energy_orders_pictures_by_their_detail():
    noise = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
    part = forgeries.as_bytes(torch.cat([0.5 + share * noise for share in (0.0, 0.2, 0.8)]))
    found = detection.energy(part, crop=True)
    assert found[0] < found[1] < found[2]
