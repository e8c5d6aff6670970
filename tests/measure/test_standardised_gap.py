"""Placements against pairs, the split of a gap against its definition, and cases with a known answer."""

import itertools
import math

import numpy as np
import pytest

from lib.measure.fairness import auc
from lib.measure.standardised_gap import gap_parts, placements


def rows(seed=0, n=60):
    rng = np.random.default_rng(seed)
    group, stratum = rng.choice(["F", "M"], n), rng.integers(0, 2, n)
    return rng.random(n), group, stratum


def test_placements_are_pairs_with_ties_counted_half():
    rng = np.random.default_rng(0)
    positives, negatives = (rng.integers(0, 5, n).astype(float) for n in (7, 9))
    pairs = [np.mean([(p > n) + 0.5 * (p == n) for n in negatives]) for p in positives]
    np.testing.assert_allclose(placements(positives, negatives), pairs)
    label = np.repeat([1, 0], [7, 9])
    assert placements(positives, negatives).mean() == pytest.approx(auc(np.r_[positives, negatives], label))


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_by_definition(seed):
    value, group, stratum = rows(seed)
    cell = {(g, s): value[(group == g) & (stratum == s)] for g, s in itertools.product("FM", (0, 1))}
    count = {g: sum(len(cell[g, s]) for s in (0, 1)) for g in "FM"}
    share = {key: len(part) / count[key[0]] for key, part in cell.items()}
    within = sum((share["M", s] + share["F", s]) / 2 * (cell["M", s].mean() - cell["F", s].mean()) for s in (0, 1))
    mix = sum((share["M", s] - share["F", s]) * (cell["M", s].mean() + cell["F", s].mean()) / 2 for s in (0, 1))
    found = gap_parts(value, group, stratum, first="M", second="F", minimum=1)
    assert (found.within, found.mix) == pytest.approx((within, mix))
    assert found.raw == pytest.approx(within + mix)


def test_a_pure_mix_and_a_pure_gap():
    stratum, group = np.array([1] * 9 + [0] * 1 + [1] * 3 + [0] * 7), np.repeat(["M", "F"], 10)
    mixed = gap_parts(np.where(stratum == 1, 0.9, 0.6), group, stratum, first="M", second="F", minimum=1)
    assert (mixed.raw, mixed.within) == pytest.approx((0.18, 0.0))
    apart = gap_parts(np.where(group == "M", 0.9, 0.8), group, stratum, first="M", second="F", minimum=1)
    assert (apart.raw, apart.within) == pytest.approx((0.1, 0.1))


def test_exchanging_the_groups_turns_the_signs():
    value, group, stratum = rows()
    one, two = (gap_parts(value, group, stratum, first=a, second=b, minimum=1) for a, b in (("M", "F"), ("F", "M")))
    assert (one.raw, one.within, one.mix) == pytest.approx((-two.raw, -two.within, -two.mix))


def test_small_cells_give_nan_and_not_zero():
    value, group, stratum = rows(n=100)
    stratum[:] = 0
    stratum[np.flatnonzero(group == "F")[:3]] = 1
    found = gap_parts(value, group, stratum, first="M", second="F")
    assert math.isfinite(found.raw) and math.isnan(found.within) and math.isnan(found.mix)
    assert math.isnan(gap_parts(value[:20], group[:20], stratum[:20], first="M", second="F").raw)


def test_errors_say_what_is_wrong():
    value, group, stratum = rows()
    with pytest.raises(ValueError, match="group 'X' has no rows"):
        gap_parts(value, group, stratum, first="X", second="F")
    with pytest.raises(ValueError, match="one entry per positive"):
        gap_parts(value, group[:3], stratum, first="M", second="F")
    with pytest.raises(ValueError, match="add patients without the finding"):
        placements([0.5], [])
