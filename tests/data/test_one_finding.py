import numpy as np
import pytest
from pandas import DataFrame

from lib.data import thorax
from lib.data.one_finding import SUBTYPES, everybody_sick, one_finding_patients, two_kinds


def draw(seed: int = 0, n: tuple[int, int] = (60, 90)) -> DataFrame:
    return one_finding_patients(*n, rng=np.random.default_rng(seed), severity="easy")


def test_background_has_nothing_and_target_exactly_one_subtype() -> None:
    people = draw()
    total = people[list(thorax.FINDINGS)].sum(axis=1)
    assert (total == people["target"]).all() and int(people["target"].sum()) == 90
    sick = people[people["target"] == 1]
    for k, name in enumerate(SUBTYPES):
        assert (sick[name] == (sick["kind"] == k)).all() and int(sick[name].sum()) == 30


def test_severity_is_the_place_of_the_size_in_its_range() -> None:
    people = draw(n=(300, 300))
    assert people["severity"].between(0, 1).all()
    assert abs(people["severity"].mean() - 0.5) < 0.06  # four standard errors of 600 uniform draws are 0.047
    row = people[people["kind"] == 2].iloc[0]
    low, high = thorax.SEVERITIES["easy"]["effusion_ml"]
    assert row["effusion_ml"] == pytest.approx(low + row["severity"] * (high - low))


def test_the_control_changes_only_findings_of_the_background() -> None:
    people, control = draw(), everybody_sick(draw())
    changed = [name for name in people.columns if not people[name].equals(control[name])]
    assert set(changed) == set(SUBTYPES)
    was_sick = people["target"] == 1
    assert control[was_sick].equals(people[was_sick])
    assert (control[list(SUBTYPES)].sum(axis=1) == 1).all()


def test_order_says_nothing_and_seeds_differ() -> None:
    people = draw()
    assert 0 < int(people["target"].head(60).sum()) < 60
    assert draw().equals(people) and not draw(1).equals(people)


def test_attributes_do_not_depend_on_the_set_and_are_about_half() -> None:
    people = draw(n=(1500, 1500))
    codes = two_kinds(people)
    assert codes.shape == (3000, 4) and set(np.unique(codes)) == {0, 1}
    target = people["target"].to_numpy() == 1
    gaps = codes[target].mean(axis=0) - codes[~target].mean(axis=0)
    assert (np.abs(gaps) < 0.08).all()  # four standard errors of the difference of two shares near one half
    assert (np.abs(codes.mean(axis=0) - 0.5) < 0.06).all()


def test_readable_errors() -> None:
    with pytest.raises(ValueError, match="n_background and n_target"):
        draw(n=(0, 5))
    with pytest.raises(ValueError, match="severity"):
        one_finding_patients(3, 3, rng=np.random.default_rng(0), severity="mild")
