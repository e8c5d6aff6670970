"""The filters are biorthogonal, the transform is the textbook sum and can be undone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lib.models import wavelet
from lib.models.wavelet import COARSE, COARSE_BACK, FINE, FINE_BACK, FineBandCNN, inverse, transform


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_known_coefficients():
    assert pytest.approx(0.08838834764831845) == wavelet.SMALL  # as tabulated for bior1.3
    assert pytest.approx(0.7071067811865476) == wavelet.LARGE
    for filter in (COARSE, COARSE_BACK):
        assert sum(filter) == pytest.approx(math.sqrt(2))
    assert sum(FINE) == pytest.approx(0)  # one vanishing moment before, three behind
    for power in range(3):
        assert sum(tap * place**power for place, tap in enumerate(FINE_BACK)) == pytest.approx(0)
    assert sum(tap * place for place, tap in enumerate(FINE)) != pytest.approx(0)


@pytest.mark.parametrize(("first", "second", "one"), [
    (COARSE, COARSE_BACK, 1), (FINE, FINE_BACK, 1), (COARSE, FINE_BACK, 0), (FINE, COARSE_BACK, 0),
])  # fmt: skip
def test_biorthogonal(first, second, one):
    """An analysis filter reversed is the dual of the synthesis filter, at all even shifts."""
    for shift in range(-4, 5, 2):
        total = sum(first[::-1][k] * second[k - shift] for k in range(6) if 0 <= k - shift < 6)
        assert total == pytest.approx(one if shift == 0 else 0, abs=1e-12)


def by_hand(line: np.ndarray, taps: tuple[float, ...]) -> list[float]:
    padded = np.pad(line, 6, mode="symmetric")
    return [sum(taps[j] * padded[6 + 2 * k + 1 - j] for j in range(6)) for k in range((len(line) + 5) // 2)]


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (6, 9)])
def test_transform_is_the_sum_over_rows_and_columns(size):
    x = images(1, 1, *size)[0, 0].numpy()
    found = transform(torch.from_numpy(x)[None, None])
    names = {"coarse": (COARSE, COARSE), "across": (FINE, COARSE), "down": (COARSE, FINE), "diagonal": (FINE, FINE)}
    for name, (along_row, along_column) in names.items():
        rows = np.array([by_hand(row, along_row) for row in x])
        expected = np.array([by_hand(column, along_column) for column in rows.T]).T
        np.testing.assert_allclose(found[name][0, 0].numpy(), expected, atol=1e-7)  # the taps are float32 once


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (7, 11), (6, 6)])
def test_perfect_reconstruction(size):
    x = images(2, 3, *size)
    torch.testing.assert_close(inverse(transform(x), size), x, atol=1e-6, rtol=0)


def test_what_the_bands_see():
    flat = transform(torch.full((1, 1, 8, 8), 0.7))
    stripes = transform(torch.arange(8.0).remainder(2).expand(1, 1, 8, 8))
    for name in wavelet.BANDS:
        assert flat[name].abs().max() < 1e-6
        assert (stripes[name].abs().max() > 0.5) == (name == "across")
    small = images(1, 1, 8, 8)
    enlarged = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert transform(enlarged)["diagonal"].abs().max() < 1e-7  # pairs of nearest neighbours have no detail within


@pytest.mark.parametrize(("channels", "bands", "side"), [(1, "diagonal", 14), (3, "diagonal", 32), (3, "all", 32)])
def test_network(channels, bands, side):
    model, x = FineBandCNN(channels, bands=bands, width=8), images(5, channels, side, side).float()
    together = model(x)
    assert together.shape == (5,)
    torch.testing.assert_close(together, torch.cat([model(row[None]) for row in x]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(0.5 * x + 0.1), model(0.5 * x), rtol=1e-3, atol=1e-4)  # blind to a level
    assert not torch.allclose(model(0.5 * x), together)  # but not to contrast


def test_errors():
    with pytest.raises(ValueError, match="6 px or more"):
        transform(torch.zeros(1, 1, 5, 8))
    with pytest.raises(ValueError, match="bands"):
        FineBandCNN(1, bands="fine")
    with pytest.raises(ValueError, match="at least 1"):
        FineBandCNN(0)
