"""Distinctness: its definition by loops, repetition is not salient, an odd patch is."""

import pytest
import torch
from torch.nn import functional

from lib.masks import distinct


def by_loops(image, *, patch, neighbours, reach, stride):
    framed, side = functional.pad(image[None], (reach,) * 4, mode="reflect")[0], patch + 2 * reach
    height, width = image.shape[1:]

    def window(row, column):
        return framed[:, row : row + side, column : column + side]

    found = []
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            apart = [
                (window(top, left) - window(row, column)).square().mean().sqrt()
                for row in range(0, height - patch + 1, stride)
                for column in range(0, width - patch + 1, stride)
                if abs(row - top) >= patch or abs(column - left) >= patch
            ]
            found.append(torch.stack(apart).sort().values[:neighbours].mean())
    return torch.stack(found)


@pytest.mark.parametrize(("patch", "reach", "stride"), [(4, 2, 2), (2, 0, 1), (4, 1, 4)])
def test_by_loops(patch, reach, stride):
    images = torch.rand(2, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    found = distinct.distinctness(images, patch=patch, neighbours=3, reach=reach, stride=stride)
    expected = torch.stack([by_loops(image, patch=patch, neighbours=3, reach=reach, stride=stride) for image in images])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_what_repeats_is_not_salient_and_what_does_not_is():
    row = torch.arange(32).remainder(8).float() / 8
    images = (row[:, None] * row[None]).expand(1, 1, 32, 32).clone()
    assert distinct.distinctness(images, patch=4, reach=0).max() < 1e-3
    images[:, :, 12:16, 20:24] += 0.5
    assert distinct.distinctness(images, patch=4).argmax(dim=1).tolist() == [3 * 8 + 5]


def test_errors():
    with pytest.raises(ValueError, match="multiples of patch"):
        distinct.distinctness(torch.zeros(1, 1, 30, 32), patch=4)
    with pytest.raises(ValueError, match="neighbours must be at most"):
        distinct.distinctness(torch.zeros(1, 1, 8, 8), patch=4, neighbours=50)
