"""The portrait of a sampler shows its masks, its spectrum and its numbers, and every text of it can be read."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from lib import masks, plots
from lib.plots import legible
from lib.plots.masks import FLOOR

SAMPLERS = {"random": masks.random, "grid": masks.grid, "red": masks.red}
TOKENS = 64


def tables(samplers=None, grid=8, n=40):
    generator = torch.Generator().manual_seed(0)
    return masks.portrait.tables(samplers or SAMPLERS, grid, ratio=0.75, generator=generator, n=n)


def drawn(*given):
    fig = plots.portraits(*given)
    for _ in range(2):  # the second save sees what the first has left
        fig.savefig(io.BytesIO())
    legible.check(fig, "portraits")
    return fig


def test_pictures_are_the_masks_and_their_coverage():
    table, spectra, patches = tables()
    fig = drawn(table, spectra, patches)
    shown = [np.asarray(ax.images[0].get_array()) for ax in fig.axes if ax.images]
    generator = torch.Generator().manual_seed(0)
    for row, sampler in enumerate(SAMPLERS.values()):
        hidden = sampler(40, 8, ratio=0.75, generator=generator.clone_state()).view(40, 8, 8).numpy()
        for copy in range(2):
            assert np.array_equal(shown[2 * row + copy] == 0, hidden[copy]), "dark = hidden"
        assert shown[6 + row] == pytest.approx(100 * hidden.mean(0))


def test_spectra_are_means_over_masks_with_a_floor():
    table, spectra, patches = tables()
    axes = [ax for ax in drawn(table, spectra, patches).axes if ax.get_yscale() == "log"]
    assert len(axes) == 3
    for name, ax in zip(SAMPLERS, axes, strict=True):
        mean = spectra[spectra["sampler"] == name].groupby("cycles_per_patch")["power"].mean()
        assert ax.lines[0].get_xdata() == pytest.approx(mean.index)
        assert ax.lines[0].get_ydata() == pytest.approx(np.maximum(mean, FLOOR))
        assert list(ax.lines[1].get_ydata()) == [1, 1], "random masking"
    assert axes[1].lines[0].get_ydata().min() == pytest.approx(FLOOR), "a lattice has rings without power"


def test_dots_are_the_tables_numbers():
    table, *others = tables()
    moran, regions, distance = drawn(table, *others).axes[-3:]  # drawn last
    dots = [[line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"] for ax in (moran, regions, distance)]
    assert dots[0] == list(table["morans_i"])
    assert dots[1] == [*table["hidden_regions"], *table["visible_regions"]]
    assert dots[2] == list(table["distance_patches"])
    assert moran.lines[-1].get_xdata()[0] == pytest.approx(-1 / (TOKENS - 1))
    assert moran.texts[0].get_text().replace("\u2212", "-") == f"{table['morans_i'][0]:.2f}"


def test_every_sampler_there_is_fits_on_a_page():
    fig = drawn(*tables({sampler.__name__: sampler for sampler in masks.SAMPLERS}, 14, n=20))
    width, height = fig.get_size_inches()
    assert width == 9
    assert height < 10.7, "two margins of half an inch on A4"


def test_one_mask_of_a_wide_grid_with_a_long_name():
    fig = drawn(*tables({"a_sampler_whose_name_goes_on_and_on_and_on": masks.random}, (4, 9), n=1))
    assert fig.axes[0].images[0].get_array().shape == (4, 9)


def test_errors_say_what_is_missing():
    table, spectra, patches = tables()
    with pytest.raises(ValueError, match=r"table must have the columns .* morans_i missing"):
        plots.portraits(table.drop(columns="morans_i"), spectra, patches)
    with pytest.raises(ValueError, match="patches must describe every sampler of table, got none for red"):
        plots.portraits(table, spectra, patches[patches["sampler"] != "red"])
    with pytest.raises(ValueError, match="table must describe every sampler of table, got none for any"):
        plots.portraits(table[:0], spectra, patches)
