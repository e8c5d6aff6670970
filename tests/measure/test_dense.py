"""The dense probe finds what is in the tokens, place by place, and counts as a brute force does."""

from __future__ import annotations

import pytest
import torch

from lib.measure import dense, probes

PATCH, SIDE, CLASSES = 2, 8, 3


def scenes(n: int = 20, *, seed: int = 0) -> torch.Tensor:
    """Labels (n, 8, 8): background, a box of class 1 and one of class 2, whose edges cut through patches."""
    labels = torch.zeros(n, SIDE, SIDE, dtype=torch.int64)
    corners = torch.randint(0, 5, (n, 2, 2), generator=torch.Generator().manual_seed(seed))
    for image, places in zip(labels, corners.tolist(), strict=True):
        for kind, (top, left) in enumerate(places, start=1):
            image[top : top + 4, left : left + 3] = kind
    return labels


def told(labels: torch.Tensor, *, noise: float = 0.0, seed: int = 0) -> torch.Tensor:
    """Tokens (n, 16, 5) that hold the classes' shares, mixed, and noise."""
    shares = dense.patch_shares(labels, PATCH, classes=CLASSES)
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(CLASSES, 5, generator=torch.Generator().manual_seed(9))
    return shares @ mix + noise * torch.randn(*shares.shape[:2], 5, generator=generator)


def slow_iou(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    values = []
    for kind in range(CLASSES):
        one, other = predicted == kind, truth == kind
        if (one | other).any():
            values.append(float((one & other).sum() / (one | other).sum()))
    return sum(values) / len(values)


def test_shares_by_brute_force():
    labels = scenes(3)
    shares = dense.patch_shares(labels, PATCH, classes=CLASSES)
    assert shares.shape == (3, 16, CLASSES)
    for i in range(3):
        for token in range(16):
            row, column = 2 * (token // 4), 2 * (token % 4)
            cell = labels[i, row : row + 2, column : column + 2]
            assert shares[i, token].tolist() == [float((cell == kind).float().mean()) for kind in range(CLASSES)]


def test_iou_by_brute_force():
    predicted, truth = scenes(6, seed=1), scenes(6, seed=2)
    predicted[0], truth[0] = 0, 0  # one class alone
    got = dense.mean_iou(predicted, truth, classes=CLASSES)
    assert got.dtype == torch.float64
    assert got.tolist() == pytest.approx([slow_iou(*pair) for pair in zip(predicted, truth, strict=True)])
    assert got[0] == 1
    assert torch.equal(dense.mean_iou(truth, truth, classes=CLASSES), torch.ones(6, dtype=torch.float64))
    swapped = dense.mean_iou(truth, predicted, classes=CLASSES)
    assert torch.allclose(swapped, got), "truth and prediction play the same part"
    assert dense.mean_iou(torch.ones_like(truth[:1]), truth[:1], classes=CLASSES) == 0


def test_painting_fills_the_patch():
    shares = dense.patch_shares(scenes(3), PATCH, classes=CLASSES)
    whole = dense.painted(shares.argmax(dim=2), PATCH, size=(SIDE, SIDE))
    again = dense.patch_shares(whole, PATCH, classes=CLASSES)
    assert torch.equal(again.argmax(dim=2), shares.argmax(dim=2))
    assert again.amax(dim=2).eq(1).all()


@pytest.mark.parametrize("shares", [True, False])
def test_tokens_that_hold_the_answer_reach_the_ceiling(shares):
    train, test = scenes(40), scenes(15, seed=1)
    found = dense.segment(told(train), train, told(test), test, patch=PATCH, shares=shares, penalty=1e-6)
    assert found.token_accuracy.shape == found.iou.shape == found.ceiling.shape == (15,)
    assert found.predicted.shape == (15, 16)
    assert found.token_accuracy.mean() > 0.97
    assert found.iou.mean() > found.ceiling.mean() - 0.02
    assert 0.5 < found.ceiling.mean() < 1, "edges cut through patches"
    assert ("shares" if shares else "majority") in found.protocol


def test_noise_finds_the_background():
    train, test = scenes(40), scenes(15, seed=1)
    noise = [torch.randn(n, 16, 5, generator=torch.Generator().manual_seed(n)) for n in (40, 15)]
    found = dense.segment(noise[0], train, noise[1], test, patch=PATCH)
    assert found.predicted.eq(0).float().mean() > 0.9
    assert found.iou.mean() < 0.35


def test_one_image_has_one_value_of_its_own():
    train, test = scenes(30), scenes(6, seed=1)
    tokens, asked = told(train, noise=0.5), told(test, noise=0.5, seed=1)
    whole = dense.segment(tokens, train, asked, test, patch=PATCH)
    part = dense.segment(tokens, train, asked[2:4], test[2:4], patch=PATCH)
    assert torch.equal(whole.iou[2:4], part.iou)
    assert torch.equal(whole.token_accuracy[2:4], part.token_accuracy)
    scaled = dense.segment(3 * tokens - 1, train, 3 * asked - 1, test, patch=PATCH)
    assert torch.equal(scaled.predicted, whole.predicted)
    other = dense.segment(tokens, train, told(test, noise=0.5, seed=2), test, patch=PATCH)
    assert not torch.equal(other.predicted, whole.predicted)
    truth = dense.painted(whole.predicted, PATCH, size=(SIDE, SIDE))
    assert torch.equal(dense.mean_iou(truth, test, classes=CLASSES), whole.iou)


def test_a_tie_between_classes_is_right_either_way():
    labels = torch.zeros(4, 2, 2, dtype=torch.int64)
    labels[:, :, 1] = 1
    tokens = torch.zeros(4, 1, 2)
    assert dense.segment(tokens, labels, tokens, labels, patch=2).token_accuracy.tolist() == [1] * 4


def test_shares_mean_rows_in_those_shares():
    """A row with shares one quarter and three quarters is four rows of which three have the second class."""
    generator = torch.Generator().manual_seed(0)
    x, test = (torch.randn(n, 4, generator=generator) for n in (30, 10))
    second = torch.randint(0, 5, (30,), generator=generator)  # of four
    shares = torch.stack([4 - second, second], dim=1) / 4.0
    rows, labels = x.repeat_interleave(4, 0), torch.cat([torch.arange(4) < k for k in second]).long()
    ours = probes.logistic(x, shares, test, classes=2)
    assert torch.allclose(ours, probes.logistic(rows, labels, test, classes=2), atol=1e-4)  # where L-BFGS stops


def test_errors():
    labels, tokens = scenes(4), told(scenes(4))
    with pytest.raises(ValueError, match="one token for every 4 x 4 px"):
        dense.segment(tokens, labels, tokens, labels, patch=4)
    with pytest.raises(ValueError, match="test_tokens must be"):
        dense.segment(tokens, labels, tokens[..., :2], labels, patch=PATCH)
    with pytest.raises(ValueError, match="encode_tokens"):
        dense.segment(tokens.mean(dim=1), labels, tokens, labels, patch=PATCH)
    with pytest.raises(ValueError, match="one of their own"):
        dense.segment(tokens, labels - 1, tokens, labels, patch=PATCH)
    with pytest.raises(ValueError, match=r"got \[5\] besides"):
        dense.segment(tokens, labels, tokens, torch.full_like(labels, 5), patch=PATCH)
