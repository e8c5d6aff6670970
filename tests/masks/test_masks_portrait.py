"""Portraits of samplers: the tables hold what `describe` says, row by row, and do not depend on their company."""

import pytest
import torch

from lib import masks, plots
from lib.masks import describe, portrait


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def half(n, grid, *, ratio, generator):
    """A sampler outside the contract: independent tokens."""
    return masks.hidden_pixels(n, (grid, grid), ratio=ratio, generator=generator, exact=False).flatten(1)


SAMPLERS = {"random": masks.random, "grid": masks.grid, "cox": masks.cox_process, "independent": half}


def drawn(**options):
    return portrait.table(SAMPLERS, 8, ratio=0.75, **({"generator": seeded(), "n": 200} | options))


def test_measures_are_those_of_describe():
    mask = masks.green(30, (6, 9), ratio=0.6, generator=seeded())
    table = portrait.measures(mask, (6, 9), bands=(0.0, 0.2, 0.4, 0.8))
    assert len(table) == 30
    power = describe.radial_power(mask, (6, 9), edges=(0.0, 0.2, 0.4, 0.8))
    expected = {
        "morans_i": describe.morans_i(mask, (6, 9)),
        "distance_patches": describe.visible_distance(mask, (6, 9)),
        "visible_regions": describe.component_count(~mask, (6, 9)),
        "largest_hidden_percent": 100 * describe.largest_component(mask, (6, 9)),
        "power_mid": power[:, 1],
    }
    for name, values in expected.items():
        assert table[name].tolist() == pytest.approx(values.tolist())


def test_one_row_per_sampler_with_counts():
    table = drawn().set_index("sampler")
    assert list(table.index) == list(SAMPLERS)
    assert table["distinct"].to_dict() == {"random": 200, "grid": 4, "cox": 200, "independent": 200}
    assert (table.loc[["random", "grid", "cox"], "exact_percent"] == 100).all()
    assert table.loc["independent", "exact_percent"] < 25  # binomial: 11 % of the masks hit the mode
    assert table.loc["grid", "morans_i"] == pytest.approx(-1 / 3)
    spread = table["coverage_high_percent"] - table["coverage_low_percent"]
    assert spread["cox"] > 2 * spread["random"]
    assert not table.isna().any(axis=None)


def test_rows_agree_with_recorded_statistics():
    """Moran's I, AvgDist and visible regions recorded by independent code, 8 x 8, ratio .75."""
    recorded = {
        "random": (masks.random, -0.017, 1.258, 9.463),
        "grid": (masks.grid, -0.333, 1.138, 16.0),
        "jittered_grid": (masks.jittered_grid, -0.194, 1.091, 13.102),
        "cells": (masks.cells, 0.545, 1.939, 2.805),
    }
    named = {name: entry[0] for name, entry in recorded.items()}
    table = portrait.table(named, 8, ratio=0.75, n=1000, generator=seeded()).set_index("sampler")
    for name, (_, moran, distance, regions) in recorded.items():
        # .02 and 3 %: the recorded means come from a few hundred masks
        assert table.loc[name, "morans_i"] == pytest.approx(moran, abs=0.02)
        assert table.loc[name, "distance_patches"] == pytest.approx(distance, rel=0.03)
        assert table.loc[name, "visible_regions"] == pytest.approx(regions, rel=0.03)


def test_a_row_does_not_depend_on_its_company_and_the_generator_stays():
    generator = seeded(3)
    table = drawn(generator=generator)
    alone = portrait.table({"cox": masks.cox_process}, 8, ratio=0.75, generator=generator, n=200)
    assert table[table["sampler"] == "cox"].reset_index(drop=True).equals(alone)
    assert not alone.equals(portrait.table({"cox": masks.cox_process}, 8, ratio=0.75, generator=seeded(4), n=200))


def test_spectra_are_tidy_and_draw():
    table = portrait.spectra(SAMPLERS, 8, ratio=0.75, generator=seeded(), n=50)
    assert list(table.columns) == ["sampler", "mask", "cycles_per_patch", "power"]
    assert not table.isna().any(axis=None)
    assert table["cycles_per_patch"].between(0, 0.75).all()
    random = table[table["sampler"] == "random"].groupby("cycles_per_patch")["power"].mean()
    assert (random - 1).abs().max() < 0.4  # rings of four modes and 50 masks: standard error .1
    plots.curve(table, x="cycles_per_patch", y="power", hue="sampler", unit="mask")


def test_examples_are_pictures_with_titles():
    named = {"random": masks.random, "cells": masks.cells}
    pictures, titles = portrait.examples(named, (6, 9), ratio=0.75, generator=seeded(), n=2)
    assert pictures.shape == (4, 6, 9)
    assert titles == ["random", "random", "cells", "cells"]
    assert torch.equal(pictures[0].flatten() == 0, masks.random(2, (6, 9), ratio=0.75, generator=seeded())[0])
    plots.images(pictures, titles=titles)


def test_patches_are_coverage_and_the_first_masks():
    named = {"random": masks.random, "cells": masks.cells}
    table = portrait.patches(named, (6, 9), ratio=0.5, generator=seeded(), n=30)
    assert list(table.columns) == ["sampler", "row", "column", "hidden_percent", "example_1", "example_2"]
    assert len(table) == 54 * 2
    for name, rows in table.groupby("sampler"):
        mask = named[name](30, (6, 9), ratio=0.5, generator=seeded())
        token = (rows["row"] * 9 + rows["column"]).tolist()
        assert rows["hidden_percent"].tolist() == pytest.approx((100 * mask.double().mean(0))[token].tolist())
        assert rows["example_2"].tolist() == mask[1, token].tolist()
    with pytest.raises(ValueError, match="examples must be between 0 and n = 3, got 4"):
        portrait.patches(SAMPLERS, 8, ratio=0.5, generator=seeded(), n=3, examples=4)


def test_tables_are_those_of_the_single_functions():
    options = {"ratio": 0.75, "n": 20}
    given = portrait.tables(SAMPLERS, 8, generator=seeded(), **options)
    for frame, function in zip(given, (portrait.table, portrait.spectra, portrait.patches), strict=True):
        assert frame.equals(function(SAMPLERS, 8, generator=seeded(), **options))
    assert "example_2" not in portrait.tables(SAMPLERS, 8, generator=seeded(), ratio=0.75, n=1)[2]


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="samplers must name at least one sampler"):
        portrait.table({}, 8, ratio=0.75, generator=seeded())
    with pytest.raises(ValueError, match="ratio must be in"):
        portrait.table(SAMPLERS, 8, ratio=75, generator=seeded())
    with pytest.raises(TypeError, match="generator must be a torch.Generator, got int"):
        drawn(generator=0)
