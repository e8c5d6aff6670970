"""First picks of both schedules, how often they repeat, and where they stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lib.measure.first_picks import first_picks, repeats, standing


def test_standing_of_blind_picks_is_one_half_on_average() -> None:
    rng = np.random.default_rng(0)
    strength = rng.random(21).round(1)  # with ties
    strength[3] = np.nan
    assert standing(strength, np.arange(21)).mean() == pytest.approx(0.5)
    assert standing(strength, np.array([3]))[0] == 0.0


def test_repeats_of_equally_likely_picks_are_one_in_d() -> None:
    picks = np.random.default_rng(1).integers(0, 8, size=(4_000, 6))
    assert np.mean([repeats(row)["agreement"] for row in picks]) == pytest.approx(1 / 8, abs=0.01)  # 5 errors


def test_extremes() -> None:
    assert repeats(np.array([4, 4, 4])) == {"agreement": 1.0, "entropy": 0.0, "different": 1}
    apart = repeats(np.arange(8))
    assert apart["agreement"] == 0 and apart["entropy"] == pytest.approx(3.0)


def test_one_pick_is_refused() -> None:
    with pytest.raises(ValueError, match="picks must hold at least two"):
        repeats(np.array([1]))


def test_training_does_not_change_the_first_pick_of_the_reference() -> None:
    options: dict[str, Any] = {"dataset": "digits-table-twin", "first_seed": 0, "n_seeds": 3}
    short = first_picks(**options, pick_epochs=1, warmup_epochs=0)
    long = first_picks(**options, pick_epochs=2, warmup_epochs=3)
    assert short["strength"].shape == (64,) and short["corrected"].shape == (3,)
    assert len(set(short["reference"].tolist())) == 3
    assert long["reference"].tolist() == short["reference"].tolist()
