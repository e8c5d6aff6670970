"""Hard-patch masks: what is certain, what is random, and the schedules."""

import functools

import pytest
import torch

from lib import masks
from lib.masks import describe


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def predictions(n=64, tokens=49):
    return torch.randn(n, tokens, generator=seeded(7))


RULES = {
    "half": functools.partial(masks.hard_patches, alpha=0.5, generator=seeded()),
    "hardest": masks.hardest_patches,
    "easiest": masks.easiest_patches,
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 0.9])
def test_exact_count_and_distinct_per_image(rule, ratio):
    mask = rule(predictions(), ratio=ratio)
    assert mask.dtype == torch.bool and mask.shape == (64, 49)
    assert (mask.sum(1) == round(ratio * 49)).all()
    assert describe.distinct(mask) == 64


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_the_hardest_are_all_hidden_and_the_rest_is_random(alpha):
    predicted = predictions(1).expand(4000, 49)
    mask = masks.hard_patches(predicted, ratio=0.5, alpha=alpha, generator=seeded())
    count = round(0.5 * 49)
    certain = int(alpha * count)
    order = predicted[0].argsort(descending=True)
    assert mask[:, order[:certain]].all()
    share = describe.coverage(mask)[order[certain:]]
    expected = (count - certain) / (49 - certain)
    assert (share - expected).abs().max() < 4 * 0.008  # 4000 masks: standard error at most .008


def test_all_of_the_mask_from_the_prediction_is_the_hardest():
    predicted = predictions()
    all_hard = masks.hard_patches(predicted, ratio=0.6, alpha=1.0, generator=seeded())
    assert torch.equal(all_hard, masks.hardest_patches(predicted, ratio=0.6))
    assert torch.equal(masks.easiest_patches(predicted, ratio=0.6), masks.hardest_patches(-predicted, ratio=0.6))


def test_only_the_order_of_the_prediction_counts():
    predicted = predictions()
    first = masks.hard_patches(predicted, ratio=0.75, alpha=0.5, generator=seeded())
    assert torch.equal(first, masks.hard_patches(predicted.exp(), ratio=0.75, alpha=0.5, generator=seeded()))


def test_seed():
    call = functools.partial(masks.hard_patches, predictions(), ratio=0.75, alpha=0.5)
    assert torch.equal(call(generator=seeded(1)), call(generator=seeded(1)))
    assert not torch.equal(call(generator=seeded(1)), call(generator=seeded(2)))


def test_half_precision_predictions_are_taken():
    mask = masks.hard_patches(predictions().bfloat16(), ratio=0.75, alpha=0.5, generator=seeded())
    assert (mask.sum(1) == round(0.75 * 49)).all()


def test_schedules():
    rising = [masks.easy_to_hard(epoch, epochs=200) for epoch in range(200)]
    assert rising[0] == pytest.approx(0.0025) and rising[-1] == 0.5
    assert rising == sorted(rising)
    falling = [masks.hard_to_easy(epoch, epochs=200) for epoch in range(200)]
    assert falling == pytest.approx(rising[::-1], abs=1e-12)
    assert masks.easy_to_hard(4, epochs=10, start=0.2, end=0.4) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: masks.hard_patches(p, ratio=75, alpha=0.5, generator=seeded()), ValueError, "use 0.75"),
        (
            lambda p: masks.hard_patches(p, ratio=0.5, alpha=50, generator=seeded()),
            ValueError,
            r"alpha must be in \[0, 1\], got 50",
        ),
        (lambda p: masks.hard_patches(p, ratio=0.5, alpha=0.5, generator=0), TypeError, "generator must be a torch"),
        (lambda p: masks.hardest_patches(p[0], ratio=0.5), ValueError, r"predicted must have shape \(n, tokens\)"),
        (lambda p: masks.easiest_patches(p.long(), ratio=0.5), TypeError, "predicted must be floating point"),
        (lambda p: masks.hardest_patches(p / 0, ratio=0.5), ValueError, "predicted must be finite"),
        (lambda p: masks.easy_to_hard(10, epochs=10), ValueError, r"epoch must be in \[0, 10\), got 10"),
        (lambda p: masks.easy_to_hard(1, epochs=10, end=50), ValueError, r"end must be in \[0, 1\], got 50"),
    ],
)
def test_errors_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call(predictions())
