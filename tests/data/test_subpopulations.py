"""Joint counts of the four shifts, and the patients drawn for them."""

import numpy as np
import pytest

from lib.data.subpopulations import ATTRIBUTES, CELLS, NONE, SHIFTS, counts, enough, rows_of, sample_cells, shares

SC, AI, CI, AG = SHIFTS


@pytest.mark.parametrize("shift", [NONE, *SHIFTS])
def test_shares_sum_to_one_and_the_rarest_cell_is_as_said(shift):
    table = shares(shift, rare=0.04)
    assert table.to_numpy().sum() == pytest.approx(1)
    least = table.to_numpy()[table.to_numpy() > 0].min()
    assert least == pytest.approx(1 / 6 if shift == NONE else 0.04)


def test_each_shift_changes_what_its_name_says_and_nothing_else():
    tables = {shift: shares(shift, rare=0.04) for shift in SHIFTS}
    labels = {shift: table.sum().to_numpy() for shift, table in tables.items()}
    groups = {shift: table.sum(axis=1).to_numpy() for shift, table in tables.items()}
    for shift in (SC, AI, AG):
        np.testing.assert_allclose(labels[shift], 0.5)
    for shift in (SC, CI):
        np.testing.assert_allclose(groups[shift], 1 / 3)
    for shift in (AI, CI, AG):  # label and attribute are independent
        np.testing.assert_allclose(tables[shift], np.outer(groups[shift], labels[shift]))
    assert tables[SC].loc["C", "sick"] > 5 * tables[SC].loc["C", "healthy"]
    assert groups[AG][2] == 0 and groups[AI][2] == pytest.approx(0.08)


def test_at_one_sixth_three_shifts_vanish():
    for shift in (SC, AI, CI):
        np.testing.assert_allclose(shares(shift, rare=1 / 6), 1 / 6)


@pytest.mark.parametrize("n", [60, 97, 480])
def test_counts_are_whole_exact_and_near_the_shares(n):
    for shift in (NONE, *SHIFTS):
        table = counts(shift, n, rare=0.04)
        assert table.to_numpy().sum() == n
        assert (np.abs(table - n * shares(shift, rare=0.04)) < 1).to_numpy().all()


def test_one_pool_serves_all_shifts():
    tables = [counts(shift, 60, rare=0.05) for shift in SHIFTS]
    need = enough(tables)
    assert need.loc["A", "sick"] == max(table.loc["A", "sick"] for table in tables)
    people = sample_cells(need, rng=np.random.default_rng(0), shrink=(0.08, 0.16), first=7)
    assert people["patient_id"].tolist() == list(range(7, 7 + len(people)))
    codes = people["cell"].to_numpy()
    assert [CELLS[code].split()[0] for code in codes] == people["group"].tolist()
    assert (codes % 2 == people["pneumothorax"]).all()
    assert people["pneumothorax_shrink"].between(0.08, 0.16).all()
    for table in tables:
        rows = rows_of(codes, table)
        assert len(set(rows)) == len(rows) == 60
        assert np.bincount(codes[rows], minlength=6).tolist() == table.to_numpy().ravel().tolist()


def test_groups_that_are_absent_draw_nobody():
    people = sample_cells(counts(AG, 40, rare=0.05), rng=np.random.default_rng(0), shrink=(0.1, 0.2))
    assert set(people["group"]) == set(ATTRIBUTES[:2])


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"rare must be in \(0, 1/6\]"):
        shares(SC, rare=0.2)
    with pytest.raises(ValueError, match="shift must be one of no shift"):
        shares("drift", rare=0.1)
    with pytest.raises(ValueError, match="n must give every cell a patient"):
        counts(CI, 6, rare=0.01)
    with pytest.raises(ValueError, match="cells must hold"):
        rows_of([0, 1], counts(NONE, 6, rare=0.1))
    with pytest.raises(ValueError, match="at least one patient"):
        sample_cells(0 * counts(NONE, 6, rare=0.1), rng=np.random.default_rng(0), shrink=(0.1, 0.2))
