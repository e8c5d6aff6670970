"""The grid on films: masks hide what they say, hidden pixels cannot matter, floors see no film, few films give NaN."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from lib import stats
from lib.data.masked_films import MaskedFilms
from lib.measure import film_grid

SIDE, N = 16, 160


def make(seed=0, where="outside"):
    """Films whose brightness outside (or inside) the lungs tells the sex; the view is told by nothing."""
    rng = np.random.default_rng(seed)
    sex, view = rng.integers(0, 2, N), rng.integers(0, 2, N)
    lungs = torch.zeros(N, SIDE, SIDE, dtype=torch.bool)
    lungs[:, 4:12, 4:12] = True
    region = ~lungs if where == "outside" else lungs
    x = torch.tensor(rng.uniform(0.3, 0.5, (N, 1, SIDE, SIDE)), dtype=torch.float32)
    x += 0.3 * torch.tensor(sex)[:, None, None, None] * region[:, None]
    labels = {"sex": sex, "view": view}
    table = {"sex": torch.tensor(view)[:, None].double(), "view": torch.tensor(sex)[:, None].double()}
    people = pd.DataFrame({"patient_id": range(N)})
    return MaskedFilms(x, lungs, torch.ones_like(lungs), people, labels, table)


def split(films, seed=0, half=N // 2, **how):
    rows = np.arange(N)
    given = {"covers": 1.0, "grid": 4, "penalty": 0.1, "rng": np.random.default_rng(seed)} | how
    generator = torch.Generator().manual_seed(seed)
    return film_grid.one_split(films, rows[:half], rows[half:], generator=generator, **given)


def value(cells, train, test, task="sex"):
    return cells.set_index(["task", "train", "test"]).loc[(task, train, test), "auc"]


def test_nine_masks_are_pairs_of_opposites_and_controls_are_alike():
    lungs = torch.rand(5, 12, 12, generator=torch.Generator().manual_seed(1)) > 0.8
    masks = film_grid.nine_masks(lungs, lungs[:3], covers=1.0)
    assert len(masks) == 9 and set(film_grid.WITHOUT) < set(masks)
    for name in film_grid.WITHOUT:
        assert torch.equal(masks[name], ~masks[name.replace("no ", "only ")])
    for name in ("no fixed box", "no mean outline"):
        assert (masks[name] == masks[name][:1]).all()


@pytest.mark.parametrize(
    ("where", "knows", "blind"), [("outside", "no box", "only box"), ("inside", "only box", "no box")]
)
def test_a_head_knows_what_is_shown_and_not_what_is_hidden(where, knows, blind):
    cells, _ = split(make(where=where))
    assert value(cells, knows, knows) == 1.0
    assert abs(value(cells, blind, blind) - 0.5) < 0.2  # noise of 80 films


def test_hidden_pixels_change_nothing():
    films = make()
    other = torch.where(films.lungs[:, None], 1 - films.x, films.x)
    first, second = (split(f)[0] for f in (films, dataclasses.replace(films, x=other)))
    same = first["test"].eq("no lungs") & first["train"].eq("no lungs")
    assert first.loc[same, "auc"].equals(second.loc[same, "auc"])
    assert not first["auc"].equals(second["auc"])


def test_floors_see_no_film_and_equal_shapes_tell_nothing():
    films = make()
    _, floors = split(films)
    _, again = split(dataclasses.replace(films, x=torch.rand(films.x.shape)))
    pd.testing.assert_frame_equal(floors, again)
    assert (floors.loc[floors["floor"] != "table", "auc"] == 0.5).all(), "all films have the same outline and format"


def test_the_format_of_a_film_belongs_to_its_silhouette():
    films = make()
    inside = films.inside.clone()
    inside[torch.tensor(films.labels["view"]) == 1, :2] = False
    _, floors = split(dataclasses.replace(films, inside=inside))
    told = floors[floors["task"] == "view"].set_index("floor")["auc"]
    assert told["film format"] == told["no fixed box"] == 1.0
    assert told["lung outline"] == 0.5


def test_too_few_test_films_are_nan_with_their_number():
    cells, floors = split(make(), half=N - 20)
    assert cells["auc"].isna().all() and cells["permuted"].isna().all() and floors["auc"].isna().all()
    assert (cells["positives"] + cells["negatives"] == 20).all()


def test_every_cell_is_there_and_a_seed_repeats():
    first, second = split(make()), split(make())
    for a, b in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(a, b)
    assert len(first[0]) == 2 * 10 * 13  # questions, nine masks and all five, nine masks and four fillings
    assert set(first[1]["floor"]) == {*film_grid.WITHOUT, *film_grid.OUTLINES, "table"}


def test_growing_by_nothing_is_the_region_and_by_all_is_black():
    films = make()
    views = film_grid.grown_views(films, pixels=(0, 2, SIDE), grid=4)
    masks = film_grid.nine_masks(films.lungs, films.lungs, covers=1.0)
    rows = np.arange(N)
    found = film_grid.same_mask(views, films.labels["sex"], rows[:80], rows[80:], penalty=0.1).set_index("name")
    assert masks["no lungs"].sum() == films.lungs.sum()
    assert found.loc["film, 0", "auc"] == 1.0 and found.loc[f"film, {SIDE}", "auc"] == 0.5


def test_corrected_is_the_rule_of_the_claims_and_wider_than_independent_splits():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"mask": np.repeat(["a", "b"], 8), "auc": rng.random(16)})
    found = film_grid.corrected(rows, ["mask"], test_fraction=0.5)
    for name, part in rows.groupby("mask"):
        expected = stats.corrected_resampled(part["auc"].to_numpy(), test_fraction=0.5)
        row = found.set_index("mask").loc[name]
        assert (row["estimate"], row["low"], row["high"]) == (expected.estimate, expected.low, expected.high)
        assert row["high"] - row["low"] > stats.paired(part["auc"]).high - stats.paired(part["auc"]).low


def test_a_missing_value_leaves_no_interval():
    found = film_grid.corrected(pd.DataFrame({"mask": "a", "auc": [0.6, np.nan]}), ["mask"], test_fraction=1.0)
    assert found[["low", "high"]].isna().all(axis=None)
