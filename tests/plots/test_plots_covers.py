"""What is hidden is blue, and nothing else is changed; a frame is drawn around pictures only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from lib import plots


@pytest.mark.parametrize("channels", [1, 3])
def test_tokens_and_pixels_cover_the_same(channels):
    pictures = torch.rand(2, channels, 6, 4, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([[True, False, False, False, False, True], [False] * 6])
    pixels = torch.zeros(2, 6, 4, dtype=torch.bool)
    pixels[0, :2, :2] = pixels[0, 4:, 2:] = True
    drawn = plots.covered(pictures, tokens)
    assert torch.equal(drawn, plots.covered(pictures, pixels))
    assert torch.equal(drawn[1], pictures[1].expand(3, -1, -1))
    assert drawn[0, :, 0, 0].tolist() == pytest.approx(to_rgb(plots.PALETTE[0]))
    assert torch.equal(drawn[0, :, 2:4], pictures[0].expand(3, -1, -1)[:, 2:4])


def test_tokens_that_are_no_squares_are_refused():
    with pytest.raises(ValueError, match="hidden must have one token for each square patch of 6 x 4 pixels, got 5"):
        plots.covered(torch.zeros(1, 1, 6, 4), torch.zeros(1, 5, dtype=torch.bool))


def test_pictures_are_framed_and_empty_places_are_not():
    sheet = plots.framed(plots.images(np.zeros((3, 4, 4)), columns=2))
    assert [ax.axison for ax in sheet.axes] == [True, True, True, False]
    assert all(spine.get_visible() for ax in sheet.axes[:3] for spine in ax.spines.values())
    assert not any(len(ax.get_xticks()) for ax in sheet.axes[:3])
