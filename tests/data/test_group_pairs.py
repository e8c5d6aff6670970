"""Patients in two acquisition groups: shares are exact, levels nested, and twins differ in the acquisition only."""

import numpy as np
import pytest
import torch

from lib.data import thorax
from lib.data.group_pairs import PAIR, assign, draw_patients, render_pairs


def patients(n=40, seed=0):
    return draw_patients(n, finding="effusion", severity="easy", rng=np.random.default_rng(seed))


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_shares_are_exact(strength):
    table = patients()
    group, sick = assign(table, "effusion", strength=strength), table["effusion"] == 1
    assert sick.sum() == 20
    assert group[sick].sum() == round(20 * strength)
    assert group[~sick].sum() == 20 - round(20 * strength)


def test_levels_are_nested_and_the_mirror_turns_everybody_round():
    table = patients()
    sick = (table["effusion"] == 1).to_numpy()
    levels = [assign(table, "effusion", strength=p) for p in (0.5, 0.6, 0.9)]
    for weaker, stronger in zip(levels, levels[1:], strict=False):
        assert (weaker <= stronger)[sick].all()
        assert (weaker >= stronger)[~sick].all()
    shares = [assign(table, "effusion", strength=p).sum() for p in (0.1, 0.9)]
    assert shares == [20, 20]


def test_the_group_says_nothing_about_anything_else():
    table = patients(4000)
    group = assign(table, "effusion", strength=0.5)
    for column in (table["age_years"], table["sex"] == "F", table["view"] == "AP", table["effusion"]):
        assert abs(np.corrcoef(group, column.astype(float))[0, 1]) < 0.05  # three deviations of no correlation


def test_films_are_those_of_the_generator_and_gaps_are_no_films():
    table = patients(4)
    wanted = np.array([[True, True], [True, False], [False, True], [True, True]])
    x, lungs = render_pairs(table, wanted, size=32)
    assert x.shape == (4, 2, 32, 32)
    assert torch.equal(x.isfinite().all((2, 3)), torch.tensor(wanted))
    for code, name in enumerate(PAIR):
        films = thorax.render(thorax.twin(table, "group", name), size=32)
        torch.testing.assert_close(x[wanted[:, code], code], films.x[wanted[:, code], 0], rtol=0, atol=1e-6)
        own = films.masks["lung_right"] | films.masks["lung_left"]
        assert torch.equal(lungs[wanted[:, code], code], own[wanted[:, code]])
    assert not lungs[1, 1].any()
    assert lungs[0, 1].sum() < lungs[0, 0].sum()  # a wider field draws the body smaller


def test_errors():
    table = patients(6)
    with pytest.raises(ValueError, match="finding must be one of"):
        draw_patients(6, finding="flu", severity="easy", rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="n at least 2"):
        draw_patients(1, finding="edema", severity="easy", rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="strength must be a share"):
        assign(table, "effusion", strength=90)
    with pytest.raises(ValueError, match="column place"):
        assign(table.drop(columns="place"), "effusion", strength=0.5)
    for wanted in (np.ones((6, 3), bool), np.zeros((6, 2), bool)):
        with pytest.raises(ValueError, match="wanted must be"):
            render_pairs(table, wanted)
