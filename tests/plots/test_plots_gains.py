"""Rows of differences: every table is drawn, the mean is the mean, missing pairs are left out."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.plots.gains import gains


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def points() -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(5, 3))
    frame = pd.DataFrame(values, index=list("abcde"), columns=["x - y", "x - z", "w - y"])
    frame.loc[["b", "d"], "w - y"] = np.nan
    return frame


def test_every_finite_difference_is_a_dot(points: pd.DataFrame) -> None:
    fig, shown = gains(points, band=1, xlabel="points", title="t")
    assert len(shown) == 5 + 5 + 3
    grey = fig.axes[0].lines[-1]
    np.testing.assert_allclose(np.asarray(grey.get_xdata(), dtype=float), shown["points"])
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == list(points)


def test_means_stand_above_their_dots(points: pd.DataFrame) -> None:
    fig, _ = gains(points, band=1, xlabel="points")
    ax = fig.axes[0]
    marks = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in ax.lines])
    for mean in points.mean():  # pandas skips NaN
        assert np.isclose(marks, mean).any()
    low, high = ax.get_ylim()
    assert low > 2.26  # the lowest row of dots lies inside, the first row is at the top
    assert high < 0


@pytest.mark.parametrize("band", [0.0, -1.0, float("nan")])
def test_band_must_be_positive(points: pd.DataFrame, band: float) -> None:
    with pytest.raises(ValueError, match="band must be > 0"):
        gains(points, band=band, xlabel="points")


def test_nothing_to_draw_is_refused(points: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="points must hold a finite difference"):
        gains(points * np.nan, band=1, xlabel="points")
