import numpy as np
import pandas as pd
import pytest

from lib.measure.clustered_auc import auc_draws
from lib.measure.company_gaps import GAPS, age_band, company_cells, company_gaps, named_gaps
from lib.measure.fairness import auc, auc_gap_interval

NAMES = ("a", "b", "c")


def crowd(n: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random((3, n)) < 0.4).astype(int)
    return rng.normal(size=(3, n)) + 1.2 * truth, truth, rng.uniform(20, 95, n)


def test_cells_are_brute_force_aucs_and_leave_the_middle_out() -> None:
    scores, truth, age = crowd()
    cells = company_cells(scores, truth, age, NAMES)
    assert len(cells) == 12
    for row in cells.itertuples():
        f = NAMES.index(row.finding)
        inside = [
            i for i in range(age.size)
            if (age[i] < 50 if row.age == "young" else age[i] >= 60)
            and ((sum(truth[:, i]) - truth[f, i] <= 1) == (row.company == "few"))
        ]  # fmt: skip
        assert row.n == len(inside)
        assert row.positives == truth[f, inside].sum()
        enough = min(row.positives, row.n - row.positives) >= 20
        assert np.isnan(row.auc) if not enough else row.auc == pytest.approx(auc(scores[f, inside], truth[f, inside]))
    assert cells.groupby("finding")["n"].sum().tolist() == [int(((age < 50) | (age >= 60)).sum())] * 3


def test_the_archive_is_the_sum_of_age_and_company() -> None:
    gaps = company_gaps(company_cells(*crowd(), NAMES))
    assert tuple(gaps) == GAPS
    assert gaps[GAPS[0]] == pytest.approx(gaps[GAPS[1]] + gaps[GAPS[2]], abs=1e-12)


def test_a_planted_cause_is_told_from_the_other() -> None:
    scores, truth, age = crowd(20_000, seed=1)
    many = (truth.sum(0)[None] - truth) > 1
    noise = np.random.default_rng(2).normal(size=scores.shape)
    by_age = company_gaps(company_cells(scores + 2 * noise * (age >= 60), truth, age, NAMES))
    by_company = company_gaps(company_cells(scores + 2 * noise * many, truth, age, NAMES))
    assert by_age["age alone"] > 0.08 > 0.02 > abs(by_age["company alone"])
    assert by_company["company alone"] > 0.08 > 0.02 > abs(by_company["age alone"])


def test_too_few_patients_are_nan_and_not_zero() -> None:
    scores, truth, age = (part[..., :60] for part in crowd())
    cells = company_cells(scores, truth, age, NAMES)
    assert cells["auc"].isna().all()
    assert all(np.isnan(gap) for gap in company_gaps(cells).values())


def test_bands_have_closed_lower_ends() -> None:
    assert age_band([18, 50, 59.9, 95]).tolist() == ["under 50", "50 to 59", "50 to 59", "60 and over"]


def test_named_gaps_agree_with_the_plain_bootstrap() -> None:
    scores, truth, age = crowd(400)
    band, ids = age_band(age), np.arange(age.size)
    frames = [pd.DataFrame(part.T, columns=list(NAMES)) for part in (scores, truth)]
    draws = auc_draws(*frames, ids, {"age": band}, generator=np.random.default_rng(0), n_boot=400)
    found = named_gaps(draws, "age", "under 50", "60 and over").set_index("label")
    plain = auc_gap_interval(
        scores[0], truth[0], band, ids, first="under 50", second="60 and over", generator=np.random.default_rng(1),
        n_boot=400,
    )  # fmt: skip
    assert found.loc["a", "estimate"] == pytest.approx(plain.estimate)
    assert found.loc["a", "low"] == pytest.approx(plain.low, abs=0.03)  # two bootstraps of 400 draws
    assert found.loc["a", "high"] == pytest.approx(plain.high, abs=0.03)


def test_shapes_are_checked() -> None:
    scores, truth, age = crowd(50)
    with pytest.raises(ValueError, match="one row per finding"):
        company_cells(scores, truth, age, ("a", "b"))
