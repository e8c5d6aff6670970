"""The contract every sampler keeps, tested for all of them, and the helpers that state it."""

import functools

import pytest
import torch

from lib import masks
from lib.masks import contract

PATTERNS = masks.bank(64, 32, colour=masks.green_filter(), generator=torch.Generator().manual_seed(9))
BANKED = tuple(functools.partial(sampler, patterns=PATTERNS) for sampler in (masks.from_bank, masks.from_bank_shared))
SAMPLERS = (*masks.SAMPLERS, *BANKED)
NAMES = [sampler.__name__ for sampler in masks.SAMPLERS] + ["from_bank", "from_bank_shared"]
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=NAMES)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@every_sampler
@pytest.mark.parametrize("grid", [14, 7, (5, 9)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 0.9])
def test_exact_count_shape_type_and_device(sampler, grid, ratio):
    mask = sampler(33, grid, ratio=ratio, generator=seeded())
    tokens = grid**2 if isinstance(grid, int) else grid[0] * grid[1]
    assert mask.shape == (33, tokens)
    assert mask.dtype == torch.bool
    assert mask.device == seeded().device
    assert (mask.sum(1) == round(ratio * tokens)).all()


@every_sampler
def test_same_seed_same_masks_other_seed_other_masks(sampler):
    first = sampler(16, 14, ratio=0.75, generator=seeded(1))
    assert torch.equal(first, sampler(16, 14, ratio=0.75, generator=seeded(1)))
    assert not torch.equal(first, sampler(16, 14, ratio=0.75, generator=seeded(2)))


@every_sampler
def test_a_generator_moves_on_between_batches(sampler):
    generator = seeded()
    first = sampler(16, 14, ratio=0.75, generator=generator)
    assert not torch.equal(first, sampler(16, 14, ratio=0.75, generator=generator))


@every_sampler
def test_different_images_get_different_masks(sampler):
    mask = sampler(48, 14, ratio=0.75, generator=seeded())
    expected = 4 if sampler is masks.grid else 48  # a lattice of period two has four phases and no more
    assert masks.describe.distinct(mask) == expected


@every_sampler
def test_no_global_randomness_is_touched(sampler):
    state = torch.get_rng_state()
    sampler(4, 7, ratio=0.5, generator=seeded())
    assert torch.equal(state, torch.get_rng_state())


@every_sampler
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 75}, r"ratio must be in \(0, 1\), got 75; the paper writes percent, use 0.75"),
        ({"ratio": 0.0}, r"ratio must be in \(0, 1\), got 0"),
        ({"ratio": 1.0}, r"ratio must be in \(0, 1\), got 1;"),
        ({"ratio": float("nan")}, r"ratio must be in \(0, 1\), got nan"),
        ({"ratio": 0.001}, r"hides 0 of 196; use a ratio between 0.0051 and 0.995"),
        ({"grid": 0}, "grid must be a positive int"),
        ({"grid": (14, 14, 3)}, "pair"),
        ({"n": 0}, "n must be at least 1, got 0"),
    ],
)
def test_errors_say_what_to_do(sampler, arguments, message):
    call = {"n": 4, "grid": 14, "ratio": 0.75} | arguments
    with pytest.raises(ValueError, match=message):
        sampler(call["n"], call["grid"], ratio=call["ratio"], generator=seeded())


@every_sampler
def test_a_seed_is_not_a_generator(sampler):
    with pytest.raises(TypeError, match="generator must be a torch.Generator, got int"):
        sampler(4, 14, ratio=0.75, generator=0)


