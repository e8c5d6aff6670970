"""Cell features: closed forms on ramps, loops on small films, locality."""

from __future__ import annotations

import pytest
import torch

from lib.models.cell_features import CHUNK, cell_features


def test_a_ramp_has_one_edge_value():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16) / 16  # rises to the right by 1/16 a pixel
    edges = cell_features(ramp, grid=8)[0, 64:].view(4, 4, 4)  # down+, down-, right+, right-
    assert not edges[[0, 1, 3]].any()
    assert torch.allclose(edges[2][:, :3], torch.tensor(1 / 16))
    assert torch.allclose(edges[2][:, 3], torch.tensor(3 / 64))  # the last column has no neighbour


def test_against_loops():
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = cell_features(x, grid=4)
    assert found.shape == (2, 32)
    for film, row in zip(x[:, 0], found, strict=True):
        cells = [film[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for i in range(4) for j in range(4)]
        assert torch.allclose(row[:16], torch.stack(cells))
        fall = torch.zeros(8, 8)
        for i in range(7):
            fall[i] = (film[i] - film[i + 1]).clamp_min(0)
        coarse = [fall[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean() for i in range(2) for j in range(2)]
        assert torch.allclose(row[20:24], torch.stack(coarse))


def test_grey_level_moves_the_means_only():
    x = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    one, other = cell_features(x, grid=4), cell_features(x + 0.25, grid=4)
    assert torch.allclose(other[:, :16] - one[:, :16], torch.tensor(0.25), atol=1e-6)
    assert torch.allclose(other[:, 16:], one[:, 16:], atol=1e-6)


def test_rows_do_not_know_each_other():
    x = torch.rand(CHUNK + 3, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    assert torch.equal(cell_features(x, grid=4)[-2:], cell_features(x[-2:], grid=4))
    assert cell_features(x[:0], grid=4).shape == (0, 32)


def test_errors():
    with pytest.raises(ValueError, match="grid must be an even number"):
        cell_features(torch.zeros(1, 1, 8, 8), grid=3)
    with pytest.raises(ValueError, match="x must be"):
        cell_features(torch.zeros(1, 3, 8, 8), grid=4)
