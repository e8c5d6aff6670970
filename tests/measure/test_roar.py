"""ROAR: exact counts, ties, and a planted signal that only the right map removes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lib.measure import roar
from lib.measure.classifiers import Training, train_network
from lib.measure.roar import Split


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def planted(n: int, seed: int, *, right: bool) -> Split:
    """Noise images whose label is the sign of one bright corner; the map marks that corner or the opposite one."""
    images = torch.rand(n, 1, 6, 6, generator=generator(seed))
    labels = torch.arange(n) % 2
    images[:, 0, :2, :2] = labels[:, None, None].float()
    maps = torch.zeros(n, 6, 6)
    maps[:, :2, :2] = 1.0 if right else 0.0
    maps[:, 4:, 4:] += 0.5
    return Split(images, labels, maps)


def tiny() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 2))


TRAINING = Training(tiny, epochs=8, batch_size=32, lr=0.05)


def test_removes_exactly_the_top_share_by_the_mean():
    images, maps = torch.rand(3, 2, 4, 4), torch.rand(3, 4, 4)
    fill = torch.tensor([5.0, 6.0])
    cut = roar.remove_top(images, maps, fraction=0.25, fill=fill, generator=generator())
    top = maps.flatten(1).topk(4).indices
    for image, whole, chosen in zip(cut.flatten(2), images.flatten(2), top, strict=True):
        gone = torch.zeros(16, dtype=torch.bool)
        gone[chosen] = True
        assert (image[0, gone] == 5).all()
        assert (image[1, gone] == 6).all()
        assert torch.equal(image[:, ~gone], whole[:, ~gone])


def test_ends_and_ties():
    images, flat = torch.rand(2, 1, 8, 8), torch.zeros(2, 8, 8)
    fill = torch.tensor([-1.0])
    assert torch.equal(roar.remove_top(images, flat, fraction=0.0, fill=fill, generator=generator()), images)
    assert (roar.remove_top(images, flat, fraction=1.0, fill=fill, generator=generator()) == -1).all()
    first, again, other = (
        roar.remove_top(images, flat, fraction=0.5, fill=fill, generator=generator(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0] == -1, first[1] == -1)
    assert ((first == -1).sum((1, 2, 3)) == 32).all()


def test_only_the_right_map_costs_accuracy():
    def run(right: bool) -> roar.Roar:
        train, test = (planted(n, seed, right=right) for n, seed in ((200, 0), (100, 1)))
        return roar.remove_and_retrain(train, test, fractions=(0.0, 4 / 36), training=TRAINING, seed=0)

    good, bad = run(True), run(False)
    assert good.correct.shape == (2, 100)
    assert good.correct.dtype == torch.bool
    assert torch.equal(good.correct[0], bad.correct[0])  # nothing removed, same seed: the same network
    assert bad.accuracy[1] > 95
    assert good.accuracy[1] < 70  # chance is 50, the standard error of 100 images is 5
    assert roar.area_between(bad, good) == pytest.approx(float(bad.accuracy[1] - good.accuracy[1]) / 2)
    assert roar.area_between(good, good) == 0


def test_area_of_one_fraction_is_the_difference_and_pairs_must_match():
    hits = torch.tensor([[True, True, False, False]])
    one = roar.Roar((0.5,), hits, TRAINING, 0)
    assert roar.area_between(roar.Roar((0.5,), hits | True, TRAINING, 0), one) == 50
    with pytest.raises(ValueError, match="measure both in one loop"):
        roar.area_between(one, replace(one, seed=1))


def test_seed_decides_first_weights_and_leaves_the_global_stream():
    split = planted(64, 0, right=True)

    def weights(seed: int) -> Tensor:
        model = train_network(split.images, split.labels, training=TRAINING, seed=seed)
        assert not model.training
        return next(model.parameters()).detach()

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
    assert torch.equal(torch.rand(1), expected)


def test_errors_say_what_to_do():
    split = planted(8, 0, right=True)
    with pytest.raises(ValueError, match="half of the pixels is 0.5"):
        roar.remove_top(split.images, split.maps, fraction=50, fill=torch.zeros(1), generator=generator())
    with pytest.raises(ValueError, match="merge the channels of the maps"):
        roar.remove_top(split.images, split.images, fraction=0.5, fill=torch.zeros(1), generator=generator())
    with pytest.raises(ValueError, match="fractions must ascend"):
        roar.remove_and_retrain(split, split, fractions=(0.5, 0.3), training=TRAINING, seed=0)