def test_hide_highest_takes_the_highest_and_keeps_the_count_under_ties():
    scores = torch.tensor([[0.0, 3.0, 1.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    mask = masks.hide_highest(scores, ratio=0.5)
    assert mask[0].tolist() == [False, True, False, True]
    assert mask.sum(1).tolist() == [2, 2]
    with pytest.raises(ValueError, match=r"scores must have shape \(n, tokens\), got \(4,\)"):
        masks.hide_highest(scores[0], ratio=0.5)


def test_hide_highest_ignores_positive_scaling():
    scores = torch.randn(8, 49, generator=seeded())
    assert torch.equal(masks.hide_highest(scores, ratio=0.6), masks.hide_highest(3.5 * scores, ratio=0.6))


def by_indices(scores, ratio):
    """What hide_highest gave before it looked for the threshold: the mask of the indices torch sorts out."""
    chosen = scores.topk(contract.hidden_count(scores.shape[1], ratio=ratio), dim=1, sorted=False).indices
    return torch.zeros(scores.shape, dtype=torch.bool).scatter_(1, chosen, True)


def awkward_scores():
    """Scores of every kind: smooth, tied at the threshold and elsewhere, constant, infinite, NaN, strided, integer."""
    smooth = torch.randn(40, 49, generator=seeded())
    some = torch.rand(smooth.shape, generator=seeded(1)) < 0.1
    one = smooth.clone()
    one[3, 7] = torch.nan
    return {
        "smooth": smooth, "float64": smooth.double(), "bfloat16": smooth.bfloat16(), "float16": smooth.half(),
        "int64": (1e6 * smooth).long(), "ties": (3 * smooth).round(), "one tie": torch.cat([smooth, smooth.round()]),
        "constant": torch.ones(5, 49), "zeros of both signs": torch.zeros(4, 49) * smooth[:4].sign(),
        "infinite": smooth.masked_fill(some, torch.inf), "minus infinite": smooth.masked_fill(some, -torch.inf),
        "NaN": smooth.masked_fill(some, torch.nan), "one NaN": one, "only NaN": torch.full((3, 49), torch.nan),
        "transposed": smooth.T, "every other": smooth[::2, ::3], "expanded": smooth[:1].expand(6, -1),
        "conjugate": torch.complex(smooth, smooth).conj().imag, "no rows": smooth[:0], "one row": smooth[:1],
        "two tokens": smooth[:, :2],
    }  # fmt: skip


@pytest.mark.parametrize("kind", awkward_scores())
@pytest.mark.parametrize("ratio", [0.02, 0.03, 0.5, 0.75, 0.97, 0.98])
def test_hide_highest_gives_the_mask_of_the_sorted_indices(kind, ratio):
    scores = awkward_scores()[kind]
    count = round(ratio * scores.shape[1])
    if not 0 < count < scores.shape[1]:
        with pytest.raises(ValueError, match="ratio must hide some tokens"):
            masks.hide_highest(scores, ratio=ratio)
        return
    before = scores.clone()
    mask = masks.hide_highest(scores, ratio=ratio)
    assert torch.equal(mask, by_indices(scores, ratio))
    assert mask.is_contiguous() and mask.dtype == torch.bool and (mask.sum(1) == count).all()
    torch.testing.assert_close(scores, before, rtol=0, atol=0, equal_nan=True)


def test_hide_highest_counts_nan_as_highest():
    scores = torch.tensor([[0.0, torch.nan, 2.0, 1.0], [0.0, 1.0, 1.0, torch.nan]])  # and beside a tie
    mask = masks.hide_highest(scores, ratio=0.5)
    assert mask[0].tolist() == [False, True, True, False]
    assert mask[1, 3] and torch.equal(mask, by_indices(scores, 0.5))


@pytest.mark.parametrize("tokens", [2, 3, 5])
def test_hide_highest_on_all_small_rows(tokens):
    """Every row of few values, NaN and infinities among them, alone and all in one call."""
    values = torch.tensor([-torch.inf, -1.0, -0.0, 0.0, 2.0, torch.inf, torch.nan])
    scores = torch.cartesian_prod(*[values[: 7 if tokens < 5 else 5]] * tokens)
    scores = torch.cat([scores, scores.flip(1).roll(1, 1), scores.nan_to_num(torch.nan, torch.nan, 7.0)])
    for ratio in (0.4, 0.5, 0.6):
        assert torch.equal(masks.hide_highest(scores, ratio=ratio), by_indices(scores, ratio))
        for row in scores[::7]:
            assert torch.equal(masks.hide_highest(row[None], ratio=ratio), by_indices(row[None], ratio))


def test_hide_highest_takes_scores_with_a_gradient():
    scores = torch.randn(3, 16, generator=seeded(), requires_grad=True)
    assert torch.equal(masks.hide_highest(scores, ratio=0.5), by_indices(scores, 0.5))


def test_hidden_count_follows_python_rounding():
    assert [contract.hidden_count(10, ratio=r) for r in (0.24, 0.25, 0.26, 0.35)] == [2, 2, 3, 4]


def test_grid_size_reads_both_forms():
    assert contract.grid_size(3) == (3, 3)
    assert contract.grid_size((2, 5)) == (2, 5)


def test_every_name_handed_on_exists():
    assert len(set(masks.__all__)) == len(masks.__all__)
    assert [name for name in masks.__all__ if not hasattr(masks, name)] == []
