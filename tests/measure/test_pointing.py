"""Pointing game and energy: by hand, under ties, at a distance, and against what chance would score."""

from __future__ import annotations

import pytest
import torch

from lib.measure.pointing import Protocol, box_regions, energy_inside, pointing_game, widened

BOX = box_regions(torch.tensor([[2.0, 1.0, 5.0, 3.0]]), (6, 8))  # columns 2 to 4, rows 1 and 2


def peak(row: int, column: int) -> torch.Tensor:
    maps = torch.rand(1, 6, 8, generator=torch.Generator().manual_seed(0))
    maps[0, row, column] = 2.0
    return maps


def test_every_place_of_the_peak():
    for row in range(6):
        for column in range(8):
            inside = 1 <= row <= 2 and 2 <= column <= 4
            assert float(pointing_game(peak(row, column), BOX).value) == inside
            distance = max(0, 1 - row, row - 2) ** 2 + max(0, 2 - column, column - 4) ** 2
            for reach in (1.0, 1.5, 2.0):
                found = pointing_game(peak(row, column), BOX, protocol=Protocol(tolerance_px=reach))
                assert float(found.value) == (distance <= reach**2)
    assert int(widened(BOX, tolerance_px=0.9).sum()) == 6


def test_ties_score_their_share_and_a_constant_map_scores_chance():
    maps = torch.zeros(1, 6, 8)
    maps[0, 1, 2] = maps[0, 5, 5] = maps[0, 2, 4] = maps[0, 0, 0] = 1.0
    assert float(pointing_game(maps, BOX).value) == 0.5
    for measure in (pointing_game, energy_inside):
        for constant in (0.0, 3.0):
            found = measure(torch.full((1, 6, 8), constant), BOX)
            assert float(found.value) == pytest.approx(float(found.chance)) == pytest.approx(6 / 48)


def test_energy_by_hand():
    maps = torch.full((1, 6, 8), -1.0)
    maps[0, 1, 2], maps[0, 0, 0] = 3.0, 1.0
    assert float(energy_inside(maps, BOX).value) == pytest.approx(0.75)
    lifted = energy_inside(maps, BOX, protocol=Protocol(floor="minimum"))
    assert float(lifted.value) == pytest.approx(4 / 6)
    shifted = energy_inside(maps + 10, BOX, protocol=Protocol(floor="minimum"))
    assert float(shifted.value) == pytest.approx(4 / 6)  # only differences count


def test_one_value_per_image_with_its_own_region():
    maps = torch.cat([peak(1, 3), peak(1, 3)])
    regions = torch.cat([BOX, ~BOX])
    assert pointing_game(maps, regions).value.tolist() == [1.0, 0.0]
    assert float(energy_inside(maps, regions).value.sum()) == pytest.approx(1.0)
    assert pointing_game(maps, regions).chance.tolist() == pytest.approx([6 / 48, 42 / 48])


def test_errors():
    for regions, message in (
        (BOX.float(), "regions must be bool"),
        (BOX[:, :5], "regions must be bool"),
        (torch.zeros_like(BOX), "regions must hold a pixel in every image"),
    ):
        with pytest.raises(ValueError, match=message):
            pointing_game(peak(1, 1), regions)
    with pytest.raises(ValueError, match="maps must be finite"):
        energy_inside(peak(1, 1).log() * float("nan"), BOX)
    with pytest.raises(ValueError, match="tolerance_px must be at least 0"):
        Protocol(tolerance_px=-1)
    with pytest.raises(ValueError, match="floor must be"):
        Protocol(floor="median")
